"""How well each way to choose does on the data set, and what it costs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from weaver import Scores, Weaver
from weaver.answers import Groups
from weaver.metrics import auc
from weaver.scores import Floats, Labels, Strings
from weaver.select import choose

DRAWS = 20
"""Times that the queries to be labelled are drawn."""
FOLDS = 5
BOOTSTRAP = 4000
LABEL_FREE = (
    *("plurality", "mean", "em", "continuous", "moments", "matrix", "tensor", "snorkel"),
    "clusters",
)
LABELLED = ("em", "continuous", "moments", "clusters", "naive_bayes", "logistic")

Right = NDArray[np.float64]
"""[queries] P(the choice is correct), over the draws of labels."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How one way to choose did.

    Attributes:
        labels: Share of the queries that are labelled; those judged never are.
        right: [queries] in [0, 1].
        brier: Mean squared error of P(correct) of the selected candidate; None where the method
            has none.
        energy_j: Joules per query of the verifiers it uses.
    """

    name: str
    labels: float
    right: Right
    brier: float | None
    energy_j: float


@dataclass(frozen=True, slots=True, eq=False)
class DataSet:
    """Candidates with verdicts and truth.

    Attributes:
        kinds: [queries] what they ask.
        energy_j: [verifiers] joules per query of their verdicts.
    """

    scores: Scores
    kinds: tuple[str, ...]
    energy_j: Floats

    @property
    def correct(self) -> Labels:
        """[queries, samples] 1 correct, 0 wrong, -1 padding."""
        assert self.scores.correct is not None
        return self.scores.correct

    @property
    def answers(self) -> Strings:
        """[queries, samples] canonical answers."""
        assert self.scores.answers is not None
        return self.scores.answers

    def only(self, verifiers: Sequence[str]) -> "DataSet":
        """Return the same with these verifiers alone."""
        index = [self.scores.verifiers.index(name) for name in verifiers]
        return replace(
            self, scores=self.scores.only(tuple(verifiers)), energy_j=self.energy_j[index]
        )


def interval(values: Floats) -> tuple[float, float]:
    """Return the 95% bootstrap interval of a mean over queries."""
    picks = np.random.default_rng(0).integers(len(values), size=(BOOTSTRAP, len(values)))
    low, high = np.quantile(values[picks].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def verifier_aucs(data: DataSet) -> dict[str, Floats]:
    """Return per verifier its AUC on all queries and on those of each kind, NaN where undefined."""
    parts = [np.ones(len(data.kinds), dtype=np.bool_)]
    parts += [np.array(data.kinds) == kind for kind in dict.fromkeys(data.kinds)]
    found = {}
    for index, name in enumerate(data.scores.verifiers):
        column = data.scores.scores[:, :, index]
        areas = [auc(column[part], data.correct[part]) for part in parts]
        found[name] = np.array([np.nan if area is None else area for area in areas])
    return found


def first(data: DataSet) -> Standing:
    """Return how the first candidate does."""
    return Standing("first", 0.0, (data.correct[:, 0] == 1).astype(float), None, 0.0)


def oracle(data: DataSet) -> Standing:
    """Return how often any candidate is correct."""
    return Standing("oracle", 0.0, (data.correct == 1).any(axis=1).astype(float), None, 0.0)


def single(data: DataSet, verifier: str) -> Standing:
    """Return how the highest score of one verifier does; ties go to the commoner answer."""
    index = data.scores.verifiers.index(verifier)
    column = data.scores.scores[:, :, index]
    column = np.nan_to_num(column, nan=float(np.nanmin(column)) - 1)
    real = data.scores.present
    picked = choose(column, real, Groups.find(data.answers, real).mass_of, 0 * column)
    right = data.correct[np.arange(len(picked)), picked] == 1
    return Standing(verifier, 0.0, right.astype(float), None, float(data.energy_j[index]))


def without_labels(data: DataSet, method: str) -> Standing:
    """Return how a method does that sees no label."""
    weaver = Weaver(method).fit(replace(data.scores.training(), labels=None))
    right, chance = _judge(weaver, data, np.arange(len(data.kinds)))
    return Standing(method, 0.0, right, _brier(chance, right), _spent(weaver, data))


def with_few_labels(data: DataSet, method: str, share: float) -> Standing:
    """Return how a method does with all candidates of some queries labelled, over `DRAWS`."""
    queries = len(data.kinds)
    total, times, errors, spent = np.zeros(queries), np.zeros(queries), [], []
    for draw in range(DRAWS):
        known = np.random.default_rng(draw).permutation(queries)[: round(share * queries)]
        weaver = Weaver(method).fit(_labelled(data, known))
        others = np.setdiff1d(np.arange(queries), known)
        right, chance = _judge(weaver, data, others)
        total[others] += right
        times[others] += 1
        errors.append(_brier(chance, right))
        spent.append(_spent(weaver, data))
    # Of the draws that left it unlabelled; with 20 draws of 5% no query is labelled in all.
    right = total / times
    return Standing(method, share, right, float(np.mean(errors)), float(np.mean(spent)))


def with_all_labels(data: DataSet, method: str) -> Standing:
    """Return how a method does with all other queries labelled: five parts, each held out once."""
    queries = len(data.kinds)
    part = np.random.default_rng(0).permutation(queries) % FOLDS
    right, chance, spent = np.zeros(queries), np.zeros(queries), []
    for held in range(FOLDS):
        weaver = Weaver(method).fit(_labelled(data, np.flatnonzero(part != held)))
        rows = np.flatnonzero(part == held)
        right[rows], chance[rows] = _judge(weaver, data, rows)
        spent.append(_spent(weaver, data))
    return Standing(method, 1.0, right, _brier(chance, right), float(np.mean(spent)))


def everything(data: DataSet, told: Callable[[str], None]) -> list[Standing]:
    """Return the standings of all ways to choose, `told` of each."""
    found = [first(data)]
    for method in LABEL_FREE:
        told(method)
        found.append(without_labels(data, method))
    found += [single(data, verifier) for verifier in data.scores.verifiers]
    for method in LABELLED:
        told(f"{method}, 5% labelled")
        found.append(with_few_labels(data, method, 0.05))
    for method in LABELLED:
        told(f"{method}, all others labelled")
        found.append(with_all_labels(data, method))
    return [*found, oracle(data)]


def by_verifiers(data: DataSet, told: Callable[[str], None]) -> dict[str, list[Standing]]:
    """Return what more verifiers buy: the free ones, these and one that costs, and all."""
    free = [n for n, cost in zip(data.scores.verifiers, data.energy_j, strict=True) if not cost]
    paid = [name for name in data.scores.verifiers if name not in free]
    sets = {"free": free, **{f"free, {name}": [*free, name] for name in paid}}
    sets["all"] = list(data.scores.verifiers)
    found = {}
    for title, names in sets.items():
        told(f"verifiers: {title}")
        part = data.only(names)
        found[title] = [
            without_labels(part, "continuous"),
            with_few_labels(part, "continuous", 0.05),
            with_all_labels(part, "continuous"),
            with_all_labels(part, "logistic"),
        ]
    return found


def believed(data: DataSet, method: str, share: float) -> Floats:
    """Return [draws, verifiers] TPR + TNR - 1 as a method sees it, NaN where it was dropped.

    Args:
        share: Of the queries that are labelled, drawn anew each time.
    """
    rows = []
    for draw in range(DRAWS if share < 1 else 1):
        queries = len(data.kinds)
        known = np.random.default_rng(draw).permutation(queries)[: round(share * queries)]
        report = Weaver(method, drop="none").fit(_labelled(data, known)).report_
        rates = [(entry.tpr, entry.tnr) for entry in report]
        rows.append([np.nan if a is None or b is None else a + b - 1 for a, b in rates])
    return np.array(rows)


def _labelled(data: DataSet, known: NDArray[np.intp]) -> Scores:
    labels = np.full(data.correct.shape, -1, dtype=np.int8)
    labels[known] = data.correct[known]
    return replace(data.scores.training(), labels=labels)


def _judge(weaver: Weaver, data: DataSet, rows: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Return [rows] whether what is selected is correct, and P(that)."""
    decisions = weaver.decide(data.scores.scores[rows], data.answers[rows])
    right = data.correct[rows, decisions.selected] == 1
    return right.astype(float), decisions.probability


def _brier(chance: Floats, right: Floats) -> float:
    return float(np.mean((chance - right) ** 2))


def _spent(weaver: Weaver, data: DataSet) -> float:
    """Return joules per query of the verifiers that were not dropped; a plurality asks none."""
    if weaver.method == "plurality":
        return 0.0
    used = [entry.dropped is None for entry in weaver.report_]
    return float(data.energy_j[used].sum())
