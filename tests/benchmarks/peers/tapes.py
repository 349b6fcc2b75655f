"""The bars that all engines get: recorded ones where they are, else a seeded walk."""

from pathlib import Path

import numpy as np

from actors.edges.history_files import read_history
from tests.benchmarks.peers.contract import Bars
from tests.benchmarks.peers.engines import ROOT

SHARED = ROOT.parent / "shared" / "data"
YEAR = "spot-1m/2024-07_2025-06"  # one symbol
MONTH = "um-1m/2025q1"  # five symbols
SYMBOLS = ("ADAUSDT", "BNBUSDT", "BTCUSDT", "ETHUSDT", "SOLUSDT")
START_MS = 1_735_689_600_000
MINUTE_MS = 60_000
PRICES = {
    "ADAUSDT": 0.9,
    "BNBUSDT": 650.0,
    "BTCUSDT": 95_000.0,
    "ETHUSDT": 3_300.0,
    "SOLUSDT": 190.0,
}
POINTS = 12  # of the walk, within a bar
MOVE = 0.0006  # standard deviation of a minute's return
NAMES = ("open", "high", "low", "close", "volume")


def tape_of(symbols: int, bars: int, data: Path | None = None) -> tuple[dict[str, Bars], str]:
    """Return `bars` minutes in all of one symbol or five, and where they come from."""
    each = bars // symbols
    folder = (data or SHARED) / (YEAR if symbols == 1 else MONTH)
    if not folder.is_dir():
        names = ("BTCUSDT",) if symbols == 1 else SYMBOLS
        return {name: walk(name, each) for name in names}, "a seeded walk"
    frames = read_history(folder, ("BTCUSDT",) if symbols == 1 else SYMBOLS, "1m")
    last = min(frame.index[-1] for frame in frames.values())
    first = max(frame.index[0] for frame in frames.values())
    tape = {}
    for symbol, whole in frames.items():
        frame = whole.loc[first:last].iloc[-each:]
        stamps = frame.index.as_unit("ms").asi8.astype(np.float64)
        columns = {name: frame[name].to_numpy() for name in NAMES}
        tape[symbol] = {"open_ms": stamps, **columns}
    return tape, str(folder.relative_to(folder.parents[1]))


def walk(symbol: str, bars: int) -> Bars:
    """Return a random walk, the same for a symbol each time; bars open at the last close."""
    seed = SYMBOLS.index(symbol)
    moves = np.random.default_rng(seed).normal(0.0, MOVE / POINTS**0.5, (bars, POINTS))
    path = PRICES[symbol] * np.exp(np.cumsum(moves).reshape(bars, POINTS))
    opens = np.concatenate(([PRICES[symbol]], path[:-1, -1]))
    inside = np.column_stack((opens, path))
    return {
        "open_ms": START_MS + np.arange(bars) * float(MINUTE_MS),
        "open": opens,
        "high": inside.max(axis=1),
        "low": inside.min(axis=1),
        "close": path[:, -1],
        "volume": np.full(bars, 10.0),
    }
