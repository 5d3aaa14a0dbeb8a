"""Accuracy per joule from inference-time pipelines on your own machine.

`Pipeline`, `PipelineSpec` and `load_spec` are importable from here; the rest by its own module.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from archon.pipeline import Pipeline
    from archon.spec import PipelineSpec, load_spec

__all__ = ["Pipeline", "PipelineSpec", "load_spec"]


def __getattr__(name: str) -> Any:  # loaded when first used: subpackages stay light alone
    if name == "Pipeline":
        from archon.pipeline import Pipeline

        return Pipeline
    if name in __all__:
        from archon import spec

        return getattr(spec, name)
    raise AttributeError(f"module 'archon' has no attribute {name!r}")
