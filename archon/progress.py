"""Progress on stderr: what runs, how far, what is left."""

import time

from rich.console import Console
from rich.live import Live
from rich.text import Text

LINE_EVERY_S = 15.0
"""Without a terminal, at most one line in so many seconds."""


class Progress:
    """One status line, redrawn on a terminal, printed now and then elsewhere.

    Args:
        quiet: Show nothing.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.console = Console(stderr=True, quiet=quiet, highlight=False)
        self._began = time.monotonic()
        self._printed = 0.0
        self._stage = ""
        self._live: Live | None = None
        if self.console.is_terminal and not quiet:
            self._live = Live(Text(""), console=self.console, transient=True, refresh_per_second=4)
            self._live.start()

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self.console.print(f"[{self._clock()}] {text}", markup=False, soft_wrap=True)

    def show(self, stage: str, text: str, *, done: float | None = None) -> None:
        """Show where a stage is; `done` is the fraction finished, if known."""
        bar = "" if done is None else f" {_bar(done)} {done:4.0%}"
        line = f"[{self._clock()}] {stage}{bar}  {text}"
        if self._live is not None:
            self._live.update(Text(line, overflow="ellipsis", no_wrap=True))
        elif stage != self._stage or time.monotonic() - self._printed >= LINE_EVERY_S:
            self.console.print(line, markup=False, soft_wrap=True)
            self._printed = time.monotonic()
        self._stage = stage

    def close(self) -> None:
        """Take the status line away."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _clock(self) -> str:
        seconds = int(time.monotonic() - self._began)
        return f"{seconds // 60:02d}:{seconds % 60:02d}"


def _bar(done: float, width: int = 20) -> str:
    full = round(max(0.0, min(1.0, done)) * width)
    return "█" * full + "░" * (width - full)


def duration(seconds: float) -> str:
    """Return seconds as people say them: ``45 s``, ``12 min``, ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
