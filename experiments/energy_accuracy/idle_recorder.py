"""Records windows in which nothing happens, and prints what that cost this process.

python -m experiments.energy_accuracy.idle_recorder '{"meter": "estimated", …}'
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from archon.energy import (
    CombinedMeter,
    EstimatedMeter,
    Meter,
    NvmlMeter,
    RaplMeter,
    Recorder,
    choose_basis,
)

_MOST_TRIES = 3
"""Windows recorded at most, per window wanted."""


def main() -> None:
    wanted = json.loads(sys.argv[1])
    with closing(_open(wanted["meter"], Path(wanted["powercap"]))) as meter:
        settings = {} if wanted["every_s"] is None else {"check_every_s": wanted["every_s"]}
        if wanted["own"]:
            settings["own_pids"] = lambda: [os.getpid()]
        recorder = Recorder(meter, choose_basis(meter.domains), **settings)
        _spent(recorder, 0.1)  # the first window also pays for imports and caches
        spent: list[tuple[float, float]] = []
        for _ in range(_MOST_TRIES * wanted["windows"]):
            one = _spent(recorder, wanted["seconds"])
            spent += [one] if isinstance(one, tuple) else []
            if len(spent) == wanted["windows"]:
                print(json.dumps(spent))
                return
    sys.exit(f"the meter under test failed: {one}")


def _open(names: str, powercap: Path) -> Meter:
    openers: dict[str, Callable[[], Meter]] = {
        "NVML": lambda: NvmlMeter({}),
        "RAPL": lambda: RaplMeter(powercap),
        "estimated": EstimatedMeter,
    }
    meters = [openers[name]() for name in names.split(" + ")]
    return meters[0] if len(meters) == 1 else CombinedMeter(meters)


def _spent(recorder: Recorder, seconds: float) -> tuple[float, float] | str:
    """Return CPU seconds and waits per second of one window, its opening and closing included.

    On a machine so busy that a sampling thread starves, the window has no value: then why.
    """
    waits = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
    cpu_s, began_s = time.process_time(), time.monotonic()
    with recorder.window("idle") as pending:
        time.sleep(seconds)
    cpu_s, took_s = time.process_time() - cpu_s, time.monotonic() - began_s
    waits = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - waits
    assert pending.window is not None
    unread = [domain.reason for domain in pending.window.domains if domain.joules is None]
    return unread[0] or "no reason" if unread else (cpu_s / took_s, waits / took_s)


if __name__ == "__main__":
    main()
