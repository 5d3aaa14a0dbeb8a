"""Price lists: joules and seconds per token, per call and per program run, at one load."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import TypeAdapter

from archon.energy.meter import Method
from archon.errors import UsageError


@dataclass(frozen=True, slots=True)
class Coef:
    """A fitted number with its 95% interval."""

    value: float
    ci_low: float
    ci_high: float


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """What one model's work costs: joules and busy seconds of the machine.

    ``_j`` and ``_s`` are per token (prefill, decode) or per call; seconds are the machine's at
    the list's concurrency, so they add up to its busy time and are not a call's latency.
    """

    prefill_j: Coef
    decode_j: Coef
    call_j: Coef
    prefill_s: Coef
    decode_s: Coef
    call_s: Coef

    def cost(self, prefill_tokens: float, decode_tokens: float, calls: float = 1) -> "Cost":
        """Return what some calls cost; prices are linear, so costs add up."""

        def total(prefill: Coef, decode: Coef, call: Coef) -> float:
            return (
                prefill.value * prefill_tokens + decode.value * decode_tokens + call.value * calls
            )

        return Cost(
            total(self.prefill_j, self.decode_j, self.call_j),
            total(self.prefill_s, self.decode_s, self.call_s),
        )


@dataclass(frozen=True, slots=True)
class ProgramPrice:
    """What running programs costs: joules and busy seconds of the machine.

    ``cpu_`` is per CPU second of a program, ``run_`` what each run takes besides; ``_j`` and
    ``_s`` as in `ModelPrice`.
    """

    cpu_j: Coef
    run_j: Coef
    cpu_s: Coef
    run_s: Coef

    def cost(self, cpu_s: float, runs: float = 1) -> "Cost":
        """Return what some runs cost; prices are linear, so costs add up."""
        return Cost(
            self.cpu_j.value * cpu_s + self.run_j.value * runs,
            self.cpu_s.value * cpu_s + self.run_s.value * runs,
        )


@dataclass(frozen=True, slots=True)
class Cost:
    """Gross joules and busy seconds."""

    joules: float
    seconds: float


@dataclass(frozen=True, slots=True)
class PriceList:
    """The prices of a machine's models at one load.

    Attributes:
        idle_watts: Watts of the basis' rails with the models loaded and nothing running.
        basis: Label of the energy basis.
        method: How the calibration windows were read.
        concurrency: Calls in flight during calibration.
        models: Prices by model name.
        fingerprint: Hardware and engine facts that the prices hold for.
        programs: Price of running programs; None where none were calibrated.
    """

    idle_watts: float
    basis: str
    method: Method
    concurrency: int
    models: Mapping[str, ModelPrice]
    fingerprint: Mapping[str, str]
    programs: ProgramPrice | None = None

    def cost(
        self, model: str, prefill_tokens: float, decode_tokens: float, calls: float = 1
    ) -> Cost:
        """Return what some calls of a model cost.

        Raises:
            UsageError: The list has no such model.
        """
        price = self.models.get(model)
        if price is None:
            raise UsageError(
                f"price list: no price for model {model!r}, only for "
                f"{', '.join(sorted(self.models)) or 'none'}; calibrate it first"
            )
        return price.cost(prefill_tokens, decode_tokens, calls)

    def program_cost(self, cpu_s: float, runs: float = 1) -> Cost:
        """Return what some runs of programs cost.

        Raises:
            UsageError: The list has no price for it.
        """
        if self.programs is None:
            raise UsageError(
                "price list: no price for running programs; calibrate again "
                "(calibration.refresh=true)"
            )
        return self.programs.cost(cpu_s, runs)

    def net(self, cost: Cost) -> float:
        """Return a cost's joules with the idle draw of its busy seconds taken off."""
        return cost.joules - self.idle_watts * cost.seconds

    def to_json(self) -> dict[str, Any]:
        """Return a mapping of plain JSON types; floats survive the round trip exactly."""
        # Without None, so that lists without programs stay as they were stored before there were.
        data: dict[str, Any] = _PRICE_LIST.dump_python(self, mode="json", exclude_none=True)
        return data

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "PriceList":
        """Return the list that ``to_json`` gave.

        Raises:
            ValueError: A field is missing or of the wrong type.
        """
        return _PRICE_LIST.validate_python(data)


_PRICE_LIST = TypeAdapter(PriceList)


def share(total: float, weights: ArrayLike) -> NDArray[np.float64]:
    """Split a total in proportion to weights, equally if all are 0.

    Args:
        total: What is shared out, for example a window's joules; at least 0.
        weights: Non-negative, shape ``[n]`` with n >= 1.

    Returns:
        Shares, shape ``[n]``: non-negative, summing to the total up to rounding, and permuted
        exactly as the weights are.

    Raises:
        ValueError: There are no weights, or a number is negative or not finite.
    """
    parts = np.asarray(weights, dtype=float)
    if parts.ndim != 1 or parts.size == 0:
        raise ValueError("share: give a list of at least one weight")
    if not (np.isfinite(parts).all() and (parts >= 0).all() and 0 <= total < math.inf):
        raise ValueError("share: the total and all weights must be finite and not negative")
    if not parts.any():
        parts = np.ones_like(parts)
    parts = parts / parts.max()  # so that the sum neither overflows nor vanishes
    shares: NDArray[np.float64] = total * (parts / math.fsum(parts))
    return shares
