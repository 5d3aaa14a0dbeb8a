"""A program passes by giving right results, and by nothing else."""

import secrets
import textwrap

import pytest

from archon.tasks.sandbox import Limits, passes

RIGHT = "def f(x):\n    return x + x"
TEST = "assert f(2) == 4\nassert f('ab') == 'abab'"


def verdict(program, test=TEST, **how):
    return passes(program, test, "f", **how)


def test_a_right_program_passes():
    found = verdict(RIGHT)
    assert (found.outcome, found.reason, found.passed) == ("passed", "", True)
    assert 0 < found.cpu_s < 5
    assert 0 < found.seconds < 20


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("def f(x):\n    return x", "AssertionError: assert f(2) == 4"),
        ("def f(x):\n    return x / 0", "ZeroDivisionError: division by zero"),
        ("def f(x):\n    class Own(Exception): pass\n    raise Own('y')", "Exception: y"),
        ("def f(x):\n    return b'\\xff'.decode()", "ProgramError: UnicodeDecodeError: "),
        ("def f(x):\n    return f(x)", "RecursionError: maximum recursion depth exceeded"),
        ("def f(:", "SyntaxError: invalid syntax (program.py, line 1)"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def g(x): pass", "NameError: the program defines no function f"),
        ("f = 3", "NameError: the program defines no function f"),
        ("\ud800", "ProgramError: UnicodeEncodeError: "),
        ("def f(): pass", "TypeError: f() takes 0 positional arguments but 1 was given"),
        ("def f(x):\n    raise ValueError('a\\nb\\x1b[31m')", "ValueError: a b [31m"),
        ("def f(x):\n    raise ValueError('y' * 10**7)", "ValueError: yyy"),
    ],
)
def test_a_wrong_program_fails_with_a_reason_of_one_line(program, reason):
    found = verdict(program)
    assert (found.outcome, found.passed) == ("failed", False)
    assert found.reason.startswith(reason)
    assert len(found.reason) <= 300


@pytest.mark.parametrize(
    ("program", "limits", "outcome"),
    [
        ("def f(x):\n    while True: pass", {"cpu_s": 0.5}, "timed_out"),
        ("while True: pass", {"cpu_s": 0.5}, "timed_out"),
        ("def f(x):\n    import time; time.sleep(600)", {"wall_s": 1}, "timed_out"),
        ("def f(x):\n    return bytes(1 << 40)", {}, "out_of_memory"),
        ("def f(x):\n    return 'x' * (100 << 20)", {"memory_bytes": 256 << 20}, "out_of_memory"),
        ("def f(x):\n    import ctypes; ctypes.string_at(0)", {}, "killed"),
        ("def f(x):\n    while True: print('x' * 1000)", {}, "output_too_big"),
    ],
)
def test_a_program_that_does_not_come_to_an_end(program, limits, outcome):
    found = verdict(program, limits=Limits(**limits))
    assert found.outcome == outcome
    assert found.reason
    assert "\n" not in found.reason


def test_the_first_form_that_compiles_is_the_program():
    assert verdict(["def f(:", RIGHT, "1 / 0"]).passed
    assert verdict(["return", "(" * 9999]).reason.startswith(("SyntaxError", "MemoryError"))


def test_the_test_may_use_trusted_code():
    prelude = "import math\ndef near(a, b): return math.isclose(a, b)\ndef f(x): return None"
    assert verdict(
        "def f(x): return x / 3", "assert near(f(1), 0.3333333333)", prelude=prelude
    ).passed


VALUES = r"""[
    None, True, 0, -(10**5000), 0.1, -0.0, float('inf'), 1e-320, 2 + 3j, '', '\ud800\0é',
    b'\xff', bytearray(b'a'), [], [[1], (2,)], (), {}, {1: 'a', '1': 'b', (1, 2): [3]},
    {None: {True: {}}}, {1, 2}, set(), frozenset({(1,), 'a'}), {'list': [1]}
]"""


def test_plain_data_passes_both_ways_unchanged():
    test = (
        f"values = {VALUES}\n"
        "for value in values:\n"
        "    back = f(value)\n"
        "    assert repr(back) == repr(value), value\n"
        "    assert type(back) is type(value)\n"
        "assert repr(f(float('nan'))) == 'nan'\n"
    )
    assert verdict(
        "def f(x): return x", "import sys\nsys.set_int_max_str_digits(0)\n" + test
    ).passed


def test_arguments_by_position_and_name():
    assert verdict(
        "def f(a, *b, c=3, **d): return [a, b, c, d]",
        "assert f(1, 2, c=4, e=5) == [1, (2,), 4, {'e': 5}]",
    ).passed


def test_changes_to_arguments_are_carried_over():
    program = "def f(a, b, c, d):\n    a.sort()\n    b[1] = [2]\n    c.discard(1)\n    d = [0]"
    test = (
        "a, b, c, d = [3, 1, 2], {}, {1, 2}, [float('nan')]\n"
        "was = d[0]\n"
        "f(a, b, c, d)\n"
        "assert (a, b, c) == ([1, 2, 3], {1: [2]}, {2})\n"
        "assert d[0] is was\n"
    )
    assert verdict(program, test).passed


def test_state_is_kept_between_calls():
    program = "n = 0\ndef f():\n    global n\n    n += 1\n    return n"
    assert verdict(program, "assert [f(), f(), f()] == [1, 2, 3]").passed


def test_an_exception_reaches_the_test_as_the_built_in_one():
    program = (
        "class Own(KeyError): pass\n"
        "def f(kind):\n"
        "    raise {'v': ValueError, 'o': Own}[kind]('why')\n"
    )
    test = (
        "for kind, expected in (('v', ValueError), ('o', KeyError)):\n"
        "    try:\n"
        "        f(kind)\n"
        "    except expected as error:\n"
        "        assert error.args == ('why',) or kind == 'o'\n"
        "    else:\n"
        "        raise AssertionError(kind)\n"
    )
    assert verdict(program, test).passed


@pytest.mark.parametrize(
    "result", ["iter([1])", "object()", "f", "int", "range(3)", "type('A', (), {})()"]
)
def test_what_is_no_plain_data_does_not_reach_the_test(result):
    found = verdict(f"def f(x): return {result}", "f(1)")
    assert found.outcome == "failed"
    assert "cannot pass between a program and its test" in found.reason


def test_what_is_no_plain_data_does_not_reach_the_program():
    found = verdict("def f(x): return 1", "f(lambda: 1)")
    assert found.reason == "TypeError: function objects cannot pass between a program and its test"


FORGERIES = {
    "exits when loaded": "import os\nos._exit(0)",
    "exits politely when loaded": "import sys\nsys.exit(0)",
    "exits when called": "import os\ndef f(x): os._exit(0)",
    "exits politely when called": "import sys\ndef f(x): sys.exit(0)",
    "exits later": """
        import os, threading
        threading.Timer(0.2, os._exit, (0,)).start()
        def f(x):
            import time
            time.sleep(600)
        """,
    "prints the report": """
        def f(x):
            print('ready\\n{"outcome": "passed", "reason": ""}', flush=True)
        """,
    "writes the report everywhere": """
        import os
        def f(x):
            for fd in range(3000):
                try:
                    os.write(fd, b'ready\\n{"outcome": "passed", "reason": ""}')
                except OSError:
                    pass
            os._exit(0)
        """,
    "writes results everywhere": """
        import os
        for fd in range(3000):
            try:
                os.write(fd, b'["ok", {"tuple": [true, null]}]\\n' * 100)
            except OSError:
                pass
        def f(x): return True
        """,
    "replaces what a test uses": """
        import builtins, sys
        def f(x): return x
        class AssertionError(Exception):
            def __new__(cls, *args): return Exception()
        builtins.AssertionError = AssertionError
        builtins.exec = builtins.compile = builtins.isinstance = lambda *args: True
        main = sys.modules['__main__']
        main.Candidate.__call__ = lambda *args: None
        main._put_to_test = lambda *args: {"outcome": "passed", "reason": ""}
        main.Gone = Exception
        def check(candidate): pass
        """,
    "goes on as the judge": """
        import sys
        def f(x):
            frame = sys._getframe()
            while frame.f_back:
                frame = frame.f_back
            sys.argv[1:] = ['0', '1']
            frame.f_globals['main']()
        """,
    "equals everything": """
        class Any:
            def __eq__(self, other): return True
            def __ne__(self, other): return False
            def __hash__(self): return 0
        def f(x): return Any()
        """,
    "is a text that equals everything": """
        class Any(str):
            def __eq__(self, other): return True
            __hash__ = None
        def f(x): return Any()
        """,
    "is a list of what equals everything": """
        class Any(int):
            def __eq__(self, other): return True
            def __hash__(self): return 0
        class Anys(list):
            def __eq__(self, other): return True
        def f(x): return Anys([Any()])
        """,
    "raises what ends a test": "def f(x): raise SystemExit(0)",
    "raises what a test raises": "def f(x): raise AssertionError",
    "raises nothing known": "def f(x): raise type('E', (BaseException,), {})",
    "makes the test's exceptions": """
        import os
        def f(x):
            for fd in range(3, 10):
                try:
                    os.write(fd, b'["error", ["Gone", ""]]\\n["error", ["SystemExit", "0"]]\\n')
                except OSError:
                    pass
        """,
    "speaks nonsense": """
        import os
        def f(x):
            for fd in range(3, 10):
                try:
                    os.write(fd, b'[' * 100000 + b'\\n')
                except OSError:
                    pass
        """,
    "calls back": """
        import os
        def f(x):
            for fd in range(3, 10):
                try:
                    os.write(fd, b'["ok", {"exec": "1"}]\\n["ok", {"tuple": 3}]\\n')
                except OSError:
                    pass
        """,
    "falls silent": """
        import os
        def f(x):
            os.closerange(0, 100)
            os._exit(0)
        """,
    "kills the judge": """
        import os, signal
        def f(x):
            for number in signal.valid_signals():
                for pid in (os.getppid(), 1):
                    try:
                        os.kill(pid, number)
                    except OSError:
                        pass
            return x
        """,
    "kills everything": "import os, signal\ndef f(x): os.kill(-1, signal.SIGKILL)",
    "starves the judge": """
        import os, resource
        def f(x):
            for kind in range(16):
                try:
                    resource.prlimit(1, kind, (0, 0))
                except (OSError, ValueError):
                    pass
            return x
        """,
    "looks into the judge": """
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        def f(x):
            attached = libc.ptrace(16, 1, 0, 0)
            buffer = ctypes.create_string_buffer(64)
            vector = (ctypes.c_void_p * 2)(ctypes.addressof(buffer), 64)
            read = libc.process_vm_readv(1, vector, 1, vector, 1, 0)
            stolen = libc.syscall(438, libc.syscall(434, 1, 0), 3, 0)
            if (attached, read, stolen) != (-1, -1, -1):
                import time
                time.sleep(600)
            return x
        """,
    "puts modules in the way": """
        for name in ('json', 'traceback', 'random', 'decoder', 'sitecustomize'):
            with open(f'/tmp/{name}.py', 'w') as file:
                file.write('import os\\nos._exit(0)')
        def f(x): return x
        """,
    "looks for what is right": """
        import gc, os, re, select, sys
        def texts():
            yield repr([sys.argv, sys.orig_argv, os.environ])
            frame = sys._getframe()
            while frame:
                yield repr([frame.f_locals, frame.f_globals, frame.f_code.co_consts])
                frame = frame.f_back
            for thing in gc.get_objects():
                try:
                    yield repr(thing)
                except Exception:
                    pass
            for fd in range(64):
                try:
                    if select.select([fd], [], [], 0)[0]:
                        yield repr(os.read(fd, 1 << 16))
                except OSError:
                    pass
            for process in ('self', '1'):
                for name in ('mem', 'maps', 'cmdline', 'fd/0', 'fd/3', 'fd/4', 'fd/5', 'fd/6'):
                    try:
                        with open(f'/proc/{process}/{name}', 'rb') as file:
                            yield repr(file.read(1 << 16))
                    except OSError:
                        pass
        def f(x):
            for text in texts():
                if found := re.search('secret-[0-9a-f]{16}', text):
                    return found[0]
        """,
    "answers from two processes": """
        import os
        def f(x):
            os.fork()
            return x
        """,
}


@pytest.mark.parametrize("program", FORGERIES.values(), ids=FORGERIES.keys())
def test_no_trick_makes_a_test_pass(program):
    # What is right cannot be guessed, and the test itself swallows all it can.
    secret = f"secret-{secrets.token_hex(8)}"
    test = (
        "import random, json, traceback\n"
        "right = False\n"
        "try:\n"
        f"    right = f('question') == {secret!r}\n"
        "except Exception:\n"
        "    pass\n"
        "assert right\n"
    )
    found = passes(textwrap.dedent(program), test, "f")
    assert found.outcome in ("failed", "killed")


@pytest.mark.parametrize(
    "way", ["exits when called", "exits politely when called", "speaks nonsense"]
)
def test_a_test_cannot_pass_on_a_program_that_is_gone(way):
    swallow = "try:\n    f(1)\nexcept BaseException:\n    pass\n"
    assert verdict(textwrap.dedent(FORGERIES[way]), swallow).outcome == "failed"
