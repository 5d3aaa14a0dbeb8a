"""What ``archon energy`` found: the window, the idle baseline, and the JSON of both."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from archon.energy.basis import Basis
from archon.energy.windows import DomainEnergy, Window


@dataclass(frozen=True, slots=True)
class Measured:
    """One window beside its idle baseline.

    Attributes:
        window: What was spent.
        basis: The rails whose joules are the total.
        idle_watts: Watts per domain name before the window; empty where no baseline was taken.
        flags: What a reader should know about the window, the baseline and the basis.
        command: The command that ran in the window, if one did.
        exit_status: That of the command.
        interrupted: The window was cut short by Ctrl-C.
    """

    window: Window
    basis: Basis
    idle_watts: Mapping[str, float | None]
    flags: tuple[str, ...]
    command: tuple[str, ...] = ()
    exit_status: int | None = None
    interrupted: bool = False

    @property
    def anything(self) -> bool:
        """Whether any domain could be measured or estimated."""
        return any(domain.joules is not None for domain in self.window.domains)

    @property
    def net_joules(self) -> float | None:
        """Joules of the basis above its idle watts, None if either is not known."""
        nets = [self.net(d) for d in self.window.domains if d.name in self.basis.domains]
        known = [net for net in nets if net is not None]
        return sum(known) if len(known) == len(nets) else None

    def net(self, domain: DomainEnergy) -> float | None:
        """Return the joules of a domain above its idle watts, None if either is not known."""
        idle = self.idle_watts.get(domain.name)
        if idle is None or domain.joules is None:
            return None
        return domain.joules - idle * self.window.seconds

    def to_json(self) -> dict[str, Any]:
        """Return a mapping of plain JSON types."""
        found: dict[str, Any] = {
            "seconds": self.window.seconds,
            "total_joules": self.window.joules(self.basis),
            "net_joules": self.net_joules,
            "basis": self.basis.label,
            "domains": [self._domain(domain) for domain in self.window.domains],
            "flags": list(self.flags),
        }
        if self.command:
            found |= {"command": list(self.command), "exit_status": self.exit_status}
        return found

    def _domain(self, domain: DomainEnergy) -> dict[str, Any]:
        return {
            "name": domain.name,
            "kind": domain.kind,
            "method": domain.method,
            "joules": domain.joules,
            "net_joules": self.net(domain),
            "error_j": domain.error_j,
            "mean_watts": domain.mean_watts(self.window.seconds),
            "peak_watts": domain.peak_watts,
            "idle_watts": self.idle_watts.get(domain.name),
            "temperature_c": domain.temperature_c,
            "others": domain.others,
            "tick_s": domain.tick_s,
            "counted": domain.name in self.basis.domains,
            "valid": domain.joules is not None,
            "reason": domain.reason,
        }
