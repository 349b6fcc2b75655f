"""Reading history for a command: a bar while it lasts, and what was odd in the files, on stderr."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from actors.edges.history_files import read_history
from actors.edges.history_report import HistoryReport


def read_and_say(
    folder: Path, symbols: Sequence[str] | None, interval: str = "1m"
) -> dict[str, pd.DataFrame]:
    """Return klines as `read_history` does, and say on stderr what was repaired or left."""
    report = HistoryReport()
    with _bar() as told:
        frames = read_history(folder, symbols, interval, report=report, told=told)
    say(report)
    return frames


def say(report: HistoryReport) -> None:
    """Write a line for each kind of oddity to stderr."""
    for line in report.lines():
        sys.stderr.write(f"{line}\n")


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    """Show files read of all on a terminal's stderr, gone when done; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("reading history"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
