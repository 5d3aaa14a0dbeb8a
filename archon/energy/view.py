"""What ``archon energy`` shows people: the table of a window, and the live view of one."""

import time
from collections import deque
from collections.abc import Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from archon.energy.basis import Basis
from archon.energy.measured import Measured
from archon.energy.recorder import Pending
from archon.energy.windows import DomainEnergy, Window

LIVE_HZ = 8
LIVE_MEAN_S = 1.0  # ten ticks of the coarsest counter


def table(measured: Measured) -> Table:
    """Return the joules per domain of a window, with their total."""
    window, basis = measured.window, measured.basis
    total = window.joules(basis)
    found = Table(
        title=f"{_joules(total)} in {_number(window.seconds)} s (energy: {basis.label})",
        title_justify="left",
    )
    found.add_column("domain", no_wrap=True)
    found.add_column("method")
    columns = ["joules", "mean W", "peak W"]
    columns += ["idle W", "net J"] if measured.idle_watts else []
    for column in (*columns, "°C"):
        found.add_column(column, justify="right", no_wrap=True)
    found.add_column("note")
    short = _short_names(window.domains)
    for domain in window.domains:
        numbers = [domain.mean_watts(window.seconds), domain.peak_watts]
        if measured.idle_watts:
            numbers += [measured.idle_watts.get(domain.name), measured.net(domain)]
        found.add_row(
            short[domain.name],
            domain.method,
            _with_error(domain),
            *map(_number, numbers),
            _degrees(domain.temperature_c),
            Text(_note(domain, basis)),
        )
    found.add_section()
    last = [_number(window.watts(basis)), ""]
    last += ["", _number(measured.net_joules)] if measured.idle_watts else []
    found.add_row("total", basis.method, _number(total), *last, "", "")
    return found


def footnotes(measured: Measured) -> list[str]:
    """Return the flags that the table does not tell in its notes."""
    reasons = [domain.reason for domain in measured.window.domains if domain.reason]
    told = [*reasons, "shared: "]
    return [flag for flag in measured.flags if not any(part in flag for part in told)]


def watch(pending: Pending, basis: Basis, seconds: float, console: Console) -> None:
    """Show a window while it lasts: the watts of the last second, the joules so far."""
    deadline = time.monotonic() + seconds
    recent: deque[Window] = deque()
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while (left_s := deadline - time.monotonic()) > 0:
            pending.look()
            recent.append(pending.so_far())
            while len(recent) > 2 and recent[-1].seconds - recent[1].seconds >= LIVE_MEAN_S:
                recent.popleft()
            live.update(_frame(recent[0], recent[-1], basis, left_s), refresh=True)
            time.sleep(min(left_s, 1 / LIVE_HZ))


def _frame(before: Window, now: Window, basis: Basis, left_s: float) -> Group:
    rows = Table(box=None, pad_edge=False)
    rows.add_column("domain", no_wrap=True, min_width=20)
    for column in ("W now", "peak W", "joules", "°C"):
        rows.add_column(column, justify="right", no_wrap=True, min_width=9)
    rows.add_column("")
    short = _short_names(now.domains)
    for then, domain in zip(before.domains, now.domains, strict=True):
        watts = None
        if then.joules is not None and domain.joules is not None and now.seconds > before.seconds:
            watts = (domain.joules - then.joules) / (now.seconds - before.seconds)
        rows.add_row(
            short[domain.name],
            _number(watts),
            _number(domain.peak_watts),
            _number(domain.joules),
            _degrees(domain.temperature_c),
            Text(_note(domain, basis)),
        )
    head = f"{_joules(now.joules(basis))} ({basis.label}), {left_s:.1f} s left; Ctrl-C ends it"
    return Group(Text(head), rows)


def _note(domain: DomainEnergy, basis: Basis) -> str:
    notes = [f"not known: {domain.reason}"] if domain.joules is None else []
    if domain.others:
        notes.append(f"shared with {domain.others}")
    if domain.name not in basis.domains:
        notes.append("not in the total")
    return "; ".join(notes)


def _short_names(domains: Sequence[DomainEnergy]) -> dict[str, str]:
    """Return each domain's name up to the first part of its UUID, if these differ."""
    names = [domain.name for domain in domains]
    short = ["-".join(name.split("-")[:2]) if name.startswith("gpu:") else name for name in names]
    return dict(zip(names, short if len(set(short)) == len(names) else names, strict=True))


def _joules(value: float | None) -> str:
    return "energy not known" if value is None else f"{_number(value)} J"


def _with_error(domain: DomainEnergy) -> str:
    """Return joules and the bound of their tick, which says nothing about a model's error."""
    if domain.joules is None or domain.error_j is None or domain.method == "estimated":
        return _number(domain.joules)
    return f"{_number(domain.joules)} ±{_number(domain.error_j)}"


def _degrees(celsius: float | None) -> str:
    return "–" if celsius is None else f"{celsius:.0f}"


def _number(value: float | None) -> str:
    """Return a number to three or more significant digits, – if there is none."""
    if value is None:
        return "–"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:#.3g}".rstrip(".")
