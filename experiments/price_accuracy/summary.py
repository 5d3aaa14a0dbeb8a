"""The experiment's figures: three ways to predict joules, against what was measured."""

from collections.abc import Mapping
from dataclasses import dataclass

from archon.energy import Load, ModelPrice
from experiments.price_accuracy.errors import (
    Agreement,
    Errors,
    agreement,
    joule_bounds,
    mean_watts,
    per_token_price,
    relative_error,
    summarise,
)
from experiments.price_accuracy.held_out import MixedWindow
from experiments.price_accuracy.live import LivePipeline
from experiments.price_accuracy.measure import Found

PRICES, PER_TOKEN, WATTS = "price list", "mean J per token", "mean watts x seconds"
WAYS = (PRICES, PER_TOKEN, WATTS)
"""Ways to predict joules; the last needs the measured seconds of the window it predicts."""


@dataclass(frozen=True, slots=True)
class WindowFigures:
    """One held-out window: way → predicted joules; the price list's bounds and seconds."""

    window: MixedWindow
    joules: Mapping[str, float]
    bounds: tuple[float, float]
    seconds: float

    def error(self, way: str) -> float:
        """Return the relative error of one way."""
        return relative_error(self.joules[way], self.window.load.joules)

    @property
    def seconds_error(self) -> float:
        """Relative error of the price list's seconds."""
        return relative_error(self.seconds, self.window.load.seconds)

    @property
    def within(self) -> bool:
        """Whether the measured joules are within the bounds."""
        low, high = self.bounds
        return low <= self.window.load.joules <= high


@dataclass(frozen=True, slots=True)
class PipelineFigures:
    """One live pipeline: way → predicted joules, mean over its blocks.

    Attributes:
        live: Measured joules, mean over its blocks.
        spread: Lowest and highest relative error of the price list over its blocks.
    """

    pipeline: LivePipeline
    joules: Mapping[str, float]
    live: float
    spread: tuple[float, float]

    def error(self, way: str) -> float:
        """Return the relative error of one way."""
        return relative_error(self.joules[way], self.live)


@dataclass(frozen=True, slots=True)
class Way:
    """How good one way to predict is; None where nothing was measured."""

    mixed: Errors
    live: Errors | None
    order: Agreement


@dataclass(frozen=True, slots=True)
class Summary:
    """All figures.

    Attributes:
        by_model: Errors of joules and of seconds over a model's held-out windows.
        ways: Way → how good it is.
        share_gap: The worst block's gap between its window and the sum of its calls' shares.
    """

    windows: tuple[WindowFigures, ...]
    pipelines: tuple[PipelineFigures, ...]
    by_model: Mapping[str, tuple[Errors, Errors]]
    ways: Mapping[str, Way]
    share_gap: float | None
    blocks: int
    left_out: int


def summarise_run(found: Found) -> Summary:
    """Compute the figures of a run."""
    windows = tuple(
        _window(one, found.prices.models[one.model], found.calibration[one.model])
        for one in found.mixed
    )
    watts = mean_watts([load for loads in found.calibration.values() for load in loads])
    pipelines = tuple(_pipeline(one, watts) for one in found.pipelines if one.blocks)
    blocks = [block for one in found.pipelines for block in one.blocks]
    return Summary(
        windows=windows,
        pipelines=pipelines,
        by_model={
            name: (
                summarise([w.error(PRICES) for w in windows if w.window.model == name]),
                summarise([w.seconds_error for w in windows if w.window.model == name]),
            )
            for name in found.prices.models
        },
        ways={
            way: Way(
                mixed=summarise([window.error(way) for window in windows]),
                live=summarise([p.error(way) for p in pipelines]) if pipelines else None,
                order=agreement(
                    [p.joules[way] for p in pipelines],
                    [p.live for p in pipelines],
                    seed=found.plan.seed,
                ),
            )
            for way in WAYS
        },
        share_gap=max((block.share_gap for block in blocks), default=None),
        blocks=len(blocks),
        left_out=sum(one.left_out for one in found.pipelines),
    )


def _window(one: MixedWindow, price: ModelPrice, calibration: list[Load]) -> WindowFigures:
    load = one.load
    amounts = (load.prefill_tokens, load.decode_tokens, load.calls)
    cost = price.cost(*amounts)
    return WindowFigures(
        one,
        {
            PRICES: cost.joules,
            PER_TOKEN: per_token_price(calibration).cost(*amounts).joules,
            WATTS: load.seconds * mean_watts(calibration),
        },
        joule_bounds(price, load),
        cost.seconds,
    )


def _pipeline(one: LivePipeline, watts: float) -> PipelineFigures:
    errors = [relative_error(block.priced_j, block.joules) for block in one.blocks]
    return PipelineFigures(
        one,
        {
            PRICES: one.mean("priced_j"),
            PER_TOKEN: one.mean("per_token_j"),
            WATTS: one.mean("seconds") * watts,
        },
        one.mean("joules"),
        (min(errors), max(errors)),
    )
