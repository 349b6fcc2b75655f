"""vectorbt: all symbols in one array, cash shared; a compiled loop over columns and bars."""

from importlib.metadata import version

import numpy as np
import pandas as pd
import vectorbt as vbt
from contract import CASH, FAST, FEE, PART, SLOW, STOP, TARGET, WARMUP, answer


def prepare(tape):
    index = pd.to_datetime(np.array(next(iter(tape.values()))["open_ms"]), unit="ms")
    return {
        name: pd.DataFrame({s: np.array(bars[name]) for s, bars in tape.items()}, index=index)
        for name in ("open", "high", "low", "close")
    }


def run(frames):
    close = frames["close"]
    fast = vbt.MA.run(close, FAST, ewm=True).ma.to_numpy()
    slow = vbt.MA.run(close, SLOW, ewm=True).ma.to_numpy()
    above = fast > slow
    up, down = np.zeros_like(above), np.zeros_like(above)
    # Decided at a close, filled at the next open: a row later.
    up[WARMUP:] = above[WARMUP - 1 : -1] & ~above[WARMUP - 2 : -2]
    down[WARMUP:] = ~above[WARMUP - 1 : -1] & above[WARMUP - 2 : -2]
    portfolio = vbt.Portfolio.from_signals(
        close,
        entries=up,
        short_entries=down,
        price=frames["open"],
        open=frames["open"],
        high=frames["high"],
        low=frames["low"],
        size=PART,
        size_type="percent",
        fees=FEE,
        sl_stop=STOP,
        tp_stop=TARGET,
        stop_entry_price="fillprice",
        upon_opposite_entry="ignore",
        init_cash=CASH,
        group_by=True,
        cash_sharing=True,
        freq="1min",
    )
    return int(portfolio.trades.count()), float(portfolio.final_value())


answer(version("vectorbt"), prepare, run, compiles=True)
