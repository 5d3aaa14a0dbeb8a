"""Pipelines to and from the JSON configurations of the published Archon program.

`import_config` and `export_config` are what the commands ``archon import`` and ``archon export``
run.
"""

from archon.interchange.exporting import export_config
from archon.interchange.importing import import_config

__all__ = ["export_config", "import_config"]
