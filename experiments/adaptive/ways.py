"""The pipelines that are compared: every setting of every way to spend samples on a question."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from archon.components.cascade import Cascade
from archon.components.generator import Generator
from archon.components.nesting import Layer
from archon.components.sequential import Sequential
from archon.components.vote import Vote
from archon.components.weaver import Weaver
from archon.spec import PipelineSpec, ZooModel

MOST = 6
"""Samples of the pipeline that sets the accuracy to reach."""
COUNTS = (2, 3, 4, 5, MOST)
TEMPERATURE = 0.5
SURE = (0.8, 0.9, 0.95)
BATCHES = (1, 2)
FIRST = (2, 3)
"""Samples of a cascade's first stage, where their agreement accepts it."""
CONFIDENT = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98)
WOVEN = (2, 3)
VERIFIERS = ("consistency", "logprob", "length")
GREEDY = "one greedy answer"
WAYS = (GREEDY, "best of n", "sequential", "cascade")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of question, and how the model is asked.

    Attributes:
        title: For tables.
        task: As in a study's configuration, without sizes.
        cheap: Style and tokens of a cheaper first stage, None where there is none.
    """

    title: str
    task: Mapping[str, Any]
    style: str
    max_tokens: int
    cheap: tuple[str, int] | None = None


KINDS = {
    "sums": Kind(
        "sums",
        {
            "source": "reasoning_gym",
            "name": "chain_sum",
            "params": {"min_terms": 2, "max_terms": 3, "min_digits": 1, "max_digits": 2},
        },
        "equations",
        48,
        cheap=("number_only", 8),
    ),
    "letters": Kind(
        "letter counting",
        {
            "source": "reasoning_gym",
            "name": "letter_counting",
            "params": {"min_words": 5, "max_words": 10},
        },
        "number_only",
        8,
    ),
    "products": Kind("products", {"source": "reasoning_gym", "name": "products"}, "number_only", 8),
}


def pipelines(kind: Kind, model: str) -> dict[str, list[PipelineSpec]]:
    """Return way → its pipelines; the last best of n is the one that sets the accuracy.

    One answer is greedy; several are drawn at `TEMPERATURE` and voted on by plurality. A cascade
    starts with one greedy answer (in the cheap style too) and accepts by the model's confidence,
    with a few samples and accepts by their agreement, or weaves some and accepts by P(correct);
    its second stage is always the full plurality of `MOST`.
    """

    def several(count: int) -> Generator:
        return _asked(model, count, kind.style, kind.max_tokens)

    def spec(name: str, *layers: Layer) -> PipelineSpec:
        return PipelineSpec(name=name, models={model: ZooModel(zoo=model)}, layers=layers)

    fixed = [spec(f"{count} voting", (several(count),), (Vote(),)) for count in COUNTS]
    sequential = [
        spec(
            f"up to {MOST} by {batch}, {stop}" + (f" {sure:g}" if stop == "sure" else ""),
            (
                Sequential.model_validate(
                    several(MOST).model_dump()
                    | {"type": "sequential", "batch": batch, "stop_when": stop, "sure": sure}
                ),
            ),
            (Vote(),),
        )
        for batch in BATCHES
        for stop, sure in [("decided", 0.95), *(("sure", chance) for chance in SURE)]
    ]
    rest: Layer = (several(MOST),)

    def cascade(told: str, stage: Sequence[Layer], accept: str, threshold: float) -> PipelineSpec:
        stages = (tuple(stage), (rest,))
        both = Cascade.model_validate(
            {"type": "cascade", "stages": stages, "thresholds": (threshold,), "accept": accept}
        )
        return spec(f"{told}, else {MOST}", (both,), (Vote(),))

    ones = {"greedy": several(1)}
    if kind.cheap:
        style, limit = kind.cheap
        ones[f"greedy {style}"] = _asked(model, 1, style, limit)
    cascades = [
        cascade(f"{told} if confident {bar:g}", [(one,)], "confidence", bar)
        for told, one in ones.items()
        for bar in CONFIDENT
    ]
    cascades += [
        cascade(f"{count} if {votes} agree", [(several(count),)], "agreement", votes / count)
        for count in FIRST
        for votes in range(count // 2 + 1, count + 1)
    ]
    woven = Weaver.model_validate({"type": "weaver", "verifiers": list(VERIFIERS)})
    cascades += [
        cascade(f"{count} if P(correct) {bar:g}", [(several(count),), (woven,)], "score", bar)
        for count in WOVEN
        for bar in CONFIDENT
    ]
    greedy = [spec("greedy", (several(1),))]
    return dict(zip(WAYS, (greedy, fixed, sequential, cascades), strict=True))


def _asked(model: str, count: int, style: str, limit: int) -> Generator:
    return Generator(
        model=model,
        samples=count,
        temperature=TEMPERATURE if count > 1 else 0.0,
        max_tokens=limit,
        style=style,
    )
