import pytest

from archon.tasks.code import canonical_code, complete_programs, extract_code

PROMPT = 'import math\n\n\ndef area(r):\n    """Return the area.\n    """\n'
FUNCTION = "def area(r):\n    return math.pi * r**2"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (f"Here:\n```python\n{FUNCTION}\n```\nDone.", FUNCTION),
        (f"```\n{FUNCTION}\n```", FUNCTION),
        (f"~~~py\n{FUNCTION}\n~~~", FUNCTION),
        (f"````python\n{FUNCTION}\n```\n````", FUNCTION + "\n```"),
        (f"```python\n{FUNCTION}", FUNCTION),
        (f"```python\n{FUNCTION}\n```\nFor example:\n```python\narea(2)\n```", FUNCTION),
        (f"```python\ndef g(): pass\n```\nBetter:\n```python\n{FUNCTION}\n```", FUNCTION),
        ("```\n    return 1\n```\nUse:\n```\narea(1)\n```", "    return 1"),
        ("1. So:\n   ```python\n   def f():\n       pass\n   ```", "def f():\n    pass"),
        (f"<think>```python\ndef g(): pass\n```</think>\n{FUNCTION}\n", FUNCTION),
        ("\n    return 1\n\n", "    return 1"),
        ("Use ```area``` here", "Use ```area``` here"),
        ("", None),
        (" \n", None),
        ("```python\n```", None),
        ("<think>```python\ndef f(): pass\n```", None),
    ],
)
def test_the_code_of_a_completion(text, code):
    assert extract_code(text) == code


def test_code_is_compared_without_comments_and_layout():
    canonical = canonical_code(FUNCTION)
    other = "# area\ndef area( r ):\n\n  return math.pi*r ** 2   # formula\n"
    assert canonical_code(other) == canonical
    assert canonical_code(FUNCTION.replace("r**2", "r**3")) != canonical
    assert canonical_code("if a:\n    b\nc") != canonical_code("if a:\n    b\n    c")
    assert canonical_code("    return 1\n") == canonical_code("return 1")
    assert canonical_code("ab") != canonical_code("a b")


def test_what_is_no_python_is_compared_as_text():
    assert canonical_code(" (open\n") == "(open"
    assert canonical_code("if a:\n        b\n    c\n") == "if a:\n        b\n    c"


@pytest.mark.parametrize(
    "code",
    [
        FUNCTION,
        f"import math\n{FUNCTION}",
        f"from __future__ import annotations\nimport math\n{FUNCTION}",
        PROMPT + "    return math.pi * r**2",
        "    return math.pi * r**2",
        "return math.pi * r**2",
        "    r = r**2\n    return math.pi * r",
        "r = r**2\n    return math.pi * r",
        "r = r**2\nreturn math.pi * r",
        "if r:\n    return math.pi * r**2\nreturn 0",
    ],
)
def test_a_whole_function_and_a_body_make_the_same_program(code):
    for program in complete_programs(PROMPT, code, "area"):
        try:
            compiled = compile(program, "program.py", "exec")
        except SyntaxError:
            continue
        names = {}
        exec(compiled, names)
        assert names["area"](2) == pytest.approx(12.566, abs=0.001)
        break
    else:
        pytest.fail("no form compiles")


def test_a_helper_of_another_name_is_no_whole_function():
    program, *_ = complete_programs(
        PROMPT, "    def area_of(x): return 3\n    return area_of(r)", "area"
    )
    names = {}
    exec(program, names)
    assert names["area"](2) == 3
