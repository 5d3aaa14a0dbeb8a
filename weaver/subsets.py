"""A method for some of the verifiers, learned in the company of the others."""

from collections.abc import Iterable
from dataclasses import fields, replace

import numpy as np

from weaver.dependence import Dependence, to_drop
from weaver.methods.base import Method
from weaver.scores import Labels, Scores

Subset = tuple[int, ...]
"""Indices of verifiers, rising."""


def left_out(subset: Iterable[int], scores: Scores, found: Dependence | None) -> dict[int, str]:
    """Return verifiers of a subset not to use, and why; one is always left.

    Args:
        subset: indices of verifiers.
        scores: of all verifiers.
        found: which repeat each other, of which one is used, and which always vote the same; None
            uses all.
    """
    inside = set(subset)
    if found is None or not inside:
        return {}
    pairs = tuple(pair for pair in found.repeats if set(pair) <= inside)
    gone = to_drop(replace(found, repeats=pairs), scores.cost_j, scores.verifiers)
    gone = {index: why for index, why in gone.items() if index in inside}
    if len(gone) == len(inside):
        gone.pop(min(inside))
    return gone


class SubsetFits:
    """A method fitted for one subset of verifiers after the other.

    Where verifiers are taken to be independent given correctness, their rates do not depend on
    which others are heard. They are learned beside all verifiers that do not repeat them: without
    labels, two or three alone say little of each other. Other methods are fitted to the subset.
    """

    def __init__(
        self, scores: Scores, method: Method, labels: Labels | None, found: Dependence | None
    ) -> None:
        """Fit nothing yet.

        Args:
            scores: of all verifiers; their labels are not read.
            method: unfitted; stays as it is.
            labels: [queries, samples] to fit by, or None.
            found: as for `left_out`.
        """
        self._scores, self._method, self._labels, self._found = scores, method, labels, found
        self._whole: dict[Subset, Method] = {}

    def of(self, subset: Subset) -> Method:
        """Return the method for a subset, not empty and with no repeats."""
        company = self._company(subset) if self._method.assumes_independence else subset
        if company not in self._whole:
            part = self._scores.scores[:, :, company]
            fresh = replace(self._method)
            self._whole[company] = fresh.fit(part, self._scores.answers, self._labels)
        return _restricted(self._whole[company], [company.index(index) for index in subset])

    def _company(self, subset: Subset) -> Subset:
        """Return the subset and all others that repeat neither it nor each other."""
        pairs = () if self._found is None else self._found.repeats
        near = {index for pair in pairs if set(pair) & set(subset) for index in pair}
        every = set(range(len(self._scores.verifiers))) - near | set(subset)
        return tuple(sorted(every - set(left_out(every, self._scores, self._found))))


def _restricted(method: Method, place: list[int]) -> Method:
    """Return a fitted method without the verifiers at other places."""
    part = replace(method)
    for one in fields(method):
        if not one.init:
            value = getattr(method, one.name)
            for axis, name in enumerate(one.metadata["axes"]):
                value = np.take(value, place, axis) if name == "verifiers" else value
            setattr(part, one.name, value)
    return part
