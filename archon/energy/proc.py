"""CPU time spent, read from Linux's /proc: the whole machine's, and that of chosen processes."""

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

PROC = Path("/proc")


def tick_s() -> float:
    """Return the length of a jiffy, the unit of CPU time in /proc, in seconds."""
    return 1.0 / os.sysconf("SC_CLK_TCK")


def busy_seconds(proc: Path = PROC) -> float:
    """Return the CPU seconds all processors together have worked since boot.

    user + nice + system + irq + softirq of proc(5): guest time is already in user, and idle,
    iowait (the processor waits) and steal (another guest had it) are not work of this machine.

    Raises:
        OSError: ``stat`` cannot be read.
        ValueError: It counts no CPU time, as in some sandboxes.
    """
    with (proc / "stat").open() as stat:
        jiffies = [int(field) for field in stat.readline().split()[1:]]
    if len(jiffies) < 7 or not any(jiffies):
        raise ValueError(f"{proc / 'stat'} counts no CPU time")
    user, nice, system, _idle, _iowait, irq, softirq = jiffies[:7]
    return (user + nice + system + irq + softirq) * tick_s()


def vcpus(proc: Path = PROC) -> int:
    """Return the number of processors online."""
    with (proc / "stat").open() as stat:
        return sum(line.startswith("cpu") and line[3].isdigit() for line in stat)


def memory_gb(proc: Path = PROC) -> float:
    """Return the memory installed, in GB of 2**30 bytes as memory is sold."""
    with (proc / "meminfo").open() as meminfo:
        name, kib = meminfo.readline().split()[:2]
    if name != "MemTotal:":
        raise ValueError(f"{proc / 'meminfo'} does not begin with MemTotal")
    return int(kib) / 2**20


def own_busy_seconds(pids: Iterable[int], proc: Path = PROC) -> float:
    """Return the CPU seconds spent by some processes and all their descendants.

    Children that ended and were waited for are in their parent's account, so the sum grows
    steadily while processes of the tree come and go.

    Raises:
        OSError: The process list cannot be read.
    """
    children: defaultdict[int, list[int]] = defaultdict(list)
    spent: dict[int, int] = {}
    for entry in os.listdir(proc):
        if not entry.isdigit():
            continue
        try:
            stat = (proc / entry / "stat").read_text()
        except OSError:  # it ended while we were looking, or is hidden as another user's
            continue
        fields = _fields(stat)
        children[int(fields[1])].append(int(entry))
        spent[int(entry)] = sum(int(field) for field in fields[11:15])
    tree: set[int] = set()
    queue = list(pids)
    while queue:
        pid = queue.pop()
        if pid not in tree:
            tree.add(pid)
            queue += children[pid]
    return sum(spent.get(pid, 0) for pid in tree) * tick_s()


def parent(pid: int, proc: Path = PROC) -> int:
    """Return the parent of a process, 0 for the first process.

    Raises:
        OSError: There is no such process, or it is hidden.
    """
    return int(_fields((proc / str(pid) / "stat").read_text())[1])


def sees_all_processes(proc: Path = PROC) -> bool:
    """Return whether this is the machine's first pid namespace, not a container's.

    The kernel gives that namespace a fixed number (``PROC_PID_INIT_INO`` of linux/proc_ns.h).
    """
    try:
        return os.readlink(proc / "self" / "ns" / "pid") == "pid:[4026531836]"
    except OSError:
        return False


def _fields(stat: str) -> list[str]:
    """Return the fields of a process' stat from its state on."""
    return stat.rpartition(")")[2].split()  # the name before may hold blanks and brackets
