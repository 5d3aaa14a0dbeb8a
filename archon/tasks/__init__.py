"""Tasks: queries in splits, answer extraction, voting form, scores.

Sources are reasoning-gym, JSON Lines files and HumanEval; ``load_task`` makes a Task from a
TaskConfig. Programs that models write are scored in `archon.tasks.sandbox`.
Import the names below; everything else in here is private to the package.
"""

from archon.tasks.free import FreeTask
from archon.tasks.source import TaskConfig, load_task
from archon.tasks.task import SPLITS, Query, SplitName, Task

__all__ = ["SPLITS", "FreeTask", "Query", "SplitName", "Task", "TaskConfig", "load_task"]
