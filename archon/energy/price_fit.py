"""Prices fitted to calibration windows: how much of each kind of work, what it took together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.stats import t as student_t

from archon.energy.prices import Coef, ModelPrice, ProgramPrice

CALL_TERMS = ("prefill_tokens", "decode_tokens", "calls")
RUN_TERMS = ("cpu_s", "runs")
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
class ProgramLoad:
    """One calibration window of programs that are run.

    Attributes:
        cpu_s: CPU seconds of the programs.
        runs: Programs run.
        joules: Gross energy of the window.
        seconds: Length of the window.
    """

    cpu_s: float
    runs: int
    joules: float
    seconds: float


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
    return ModelPrice(*_fit(CALL_TERMS, loads))


def fit_program_price(loads: Sequence[ProgramLoad]) -> ProgramPrice:
    """Fit the price of running programs to calibration windows; see `fit_model_price`.

    Args:
        loads: At least three windows in which CPU seconds and runs vary independently.

    Raises:
        ValueError: See `fit_model_price`.
    """
    return ProgramPrice(*_fit(RUN_TERMS, loads))


def _fit(terms: Sequence[str], loads: Sequence[Load] | Sequence[ProgramLoad]) -> list[Coef]:
    """Return the joules of each term, then the seconds of each."""
    if len(loads) <= len(terms):
        raise ValueError(
            f"{len(loads)} calibration windows cannot price {len(terms)} terms; give "
            f"{len(terms) + 1}"
        )
    design = np.array([[getattr(load, term) for term in terms] for load in loads], dtype=float)
    joules = _fit_total(terms, design, np.array([load.joules for load in loads]), "joules")
    seconds = _fit_total(terms, design, np.array([load.seconds for load in loads]), "seconds")
    return joules + seconds


def _fit_total(
    terms: Sequence[str], design: NDArray[np.float64], total: NDArray[np.float64], what: str
) -> list[Coef]:
    if not (np.isfinite(total).all() and (total > 0).all()):
        raise ValueError(f"calibration: every window needs positive, finite {what}: {total}")
    rows = design / total[:, None]
    scale = np.linalg.norm(rows, axis=0)
    for term, size in zip(terms, scale, strict=True):
        if size == 0:
            raise ValueError(f"calibration: no window has any {term}")
    scaled = rows / scale
    _, singular, directions = np.linalg.svd(scaled, full_matrices=False)
    if singular[0] > MAX_CONDITION * singular[-1]:
        mixed = [term for term, part in zip(terms, directions[-1], strict=True) if abs(part) > 0.3]
        raise ValueError(
            f"calibration: the windows do not separate {' from '.join(mixed)} (condition number "
            f"of {what} above {MAX_CONDITION:g}); vary them independently"
        )
    ones = np.ones(len(total))
    values, _ = nnls(scaled, ones)
    free, *_ = np.linalg.lstsq(scaled, ones, rcond=None)
    dof = len(total) - len(terms)
    variance = float(np.sum((scaled @ free - ones) ** 2)) / dof
    errors = np.sqrt(variance * np.diag(np.linalg.inv(scaled.T @ scaled)))
    half = student_t.ppf((1 + CONFIDENCE) / 2, dof) * errors
    low = np.clip(np.minimum(values, free - half), 0, None)
    high = np.maximum(values, free + half)
    columns = zip(values / scale, low / scale, high / scale, strict=True)
    return [Coef(float(value), float(below), float(above)) for value, below, above in columns]
