"""What a profile is: the measurements of some models on one machine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from archon.energy import Basis, Cost, ModelPrice, PriceList, Window, fit_model_price
from archon.energy import Load as PricedLoad
from archon.errors import UsageError


@dataclass(frozen=True, slots=True)
class Call:
    """Tokens and times of one call; one per query."""

    prompt_tokens: int
    cached_tokens: int | None
    completion_tokens: int
    ttft_s: float | None
    latency_s: float
    attempts: int
    failed: bool

    def cost(self, price: ModelPrice) -> Cost:
        """Return what the call costs; a failed attempt pays its prefill and its call."""
        failed = self.attempts - 1
        return price.cost(
            self.prompt_tokens - (self.cached_tokens or 0) + failed * self.prompt_tokens,
            self.completion_tokens,
            self.attempts,
        )


@dataclass(frozen=True, slots=True)
class Run:
    """The task's queries once, in one window.

    Attributes:
        scores: [queries] in [0, 1].
        calls: [queries].
    """

    window: Window
    scores: tuple[float, ...]
    calls: tuple[Call, ...]


@dataclass(frozen=True)
class LoadProfile:
    """One model at one concurrency.

    Attributes:
        concurrency: Queries in flight.
        warm_up_calls: Calls made before anything was measured.
        calibration: Windows that separate prefill from decode.
        idle: Windows with the model loaded and nothing running, before and after.
        runs: Every run made, oldest first.
        repeats: Figures are of the last so many runs.
    """

    concurrency: int
    warm_up_calls: int
    calibration: tuple[PricedLoad, ...]
    idle: tuple[Window, ...]
    runs: tuple[Run, ...]
    repeats: int

    @cached_property
    def price(self) -> ModelPrice:
        """Joules and seconds per prefill token, decode token and call, with intervals."""
        return fit_model_price(self.calibration)

    @property
    def counted(self) -> tuple[Run, ...]:
        """The runs that figures are of."""
        return self.runs[-self.repeats :]

    def spread(self, basis: Basis) -> float | None:
        """Return largest minus smallest joules of the counted runs, over their mean.

        None when there is one run, or a run's joules are not known, or all spent none.
        """
        joules = [run.window.joules(basis) for run in self.counted]
        known = [value for value in joules if value is not None]
        if len(known) < max(2, len(joules)) or not any(known):
            return None
        return (max(known) - min(known)) / (sum(known) / len(known))


@dataclass(frozen=True, slots=True)
class ModelProfile:
    """One model: what served it, and its loads by concurrency.

    Attributes:
        engine: identity, source, version, dtype, quantisation, arguments, … as text.
    """

    engine: Mapping[str, str]
    loads: Mapping[int, LoadProfile]


@dataclass(frozen=True, slots=True)
class Profile:
    """What ``profile.json`` holds.

    Attributes:
        created: ISO 8601.
        hardware: Fingerprint of the machine.
        basis: The rails counted.
        task: What was asked, as text.
        prompt: How it was asked: style, token limit, temperature.
        rate: Queries/s to serve, for ``ipw``.
        weight: [queries] traffic weights.
        value: [queries] value weights.
    """

    created: str
    hardware: Mapping[str, str]
    basis: Basis
    task: str
    prompt: Mapping[str, str]
    rate: float
    weight: tuple[float, ...]
    value: tuple[float, ...]
    models: Mapping[str, ModelProfile]

    @property
    def idle_watts(self) -> float | None:
        """Mean watts over all idle windows; None if one could not be read."""
        windows = [
            w for model in self.models.values() for one in model.loads.values() for w in one.idle
        ]
        return mean_watts(windows, self.basis)

    def price_list(self, concurrency: int) -> PriceList:
        """Return the prices at one load, by model identity.

        Raises:
            UsageError: The profile lacks that load, or its idle watts.
        """
        known = sorted({load for model in self.models.values() for load in model.loads})
        models = {
            model.engine["identity"]: model.loads[concurrency].price
            for model in self.models.values()
            if concurrency in model.loads
        }
        if not models:
            raise UsageError(
                f"profile: measured at {', '.join(map(str, known))} in flight, not at "
                f"{concurrency}; profile it with --concurrency {concurrency}"
            )
        if self.idle_watts is None:
            raise UsageError("profile: its idle watts could not be read; make it again")
        return PriceList(
            idle_watts=self.idle_watts,
            basis=self.basis.label,
            method=self.basis.method,
            concurrency=concurrency,
            models=models,
            fingerprint=dict(self.hardware),
        )


def mean_watts(windows: Sequence[Window], basis: Basis) -> float | None:
    """Return joules over seconds of some windows; None if any of them is not known."""
    joules = [window.joules(basis) for window in windows]
    known = [value for value in joules if value is not None]
    if not known or len(known) < len(joules):
        return None
    return sum(known) / sum(window.seconds for window in windows)
