"""``archon show``: a pipeline as a tree in the terminal, or as JSON."""

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text
from rich.tree import Tree as Drawing

from archon.energy import ModelPrice, PriceList
from archon.errors import UsageError
from archon.profile import load_profile
from archon.report.pipeline_tree import pipeline_tree
from archon.report.results import printable
from archon.report.tables import UNMEASURED, format_number, format_si
from archon.report.tree import Measured, Node, Rows, Tree
from archon.spec import PipelineSpec, ZooModel, load_spec

CONCURRENCY = 16
_EXAMPLES = """examples:
  archon show outputs/latest/best.yaml
  archon show pipeline.yaml --prices outputs/latest
  archon show pipeline.yaml --prices laptop/profile.json --concurrency 4
  archon show pipeline.yaml --json
"""


@dataclass(frozen=True, slots=True)
class Priced:
    """A price list with the models of a spec that it has prices for.

    Attributes:
        by_alias: Prices by the spec's aliases.
    """

    prices: PriceList
    by_alias: Mapping[str, ModelPrice]


def add_show(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``archon show`` to a program's commands; its action is left in ``act``."""
    parser = commands.add_parser(
        "show",
        help="draw a pipeline as a tree: settings, calls, tokens, joules",
        description="Draw a pipeline as a tree, layer by layer: what each component is, the calls "
        "and tokens of a query, and its joules where the spec has them measured. With --prices, "
        "also what the calls cost at most at those prices.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("spec", type=Path, metavar="SPEC", help="pipeline file (YAML or JSON)")
    parser.add_argument(
        "--prices", type=Path, metavar="PLACE", help="results folder, or profile.json of a device"
    )
    parser.add_argument(
        "--concurrency",
        type=int,
        metavar="N",
        help=f"with a profile: price for so many calls in flight (default: {CONCURRENCY})",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(act=_show)


def _show(args: argparse.Namespace) -> int:
    if args.concurrency is not None and args.prices is None:
        raise UsageError("--concurrency goes with --prices")
    spec = load_spec(args.spec)
    priced = None if args.prices is None else load_prices(args.prices, spec, args.concurrency)
    tree = pipeline_tree(spec, {} if priced is None else priced.by_alias)
    if args.json:
        print(json.dumps({**tree.to_json(), "prices": _prices_json(priced)}, ensure_ascii=False))
    else:
        width = None if sys.stdout.isatty() else 100
        Console(highlight=False, width=width).print(draw(tree, priced))
    return 0


def load_prices(place: Path, spec: PipelineSpec, concurrency: int | None) -> Priced:
    """Return what a results folder or a profile prices of a spec's models.

    Args:
        concurrency: Calls in flight, of a profile; a study has one load.

    Raises:
        UsageError: There are no prices, or of none of the models.
    """
    if place.suffix == ".json" or (place / "profile.json").is_file():
        profile = load_profile(place)
        prices = profile.price_list(CONCURRENCY if concurrency is None else concurrency)
        identities = {name: model.engine["identity"] for name, model in profile.models.items()}
    elif concurrency is not None:
        raise UsageError("--concurrency: a study has prices for its own load only; leave it out")
    else:
        prices, identities = _of_study(place / "manifest.json")
    named = {
        alias: identities.get(ref.zoo)
        for alias, ref in spec.models.items()
        if isinstance(ref, ZooModel)
    }
    found = {
        alias: prices.models[identity]
        for alias, identity in named.items()
        if identity is not None and identity in prices.models
    }
    if not found and spec.used_models():
        raise UsageError(
            f"{place}: has prices for {', '.join(identities)}, and none for "
            f"{', '.join(spec.used_models())}; profile them with archon profile"
        )
    return Priced(prices, found)


def _of_study(manifest: Path) -> tuple[PriceList, dict[str, str]]:
    """Return the prices of a study and, by zoo name, what they know the models by."""
    try:
        data = json.loads(manifest.read_text(encoding="utf-8"))
        return PriceList.from_json(data["price_list"]), dict(data["models"])
    except OSError as error:
        raise UsageError(
            f"{manifest}: cannot be read ({error.strerror}); --prices takes a results folder or a "
            "profile.json"
        ) from error
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{manifest}: has no price list; run the search again") from error


def _prices_json(priced: Priced | None) -> dict[str, object] | None:
    if priced is None:
        return None
    return {
        "method": "priced",
        "basis": priced.prices.basis,
        "concurrency": priced.prices.concurrency,
        "prefill_j_per_token": {
            alias: price.prefill_j.value for alias, price in priced.by_alias.items()
        },
    }


def draw(tree: Tree, priced: Priced | None) -> Drawing:
    """Return the tree for the terminal."""
    lines = [Text(printable(tree.name), "bold")]
    if tree.measured is not None:
        lines += [Text(line) for line in _seen(tree.measured)]
    if priced is not None:
        lines.append(Text(_priced(priced)))
    lines.append(_numbers(tree, tree.total, priced))
    drawing = Drawing(Text("\n").join(lines), guide_style="dim")
    _hang(drawing, tree, tree.layers, priced, steps=True)
    return drawing


def _hang(
    drawing: Drawing, tree: Tree, layers: Rows, priced: Priced | None, *, steps: bool
) -> None:
    """Add the nodes of layers; `steps` says whether these are a pipeline's own, and numbered."""
    for number, layer in enumerate(layers, start=1):
        for node in layer:
            step = f"{number} " if steps and len(layers) > 1 else ""
            title = Text.assemble((step, "dim"), (node.kind, "bold"))
            if node.model is not None:
                title.append(f" {printable(node.model)}", "cyan")
            told = [told for told in (node.settings_told, node.found_told) if told]
            title.append(f": {'; '.join(told)}" if told else "")
            branch = drawing.add(Text("\n").join([title, _numbers(tree, node, priced)]))
            _hang(branch, tree, node.layers, priced, steps=not steps)


def _numbers(tree: Tree, node: Node, priced: Priced | None) -> Text:
    told = [node.takes_told]
    if node.asks and priced is not None:
        told.append(f"priced {_at_most(node.priced_j)}")
    if node.asks:
        told.append(f"measured {tree.measured_told(node)}")
    return Text("; ".join(told), "dim")


def _at_most(joules: float | None) -> str:
    return UNMEASURED if joules is None else f"at most {format_si(joules, 'J')}"


def _seen(measured: Measured) -> list[str]:
    select = measured.on_select
    lines = []
    if select is not None:
        lines.append(
            f"expected: accuracy {format_number(select.accuracy, 3)}, "
            f"{format_si(select.energy_j, 'J')} a query (priced, select split)"
        )
    where = [f"energy: {measured.basis or 'unmeasured'}"]
    where += [] if measured.split is None else [f"{measured.split} split"]
    where += [] if measured.queries is None else [f"{measured.queries} queries"]
    where += [] if measured.repeats is None else [f"{measured.repeats} repeats"]
    lines.append(
        f"measured: accuracy {format_number(measured.accuracy, 3)}, "
        f"{format_si(measured.energy_j, 'J')} a query ({', '.join(where)}); parts are shares of it"
    )
    return lines


def _priced(priced: Priced) -> str:
    prompts = ", ".join(
        f"{printable(alias)} {format_si(price.prefill_j.value, 'J')}"
        for alias, price in priced.by_alias.items()
    )
    return (
        f"priced: calls and tokens at their limits (energy: {priced.prices.basis}, "
        f"{priced.prices.concurrency} in flight); each prompt token on top: {prompts}"
    )
