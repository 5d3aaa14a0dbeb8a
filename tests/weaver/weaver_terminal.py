"""Running the command ``weaver`` in this process."""

from weaver.command import main


def run(capsys, *arguments):
    """Run a command that succeeds; return its stdout."""
    assert main([*map(str, arguments)]) == 0
    return capsys.readouterr().out


def refused(capsys, *arguments, status=2):
    """Run a command that fails; return the one line it said."""
    assert main([*map(str, arguments)]) == status
    out, said = capsys.readouterr()
    assert out == ""
    *before, line = said.splitlines()
    assert line.startswith(f"weaver {arguments[0]}: ")
    assert all(one.startswith("[0") for one in before)
    return line
