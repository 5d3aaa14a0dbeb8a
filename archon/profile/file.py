"""``profile.json``: the figures for readers, and the measurements they are computed from."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from archon.errors import UsageError
from archon.profile.figures import figures
from archon.profile.record import Profile

FORMAT = 1

_PROFILE = TypeAdapter(Profile)


def to_json(profile: Profile) -> dict[str, Any]:
    """Return plain JSON types: the figures, and under ``measured`` what they come from."""
    raw: dict[str, Any] = _PROFILE.dump_python(profile, mode="json")
    models = raw.pop("models")
    return {
        "archon_profile": FORMAT,
        "method": profile.basis.method,
        "idle_watts": profile.idle_watts,
        **raw,
        "basis": profile.basis.label,
        "domains": list(profile.basis.domains),
        "left_out": list(profile.basis.left_out),
        "models": {
            name: {
                "engine": dict(model.engine),
                "loads": {
                    str(load): {
                        **figures(profile, name, load).to_json(),
                        "measured": models[name]["loads"][str(load)],
                    }
                    for load in model.loads
                },
            }
            for name, model in profile.models.items()
        },
    }


def from_json(data: Mapping[str, Any]) -> Profile:
    """Return the profile that `to_json` gave; its figures are computed anew.

    Raises:
        ValueError: A field is missing or of the wrong type.
    """
    if not isinstance(data, Mapping) or data.get("archon_profile") != FORMAT:
        raise ValueError(f"archon_profile: {FORMAT} is expected")
    raw = dict(data)
    try:
        raw["basis"] = {
            "domains": data["domains"],
            "label": data["basis"],
            "method": data["method"],
            "left_out": data["left_out"],
        }
        raw["models"] = {
            name: {
                "engine": model["engine"],
                "loads": {load: each["measured"] for load, each in model["loads"].items()},
            }
            for name, model in data["models"].items()
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{error} is missing or malformed") from error
    profile = _PROFILE.validate_python(raw)
    _check(profile)
    return profile


def _check(profile: Profile) -> None:
    """Check what types cannot say, so that the figures can be computed.

    Raises:
        ValueError: Something does not fit; the place is named.
    """

    def require(holds: bool, place: str, what: str) -> None:
        if not holds:
            raise ValueError(f"{place}: {what}")

    queries = len(profile.weight)
    require(queries > 0, "weight", "there are no queries")
    require(len(profile.value) == queries, "value", f"{queries} numbers are expected")
    for fact in ("cpu", "cores", "memory_gib"):
        require(fact in profile.hardware, "hardware", f"{fact} is missing")
    require(len(profile.models) > 0, "models", "there are none")
    for name, model in profile.models.items():
        require(len(model.loads) > 0, f"models.{name}.loads", "there are none")
        require("identity" in model.engine, f"models.{name}.engine", "identity is missing")
        for concurrency, load in model.loads.items():
            place = f"models.{name}.loads.{concurrency}.measured"
            require(load.concurrency == concurrency, place, f"of {load.concurrency} in flight")
            require(len(load.idle) > 0, place, "no idle window")
            require(0 < load.repeats <= len(load.runs), place, "fewer runs than repeats")
            for index, run in enumerate(load.runs):
                fits = len(run.scores) == len(run.calls) == queries
                require(fits, f"{place}.runs.{index}", f"{queries} scores and calls are expected")
            answered = any(not call.failed for run in load.counted for call in run.calls)
            require(answered, place, "every call failed")
            for window in (*load.idle, *(run.window for run in load.runs)):
                spent = [domain.joules or 0.0 for domain in window.domains]
                sound = window.seconds > 0 and min(spent, default=0.0) >= 0
                require(sound, place, f"window {window.label!r} has no length, or less than 0 J")
            try:
                _ = load.price
            except ValueError as error:
                raise ValueError(f"{place}: {error}") from error


def save_profile(profile: Profile, path: Path) -> None:
    """Write ``profile.json``, whole or not at all.

    Raises:
        UsageError: The path is not writable.
    """
    part = path.with_suffix(".json.part")
    try:
        part.write_text(json.dumps(to_json(profile), indent=1), encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror})") from error


def load_profile(path: Path) -> Profile:
    """Read ``profile.json``, or the one in a folder.

    Raises:
        UsageError: The file is missing or malformed.
    """
    file = path / "profile.json" if path.is_dir() else path
    try:
        text = file.read_text(encoding="utf-8")
        return from_json(json.loads(text, parse_constant=_not_json))
    except OSError as error:
        raise UsageError(f"{file}: cannot be read ({error.strerror})") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{file}: {place}: {first['msg']}") from error
    except ValueError as error:
        raise UsageError(f"{file}: not a profile ({error})") from error


def _not_json(constant: str) -> None:
    raise ValueError(f"{constant} is no number")
