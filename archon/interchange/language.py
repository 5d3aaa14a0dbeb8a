"""The correspondence of the two languages: each component type, key by key."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Kind:
    """How a published component type is said here.

    Attributes:
        settings: Published key → setting here; the values are the same.
        fixed: Settings here that the published type implies.
        required: Keys the published program requires that say nothing here → what to write.
        idle: Further keys that say nothing here → the value with which nothing is lost, which is
            the one to write where the key is required too and not named here.
    """

    settings: Mapping[str, str]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    required: Mapping[str, Any] = field(default_factory=dict)
    idle: Mapping[str, Any] = field(default_factory=dict)


_SAMPLED = {"temperature": "temperature", "max_tokens": "max_tokens", "samples": "samples"}

KINDS: Mapping[str, Kind] = {
    "generator": Kind(_SAMPLED),
    "fuser": Kind(_SAMPLED, idle={"length_control": False}),
    "critic": Kind(
        {"temperature": "temperature", "max_tokens": "max_tokens"},
        required={"samples": 1},
    ),
    "ranker": Kind(
        {"max_tokens": "max_tokens", "top_k": "top_k"},
        required={"temperature": 0},
        idle={"samples": 1, "use_critiques": False},
    ),
    "verifier": Kind(
        {"max_tokens": "max_tokens", "first_k": "first_k"},
        fixed={"mode": "reason"},
        required={"temperature": 0, "samples": 1},
    ),
    "unit_test_generator": Kind(
        {"temperature": "temperature", "max_tokens": "max_tokens", "unit_test_cap": "tests"},
        required={"samples": 1},
    ),
    "unit_test_evaluator": Kind(
        {"top_k": "top_k"},
        required={
            "temperature": 0,
            "max_tokens": 2048,
            "samples": 1,
            "remove_unit_tests_from_prompt": True,
        },
        idle={"max_tokens": 1, "first_k": None, "first_pass": False},
    ),
}
"""Published component type → what it is here."""

_ALL_JUDGED = "all candidates are judged here; it ended once enough had passed all tests"

LEFT_OUT: Mapping[str, str] = {
    "temperature": "a {type} decides at temperature 0 here",
    "max_tokens": "a verdict is one token here",
    "samples": "the published {type} used the first one only",
    "length_control": "it bound a fused reply to its longest candidate; max_words bounds it here",
    "use_critiques": "a {type} reads critiques where there are any, and nowhere else",
    "first_k": _ALL_JUDGED,
    "first_pass": _ALL_JUDGED,
    "remove_unit_tests_from_prompt": "unit tests are never added to the question here",
    "no_system": "the caller's system message stays here",
}
"""Idle key → why another value than the idle one is not taken."""

WITHOUT_EFFECT = frozenset(
    {
        *("top_k", "use_critiques", "ranker_batch_size", "remove_unit_tests_from_prompt"),
        *("unit_test_cap", "checkpoint", "batch_num", "ranker_config", "top_k_generations"),
        *("length_contorl", "fuse_generations_count", "max_context_length"),
    }
)
"""Keys that published files have where the published program reads none."""
