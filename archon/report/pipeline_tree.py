"""Makes the tree of a pipeline from its spec, and a price list if there is one."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from archon.components import Component
from archon.components.base import Calls
from archon.components.cascade import Cascade
from archon.components.nesting import Layers, Nested
from archon.components.route import Route
from archon.components.unit_test_generator import UnitTestGenerator
from archon.components.weaver import Weaver
from archon.energy import ModelPrice
from archon.engines.programs import SANDBOX
from archon.errors import UsageError
from archon.report.tree import Measured, Node, Rows, SeenPart, Spent, Tree
from archon.spec import PipelineSpec, first_problem
from weaver.verifiers import Judge, Medoid, PairwiseJudge, Verifier

T = TypeVar("T", int, float)
Prices = Mapping[str, ModelPrice]
"""By model alias; of models that have one."""


def pipeline_tree(spec: PipelineSpec, prices: Prices | None = None) -> Tree:
    """Return a pipeline as a tree.

    Args:
        prices: Of another place; a spec holds none.

    Raises:
        UsageError: What the spec says was measured is malformed.
    """
    measured = None
    if spec.measured is not None:
        try:
            measured = Measured.model_validate(spec.measured)
        except ValidationError as error:
            raise UsageError(f"{spec.name}: measured.{first_problem(error)}") from error
    seen = None if measured is None else measured.components
    alike = Counter(_labels(spec.layers))
    return Tree(spec.name, measured, _Maker(prices or {}, seen, alike).pipeline(spec.layers))


def _labels(layers: Layers, within: str = "") -> Iterator[tuple[str, str]]:
    """Yield place and model of what the calls of each part are accounted under."""
    for layer in layers:
        for part in layer:
            if isinstance(part, Nested):
                for number, inner in enumerate(part.inner):
                    yield from _labels(inner, f"{within}{part.type}, {_called(part, number)} ")
            else:
                yield from ((f"{within}{part.type}", alias) for alias in set(_answering(part)))


def _answering(part: Component) -> tuple[str, ...]:
    """Return who answers the calls of a component: models by alias, the sandbox."""
    return (*part.model_aliases(), SANDBOX) if part.runs_programs else part.model_aliases()


def _called(part: Nested, number: int) -> str:
    """Return what an inner pipeline is called where calls are accounted: ``stage 1``."""
    return f"{'branch' if part.holds == 'branches' else part.holds.removesuffix('s')} {number + 1}"


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes nodes.

    Attributes:
        seen: What was measured; None if nothing was.
        alike: Place and model → how many parts are accounted under them.
    """

    prices: Prices
    seen: Sequence[SeenPart] | None
    alike: Mapping[tuple[str, str], int]

    def pipeline(
        self, layers: Layers, kind: str = "pipeline", within: str = "", sure: bool = True
    ) -> Node:
        """Return a pipeline as a node.

        Args:
            within: What calls of its components are accounted under, before their type.
            sure: Whether it runs for every query.
        """
        rows = []
        arriving = tests = 0
        for layer in layers:
            rows.append(tuple(self._node(part, within, arriving, tests, sure) for part in layer))
            tests += sum(p.samples * p.tests for p in layer if isinstance(p, UnitTestGenerator))
            if not layer[0].writes_tests:
                arriving = sum(part.most_candidates(arriving) for part in layer)
        return _holding(Node(kind, measured=self._spent(within)), tuple(rows))

    def _node(self, part: Component, within: str, arriving: int, tests: int, sure: bool) -> Node:
        place = f"{within}{part.type}"
        if isinstance(part, Nested):
            return self._nested(part, place, sure)
        node = Node(
            part.type,
            getattr(part, "model", None),
            _settings(part),
            {"fitted": "not yet"} if part.needs_fit else {},
            measured=self._spent(place, _answering(part)),
        )
        if isinstance(part, Weaver):
            return _holding(node, (self._verifiers(part, place, arriving, sure),))
        return self._taking(node, part.calls(arriving, tests), sure)

    def _nested(self, part: Nested, place: str, sure: bool) -> Node:
        inner = []
        for number, layers in enumerate(part.inner):
            called = _called(part, number)
            certain = sure and number == 0 and isinstance(part, Cascade)
            inner.append(self.pipeline(layers, called, f"{place}, {called} ", certain))
        to_fit = part.needs_fit and not any(one.needs_fit for one in part.parts)
        node = Node(
            part.type,
            settings=_settings(part, part.holds),
            found={"fitted": "not yet"} if to_fit else {},
            measured=self._spent(f"{place}, "),
        )
        if isinstance(part, Route):
            return _holding(node, (tuple(inner),), one_of=True)
        return _holding(node, tuple((one,) for one in inner))

    def _verifiers(self, part: Weaver, place: str, samples: int, sure: bool) -> tuple[Node, ...]:
        reports = {} if part.fitted is None else {r["name"]: r for r in part.fitted["report"]}
        asked = Counter(verifier.model_names() for verifier in part.verifiers)
        nodes = []
        for verifier in part.verifiers:
            report, models = reports.get(verifier.name, {}), verifier.model_names()
            spent = self._spent(place, models)
            if spent is not None and models:
                spent = replace(spent, alike=spent.alike * asked[models])
            node = Node(
                verifier.type,
                next(iter(models), None),
                _settings(verifier),
                _found(report),
                measured=spent,
            )
            left_out = report.get("dropped") is not None
            calls = Calls(0, 0, 0) if left_out else _asked(verifier, samples)
            nodes.append(self._taking(node, calls, sure and part.threshold is None))
        return tuple(nodes)

    def _taking(self, node: Node, calls: Calls | None, sure: bool) -> Node:
        """Return a node with what its calls take."""
        if calls is None:
            return node
        tokens = calls.most * calls.tokens
        priced: float | None = 0.0
        if calls.most:
            price = self.prices.get(node.model or "")
            priced = None if price is None else price.cost(0, tokens, calls.most).joules
        least = calls.least if sure else 0
        return replace(node, calls=(least, calls.most), tokens=tokens, priced_j=priced)

    def _spent(self, place: str, models: Sequence[str] | None = None) -> Spent | None:
        """Return what was measured of a part, or, without `models`, of all inside a place."""
        if self.seen is None:
            return None
        own = [
            row
            for row in self.seen
            if (row.component.startswith(place) if models is None else row.component == place)
            and (models is None or row.model in models)
        ]
        alike = max((self.alike[place, alias] for alias in models or ()), default=1)
        return Spent(
            _total([row.calls for row in own]), _total([row.energy_j for row in own]), alike
        )


def _holding(node: Node, layers: Rows, *, one_of: bool = False) -> Node:
    """Return a node with what it holds, and what that takes; of alternatives, the most of one."""
    parts = [part for layer in layers for part in layer]
    least = _total([None if part.calls is None else part.calls[0] for part in parts])
    most = _total([None if part.calls is None else part.calls[1] for part in parts], one_of)
    return replace(
        node,
        calls=None if least is None or most is None else (least, most),
        tokens=_total([part.tokens for part in parts], one_of),
        priced_j=_total([part.priced_j for part in parts], one_of),
        layers=layers,
    )


def _total(numbers: Sequence[T | None], one_of: bool = False) -> T | None:
    """Return the sum, or of alternatives the largest; None if one of them is not known."""
    known = [number for number in numbers if number is not None]
    if len(known) < len(numbers):
        return None
    return max(known, default=0) if one_of else sum(known)


def _settings(part: BaseModel, *held: str) -> dict[str, Any]:
    """Return what differs from the default, without what is shown apart or only computed with."""
    apart = {"type", "model", "fitted", "verifiers", *held}
    return part.model_dump(mode="json", exclude_defaults=True, exclude=apart)


def _asked(verifier: Verifier, samples: int) -> Calls | None:
    """Return the calls a verifier makes of so many samples; None where that is not known."""
    if not verifier.model_names():
        return Calls(0, 0, 0)
    if isinstance(verifier, Judge):
        return Calls(int(verifier.reads == "text"), samples, verifier.sampling().max_tokens)
    if isinstance(verifier, PairwiseJudge):
        return Calls(0, 2 * min(verifier.pairs, samples * (samples - 1) // 2), 1)
    return Calls(0, samples, 0) if isinstance(verifier, Medoid) else None


def _found(report: Mapping[str, Any]) -> dict[str, float | str]:
    """Return what a fitted weaver's report on a verifier says."""
    if report.get("dropped") is not None:
        return {"left out": report["dropped"]}
    return {name: report[name] for name in ("tpr", "tnr", "weight") if report.get(name) is not None}
