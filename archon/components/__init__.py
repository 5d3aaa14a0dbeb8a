"""The component types of the pipeline language, one file each, registered by name.

Importing this package registers them all; others come from entry points `archon.components`.
"""

from archon.components import critic, fuser, generator, ranker, verifier, vote
from archon.components.base import COMPONENTS, Candidate, Component, Context, Drawn, State

__all__ = [
    "COMPONENTS",
    "Candidate",
    "Component",
    "Context",
    "Drawn",
    "State",
    "critic",
    "fuser",
    "generator",
    "ranker",
    "verifier",
    "vote",
]
