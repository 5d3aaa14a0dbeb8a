"""The program ``weaver``: scores of verifiers from samples, models from scores, one sample each."""

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, fields
from pathlib import Path

from rich.console import Console

from archon.errors import UsageError
from archon.exits import exit_status
from weaver import methods, scoring
from weaver.comparison import compare
from weaver.ladder_table import ladder_table
from weaver.metrics import selection_accuracy
from weaver.output import replacing
from weaver.score_files import load_scores
from weaver.scores import Scores
from weaver.tables import (
    SHOWN,
    comparison_table,
    figure,
    print_table,
    selection_table,
    verifier_table,
)
from weaver.weaver import Decisions, Weaver

_METHOD = Weaver().method

_EXAMPLES = """examples:
  weaver score answers.jsonl --verifiers "judge(model=smollm2-135m),consistency" -o scores.npz
  weaver fit scores.npz --method em -o model.json
  weaver select scores.npz --model model.json --risk 0.1
  weaver compare scores.npz
"""
_FIT_EXAMPLES = """examples:
  weaver fit scores.npz --method em -o model.json
  weaver fit scores.parquet --class-balance 0.25 --json
  weaver fit scores.npz --budget-j 0.5 -o model.json
  weaver fit scores.npz --ladder

A scores file (.npz) holds `scores` float [queries, samples, verifiers] (NaN is missing) and
`verifiers` str [verifiers]; optionally `answers` str and `labels` int8 [queries, samples] (1
correct, 0 wrong, -1 unknown), `cost_j` float [verifiers], `energy` str (its
basis), and `correct`, which fitting never reads.

Joules per query are `cost_j`, those of a verdict, times verdicts: one per distinct answer, or one
per sample where there are no answers or a verifier's scores differ within one.
"""
_SELECT_EXAMPLES = """examples:
  weaver select scores.npz --model model.json --json
  weaver select scores.npz --method em --risk 0.1
  weaver select scores.npz --budget-j 0.5
"""
_COMPARE_EXAMPLES = """examples:
  weaver compare scores.npz
  weaver compare scores.npz --methods plurality,em,continuous --json
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status: 0 done, 1 failed, 2 bad input, 130 stopped."""
    args = _parser().parse_args(arguments)
    return exit_status(f"weaver {args.command}", lambda: args.act(args))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="weaver",
        description="Choose among samples by many weak verifiers, and say how likely each choice "
        "is correct.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, about: str, examples: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name,
            help=about,
            description=f"{about[0].upper()}{about[1:]}.",
            epilog=examples,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    one = command("score", "score samples by verifiers, metered", scoring.EXAMPLES)
    one.add_argument("answers", type=Path, metavar="SAMPLES", help="samples file (JSON Lines)")
    one.add_argument(
        "--verifiers",
        required=True,
        metavar="LIST",
        help='verifiers separated by commas, such as "judge(model=smollm2-135m),length"',
    )
    one.add_argument(
        "-o", "--output", type=Path, required=True, help="scores file to write (.npz or .parquet)"
    )
    one.add_argument(
        "--zoo", type=Path, action="append", default=[], help="folder of further zoo files"
    )
    one.add_argument(
        "--ledger", help="file or database URL calls are kept in (OUTPUT with .ledger.sqlite)"
    )
    one.add_argument("--concurrency", type=int, default=16, help="calls in flight (16)")
    one.add_argument("--meter", default="auto", help="see archon energy --help (auto)")
    one.set_defaults(act=scoring.score)

    one = command("fit", "fit a method to scores", _FIT_EXAMPLES)
    _add_scores(one)
    _add_method(one)
    one.add_argument("-o", "--output", type=Path, help="model file to write (.json)")
    one.add_argument("--class-balance", type=float, help="share of correct samples, if known")
    one.add_argument("--seed", type=int, default=0, help="of methods that draw (0)")
    _add_budget(one)
    one.add_argument(
        "--ladder", action="store_true", help="show what joules would buy; a budget always does"
    )
    one.set_defaults(act=_fit)

    one = command("select", "select one sample per query", _SELECT_EXAMPLES)
    _add_scores(one)
    source = one.add_mutually_exclusive_group()
    source.add_argument("--model", type=Path, help="fitted model; without it, one is fitted")
    _add_method(source)
    one.add_argument(
        "--risk", type=float, help="share of errors allowed among answers; abstains beyond it"
    )
    _add_budget(one)
    one.set_defaults(act=_select)

    one = command("compare", "compare methods on scores whose truth is known", _COMPARE_EXAMPLES)
    _add_scores(one)
    one.add_argument("--methods", metavar="LIST", help="methods separated by commas (all)")
    one.add_argument("--seed", type=int, default=0, help="of methods that draw (0)")
    one.set_defaults(act=_compare)

    for one in commands.choices.values():
        one.add_argument("--json", action="store_true", help="print one JSON object, no table")
    return parser


def _add_scores(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("scores", type=Path, metavar="SCORES", help="scores (.npz or .parquet)")


def _add_method(parser: "argparse._ActionsContainer") -> None:
    known = ", ".join(kind.name for kind in methods.BUILT_IN)
    parser.add_argument(
        "--method", default=_METHOD, help=f"{known}, or a registered one ({_METHOD})"
    )


def _add_budget(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--budget-j",
        type=float,
        metavar="J",
        help="use the best verifiers of at most so many joules per query",
    )


def _fit(args: argparse.Namespace) -> int:
    if args.class_balance is not None:
        if not 0 < args.class_balance < 1:
            raise UsageError("--class-balance: a share between 0 and 1")
        if all(one.name != "class_balance" for one in fields(methods.class_of(args.method))):
            raise UsageError(f"--class-balance: method {args.method} takes none; leave it out")
    weaver = Weaver(
        args.method, class_balance=args.class_balance, seed=args.seed, budget_j=args.budget_j
    )
    scores = load_scores(args.scores)
    with ExitStack() as stack:
        if args.output is not None:
            draft = stack.enter_context(replacing(args.output, ".json"))
        if args.ladder or args.budget_j is not None:
            stack.enter_context(Console(stderr=True).status("comparing choices of verifiers"))
        weaver.fit(scores)
        ladder = weaver.ladder(scores) if args.ladder and weaver.ladder_ is None else weaver.ladder_
        if args.output is not None:
            draft.write_text(weaver.to_json(), encoding="utf-8")
    chosen = None if args.budget_j is None or ladder is None else ladder.within(args.budget_j)
    if args.json:
        told = {
            "method": args.method,
            "energy": weaver.energy_,
            "verifiers": [asdict(entry) for entry in weaver.report_],
            "doubts": weaver.doubts_,
            "calibration_error": weaver.calibration_error_,
            "ladder": None if ladder is None else asdict(ladder),
            "chosen": None if chosen is None else asdict(chosen),
        }
        print(json.dumps(told))
        return 0
    lines = _doubts(weaver)
    if weaver.calibration_error_ is not None:
        lines.append(f"calibration error on labelled selections: {weaver.calibration_error_:.3f}")
    if args.output is not None:
        lines.append(str(args.output))
    queries, samples, _ = scores.scores.shape
    title = f"{args.method}, fitted to {queries} queries of up to {samples} samples"
    if ladder is not None:
        print_table(ladder_table(ladder, chosen, weaver.energy_))
    print_table(verifier_table(weaver.report_, title, weaver.energy_), lines)
    return 0


def _select(args: argparse.Namespace) -> int:
    if args.model is not None and args.budget_j is not None:
        raise UsageError("--budget-j: the model has its verifiers; give the budget to weaver fit")
    scores = load_scores(args.scores)
    if args.model is None:
        weaver = Weaver(args.method, budget_j=args.budget_j).fit(scores)
    else:
        weaver = _load(args.model, scores)
    decisions = weaver.decide(scores, risk=args.risk)
    if args.json:
        keys = ("name", "tpr", "tnr", "weight", "cost_j")
        told = {
            "method": weaver.method,
            "selected": decisions.selected.tolist(),
            "probability": decisions.probability.tolist(),
            "abstain": decisions.abstain.tolist(),
            "energy": weaver.energy_,
            "verifiers": [{key: getattr(entry, key) for key in keys} for entry in weaver.report_],
        }
        if scores.correct is not None:
            told["accuracy"] = selection_accuracy(decisions.selected, scores.correct)
        print(json.dumps(told))
        return 0
    print_table(verifier_table(weaver.report_, weaver.method, weaver.energy_))
    print_table(selection_table(scores, decisions), [*_summary(scores, decisions, args.risk)])
    for line in _doubts(weaver):
        print(line)
    return 0


def _load(path: Path, scores: Scores) -> Weaver:
    try:
        weaver = Weaver.from_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise UsageError(f"{path}: cannot be read: {reason}") from error
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    try:
        scores.only(weaver.used_)
    except UsageError as error:
        raise UsageError(f"{path}: fitted to other verifiers: {error}") from error
    return weaver


def _compare(args: argparse.Namespace) -> int:
    names = methods.names()
    if args.methods is not None:
        names = tuple(dict.fromkeys(name.strip() for name in args.methods.split(",")))
    scores = load_scores(args.scores)
    console = Console(stderr=True, highlight=False)
    with console.status("") as status:
        try:
            found = compare(scores, names, args.seed, lambda name: status.update(f"fitting {name}"))
        except UsageError as error:
            raise UsageError(f"{args.scores}: {error}") from error
    if args.json:
        print(json.dumps(asdict(found)))
        return 0
    lines = [f"{one.method}: {one.reason}" for one in found.standings if one.reason]
    if found.labels_seen:
        lines.append(
            "every query is labelled: methods that read labels knew what they are judged by"
        )
    print_table(comparison_table(found), lines)
    return 0


def _summary(scores: Scores, decisions: Decisions, risk: float | None) -> list[str]:
    count = len(decisions.selected)
    lines = [f"… and {count - SHOWN} more: --json has all"] if count > SHOWN else []
    given = ~decisions.abstain
    mean = float(decisions.probability.mean())
    lines.append(f"{count} queries, mean P(correct) of the selected {mean:.3f}")
    if risk is not None:
        lines.append(f"{int(given.sum())} answered at risk {risk:g}, the others abstained")
    if scores.correct is not None:
        accuracy = selection_accuracy(decisions.selected, scores.correct)
        lines.append(f"accuracy {figure(accuracy, '.4f')}")
        if risk is not None:
            answered = selection_accuracy(decisions.selected[given], scores.correct[given])
            lines.append(f"accuracy of the answered {figure(answered, '.4f')}")
    return lines


def _doubts(weaver: Weaver) -> list[str]:
    return [f"doubt: {doubt}" for doubt in weaver.doubts_]


if __name__ == "__main__":
    sys.exit(main())
