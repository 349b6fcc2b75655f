"""Our backtest beside its peers: `make bench-peers`, or `python -m tests.benchmarks.peers`.

Every engine runs as a process of its own in its own environment (`make peers` builds them), in
turns, several times; printed are medians by speed.  `contract.py` states the rule, `engines.py`
what each engine makes of it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.peers.contract import write_tape
from tests.benchmarks.peers.engines import ENGINES, OURS, ROOT, Engine
from tests.benchmarks.peers.tapes import tape_of

TIMEOUT_S = 600
COLUMNS = [
    "engine",
    "version",
    "bars/s",
    "range",
    "CPU s",
    "wall s",
    "first CPU s",
    "trades",
    "equity",
    "MiB",
]
Told = dict[str, Any]


def compare(
    engines: Sequence[Engine],
    scratch: Path,
    *,
    symbols: int,
    bars: int,
    runs: int,
    data: Path | None,
) -> tuple[list[Told], str]:
    """Return what each engine's runs came to, fastest first, and the bars' origin.

    Figures are medians, `first_cpu_s` is of the first run, which compiles from nothing if `scratch`
    is new.  An engine that is not installed or fails is left out and said so on stderr.
    """
    tape, origin = tape_of(symbols, bars, data)
    folder = scratch / f"tape-{symbols}"
    write_tape(folder, tape)
    told: dict[str, list[Told]] = {}
    commands = {one.name: one.command(Path(sys.executable), ROOT / ".peers") for one in engines}
    for name in [name for name, command in commands.items() if command is None]:
        sys.stderr.write(f"{name}: not installed. Fix: make peers\n")
    for run in range(runs):
        for name, command in commands.items():
            if command is None:
                continue
            sys.stderr.write(f"{symbols} symbol(s), run {run + 1} of {runs}: {name} ...\n")
            found = _run(name, [*command, "--tape", str(folder)], scratch)
            if found is not None:
                told.setdefault(name, []).append(found)
    rows = [_median(name, found) for name, found in told.items()]
    return sorted(rows, key=lambda row: -row["bars_per_s"]), origin


def _run(name: str, command: list[str], scratch: Path) -> Told | None:
    compiled = scratch / "compiled" / name
    compiled.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"NUMBA_CACHE_DIR": str(compiled), "STATE_DIR": str(scratch)}
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        sys.stderr.write(f"{name}: not done after {TIMEOUT_S} s\n")
        return None
    if done.returncode:
        sys.stderr.write(f"{name} failed: {done.stderr.strip()[-500:]}\n")
        return None
    answer: Told = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def _median(name: str, found: list[Told]) -> Told:
    speeds = [one["bars_per_s"] for one in found]
    medians = {
        key: statistics.median(one[key] for one in found)
        for key in ("bars_per_s", "cpu_s", "seconds", "rss_mib")
    }
    return found[0] | medians | {"engine": name, "slowest": min(speeds), "fastest": max(speeds)}


def lines_of(rows: Sequence[Told]) -> Iterator[str]:
    """Yield the table as Markdown, a row an engine."""
    yield "| " + " | ".join(COLUMNS) + " |"
    yield "|---" * len(COLUMNS) + "|"
    for row in rows:
        spread = f"{row['slowest']:,.0f}-{row['fastest']:,.0f}"
        cells = (
            row["engine"],
            row["version"],
            f"{row['bars_per_s']:,.0f}",
            spread,
            f"{row['cpu_s']:.2f}",
            f"{row['seconds']:.2f}",
            f"{row['first_cpu_s']:.2f}",
            f"{row['trades']:,}",
            f"{row['equity']:,.0f}",
            f"{row['rss_mib']:.0f}",
        )
        yield "| " + " | ".join(cells) + " |"


def main() -> None:
    """Measure one symbol, then five, and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, help="a folder as ../shared/data")
    options.add_argument("--bars", type=int, default=100_000, help="of all symbols together")
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--symbols", type=int, choices=(1, 5), nargs="+", default=[1, 5])
    options.add_argument("--only", nargs="+", default=[one.name for one in ENGINES])
    given = options.parse_args()
    engines = [one for one in ENGINES if one.name in given.only or one.name == OURS]
    with tempfile.TemporaryDirectory() as scratch:
        for symbols in given.symbols:
            _measure(engines, Path(scratch), symbols, given)
    print("\nWhat each makes of the rule:")  # noqa: T201
    for one in engines:
        print(f"- {one.name}: {one.says}")  # noqa: T201


def _measure(
    engines: Sequence[Engine], scratch: Path, symbols: int, given: argparse.Namespace
) -> None:
    before = os.getloadavg()[0]
    rows, origin = compare(
        engines, scratch, symbols=symbols, bars=given.bars, runs=given.runs, data=given.data
    )
    print(  # noqa: T201
        f"\n{symbols} symbol(s), {rows[0]['bars']:,} bars of {origin}, median of {given.runs}"
        f" runs in turns, load {before:.1f} before and {os.getloadavg()[0]:.1f} after,"
        f" {os.cpu_count()} cores\n"
    )
    print("\n".join(lines_of(rows)), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
