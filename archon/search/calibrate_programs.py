"""Calibration of programs: windows that tell what a run takes from what its CPU seconds take."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace

from archon.energy import ProgramLoad, ProgramPrice, fit_program_price
from archon.engines.programs import program_request, read_verdict
from archon.errors import ArchonError
from archon.search.calibrate import open_store
from archon.search.calibration_windows import Design, joules_of, windows_to_fit
from archon.search.generate import Generator

_PROGRAM = """import time

def busy(cpu_s):
    until = time.process_time() + cpu_s
    while time.process_time() < until:
        sum(range(2000))
"""


@dataclass(frozen=True, slots=True)
class ProgramDesign(Design):
    """CPU seconds of a program, those of starting left out."""

    cpu_s: float


DESIGNS = (
    ProgramDesign("programs that do nothing", 4, 0.0),
    ProgramDesign("short programs", 2, 0.05),
    ProgramDesign("long programs", 1, 0.2),
)
"""CPU seconds and number of runs vary independently over these."""


def measure_programs(
    generator: Generator, *, repeats: int, tell: Callable[[str, float], None]
) -> ProgramPrice:
    """Measure the price of running programs, as many at once as ever run.

    Args:
        repeats: Windows of each design.
        tell: Told what is being measured and the fraction done.

    Raises:
        UsageError: Programs cannot run here.
        ArchonError: See `windows_to_fit`; or a program did not end as it should.
    """
    store, engine = open_store(generator), generator.pool.programs.identity
    total = len(DESIGNS) * repeats
    done = itertools.count(1)
    numbers = itertools.count()

    def window(design: ProgramDesign, rounds: int) -> ProgramLoad:
        test = f"busy({design.cpu_s})  # window {next(numbers)}"
        runs = rounds * generator.concurrency
        request = replace(program_request([_PROGRAM], test, "busy", engine), samples=runs)
        jobs = [(request, index) for index in range(runs)]
        phase = generator.phase(store, engine, jobs, f"calibration: {design.name}")
        failed = [call for call in phase.calls if not read_verdict(call)]
        if failed:
            raise ArchonError(f"calibration: {len(failed)} programs failed: {failed[0].text}")
        return ProgramLoad(
            cpu_s=sum(call.cpu_s or 0.0 for call in phase.calls),
            runs=runs,
            joules=joules_of(phase),
            seconds=phase.window.seconds,
        )

    return fit_program_price(
        windows_to_fit(
            DESIGNS,
            window,
            fit_program_price,
            recorder=generator.recorder,
            repeats=repeats,
            what="programs",
            tell=lambda name: tell(name, min(next(done) / total, 1.0)),
        )
    )
