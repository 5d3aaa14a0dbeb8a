import csv
import json
from pathlib import Path
from typing import Any

import pytest
from results_content import LADDER, LADDER_COLUMNS, TRIAL_COLUMNS, Folder, summary, trials

SPEC = """archon: 1
name: vote-4x-0.5b
models: {m: {zoo: tiny}}
layers: [[{type: generator, model: m}]]
"""


@pytest.fixture
def make_folder(tmp_path: Path) -> Folder:
    def make(
        content: dict[str, Any] | None = None,
        rows: list[dict[str, Any]] | None = None,
        ladder: list[dict[str, Any]] | None = None,
        spec: str = SPEC,
    ) -> Path:
        text = json.dumps(summary() if content is None else content)
        (tmp_path / "summary.json").write_text(text)
        (tmp_path / "best.yaml").write_text(spec)
        files = {
            "trials.csv": (TRIAL_COLUMNS, trials() if rows is None else rows),
            "pareto.csv": (LADDER_COLUMNS, LADDER if ladder is None else ladder),
        }
        for name, (columns, lines) in files.items():
            with (tmp_path / name).open("w", newline="") as file:
                writer = csv.DictWriter(file, columns)
                writer.writeheader()
                writer.writerows(lines)
        return tmp_path

    return make
