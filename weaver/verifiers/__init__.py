"""Verifiers: what a score says about a sample, by a model or without one.

`parse` gives a verifier by name, `score_samples` runs several over many questions; a pipeline
drives `Verifier.score` itself. Other packages add verifiers by `register` and the entry-point
group ``weaver.verifiers`` (name = class); ``testing`` holds the suite every verifier must pass.
"""

from weaver.verifiers.agreement import MathAgreement, SelfConsistency
from weaver.verifiers.base import (
    VERIFIERS,
    Free,
    Judge,
    Question,
    Sample,
    Steps,
    Verdicts,
    Verifier,
    register,
)
from weaver.verifiers.judges import ReasonedJudge, RubricJudge, YesNoJudge
from weaver.verifiers.likelihood import Entropy, Logprob
from weaver.verifiers.medoid import Medoid
from weaver.verifiers.pairwise import PairwiseJudge
from weaver.verifiers.pooled import Classifier, Reward
from weaver.verifiers.registry import AnyVerifier, make, names, parse
from weaver.verifiers.run import SampledQuestion, Scored, Step, score_samples
from weaver.verifiers.surface import Format, Length

__all__ = [
    "VERIFIERS",
    "AnyVerifier",
    "Classifier",
    "Entropy",
    "Format",
    "Free",
    "Judge",
    "Length",
    "Logprob",
    "MathAgreement",
    "Medoid",
    "PairwiseJudge",
    "Question",
    "ReasonedJudge",
    "Reward",
    "RubricJudge",
    "Sample",
    "SampledQuestion",
    "Scored",
    "SelfConsistency",
    "Step",
    "Steps",
    "Verdicts",
    "Verifier",
    "YesNoJudge",
    "make",
    "names",
    "parse",
    "register",
    "score_samples",
]
