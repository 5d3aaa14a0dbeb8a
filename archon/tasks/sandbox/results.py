"""What a sandboxed program may use, and what is known of it afterwards."""

from dataclasses import dataclass
from typing import Literal

Cut = Literal["timed_out", "out_of_memory", "killed", "output_too_big"]
"""How a program ends that neither finishes nor fails by itself."""
Outcome = Literal["passed", "failed"] | Cut
"""What becomes of a program that is put to a test."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run may use, all its processes together.

    CPU time is the limit to rely on: wall time depends on what else the machine does.

    Attributes:
        wall_s: Seconds from the start to the end of the run.
        cpu_s: CPU seconds, those of starting (about 0.02) included.
        memory_bytes: Resident memory; also the address space of each process.
        processes: Processes and threads, three of which are the run's own.
        output_bytes: Standard output and standard error together.
        tmp_bytes: Files in /tmp, the only writable place.
    """

    wall_s: float = 20.0
    cpu_s: float = 5.0
    memory_bytes: int = 512 << 20
    processes: int = 32
    output_bytes: int = 1 << 20
    tmp_bytes: int = 16 << 20


@dataclass(frozen=True, slots=True)
class Run:
    """How a script ended.

    Attributes:
        ended: ``exited`` by itself, by a signal too, or what ended it.
        returncode: Its exit status, negative for a signal; None unless it exited.
        stdout: What it printed before it ended, up to the limit.
        stderr: Likewise.
        seconds: Wall time.
        cpu_s: CPU time.
    """

    ended: Literal["exited"] | Cut
    returncode: int | None
    stdout: str
    stderr: str
    seconds: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a program passed its test.

    Attributes:
        outcome: ``passed``, ``failed``, or what ended the program before that was known.
        reason: Why it did not pass, one line; ``""`` when it passed.
        seconds: Wall time.
        cpu_s: CPU time.
    """

    outcome: Outcome
    reason: str
    seconds: float
    cpu_s: float

    @property
    def passed(self) -> bool:
        """Whether the test ran to its end without a complaint."""
        return self.outcome == "passed"
