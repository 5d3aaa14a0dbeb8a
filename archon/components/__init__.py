"""The component types of the pipeline language, one file each, registered by name.

Importing this package registers them all; others come from entry points `archon.components`.
"""

from archon.components import (
    cascade,
    critic,
    fuser,
    generator,
    ranker,
    route,
    sequential,
    unit_test_evaluator,
    unit_test_generator,
    verifier,
    vote,
    weaver,
)
from archon.components.base import COMPONENTS, Component
from archon.components.context import Context
from archon.components.state import Candidate, Drawn, State

__all__ = [
    "COMPONENTS",
    "Candidate",
    "Component",
    "Context",
    "Drawn",
    "State",
    "cascade",
    "critic",
    "fuser",
    "generator",
    "ranker",
    "route",
    "sequential",
    "unit_test_evaluator",
    "unit_test_generator",
    "verifier",
    "vote",
    "weaver",
]
