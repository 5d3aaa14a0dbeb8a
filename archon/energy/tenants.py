"""Who computes on the devices: our own processes, and others whose joules a window holds too."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from archon.energy import proc as procfs


class Tenants:
    """Counts, per device, the processes seen that are not ours.

    Ours are this process, the given roots, and all their descendants. A device may name processes
    by numbers of another pid namespace (in a container it tells the host's numbers, or hides all
    but ours): then theirs cannot be told from ours and the count is unknown, not 0.

    Args:
        roots: Returns the roots of the process trees that do our work.
        proc: Root of the proc file system.
    """

    def __init__(self, roots: Callable[[], Iterable[int]], proc: Path = procfs.PROC) -> None:
        self._roots = roots
        self._proc = proc
        self._sees_all = procfs.sees_all_processes(proc)
        self._ours: dict[int, bool | None] = {}
        self._seen: dict[str, set[int]] = {}

    def add(self, device: str, pids: Iterable[int]) -> None:
        """Take the processes that a device tells of now."""
        seen = self._seen.setdefault(device, set())
        for pid in pids:
            if pid not in self._ours:  # judged once: it may have ended by the next look
                self._ours[pid] = self._is_ours(pid)
            seen.add(pid)

    def others(self, device: str) -> int | None:
        """Return how many processes that are not ours were seen, None if that is not known."""
        seen = self._seen.get(device)
        if seen is None or not (seen or self._sees_all):
            return None
        ours = [self._ours[pid] for pid in seen]
        return None if None in ours else ours.count(False)

    def _is_ours(self, pid: int) -> bool | None:
        roots = {os.getpid(), *self._roots()}
        try:
            while pid > 0 and pid not in roots:
                pid = procfs.parent(pid, self._proc)
        except (OSError, ValueError):
            return None
        return pid > 0
