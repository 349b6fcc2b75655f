"""What every engine is given and has to answer; plain Python, to run in each environment.

The rule, as far as an engine can say it: averages (EMA 9 and 21 of closes) cross, from bar
`WARMUP` - 1 on, at a close; if flat, buy (crossing upward) or sell short (downward) at the next
open for `PART` of equity; a stop 1 % and a target 2 % from the fill end the trade inside a bar,
the stop first; what is open at the end is closed; `FEE` on every fill, no slippage, no funding.
"""

import argparse
import json
import sys
import time
from array import array
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

FAST, SLOW = 9, 21
STOP, TARGET = 0.01, 0.02
PART = 0.1
FEE = 0.0005
CASH = 1_000_000.0
WARMUP = 1_000  # bars
COLUMNS = ("open_ms", "open", "high", "low", "close", "volume")

Bars = Mapping[str, array]  # type: ignore[type-arg]  # column -> float64, one a bar
Prepared = TypeVar("Prepared")


def write_tape(folder: Path, tape: Mapping[str, Bars]) -> None:
    """Write one file a symbol: the columns one after the other, float64 as the machine has it."""
    folder.mkdir(parents=True, exist_ok=True)
    for symbol, bars in tape.items():
        with (folder / f"{symbol}.f64").open("wb") as file:
            for name in COLUMNS:
                array("d", bars[name]).tofile(file)


def read_tape(folder: Path) -> dict[str, Bars]:
    """Return the columns of every symbol, symbols by name."""
    tape = {}
    for path in sorted(folder.glob("*.f64")):
        numbers = array("d")
        numbers.frombytes(path.read_bytes())
        bars = len(numbers) // len(COLUMNS)
        columns = (numbers[at * bars : (at + 1) * bars] for at in range(len(COLUMNS)))
        tape[path.stem] = dict(zip(COLUMNS, columns, strict=True))
    return tape


def answer(
    version: str,
    prepare: Callable[[dict[str, Bars]], Prepared],
    run: Callable[[Prepared], tuple[int, float]],
    *,
    compiles: bool = False,
) -> None:
    """Time `run`, which returns trades and final equity, and print one line of JSON.

    `prepare` brings bars into the engine's own form and is not timed.  An engine that compiles at
    its first call is called twice: `first_cpu_s` is of the first, the rest of the second.  Speed is
    by CPU seconds of the process, all threads together: on a shared machine the wall says little.
    """
    options = argparse.ArgumentParser()
    options.add_argument("--tape", type=Path, required=True)
    tape = read_tape(options.parse_args().tape)
    prepared = prepare(tape)
    bars = sum(len(columns["close"]) for columns in tape.values())
    walls, cpus = [], []
    for _ in range(2 if compiles else 1):
        started, used = time.perf_counter(), time.process_time()
        trades, equity = run(prepared)
        cpus.append(time.process_time() - used)
        walls.append(time.perf_counter() - started)
    told = {
        "version": version,
        "symbols": len(tape),
        "bars": bars,
        "seconds": walls[-1],
        "cpu_s": cpus[-1],
        "first_cpu_s": cpus[0],
        "bars_per_s": bars / cpus[-1],
        "trades": trades,
        "equity": equity,
        "rss_mib": _peak_mib(),
    }
    sys.stdout.write(f"\n{json.dumps(told)}\n")


def _peak_mib() -> float:
    """Return the process's own peak memory; getrusage would count what its parent held, too."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(peak) / 1024
