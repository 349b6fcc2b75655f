"""All figures of the design in one table: `make bench`, or `python -m tests.benchmarks`.

Each benchmark runs in a process of its own, one after the other.  What a target is missed by is
shown and fails nothing: these are measurements, not tests; a benchmark that breaks does fail.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.benchmarks.figures import HEADINGS, Figure

ROOT = Path(__file__).parents[2]
NAMES = (
    *("learning_speed", "backtest_speed", "hops", "tracing_cost", "journal_commit"),
    *("wire_path", "restarts", "first_minutes", "protect_first"),
)


def figures_of(name: str, *, short: bool) -> list[Figure]:
    """Run one benchmark; raises CalledProcessError if it breaks."""
    command = [sys.executable, "-m", f"tests.benchmarks.{name}", "--json"]
    command += ["--short"] if short else []
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return [Figure(**json.loads(line)) for line in done.stdout.splitlines()]


def main() -> int:
    """Measure all, print the table, and write it as JSON where asked to."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--only", default=",".join(NAMES), help="benchmarks, comma-separated")
    options.add_argument("--short", action="store_true", help="only show that all work")
    options.add_argument("--json", type=Path, help="write the figures there")
    given = options.parse_args()
    console, began = Console(stderr=True), time.monotonic()
    table, rows, broken = Table(*HEADINGS), [], []
    for name in given.only.split(","):
        console.print(f"{name} ...", highlight=False)
        try:
            figures = figures_of(name, short=given.short)
        except subprocess.CalledProcessError as error:
            broken.append(f"{name} ended with {error.returncode}")
            continue
        for figure in figures:
            table.add_row(*figure.cells)
            rows.append(dict(zip(HEADINGS, figure.cells, strict=True)))
    loads = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    spent = f"{time.monotonic() - began:.0f} s; load averages {loads}; {os.cpu_count()} cores"
    wide = None if sys.stdout.isatty() else 200
    Console(width=wide).print(table, spent)
    if given.json:
        given.json.write_text(json.dumps({"figures": rows, "run": spent}, indent=1) + "\n")
    for line in broken:
        console.print(line)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
