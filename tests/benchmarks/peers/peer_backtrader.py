"""backtrader: bar by bar in Python; bracket orders, children live from the bar after the entry."""

from datetime import datetime, timezone
from importlib.metadata import version

import backtrader as bt
from contract import CASH, FAST, FEE, PART, SLOW, STOP, TARGET, WARMUP, answer

NAMES = ("open", "high", "low", "close", "volume")


class Bars(bt.feed.DataBase):
    params = (("bars", None),)

    def start(self):
        super().start()
        self.rows = zip(*(self.p.bars[name] for name in ("stamps", *NAMES)), strict=True)

    def _load(self):
        row = next(self.rows, None)
        if row is None:
            return False
        self.lines.datetime[0], self.lines.openinterest[0] = row[0], 0.0
        for name, value in zip(NAMES, row[1:], strict=True):
            getattr(self.lines, name)[0] = value
        return True


class EmaCross(bt.Strategy):
    def __init__(self):
        self.above = {}
        self.crossed = {}
        self.waiting = dict.fromkeys(self.datas)
        self.closed = 0
        for data in self.datas:
            fast = bt.ind.EMA(data.close, period=FAST)
            slow = bt.ind.EMA(data.close, period=SLOW)
            self.crossed[data] = bt.ind.CrossOver(fast, slow)

    def notify_trade(self, trade):
        self.closed += trade.isclosed

    def next(self):
        if len(self) < WARMUP:
            return
        for data in self.datas:
            side = self.crossed[data][0]
            if not side or self.getposition(data).size:
                continue
            close = data.close[0]
            order = self.buy_bracket if side > 0 else self.sell_bracket
            order(
                data=data,
                size=self.broker.getvalue() * PART / close,
                exectype=bt.Order.Market,
                stopprice=close * (1 - side * STOP),
                limitprice=close * (1 + side * TARGET),
            )


def prepare(tape):
    for bars in tape.values():
        times = (datetime.fromtimestamp(ms / 1000, timezone.utc) for ms in bars["open_ms"])  # noqa: UP017
        bars["stamps"] = [bt.date2num(time.replace(tzinfo=None)) for time in times]
    return tape


def run(tape):
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.broker.setcash(CASH)
    cerebro.broker.setcommission(FEE)
    cerebro.broker.set_shortcash(False)
    for symbol, bars in tape.items():
        cerebro.adddata(Bars(bars=bars, timeframe=bt.TimeFrame.Minutes, compression=1), name=symbol)
    cerebro.addstrategy(EmaCross)
    (strategy,) = cerebro.run()
    still = sum(1 for data in strategy.datas if strategy.getposition(data).size)
    return strategy.closed + still, cerebro.broker.getvalue()


answer(version("backtrader"), prepare, run)
