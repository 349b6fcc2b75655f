"""Measures the backtest: `python -m tests.benchmarks.backtest_speed [--data DIR]`.

Five symbols, a year of minutes each.  DIR holds a year of BTCUSDT and ETHUSDT minutes; the other
three symbols are ETHUSDT moved by weeks and brought to another price, so that there are five of
them.  Without it the candles are seeded ones.  Measured is what follows reading: features and
signals of every bar, then the portfolio with risk, to the last trade; the best of some runs, bars
of all symbols a second.  Limits that end trading for good are off, or the rest of the year would
cost nothing.  Then the same with a model that predicts every bar, and some days through the full
machines beside the compiled screen.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from actors.backtesting import Study
from actors.edges.history_files import read_history
from actors.edges.tape_files import Recording, rules_of
from actors.full_backtesting import full_backtest
from actors.model_shelf import ModelShelf
from config import Config
from core.backtest.decisions import Told, decide, frame_of
from core.backtest.result import BacktestResult
from core.backtest.run import run_backtest
from core.backtest.tape import Tape
from core.symbol.features import PRICE_COLUMNS
from core.symbol.strategy import EnhancedStrategy
from core.venue.simulated.seeded import SeededPrices
from models.honest_predictions import honest_predictions
from models.price_predictor import PricePredictor
from tests.benchmarks.figures import Figure, run
from tests.symbol.seeded_candles import seeded_candles

SHIFTED = {"BNBUSDT": (4, 0.2), "SOLUSDT": (8, 0.05), "ADAUSDT": (12, 0.0003)}
WEEK = 7 * 1_440
YEAR = 365 * 1_440
FULL_BARS = 2 * 1_440
WARMUP = 1_000
SEED = 7
START_MS = 1_767_225_600_000  # 2026-01-01 00:00 UTC


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


def seeded(bars: int, config: Config) -> Tape:
    """Return five symbols of seeded candles."""
    prices = SeededPrices(tuple(config.SYMBOLS), SEED, START_MS, bars)
    tables, open_ms = {}, np.empty(0, np.int64)
    for symbol in config.SYMBOLS:
        table = prices.bars(symbol, -bars, bars)
        open_ms = np.asarray(table.open_ms, np.int64)
        tables[symbol] = np.stack(
            [
                *(np.asarray(getattr(table, name), np.float64) for name in PRICE_COLUMNS),
                np.full(bars, np.nan),
            ]
        )
    return Tape(
        interval_ms=60_000,
        open_ms=open_ms,
        bars=tables,
        instruments={symbol: rules_of(symbol, config) for symbol in tables},
        funding={},
    )


def screened(tape: Tape, config: Config, told: dict[str, Told]) -> tuple[float, BacktestResult]:
    """Decide on all bars and trade them; return the seconds it took."""
    started = time.perf_counter()
    rows = {
        symbol: decide(
            EnhancedStrategy(config.for_symbol(symbol).model_dump()),
            frame_of(tape, symbol),
            bars_kept=WARMUP,
            bars_min=200,
            told=told.get(symbol),
        )
        for symbol in tape.symbols
    }
    result = run_backtest(tape, config, rows, start=WARMUP - 1, strategy_name="benchmark")
    return time.perf_counter() - started, result


def measure(given: argparse.Namespace) -> Iterator[Figure]:
    """Measure the screen, the screen with a model, and the full machines."""
    config = Config(
        _env_file=None,
        _environ={},
        ALLOW_TECHNICAL_ONLY=True,
        MAX_DRAWDOWN=0.99,
        LOSS_STREAK_LATCH=0,
        MAX_ENTRIES_SYMBOL_1H=1_000,
    )
    length = 3_000 if given.short else YEAR
    tape = year(given.data, config) if given.data else seeded(length, config)
    bars = len(tape) * len(tape.symbols)
    screened(tape.cut(0, 3_000), config, {})  # compiles
    runs = [screened(tape, config, {}) for _ in range(1 if given.short else given.runs)]
    seconds, result = min(runs, key=lambda run: run[0])
    asked = sum(result.refusals.values()) + len(result.trades)
    yield Figure(
        name=f"backtest, {len(tape.symbols)} symbols, {len(tape):,} bars each, no model",
        ours=bars / seconds,
        unit="bars/s",
        target=3e6,
        wanted="at least",
        note=f"{len(result.trades)} trades, risk asked {asked} times",
    )

    predictor = PricePredictor()
    predictor.train(seeded_candles(3_000))
    started = time.perf_counter()
    told = {}
    for symbol in tape.symbols:
        honest = honest_predictions(predictor, frame_of(tape, symbol))
        told[symbol] = (honest.predictions, honest.confidences)
    predicting = time.perf_counter() - started
    seconds, result = screened(tape, config, told)
    yield Figure(
        name="the same with a model that predicts every bar",
        ours=bars / (seconds + predicting),
        unit="bars/s",
        target=350e3,
        wanted="at least",
        note=f"{len(result.trades)} trades",
    )

    days = tape.cut(0, WARMUP + (200 if given.short else FULL_BARS))
    study = Study(
        recording=Recording(tape=days, filled_bars={}),
        shelf=ModelShelf(Path()),
        told={},
        predicted_by={},
    )
    started = time.perf_counter()
    full = full_backtest(study, config)
    seconds = time.perf_counter() - started
    theirs, screen = screened(days, config, {})
    assert len(full.trades) == len(screen.trades), "the screen trades what the machines trade"
    bars = len(days) * len(days.symbols)
    yield Figure(
        name="the same through the full machines",
        ours=bars / seconds,
        unit="bars/s",
        target=100e3,
        wanted="at least",
        peer="the screen",
        theirs=bars / theirs,
        note=f"{len(full.trades)} trades, both",
    )


def add_options(options: argparse.ArgumentParser) -> None:
    """Say where real candles are, and how often the screen runs."""
    options.add_argument("--data", type=Path)
    options.add_argument("--runs", type=int, default=3)


if __name__ == "__main__":
    sys.exit(run(measure, __doc__, add_options))
