"""One rail through a window: what its readings add up to, and what makes them unusable."""

from collections import deque

from archon.energy.meter import Domain, Reading
from archon.energy.windows import DomainEnergy

SHORT_TICKS = 10
MAX_WATTS = 10_000.0  # beyond any single rail; a jump of more is a broken counter


class Trace:
    """One domain's readings; the first thing that makes them invalid stays.

    Attributes:
        domain: The rail.
        temperature_c: Highest temperature told so far.
    """

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        self.temperature_c: float | None = None
        self._first: tuple[float, float] | None = None  # seconds, joules
        self._recent: deque[tuple[float, float]] = deque()  # back to SHORT_TICKS before the last
        self._peak_watts: float | None = None
        self._doubts: list[float] = []  # cumulative bound of the first and the last reading
        self._reason: str | None = None

    def add(self, now: float, reading: Reading) -> None:
        """Take a reading made at ``now`` monotonic seconds."""
        if self._reason is None:
            self._reason = self._fault(now, reading)
        if self._reason is not None or reading.joules is None:
            return
        if self._first is None:
            self._first = (now, reading.joules)
        self._doubts = [*self._doubts[:1], reading.error_j]
        recent, least_s = self._recent, SHORT_TICKS * self.domain.tick_s
        while len(recent) > 1 and now - recent[1][0] >= least_s:
            recent.popleft()
        for then, before in {recent[0], self._first} if recent else ():
            if now - then >= least_s:
                self._stretch(reading.joules - before, now - then)
        recent.append((now, reading.joules))

    def check(self, reading: Reading) -> None:
        """Take a reading from after the window, which tells only whether the counter is sound."""
        if self._reason is None and reading.joules is None:
            self._reason = _unread(reading)

    def warm(self, temperature_c: float | None) -> None:
        """Take a temperature."""
        seen = [celsius for celsius in (self.temperature_c, temperature_c) if celsius is not None]
        self.temperature_c = max(seen, default=None)

    def energy(self, others: int | None = None) -> DomainEnergy:
        """Return what was spent from the first reading to the last.

        Args:
            others: Other users of the device.
        """
        joules = peak_watts = error_j = None
        if self._reason is None and self._first is not None:
            joules, peak_watts = self._recent[-1][1] - self._first[1], self._peak_watts
            if self.domain.max_watts is not None:
                sampling_j = self._doubts[-1] - self._doubts[0]
                error_j = self.domain.tick_s * self.domain.max_watts + sampling_j
        return DomainEnergy(
            self.domain.name,
            self.domain.kind,
            self.domain.method,
            joules,
            self._reason,
            self.domain.tick_s,
            peak_watts=peak_watts,
            temperature_c=self.temperature_c,
            others=others,
            error_j=error_j,
        )

    def _fault(self, now: float, reading: Reading) -> str | None:
        if reading.joules is None:
            return _unread(reading)
        if not self._recent:
            return None
        then, before = self._recent[-1]
        gap_s, spent = now - then, reading.joules - before
        if spent < 0:
            return f"the counter jumped back by {-spent:.6g} J"
        if spent > MAX_WATTS * (gap_s + self.domain.tick_s):
            return f"the counter leapt by {spent:.6g} J in {gap_s:.3g} s"
        if self.domain.max_gap_s is not None and gap_s > self.domain.max_gap_s:
            return (
                f"not read for {gap_s:.3g} s; a wrap of the counter may hide in more than "
                f"{self.domain.max_gap_s:.3g} s"
            )
        return None

    def _stretch(self, joules: float, seconds: float) -> None:
        self._peak_watts = max(self._peak_watts or 0.0, joules / seconds)


def _unread(reading: Reading) -> str:
    return reading.reason or "the meter gave no reading and no reason"
