"""Keeps a profile: its files, and its table as Markdown.

python -m experiments.profile.collect outputs/profiles/TIME
"""

import argparse
import shutil
from pathlib import Path

from archon.profile import Profile, load_profile
from archon.report.profile_table import profile_rows
from archon.report.tables import format_ci, format_number

HERE = Path(__file__).parent


def table(profile: Profile) -> str:
    """Return the main figures of every load as Markdown."""
    rows = [
        f"| energy: {profile.basis.label} | in flight | accuracy | J/query | mJ per prompt token "
        "| mJ per output token | output tokens/s | first token p50 / p95, s | answer p50 / p95, s "
        "| ipj, 1/J |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for model, concurrency, one in profile_rows(profile):
        metrics, price = one.metrics, one.price
        ttft = one.ttft_s or {}
        cells = (
            model,
            str(concurrency),
            format_ci(metrics.accuracy, one.intervals["accuracy"], 3),
            format_ci(metrics.energy_j, one.intervals["energy_j"]),
            format_number(price.prefill_j.value * 1000),
            format_number(price.decode_j.value * 1000),
            format_number(one.output_tokens_per_s),
            " / ".join(format_number(ttft.get(p)) for p in (50, 95)),
            " / ".join(format_number(one.latency_s[p]) for p in (50, 95)),
            format_number(metrics.ipj),
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="profile folder")
    folder = parser.parse_args().folder
    text = table(load_profile(folder))
    for name in ("profile.json", "profile.csv"):
        shutil.copy(folder / name, HERE / name)
    (HERE / "table.md").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
