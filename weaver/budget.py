"""Which verifiers to run when joules are scarce: how much accuracy each budget buys.

A subset of verifiers is worth the accuracy to be expected of what a method fitted for it selects.
Of a selected sample that is labelled, its label says whether it is correct, and the selecting
model was fitted without the labels of that query. Of any other, the method fitted to all verifiers
says how likely it is. Where few are labelled, this model's errors are the estimate's errors: it
takes itself to be right, so all verifiers together never look worse to it than some, and what it
expects is to be read as an order of subsets more than as their accuracy. It is still a better guide
than a few labels by themselves, of which the best of many subsets is mostly the luckiest.

With at most `EXHAUSTIVE` verifiers that cost joules all subsets are tried. Beyond that, verifiers
are added one by one, once the most gain per joule first and once the most gain, and every verifier
is tried by itself. For a gain that only diminishes as others are added, the best of the first way
and the single ones reaches at least 1 - 1/√e of the best there is (Khuller, Moss and Naor 1999,
"The budgeted maximum coverage problem"); the accuracy of a selection need not be such a gain.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from archon.errors import UsageError
from weaver.answers import Groups
from weaver.dependence import Dependence
from weaver.methods.base import Method
from weaver.methods.simple import Plurality
from weaver.scores import Floats, Labels, Mask, Scores
from weaver.subsets import Subset, SubsetFits, left_out

EXHAUSTIVE = 8
"""Verifiers that cost joules up to which every subset is tried: 256 subsets."""
FOLDS = 5
LEAST_GAIN = 0.001
"""More accuracy than this is worth a joule; less is a tie, which goes to fewer joules."""
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Rung:
    """A subset of verifiers.

    Attributes:
        verifiers: names, in the order of the scores.
        energy_j: joules per query of their verdicts.
        accuracy: expected share of queries whose selected sample is correct.
    """

    verifiers: tuple[str, ...]
    energy_j: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Ladder:
    """What joules buy.

    Attributes:
        rungs: subsets that none cheaper equals, from the cheapest on; each expected to be more
            accurate than the one before, by more than `LEAST_GAIN`.
        everything: all verifiers that the method would use.
        queries: how many the accuracies are a mean over.
        labelled: how many of them have labels.
    """

    rungs: tuple[Rung, ...]
    everything: Rung
    queries: int
    labelled: int

    def within(self, budget_j: float) -> Rung:
        """Return the most accurate rung of at most so many joules per query.

        Raises:
            UsageError: The cheapest costs more.
        """
        afforded = [rung for rung in self.rungs if _fits(rung.energy_j, budget_j)]
        if not afforded:
            first = self.rungs[0]
            raise UsageError(
                f"budget_j {budget_j:g}: the cheapest choice, {', '.join(first.verifiers)}, costs "
                f"{first.energy_j:.4g} J per query; allow that much, or select by plurality"
            )
        return afforded[-1]


def ladder(
    scores: Scores,
    method: Method,
    *,
    found: Dependence | None = None,
    budget_j: float | None = None,
) -> Ladder:
    """Return the undominated subsets; `Scores.correct` is never read.

    Args:
        scores: with `cost_j`. Verifiers that cost nothing are in every subset.
        method: unfitted; stays as it is.
        found: which verifiers repeat each other, so that of these only one is used, and which
            always vote the same, which are left out; None takes all.
        budget_j: joules per query under which to look more closely where not all are tried.

    Raises:
        UsageError: Joules are missing, or the method needs labels of more queries.
    """
    energy = joules_per_query(scores)
    everything = _without_repeats(tuple(range(len(energy))), scores, found)
    for index in everything:
        if np.isnan(energy[index]):
            raise UsageError(
                f"cost_j: the joules of verifier {scores.verifiers[index]} were not measured, so "
                "no budget can be kept; measure them, or leave it out of the scores"
            )
    trials = _Trials(scores, method, found, energy, everything)
    whole = trials.rung(everything)
    constant = () if found is None else np.flatnonzero(found.constant)
    candidates = [index for index in range(len(energy)) if index not in constant]
    free = tuple(index for index in candidates if energy[index] == 0)
    paid = tuple(index for index in candidates if energy[index] > 0)
    if len(paid) <= EXHAUSTIVE:
        for size in range(len(paid) + 1):
            for some in combinations(paid, size):
                trials.accuracy(free + some)
    else:
        limits = (np.inf,) if budget_j is None else (np.inf, budget_j)
        for limit, per_joule in product(limits, (True, False)):
            _add_one_by_one(trials, free, paid, limit, per_joule)
    return Ladder(
        _undominated(trials.rungs()),
        whole,
        len(scores.scores),
        int(_labelled(scores).sum()),
    )


def reasons(
    scores: Scores, chosen: Rung, budget_j: float, found: Dependence | None
) -> dict[int, str]:
    """Return of every verifier that was not chosen why; arguments as for `ladder`."""
    energy = joules_per_query(scores)
    kept = tuple(map(scores.verifiers.index, chosen.verifiers))
    told = {}
    for index in sorted(set(range(len(scores.verifiers))) - set(kept)):
        beside = left_out((*kept, index), scores, found).get(index)
        if np.isnan(energy[index]):
            reason = "its joules were not measured"
        elif _fits(chosen.energy_j + float(energy[index]), budget_j):
            reason = "adds too little"
        else:
            reason = "over the budget"
        told[index] = beside or reason
    return told


def joules_per_query(scores: Scores) -> Floats:
    """Return [verifiers]: joules of one verdict times the mean number of verdicts per query.

    A verifier judges equal answers once, unless its scores show that it did not: where two samples
    of one answer differ in their scores, it judged each sample. Without answers every sample
    counts. A missing score was paid for like any other.

    Raises:
        UsageError: The scores hold no `cost_j`.
    """
    if scores.cost_j is None:
        raise UsageError("scores: no cost_j, the joules of each verifier's verdict; add them")
    real = scores.present
    verdicts = np.full(len(scores.verifiers), float(real.sum()))
    if scores.answers is not None:
        groups = Groups.find(scores.answers, real)
        rows = scores.scores[real]
        _, first, place = np.unique(groups.of[real], return_index=True, return_inverse=True)
        shared = rows[first][place]
        once = ((rows == shared) | (np.isnan(rows) & np.isnan(shared))).all(axis=0)
        verdicts[once] = len(first)
    return np.asarray(scores.cost_j * verdicts / len(real))


class _Trials:
    """The expected accuracy of subsets, each computed once."""

    def __init__(
        self,
        scores: Scores,
        method: Method,
        found: Dependence | None,
        energy: Floats,
        everything: Subset,
    ) -> None:
        self._scores, self._method, self._found, self._energy = scores, method, found, energy
        self._folds = [
            (held, SubsetFits(scores, method, labels, found))
            for held, labels in _folds(scores, method)
        ]
        self._known: dict[Subset, float] = {}
        whole = SubsetFits(scores, method, scores.labels, found).of(everything)
        self._worth = whole.predict_proba(scores.scores[:, :, everything], scores.answers)
        if scores.labels is not None:
            self._worth = np.where(scores.labels >= 0, scores.labels, self._worth)

    def accuracy(self, subset: Subset) -> float:
        """Return what is expected of a subset without those of it that repeat others."""
        kept = _without_repeats(subset, self._scores, self._found)
        if kept not in self._known:
            self._known[kept] = self._expected(kept)
        return self._known[kept]

    def energy_j(self, subset: Subset) -> float:
        return float(self._energy[list(subset)].sum())

    def rung(self, subset: Subset) -> Rung:
        names = tuple(self._scores.verifiers[index] for index in subset)
        return Rung(names, self.energy_j(subset), self.accuracy(subset))

    def rungs(self) -> list[Rung]:
        return [self.rung(subset) for subset in list(self._known) if subset]

    def _expected(self, kept: Subset) -> float:
        scores = self._scores
        if kept:
            part = scores.scores[:, :, kept]
        else:
            # no verifier at all: the vote, or the first sample
            part = np.where(scores.present, 0.0, np.nan)[:, :, None]
        selected = np.zeros(len(part), dtype=np.intp)
        for held, fits in self._folds:
            method = fits.of(kept) if kept else Plurality().fit(part, scores.answers)
            answers = None if scores.answers is None else scores.answers[held]
            selected[held] = method.select(part[held], answers)
        return float(self._worth[np.arange(len(part)), selected].mean())


def _folds(scores: Scores, method: Method) -> Iterable[tuple[Mask, Labels | None]]:
    """Yield queries [queries], and the labels [queries, samples] of the others to fit by."""
    count = len(scores.scores)
    labels = scores.labels
    with_labels = _labelled(scores)
    if labels is None or not with_labels.any():
        yield np.ones(count, dtype=np.bool_), None
        return
    if method.needs_labels and with_labels.sum() < 2:
        raise UsageError(
            f"method {method.name}: needs labels of at least two queries to compare verifiers"
        )
    number: NDArray[np.intp] = np.empty(count, dtype=np.intp)
    # labelled queries first, so that every fold holds its share of them
    number[np.argsort(~with_labels, kind="stable")] = np.arange(count) % FOLDS
    for fold in range(min(FOLDS, count)):
        held = np.asarray(number == fold)
        rest = np.where(held[:, None], -1, labels)
        yield held, rest.astype(np.int8)


def _labelled(scores: Scores) -> Mask:
    """Return [queries]: whether some sample is labelled."""
    if scores.labels is None:
        return np.zeros(len(scores.scores), dtype=np.bool_)
    return np.asarray(((scores.labels >= 0) & scores.present).any(axis=1))


def _add_one_by_one(
    trials: _Trials, free: Subset, paid: Subset, limit: float, per_joule: bool
) -> None:
    """Try subsets along the way of most gain that stays within a limit of joules."""
    taken = free

    def merit(index: int) -> tuple[float, ...]:
        gain, energy = trials.accuracy((*taken, index)) - trials.accuracy(taken), energy_j[index]
        # a loss divided by joules would look better the dearer it is
        return (gain / energy if per_joule and gain > 0 else gain, -energy, -index)

    energy_j = {index: trials.energy_j((index,)) for index in paid}
    left = set(paid)
    while left := {one for one in left if _fits(trials.energy_j((*taken, one)), limit)}:
        best = max(left, key=merit)
        taken, left = (*taken, best), left - {best}


def _undominated(rungs: Iterable[Rung]) -> tuple[Rung, ...]:
    found: list[Rung] = []
    for rung in sorted(rungs, key=lambda one: (one.energy_j, -one.accuracy, one.verifiers)):
        if not found or rung.accuracy > found[-1].accuracy + LEAST_GAIN:
            found.append(rung)
    return tuple(found)


def _without_repeats(subset: Subset, scores: Scores, found: Dependence | None) -> Subset:
    gone = left_out(subset, scores, found)
    return tuple(index for index in sorted(subset) if index not in gone)


def _fits(energy_j: float, budget_j: float) -> bool:
    return energy_j <= budget_j * (1 + _ROUNDING)
