"""bt: weights set at closes and filled there; stop and target are looked for at closes only."""

from importlib.metadata import version

import bt
import numpy as np
import pandas as pd
from contract import CASH, FAST, FEE, PART, SLOW, STOP, TARGET, WARMUP, answer


class EmaCross(bt.Algo):
    """Gives the day's algorithms new weights when a position begins or ends."""

    def __init__(self, closes, crossed):
        super().__init__()
        self.rows = zip(closes.to_numpy(), crossed, strict=True)
        self.names = list(closes.columns)
        self.entry = np.zeros(len(self.names))
        self.side = np.zeros(len(self.names))
        self.trades = 0
        self.bar = -1

    def __call__(self, target):
        self.bar += 1
        # The first row that bt plays is one that it adds before the data.
        close, crossed = (self.entry, self.side) if self.bar == 0 else next(self.rows)
        if self.bar < WARMUP:
            return False
        with np.errstate(divide="ignore", invalid="ignore"):
            gained = self.side * (close / self.entry - 1)
        leaves = (self.side != 0) & ((gained <= -STOP) | (gained >= TARGET))
        enters = (self.side == 0) & (crossed != 0)
        if not leaves.any() and not enters.any():
            return False
        self.trades += int(enters.sum())
        self.side[leaves] = 0.0
        self.side[enters] = crossed[enters]
        self.entry[enters] = close[enters]
        for at in np.flatnonzero(leaves | enters):
            weight = PART * self.side[at]
            if weight:
                target.rebalance(weight, self.names[at])
            else:
                target.close(self.names[at])
        return True


def prepare(tape):
    index = pd.to_datetime(np.array(next(iter(tape.values()))["open_ms"]), unit="ms")
    return pd.DataFrame({s: np.array(bars["close"]) for s, bars in tape.items()}, index=index)


def run(closes):
    fast = closes.ewm(span=FAST, adjust=False).mean()
    slow = closes.ewm(span=SLOW, adjust=False).mean()
    crossed = np.diff((fast > slow).to_numpy().astype(float), axis=0, prepend=0.0)
    test = bt.Backtest(
        bt.Strategy("ema_cross", [EmaCross(closes, crossed)]),
        closes,
        initial_capital=CASH,
        commissions=lambda quantity, price: abs(quantity) * price * FEE,
        integer_positions=False,
        progress_bar=False,
    )
    test.run()
    (played,) = test.strategy.stack.algos  # bt's own copy
    return played.trades, float(test.strategy.value)


answer(version("bt"), prepare, run)
