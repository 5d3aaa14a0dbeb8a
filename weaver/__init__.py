"""Selection among samples: which of several answers to give.

`plurality` is the vote over extracted answers that the pipeline component ``vote`` uses.
"""

from weaver.plurality import plurality

__all__ = ["plurality"]
