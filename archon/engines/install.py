"""Repairs an installation of the model stack: ``python -m archon.engines.install``.

The CPU distribution of vLLM brings a torchvision that can fail at import beside its torch
(``operator torchvision::nms does not exist``), and transformers imports torchvision where it
finds it. Text models need none of the three packages removed here.
"""

import importlib.util
import subprocess
import sys

VISION = ("torchvision", "torchaudio", "torchcodec")


def main() -> int:
    """Remove torchvision and its relatives if torchvision is broken; return an exit status."""
    if importlib.util.find_spec("torchvision") is None or _imports("torchvision"):
        return 0
    print("removing torchvision, which does not work with this torch; text models do not need it")
    remove = [sys.executable, "-m", "pip", "uninstall", "--yes", "--quiet", *VISION]
    if subprocess.run(remove, check=False).returncode != 0:
        print(f"removing it failed; run: {' '.join(remove)}", file=sys.stderr)
        return 1
    return 0


def _imports(module: str) -> bool:
    """Whether a module can be imported, tried in a process of its own."""
    command = [sys.executable, "-c", f"import {module}"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
