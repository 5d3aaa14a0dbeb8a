"""A torchvision that does not work with this torch goes; any other stays."""

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]

# Records what it was asked to do instead of doing it to this environment.
PIP = """
import pathlib, sys
pathlib.Path(__file__).with_name("asked").write_text(" ".join(sys.argv[1:]))
sys.exit({status})
"""


def repair(
    folder: Path, torchvision: str, pip_status: int = 0
) -> tuple[subprocess.CompletedProcess[str], str]:
    (folder / "torchvision.py").write_text(torchvision)
    (folder / "pip.py").write_text(PIP.format(status=pip_status))
    done = subprocess.run(
        [sys.executable, "-m", "archon.engines.install"],
        env=os.environ | {"PYTHONPATH": f"{folder}:{REPOSITORY}"},
        capture_output=True,
        text=True,
        check=False,
    )
    asked = folder / "asked"
    return done, asked.read_text() if asked.exists() else ""


def test_a_broken_one_is_removed_with_its_relatives(tmp_path: Path) -> None:
    broken = "raise RuntimeError('operator torchvision::nms does not exist')"
    done, asked = repair(tmp_path, broken)
    assert done.returncode == 0
    assert asked == "uninstall --yes --quiet torchvision torchaudio torchcodec"


def test_a_working_one_stays(tmp_path: Path) -> None:
    done, asked = repair(tmp_path, "")
    assert (done.returncode, asked) == (0, "")


def test_a_removal_that_fails_is_reported_with_the_command(tmp_path: Path) -> None:
    done, _ = repair(tmp_path, "import no_such_module", pip_status=1)
    assert done.returncode == 1
    assert "run: " in done.stderr
    assert "pip uninstall --yes" in done.stderr
