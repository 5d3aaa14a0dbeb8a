"""``profile.json``: the figures for readers, and the measurements they are computed from."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from archon.energy import Basis
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
    if data.get("archon_profile") != FORMAT:
        raise ValueError(f"archon_profile: {FORMAT} is expected")
    raw = dict(data)
    try:
        raw["basis"] = Basis(tuple(data["domains"]), data["basis"], data["method"])
        raw["models"] = {
            name: {
                "engine": model["engine"],
                "loads": {int(c): load["measured"] for c, load in model["loads"].items()},
            }
            for name, model in data["models"].items()
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{error} is missing or malformed") from error
    return _PROFILE.validate_python(raw)


def save_profile(profile: Profile, path: Path) -> None:
    """Write ``profile.json``."""
    path.write_text(json.dumps(to_json(profile), indent=1), encoding="utf-8")


def load_profile(path: Path) -> Profile:
    """Read ``profile.json``, or the one in a folder.

    Raises:
        UsageError: The file is missing or malformed.
    """
    file = path / "profile.json" if path.is_dir() else path
    try:
        return from_json(json.loads(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise UsageError(f"{file}: cannot be read ({error.strerror})") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{file}: {place}: {first['msg']}") from error
    except ValueError as error:
        raise UsageError(f"{file}: not a profile ({error})") from error
