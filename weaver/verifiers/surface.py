"""Verifiers by the form of a sample: whether it has the right one, and how long it is."""

import math
import re
from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import field_validator

from weaver.verifiers.base import Free, Sample, register


@register
class Format(Free):
    """1 where an answer could be extracted, else 0; with `pattern`, where the text matches it.

    Attributes:
        pattern: A regular expression to be found somewhere in the text.
    """

    type: Literal["format"] = "format"
    pattern: str | None = None

    needs: ClassVar[tuple[str, ...]] = ("text", "answer")

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            raise ValueError(f"no regular expression: {error}") from error
        return pattern

    def rate(self, samples: Sequence[Sample]) -> list[float]:
        """See `Free.rate`."""
        return [float(self._fits(sample)) for sample in samples]

    def _fits(self, sample: Sample) -> bool:
        if self.pattern is None:
            return sample.answer is not None
        return re.search(self.pattern, sample.text) is not None


@register
class Length(Free):
    """Minus the logarithm of the number of words.

    Among samples of one model, shorter ones are more often right (Hassid et al. 2025, "Don't
    Overthink it", arXiv 2505.17813).

    Attributes:
        longer: Whether longer samples score higher instead.
    """

    type: Literal["length"] = "length"
    longer: bool = False

    def rate(self, samples: Sequence[Sample]) -> list[float]:
        """See `Free.rate`."""
        sign = 1.0 if self.longer else -1.0
        return [sign * math.log1p(len(sample.text.split())) for sample in samples]
