"""A fitted weaver as plain data, and back; `UsageError` for data that are not one."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from archon.errors import UsageError
from weaver import methods
from weaver.calibrate import Calibrator
from weaver.methods.base import FORMAT, Method
from weaver.report import list_of, number, optional, report_of, texts

if TYPE_CHECKING:
    from weaver.weaver import Weaver

_KEYS = {"weaver", "params", "verifiers", "report", "doubts", "calibrator"}
_KEYS |= {"calibration_error", "selected_probability", "model", "energy"}
_MOST_DIGITS = 18


def record_of(weaver: "Weaver") -> dict[str, Any]:
    """Return everything fitted as dicts, lists, texts, finite numbers, booleans and None."""
    return {
        "weaver": FORMAT,
        "params": weaver.get_params(),
        "verifiers": list(weaver.verifiers_),
        "report": [asdict(report) for report in weaver.report_],
        "doubts": list(weaver.doubts_),
        "calibrator": _plain(asdict(weaver.calibrator_)),
        "calibration_error": weaver.calibration_error_,
        "selected_probability": weaver.selected_probability_.tolist(),
        "energy": weaver.energy_,
        "model": json.loads(weaver.method_.to_json()),
    }


def checked(record: Any, params: set[str]) -> dict[str, Any]:
    """Return a record as plain data whose keys, and those of its params, are the right ones.

    Raises:
        UsageError: It is not plain data, or not of a fitted weaver with these params.
    """
    found = _plain(record)
    if not isinstance(found, dict) or set(found) != _KEYS or found["weaver"] != FORMAT:
        raise UsageError(f"model: not a fitted weaver of format {FORMAT}")
    if not isinstance(found["params"], dict) or set(found["params"]) != params:
        raise UsageError(f"model: params must be {', '.join(sorted(params))}")
    return found


def restore(weaver: "Weaver", method: Method, record: dict[str, Any]) -> None:
    """Set a weaver's fitted attributes to those in a record.

    Args:
        weaver: with the record's parameters.
        method: unfitted, as these parameters say.
        record: as `checked` gives it.

    Raises:
        UsageError: A part is missing, unknown, not as said, or at odds with another.
    """
    weaver.method_ = methods.from_record(record["model"])
    if weaver.method_.name != method.name or weaver.method_.get_params() != method.get_params():
        raise UsageError("model: the method fitted is not the one that params name")
    weaver.verifiers_ = texts(record["verifiers"], "verifiers")
    weaver.doubts_ = texts(record["doubts"], "doubts")
    weaver.report_ = tuple(report_of(entry) for entry in list_of(record["report"], "report"))
    names = tuple(entry.name for entry in weaver.report_)
    weaver.used_ = tuple(entry.name for entry in weaver.report_ if entry.dropped is None)
    if names != weaver.verifiers_ or len(weaver.used_) != len(weaver.method_.centre_):
        raise UsageError("model: verifiers, report and method do not agree")
    if len(set(names)) < len(names) or not weaver.used_:
        raise UsageError("model: verifiers must be named, each once, and one must be in use")
    if not (record["energy"] is None or isinstance(record["energy"], str)):
        raise UsageError("model: energy must be a text or null")
    weaver.energy_ = record["energy"]
    _check_fitted(weaver.method_)
    weaver.calibrator_ = Calibrator.from_record(record["calibrator"])
    weaver.calibration_error_ = optional(record["calibration_error"], "calibration_error")
    chances = [
        number(value, "selected_probability")
        for value in list_of(record["selected_probability"], "selected_probability")
    ]
    if not all(0 <= chance <= 1 for chance in chances):
        raise UsageError("model: selected_probability must be between 0 and 1")
    weaver.selected_probability_ = np.array(chances, dtype=np.float64)
    weaver.ladder_ = None


def _plain(record: Any) -> Any:
    """Return the same as JSON holds it; YAML may have brought dates, sets or a list in itself."""
    try:
        return json.loads(json.dumps(record, allow_nan=False), parse_int=_int)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"model: not plain data ({error})") from error


def _int(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"a whole number of {len(digits)} digits")
    return int(digits)


def _check_fitted(method: Method) -> None:
    """Refuse numbers that are each finite and together give no probabilities."""
    size = len(method.centre_)
    steps = np.array([-1e3, -1.0, 0.0, 1.0, 1e3, np.nan])[:, None]
    scores = (method.centre_ + steps * method.spread_)[None]
    answers = np.array([["a", "a", "a", "b", "b", ""]])
    try:
        with np.errstate(all="ignore"):
            chances = [method.predict_proba(scores, given) for given in (None, answers)]
    except (ValueError, IndexError) as error:
        raise UsageError(f"model of method {method.name}: unusable ({error})") from error
    if not np.isfinite(chances).all():
        raise UsageError(
            f"model of method {method.name}: the fitted numbers of its {size} verifiers give no "
            "probabilities"
        )
