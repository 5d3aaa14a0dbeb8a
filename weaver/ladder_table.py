"""The ladder of `weaver.budget` as a table."""

from rich.table import Table

from weaver.budget import Ladder, Rung
from weaver.tables import cells, titled


def ladder_table(found: Ladder, chosen: Rung | None, energy: str | None) -> Table:
    """Return one row per rung, and all verifiers last.

    Args:
        found: the ladder.
        chosen: the rung to mark.
        energy: basis of its joules.
    """
    table = Table(
        title=titled("what joules for verifiers buy", [found.everything.energy_j], energy),
        caption=_basis(found),
        min_width=64,
    )
    table.add_column("")
    table.add_column("J per query", justify="right")
    table.add_column("expected accuracy", justify="right")
    table.add_column("verifiers", overflow="fold")
    rows = [("→" if rung == chosen else "", rung) for rung in found.rungs]
    if found.everything not in found.rungs:
        rows.append(("all", found.everything))
    for mark, rung in rows:
        if mark == "all":
            table.add_section()
        names = ", ".join(rung.verifiers)
        table.add_row(*cells(mark, f"{rung.energy_j:.4g}", f"{rung.accuracy:.3f}", names))
    return table


def _basis(found: Ladder) -> str:
    model = "the model fitted to all verifiers"
    if found.labelled == 0:
        return f"accuracy: as {model} expects; without labels it may be far too sure of itself"
    if found.labelled < found.queries:
        return (
            f"accuracy: by labels in {found.labelled} of {found.queries} queries, held out; in the "
            f"others as {model} expects"
        )
    return f"accuracy: by labels, held out; where a sample has none, as {model} expects"
