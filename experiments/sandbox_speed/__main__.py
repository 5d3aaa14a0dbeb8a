"""Runs per second of sandboxed programs, and of the same programs without a sandbox.

    python -m experiments.sandbox_speed

needs a clone, the extra ``tasks`` and bubblewrap; under a minute.
"""

import argparse
import itertools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from statistics import median
from typing import Any

from rich.console import Console

from archon.hardware import describe, fingerprint
from archon.tasks.human_eval import human_eval_problems
from archon.tasks.sandbox import run_python
from experiments.sheet import Sheet


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each part of a round")
    parser.add_argument("--at-a-time", type=int, nargs="+", default=[1, 2])
    args = parser.parse_args()
    problems = itertools.cycle(human_eval_problems().values())

    def script(unsafe: bool) -> float:
        return run_python("", unsafe=unsafe).cpu_s

    def verdict(unsafe: bool) -> float:
        problem = next(problems)
        return problem.judge(problem.solution, unsafe=unsafe).cpu_s

    works = {"empty script": script, "HumanEval verdict": verdict}
    parts = list(itertools.product(works, (False, True), args.at_a_time))
    rounds: dict[Any, list[tuple[float, float]]] = {part: [] for part in parts}
    for _ in range(args.rounds):
        for name, unsafe, workers in parts:
            found = measure(partial(works[name], unsafe), workers, args.seconds)
            rounds[name, unsafe, workers].append(found)
    rows = []
    for (name, unsafe, workers), found in rounds.items():
        rates, cpu_ms = zip(*found, strict=True)
        where = "plain process" if unsafe else "sandbox"
        figures = (f"{max(rates):.0f}", f"{median(rates):.0f}", f"{median(cpu_ms):.0f}")
        rows.append((name, where, str(workers), *figures))
    headings = ("what", "where", "at a time", "runs/s, best", "median", "CPU ms per run")
    console = Console()
    console.print(describe(fingerprint()))
    console.print(Sheet("Sandboxed runs", headings, rows, left=2).rich())


def measure(work: Callable[[], float], workers: int, seconds: float) -> tuple[float, float]:
    """Return runs per second and CPU milliseconds per run of so many workers at once."""
    work()  # the first run also reads what later ones find in memory
    began = time.perf_counter()

    def loop(_: int) -> list[float]:
        return [work() for _ in iter(lambda: time.perf_counter() - began < seconds, False)]

    with ThreadPoolExecutor(workers) as pool:
        cpu_s = [one for loops in pool.map(loop, range(workers)) for one in loops]
    return len(cpu_s) / (time.perf_counter() - began), 1000 * sum(cpu_s) / len(cpu_s)


if __name__ == "__main__":
    main()
