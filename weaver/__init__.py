"""Selection among samples: which of several answers to give, and how likely it is correct.

`Weaver` combines the scores of many weak verifiers (`Scores`); `plurality` is the vote over
extracted answers that the pipeline component ``vote`` uses.
"""

from weaver.plurality import plurality
from weaver.report import VerifierReport
from weaver.scores import Scores
from weaver.weaver import Decisions, Weaver

__all__ = ["Decisions", "Scores", "VerifierReport", "Weaver", "plurality"]
