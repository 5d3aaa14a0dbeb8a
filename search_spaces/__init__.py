"""Define-by-run Optuna spaces: ``suggest(trial, zoo, *, axis=…) -> PipelineSpec``.

The keyword arguments of a space's `suggest` are its axes; a configuration sets them under `axes`.
"""
