"""backtesting.py: one symbol and one account at a time; levels from the decision's close."""

from importlib.metadata import version

import numpy as np
import pandas as pd
from backtesting import Strategy
from backtesting.lib import FractionalBacktest
from contract import CASH, FAST, FEE, PART, SLOW, STOP, TARGET, WARMUP, answer


def sides(close: np.ndarray) -> np.ndarray:
    series = pd.Series(close)
    fast = series.ewm(span=FAST, adjust=False).mean()
    slow = series.ewm(span=SLOW, adjust=False).mean()
    return np.diff((fast > slow).astype(float), prepend=0.0)


class EmaCross(Strategy):
    part = PART

    def init(self):
        self.crossed = self.I(sides, self.data.Close, plot=False)
        self.bar = 0

    def next(self):
        side = self.crossed[-1]
        if not side or self.position or len(self.data) < WARMUP:
            return
        close = self.data.Close[-1]
        order = self.buy if side > 0 else self.sell
        order(size=self.part, sl=close * (1 - side * STOP), tp=close * (1 + side * TARGET))


def prepare(tape):
    frames = []
    for bars in tape.values():
        index = pd.to_datetime(np.array(bars["open_ms"]), unit="ms")
        names = ("open", "high", "low", "close", "volume")
        columns = {name.title(): np.array(bars[name]) for name in names}
        frames.append(pd.DataFrame(columns, index=index))
    return frames


def run(frames):
    trades, equity = 0, 0.0
    for frame in frames:
        test = FractionalBacktest(
            frame,
            EmaCross,
            fractional_unit=1e-3,
            cash=CASH / len(frames),
            commission=FEE,
            finalize_trades=True,
        )
        found = test.run(part=min(PART * len(frames), 0.9))
        trades += int(found["# Trades"])
        equity += float(found["Equity Final [$]"])
    return trades, equity


answer(version("backtesting"), prepare, run)
