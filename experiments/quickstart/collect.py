"""Keeps a quickstart run: its summary, its plot and its table as Markdown.

python -m experiments.quickstart.collect outputs/latest
"""

import argparse
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from archon.report.plots import save_scatter
from archon.report.tables import format_ci

HERE = Path(__file__).parent


def table(summary: Mapping[str, Any]) -> str:
    """Return the final table as Markdown: the winner, then the baselines."""
    rows = [
        f"| pipeline (energy: {summary['energy']['basis']}) | accuracy | J/query | ipw, 1/W | |",
        "|---|---|---|---|---|",
    ]
    listed = [{**summary["confirm"], "confirmed": True}, *summary["baselines"]]
    for row in listed:
        name = f"**{row['name']}**" if row["name"] == summary["exported"] else row["name"]
        seen = "confirmed" if row["confirmed"] else f"stopped after {row['queries']} queries"
        rows.append(
            f"| {name} | {format_ci(row['accuracy'], row['accuracy_ci'])} "
            f"| {format_ci(row['energy_j'], row['energy_ci'])} "
            f"| {format_ci(row['ipw'], row['ipw_ci'])} | {seen} |"
        )
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="results folder, such as outputs/latest")
    folder = parser.parse_args().folder
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    for name in ("summary.json", "best.yaml", "pareto.csv"):
        shutil.copy(folder / name, HERE / name)
    save_scatter(folder, HERE / "scatter.svg")
    (HERE / "table.md").write_text(table(summary) + "\n", encoding="utf-8")
    print(table(summary))
    print(summary["verdict"]["text"])


if __name__ == "__main__":
    main()
