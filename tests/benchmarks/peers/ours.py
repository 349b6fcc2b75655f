"""Our backtest, the way `run.py backtest` runs it once files are read."""

import tempfile
from pathlib import Path

import numpy as np

from actors.backtesting import Study, backtest, prepare
from actors.edges.tape_files import Recording, rules_of
from actors.model_shelf import ModelShelf
from config import Config
from core.backtest.tape import Tape
from tests.benchmarks.peers.contract import CASH, FEE, PART, STOP, TARGET, Bars, answer

MINUTE_MS = 60_000


def settings(symbols: tuple[str, ...]) -> Config:
    """Return settings under which risk sizes and checks every trade, and refuses few.

    The size is the sizing formula's own: balance x risk / stop = `PART` of it.  Limits that end a
    symbol's or the account's trading for good are off, for no peer has them; the day's loss limit,
    the exposure, margin and correlation limits and the venue's filters are on.
    """
    return Config(
        _env_file=None,
        _environ={},
        SYMBOLS=list(symbols),
        STRATEGY="tests.benchmarks.peers.ema_cross:EmaCross",
        VENUE_BALANCE=CASH,
        RISK_PER_TRADE=PART * STOP,
        STOPLOSS_PCT=STOP,
        TAKE_PROFIT_PCT=TARGET,
        TAKER_FEE=FEE,
        SLIPPAGE_BPS=0.0,
        FUNDING="zero",
        MAX_OPEN_POSITIONS=len(symbols),
        MAX_DRAWDOWN=0.99,
        LOSS_STREAK_LATCH=0,
        MAX_ENTRIES_SYMBOL_1H=60,
        MAX_ENTRIES_DAY=1_440,
        MAX_SIGNAL_RATIO=1e9,
    )


def studied(tape: dict[str, Bars]) -> tuple[Study, Config]:
    """Return the bars as a recording without models, and the settings."""
    config = settings(tuple(tape))
    tables = {}
    for symbol, bars in tape.items():
        columns = [np.array(bars[name]) for name in ("open", "high", "low", "close", "volume")]
        tables[symbol] = np.stack([*columns, np.full(len(columns[0]), np.nan)])
    recording = Recording(
        tape=Tape(
            interval_ms=MINUTE_MS,
            open_ms=np.array(next(iter(tape.values()))["open_ms"]).astype(np.int64),
            bars=tables,
            instruments={symbol: rules_of(symbol, config) for symbol in tape},
            funding={},
        ),
        filled_bars={},
    )
    with tempfile.TemporaryDirectory() as nothing:
        return prepare(recording, ModelShelf(Path(nothing))), config


def run(given: tuple[Study, Config]) -> tuple[int, float]:
    """Return trades and final equity."""
    result = backtest(*given)
    return len(result.trades), float(result.equity[-1])


if __name__ == "__main__":
    answer("", studied, run, compiles=True)
