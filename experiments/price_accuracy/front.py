"""The pipelines that are run live: from the ensemble space, spread over what joules go to."""

from collections.abc import Mapping, Sequence
from typing import Any

from archon.search.space import Space
from archon.spec import PipelineSpec


def front(models: Sequence[str], axes: Mapping[str, Any]) -> list[PipelineSpec]:
    """Return distinct pipelines of the quickstart's axes, and one with a critic.

    Short and long answers, prompts far longer than answers (judges) and the reverse, one model
    and two at once. With one model, it plays both parts.

    Args:
        models: Zoo names, the smallest first.
        axes: The ensemble space's; styles must hold number_only, equations and steps.
    """
    space = Space("ensemble", models, {**axes, "finishes": [*axes["finishes"], "critique"]})
    small, big = models[0], models[-1]

    def point(model: str, samples: int, style: str, **more: str) -> dict[str, Any]:
        (limit, *_) = axes["styles"][style]
        return {
            **{f"{name}.samples": samples if name == model else 0 for name in models},
            f"{model}.style": style,
            f"{model}.{style}.max_tokens": limit,
            f"{model}.temperature": axes["temperatures"][0],
            "fuse.style": "number_only",
            **more,
        }

    points = [
        point(small, 1, "number_only"),
        point(small, 1, "steps"),
        point(big, 1, "number_only"),
        point(big, 1, "equations"),
        point(big, 1, "steps"),
        point(small, 8, "number_only", finish="vote"),
        point(big, 4, "number_only", finish="vote"),
        point(big, 2, "equations", finish="confident_vote"),
        point(big, 2, "number_only", finish="rank", judge=big),
        point(big, 4, "number_only", finish="verify", judge=small),
        point(big, 4, "number_only", finish="rank_fuse", judge=big),
        point(big, 2, "number_only", finish="critique", judge=small),
    ]
    return list({spec.canonical: spec for spec in map(space.at, points)}.values())
