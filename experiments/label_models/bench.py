"""Label models on made-up verifiers: accuracy, rates and seconds against the true rates.

    python -m experiments.label_models.bench

needs a clone and the extra ``snorkel``; two to three minutes on one core. ``--seeds`` and
``--parts`` make it shorter.
"""

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from experiments.label_models.sgd import published
from weaver import Scores, Weaver, methods
from weaver.metrics import pass_at_k, selection_accuracy
from weaver.synthetic import Truth, two_coin
from weaver.two_coin import TwoCoin
from weaver.votes import Votes

QUERIES, SAMPLES, VERIFIERS = 500, 100, 20
SMALL: dict[str, Any] = {"queries": 200, "samples": 40}
HARD: dict[str, dict[str, Any]] = {
    "independent": {},
    "copies": {"copies": 0.9},
    "difficulty": {"difficulty": 1.5},
    "30% missing": {"missing": 0.3},
    "continuous": {"continuous": True},
    "all of these": {"copies": 0.9, "difficulty": 1, "missing": 0.3, "continuous": True},
    "answers, each judged": {"answers": "each", "samples": 16, "verifiers": 6},
    "answers, judged once": {"answers": "once", "samples": 16, "verifiers": 6},
    "60 x 8 x 8, good": {
        "queries": 60,
        "samples": 8,
        "verifiers": 8,
        "tpr": (0.5, 0.9),
        "tnr": (0.5, 0.9),
    },
    "2 verifiers": {"verifiers": 2},
    "1 sample": {"samples": 1},
    "1 constant": {},
    "all votes equal": {},
}


def main() -> None:
    """Run the parts and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20, help="of the first and third part")
    parser.add_argument("--orientation-seeds", type=int, default=200)
    parser.add_argument("--parts", nargs="+", default=["rates", "orientation", "hard"])
    options = parser.parse_args()
    console = Console(width=180)
    import torch

    torch.set_num_threads(1)
    if "rates" in options.parts:
        console.print(rates_table(options.seeds))
    if "orientation" in options.parts:
        console.print(orientation(options.orientation_seeds))
    if "hard" in options.parts:
        console.print(*hard_tables(max(1, options.seeds // 2)), sep="\n")


def contestants() -> dict[str, Callable[[Scores, Votes], TwoCoin]]:
    """Return what fits rates; Snorkel and the published loss are told the true class balance."""

    def ours(name: str) -> Callable[[Scores, Votes], TwoCoin]:
        def fit(scores: Scores, _: Votes) -> TwoCoin:
            method: Any = methods.make(name).fit(scores.scores)
            return TwoCoin(method.class_balance_, method.tpr_, method.tnr_)

        return fit

    def snorkel(epochs: int) -> Callable[[Scores, Votes], TwoCoin]:
        from snorkel.labeling.model import LabelModel

        def fit(scores: Scores, _: Votes) -> TwoCoin:
            model = LabelModel(cardinality=2, verbose=False)
            matrix = scores.scores.reshape(-1, scores.scores.shape[2]).astype(int)
            model.fit(
                matrix, class_balance=[0.75, 0.25], n_epochs=epochs, seed=0, progress_bar=False
            )
            table = model.get_conditional_probs()
            return TwoCoin(0.25, table[:, 2, 1], table[:, 1, 0])

        return fit

    def sgd(rate: float, steps: int) -> Callable[[Scores, Votes], TwoCoin]:
        def fit(scores: Scores, _: Votes) -> TwoCoin:
            votes = Votes.pack(scores.scores.reshape(-1, scores.scores.shape[2]))
            return published(votes, 0.25, rate=rate, steps=steps, scale=0.5)

        return fit

    return {
        "em": ours("em"),
        "moments": ours("moments"),
        "tensor": ours("tensor"),
        "matrix": ours("matrix"),
        "snorkel, 100 epochs (default)": snorkel(100),
        "snorkel, 2000 epochs": snorkel(2000),
        "published loss, 1000 steps of 1e-5": sgd(1e-5, 1000),
        "published loss, converged (20000 of 1e-3)": sgd(1e-3, 20000),
    }


def rates_table(seeds: int) -> Table:
    """Return how near each contestant comes to the true rates, and in which time."""
    table = Table(
        title=f"{QUERIES} queries x {SAMPLES} samples x {VERIFIERS} verifiers, independent votes, "
        f"mean of {seeds} seeds; CPU seconds on one core: median"
    )
    for column in (
        "fit",
        "accuracy",
        "minus Bayes rule",
        "rates: mean error",
        "worst",
        "class balance: worst error",
        "upside down",
        "seconds",
        "times em",
        "times moments",
    ):
        table.add_column(column, justify="left" if column == "fit" else "right")
    found: dict[str, list[list[float]]] = {}
    data = [two_coin(seed) for seed in range(seeds)]
    packed = [Votes.pack(scores.scores.reshape(-1, VERIFIERS)) for scores, _ in data]
    best = [
        accuracy(TwoCoin(truth.class_balance, truth.tpr, truth.tnr), votes, truth)
        for (_, truth), votes in zip(data, packed, strict=True)
    ]
    fits = contestants()
    for fit in fits.values():
        fit(data[0][0], packed[0])  # the first call loads and compiles
    for (scores, truth), votes, bayes in zip(data, packed, best, strict=True):
        for name, fit in fits.items():  # in turns, so that the machine's other work falls on all
            began = time.process_time()
            model = fit(scores, votes)
            seconds = time.process_time() - began
            errors = np.abs([model.tpr - truth.tpr, model.tnr - truth.tnr])
            right = accuracy(model, votes, truth)
            found.setdefault(name, []).append(
                [
                    right,
                    right - bayes,
                    errors.mean(),
                    errors.max(),
                    abs(model.class_balance - 0.25),
                    float(model.informedness.sum() < 0),
                    seconds,
                ]
            )
    median = {name: float(np.median([row[-1] for row in rows])) for name, rows in found.items()}
    table.add_row("true rates (Bayes rule)", f"{np.mean(best):.4f}", *["–"] * 8)
    for name, rows in found.items():
        mean, worst = np.mean(rows, axis=0), np.max(rows, axis=0)
        table.add_row(
            name,
            f"{mean[0]:.4f}",
            f"{mean[1]:+.4f}",
            f"{mean[2]:.4f}",
            f"{worst[3]:.4f}",
            f"{worst[4]:.4f}" if name in ("em", "moments", "tensor", "matrix") else "given",
            f"{sum(row[5] for row in rows):.0f} of {seeds}",
            f"{median[name]:.4f}",
            f"{median[name] / median['em']:.1f}",
            f"{median[name] / median['moments']:.1f}",
        )
    return table


def accuracy(model: TwoCoin, votes: Votes, truth: Truth) -> float:
    """Return the selection accuracy of a model, without tie-breaks."""
    chosen = model.log_odds(votes).reshape(truth.correct.shape).argmax(axis=1)
    return float(selection_accuracy(chosen, truth.correct) or 0)


def orientation(seeds: int) -> str:
    """Return how often a label model came out upside down."""
    wrong = dict.fromkeys(("em", "moments"), 0)
    for seed in range(seeds):
        scores, truth = two_coin(1000 + seed)
        for name in wrong:
            method: Any = methods.make(name).fit(scores.scores)
            gained = (method.tpr_ + method.tnr_ - 1) @ (truth.tpr + truth.tnr - 1)
            wrong[name] += int(gained < 0)
    counts = ", ".join(f"{name} {count}" for name, count in wrong.items())
    return f"upside down in {seeds} seeds of the same size: {counts}\n"


def hard_tables(seeds: int) -> tuple[Table, Table]:
    """Return selection accuracy and Brier score on harder data."""
    columns = {
        "first": ("first", 0.0),
        "plurality": ("plurality", 0.0),
        "mean": ("mean", 0.0),
        "em": ("em", 0.0),
        "contin.": ("continuous", 0.0),
        "clusters": ("clusters", 0.0),
        "moments": ("moments", 0.0),
        "matrix": ("matrix", 0.0),
        "tensor": ("tensor", 0.0),
        "snorkel": ("snorkel", 0.0),
        "em 5%": ("em", 0.05),
        "contin. 5%": ("continuous", 0.05),
        "logistic 5%": ("logistic", 0.05),
        "bayes 5%": ("naive_bayes", 0.05),
        "logistic 100%": ("logistic", 1.0),
    }
    tables = (
        Table(
            title=f"selection accuracy, mean of {seeds} seeds; last column: the widest 95% interval"
        ),
        Table(title="Brier score of P(correct) of every sample (lower is better)"),
    )
    for table in tables:
        table.add_column("data")
        for name in columns:
            table.add_column(name, justify="right")
    tables[0].add_column("oracle", justify="right")
    tables[0].add_column("±", justify="right")
    means = []
    for title, changes in HARD.items():
        right = np.zeros((len(columns), seeds))
        brier = np.zeros((len(columns), seeds))
        ceiling = []
        for seed in range(seeds):
            scores, truth = two_coin(seed, **{**SMALL, **changes})
            if title == "1 constant":
                scores.scores[:, :, 0] = 1.0
            if title == "all votes equal":
                scores.scores[:] = 1.0
            ceiling.append(pass_at_k(truth.correct, truth.correct.shape[1]) or 0.0)
            for row, (name, share) in enumerate(columns.values()):
                labels = truth.correct.copy()
                labels[int(np.ceil(share * len(labels))) :] = -1
                weaver = Weaver(name, calibrate="none").fit(replace(scores, labels=labels))
                chance = weaver.predict_proba(scores)
                assert np.isfinite(chance).all()
                right[row, seed] = selection_accuracy(weaver.select(scores), truth.correct)
                brier[row, seed] = np.mean((chance - truth.correct) ** 2)
        half = 1.96 * right.std(axis=1, ddof=1) / np.sqrt(seeds) if seeds > 1 else 0 * right[:, 0]
        cells = [f"{m:.3f}" for m in right.mean(axis=1)]
        tables[0].add_row(title, *cells, f"{np.mean(ceiling):.3f}", f"±{half.max():.3f}")
        tables[1].add_row(title, *[f"{m:.3f}" for m in brier.mean(axis=1)])
        means.append((right.mean(axis=1), brier.mean(axis=1)))
    tables[0].add_section()
    tables[1].add_section()
    tables[0].add_row("mean", *[f"{m:.3f}" for m in np.mean([m[0] for m in means], axis=0)], "", "")
    tables[1].add_row("mean", *[f"{m:.3f}" for m in np.mean([m[1] for m in means], axis=0)])
    return tables


if __name__ == "__main__":
    main()
