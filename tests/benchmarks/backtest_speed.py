"""Measures the backtest: `python -m tests.benchmarks.backtest_speed --data DIR`.

Five symbols, a year of minutes each.  DIR holds a year of BTCUSDT and ETHUSDT minutes; the other
three symbols are ETHUSDT moved by weeks and brought to another price, so that there are five of
them.  Measured is what follows reading: features and signals of every bar, then the portfolio with
risk, to the last trade; the best of some runs, bars of all symbols a second.  Limits that end
trading for good are off, or the rest of the year would cost nothing.
"""

import argparse
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from actors.edges.history_files import read_history
from actors.edges.tape_files import rules_of
from config import Config
from core.backtest.decisions import decide, frame_of
from core.backtest.run import run_backtest
from core.backtest.tape import Tape
from core.symbol.features import PRICE_COLUMNS
from core.symbol.strategy import EnhancedStrategy

SHIFTED = {"BNBUSDT": (4, 0.2), "SOLUSDT": (8, 0.05), "ADAUSDT": (12, 0.0003)}
WEEK = 7 * 1_440


def year(folder: Path, config: Config) -> Tape:
    """Return the year of five symbols."""
    frames = read_history(folder, ("BTCUSDT", "ETHUSDT"), "1m")
    tables = {}
    for symbol, frame in frames.items():
        columns = [frame[name].to_numpy() for name in PRICE_COLUMNS]
        tables[symbol] = np.stack([*columns, np.full(len(frame), np.nan)])
    for symbol, (weeks, scale) in SHIFTED.items():
        moved = np.roll(tables["ETHUSDT"], weeks * WEEK, axis=1)
        moved[:4] *= scale
        tables[symbol] = moved
    index = next(iter(frames.values())).index
    return Tape(
        interval_ms=60_000,
        open_ms=np.asarray(index.as_unit("ms").asi8),
        bars=tables,
        instruments={symbol: rules_of(symbol, config) for symbol in tables},
        funding={},
    )


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--runs", type=int, default=5)
    given = options.parse_args()
    config = Config(
        _env_file=None,
        _environ={},
        ALLOW_TECHNICAL_ONLY=True,
        MAX_DRAWDOWN=0.99,
        LOSS_STREAK_LATCH=0,
        MAX_ENTRIES_SYMBOL_1H=1_000,
    )
    tape = year(given.data, config)
    bars = len(tape) * len(tape.symbols)
    best = float("inf")
    for run in range(given.runs):
        started = time.perf_counter()
        rows = {
            symbol: decide(
                EnhancedStrategy(config.for_symbol(symbol).model_dump()),
                frame_of(tape, symbol),
                bars_kept=1_000,
                bars_min=200,
            )
            for symbol in tape.symbols
        }
        decided = time.perf_counter()
        result = run_backtest(tape, config, rows, start=999, strategy_name="benchmark")
        ended = time.perf_counter()
        if run:  # the first compiles
            best = min(best, ended - started)
        asked = sum(result.refusals.values()) + len(result.trades)
        sys.stdout.write(
            f"decide {decided - started:.3f} s, trade {ended - decided:.3f} s:"
            f" {bars / (ended - started):,.0f} bars/s; {len(result.trades)} trades,"
            f" risk asked {asked} times\n"
        )
    last = datetime.fromtimestamp(int(tape.open_ms[-1]) / 1000, UTC)
    sys.stdout.write(f"{bars:,} bars to {last:%Y-%m-%d}: {bars / best:,.0f} bars/s at best\n")


if __name__ == "__main__":
    main()
