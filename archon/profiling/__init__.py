"""Making a device profile: the harness and the command ``archon profile``."""

from archon.profiling.harness import Plan, profile_models

__all__ = ["Plan", "profile_models"]
