"""Running generated programs where they can do no harm, and judging them where they cannot cheat.

``run_python`` runs a script; ``passes`` puts a program to a test; ``require_sandbox`` says
beforehand whether this machine can. Import these names; the rest is private to the package.
"""

from archon.tasks.sandbox.results import Limits, Outcome, Run, Verdict
from archon.tasks.sandbox.runs import passes, require_sandbox, run_python

__all__ = ["Limits", "Outcome", "Run", "Verdict", "passes", "require_sandbox", "run_python"]
