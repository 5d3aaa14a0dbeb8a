"""A table of figures, for the terminal and as Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import JustifyMethod
from rich.table import Table

SHORT = 20
"""Words of at most so many characters are kept on one line."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table of text; the first `left` columns are words, the others numbers."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int = 1

    def rich(self) -> Table:
        """Return it for the terminal."""
        table = Table(title=self.title, box=SIMPLE_HEAD, padding=(0, 0, 0, 1))
        for column, heading in enumerate(self.headings):
            justify: JustifyMethod = "left" if column < self.left else "right"
            short = all(len(row[column]) <= SHORT for row in self.rows)
            table.add_column(heading, justify=justify, no_wrap=short and column < self.left)
        for row in self.rows:
            table.add_row(*row)
        return table

    def markdown(self) -> str:
        """Return it for a README."""
        rule = ["---"] * self.left + ["---:"] * (len(self.headings) - self.left)
        lines = [f"| {' | '.join(row)} |" for row in (self.headings, rule, *self.rows)]
        return f"**{self.title}**\n\n" + "\n".join(lines) + "\n"
