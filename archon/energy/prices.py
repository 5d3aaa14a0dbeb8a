"""Price lists: joules and seconds per token and per call at one load, fitted from windows."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import TypeAdapter
from scipy.optimize import nnls
from scipy.stats import t as student_t

from archon.energy.meter import Method
from archon.errors import UsageError

TERMS = ("prefill_tokens", "decode_tokens", "calls")
MAX_CONDITION = 30.0
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Load:
    """One calibration window of one model.

    Attributes:
        prefill_tokens: Prompt tokens computed, those from the prefix cache left out.
        decode_tokens: Tokens generated.
        calls: Completed calls.
        joules: Gross energy of the window.
        seconds: Length of the window.
    """

    prefill_tokens: int
    decode_tokens: int
    calls: int
    joules: float
    seconds: float


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
    """

    idle_watts: float
    basis: str
    method: Method
    concurrency: int
    models: Mapping[str, ModelPrice]
    fingerprint: Mapping[str, str]

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

    def net(self, cost: Cost) -> float:
        """Return a cost's joules with the idle draw of its busy seconds taken off."""
        return cost.joules - self.idle_watts * cost.seconds

    def to_json(self) -> dict[str, Any]:
        """Return a mapping of plain JSON types; floats survive the round trip exactly."""
        data: dict[str, Any] = _PRICE_LIST.dump_python(self, mode="json")
        return data

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "PriceList":
        """Return the list that ``to_json`` gave.

        Raises:
            ValueError: A field is missing or of the wrong type.
        """
        return _PRICE_LIST.validate_python(data)


_PRICE_LIST = TypeAdapter(PriceList)


def fit_model_price(loads: Sequence[Load]) -> ModelPrice:
    """Fit a model's prices to calibration windows.

    Joules, and likewise seconds, are modelled as ``p x prefill_tokens + d x decode_tokens +
    c x calls`` with p, d, c >= 0: least squares of relative residuals (every window weighs the
    same, long or short) by the active-set method of Lawson and Hanson (1974, chapter 23).
    Intervals are Student's t on the unconstrained fit's covariance, cut at 0 and widened, where
    the bound is active, to hold the value.

    Args:
        loads: At least four windows in which prompt length, output length and number of calls
            vary independently.

    Raises:
        ValueError: There are too few windows, one is not positive, or they do not separate the
            three terms (condition number of the scaled design above 30: Belsley, Kuh and
            Welsch, *Regression Diagnostics*, 1980, section 3.2).
    """
    design = np.array([[w.prefill_tokens, w.decode_tokens, w.calls] for w in loads], dtype=float)
    if len(loads) <= len(TERMS):
        raise ValueError(f"{len(loads)} calibration windows cannot price three terms; give four")
    joules = _fit(design, np.array([window.joules for window in loads]), "joules")
    seconds = _fit(design, np.array([window.seconds for window in loads]), "seconds")
    return ModelPrice(*joules, *seconds)


def _fit(design: NDArray[np.float64], total: NDArray[np.float64], what: str) -> list[Coef]:
    if not (np.isfinite(total).all() and (total > 0).all()):
        raise ValueError(f"calibration: every window needs positive, finite {what}: {total}")
    rows = design / total[:, None]
    scale = np.linalg.norm(rows, axis=0)
    for term, size in zip(TERMS, scale, strict=True):
        if size == 0:
            raise ValueError(f"calibration: no window has any {term}")
    scaled = rows / scale
    _, singular, directions = np.linalg.svd(scaled, full_matrices=False)
    if singular[0] > MAX_CONDITION * singular[-1]:
        mixed = [term for term, part in zip(TERMS, directions[-1], strict=True) if abs(part) > 0.3]
        raise ValueError(
            f"calibration: the windows do not separate {' from '.join(mixed)} (condition number "
            f"of {what} above {MAX_CONDITION:g}); vary them independently"
        )
    ones = np.ones(len(total))
    values, _ = nnls(scaled, ones)
    free, *_ = np.linalg.lstsq(scaled, ones, rcond=None)
    dof = len(total) - len(TERMS)
    variance = float(np.sum((scaled @ free - ones) ** 2)) / dof
    errors = np.sqrt(variance * np.diag(np.linalg.inv(scaled.T @ scaled)))
    half = student_t.ppf((1 + CONFIDENCE) / 2, dof) * errors
    low = np.clip(np.minimum(values, free - half), 0, None)
    high = np.maximum(values, free + half)
    columns = zip(values / scale, low / scale, high / scale, strict=True)
    return [Coef(float(value), float(below), float(above)) for value, below, above in columns]


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
