"""Starting a module of this package in a Python process of its own."""

import os
import subprocess
import sys
from typing import IO


def start_module(
    module: str, *arguments: str, stderr: IO[bytes] | int | None = None, **environment: str
) -> subprocess.Popen[bytes]:
    """Start ``python -m module`` with pipes to its input and output, importing what we import."""
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env=os.environ | {"PYTHONPATH": path} | environment,
    )
