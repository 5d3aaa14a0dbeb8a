"""Normalising scores: verifiers speak on scales of their own.

Each verifier is centred on its median and divided by its spread, both of the training data, and
clipped, so that no single outlier outweighs all other verifiers. What was fitted is reused at
prediction; nothing is ever scaled by the data it is applied to.
"""

from dataclasses import dataclass

import numpy as np

from weaver.scores import Floats, Mask

CLIP = 4.0
"""Normalised scores are held within this many spreads of the median."""
_IQR_PER_SIGMA = 1.349


@dataclass(frozen=True, slots=True, eq=False)
class Normaliser:
    """A fitted scale.

    Attributes:
        centre: [verifiers] medians.
        spread: [verifiers] interquartile range over 1.349 (the standard deviation of a Gaussian);
            the standard deviation where half of the scores are equal; 1 for a constant.
    """

    centre: Floats
    spread: Floats

    @classmethod
    def fit(cls, scores: Floats, extent: "Extent") -> "Normaliser":
        """Fit to scores [rows, verifiers]; a verifier without any score gets centre 0, spread 1.

        A verifier of two values is put at ±1, a constant at 0.
        """
        low, high = extent.low, extent.high
        centre = np.where(low < high, low + (high - low) / 2, low)
        spread = np.where(low < high, (high - low) / 2, 1.0)
        centre[np.isnan(low)] = 0.0
        for index in np.flatnonzero(~extent.two):
            column = scores[~np.isnan(scores[:, index]), index]
            quarter, centre[index], most = np.quantile(column, [0.25, 0.5, 0.75])
            wide = (most - quarter) / _IQR_PER_SIGMA
            spread[index] = wide if wide > 0 else column.std()
        return cls(centre, spread)

    def apply(self, scores: Floats) -> Floats:
        """Return scores [..., verifiers] in spreads from the median, within ±`CLIP`; NaN stays."""
        return np.clip((scores - self.centre) / self.spread, -CLIP, CLIP)

    def squash(self, scores: Floats) -> Floats:
        """Return the same without a limit, outliers drawn in: different scores stay different."""
        return np.asarray(np.arcsinh((scores - self.centre) / self.spread))


@dataclass(frozen=True, slots=True, eq=False)
class Extent:
    """The range of each verifier's scores.

    Attributes:
        low, high: [verifiers]; NaN for a verifier without any score.
        two: [verifiers] whether no score lies between the two.
    """

    low: Floats
    high: Floats
    two: Mask

    @classmethod
    def of(cls, scores: Floats) -> "Extent":
        """Return the range of scores [rows, verifiers]."""
        low, high = scores.min(axis=0), scores.max(axis=0)
        if np.isnan(low).any():
            # several times slower, but blind to missing scores
            low, high = np.fmin.reduce(scores, axis=0), np.fmax.reduce(scores, axis=0)
        return cls(low, high, ~((scores > low) & (scores < high)).any(axis=0))
