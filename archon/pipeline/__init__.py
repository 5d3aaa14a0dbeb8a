"""Runs specs over queries: `walk` is the pipeline itself, `phases` and `live` drive it."""

from archon.pipeline.calls import CallStore
from archon.pipeline.live import run_live
from archon.pipeline.phases import Job, run_phases
from archon.pipeline.walk import Pipeline, QueryResult, Spend

__all__ = ["CallStore", "Job", "Pipeline", "QueryResult", "Spend", "run_live", "run_phases"]
