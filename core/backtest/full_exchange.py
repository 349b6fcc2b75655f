"""The simulated exchange under the semantics of a backtest (docs/backtest.md).

Ledger, account, order desk and Algo Service are the venue's own.  Different are the market
(`full_market.py`) and what belongs to the moment a bar opens: the orders of the open come first,
then stops and targets that it has passed; a position is taken over only by an open beyond its
liquidation price, and then its whole margin is lost; funding falls where the tape has a rate.
"""

from collections.abc import Mapping
from decimal import Decimal

from core.backtest.full_market import OPENED_MS, BarPrices, BarQuotes
from core.backtest.run import Costs
from core.backtest.tape import HIGH, LOW, OPEN
from core.risk.liquidation import liquidation_distance
from core.venue.simulated.account_view import account_event
from core.venue.simulated.exchange import Exchange
from core.venue.simulated.positions import Position, cash
from core.words import Side


class BarExchange(Exchange):
    """One account on the bars of a tape; positions are isolated."""

    def __init__(self, prices: BarPrices, *, balance: Decimal, costs: Mapping[str, Costs]) -> None:
        start_ms = prices.first_open_ms
        quotes = BarQuotes(prices, start_ms, {s: one.slippage for s, one in costs.items()})
        super().__init__(prices, balance=balance, start_ms=start_ms, quotes=quotes)
        quotes.waiting = self.ledger.open_algos
        self._prices = prices
        self._costs = costs
        for symbol, one in costs.items():
            settings = self.account.settings[symbol]
            settings.isolated, settings.leverage = True, int(one.leverage)
        bars = prices.tape.bars
        self._lows = {s: memoryview(bars[s][LOW]) for s in prices.symbols}
        self._highs = {s: memoryview(bars[s][HIGH]) for s in prices.symbols}

    def _turn(self, end_ms: int) -> bool:
        if not self._close():
            return False
        for position in self.account.held():
            rate = self._prices.funding_rate(position.symbol, end_ms)
            if rate:
                self._pay(position, rate)
        # The open itself is played a moment later, when the orders of the open are in.
        self._played_ms = end_ms
        return True

    def _pay(self, position: Position, rate: Decimal) -> None:
        """Settle funding on the last close, from the wallet: what backs a position stays."""
        symbol = position.symbol
        paid = cash(-self.account.notional(position) * rate)
        self.account.book(symbol, "FUNDING_FEE", paid)
        event = account_event(self.account, self.quotes, "FUNDING_FEE", funding=symbol, paid=paid)
        self.outbox.user(event)

    def _play(self, upto_ms: int) -> None:
        """Play a stretch of a bar, if it may reach anything that waits."""
        stirred = [symbol for symbol in self._watched() if self._may_happen(symbol)]
        if not stirred:
            self._played_ms = max(self._played_ms, upto_ms)
            return
        for symbol in stirred:  # the path leads to what waits now
            self.quotes.minutes.pop(symbol, None)
        super()._play(upto_ms)

    def _may_happen(self, symbol: str) -> bool:
        bar = self._prices.bar_of(self.quotes.minute_index)
        low, high = self._lows[symbol][bar], self._highs[symbol][bar]
        return any(
            high >= float(algo.trigger_price)
            if algo.fires_upward
            else low <= float(algo.trigger_price)
            for algo in self.ledger.open_algos(symbol)
        ) or any(self._is_lost(position) for position in self.account.held(symbol))

    def _is_lost(self, position: Position) -> bool:
        """Tell whether this bar opens beyond a position's liquidation price."""
        symbol, amount = position.symbol, position.amount
        side = Side.BUY if amount > 0 else Side.SELL
        rules, leverage = self._prices.tape.instruments[symbol], self._costs[symbol].leverage
        away = liquidation_distance(rules, side, abs(amount), position.entry, leverage)
        opened = self._prices.price(symbol, OPEN, self._prices.bar_of(self.quotes.minute_index))
        return side.sign * (opened - (position.entry - side.sign * away)) <= 0

    def _at_point(self, symbol: str, *, at_risk: bool) -> None:  # noqa: ARG002
        if self.quotes.now_ms - self.quotes.open_ms <= OPENED_MS:
            for position in self.account.held(symbol):
                if self._is_lost(position):
                    self._take_over(position)
        self.algos.match(symbol)
        self.orders.match(symbol)

    def _take_over(self, position: Position) -> None:
        """Close a position at the price at which its whole margin is lost."""
        leverage = self._costs[position.symbol].leverage
        sign = 1 if position.amount > 0 else -1
        price = position.entry - sign * position.entry / leverage
        order = self.orders.enter_takeover(position, "autoclose-", price)
        self.orders.fill(
            order, order.quantity, price, maker=False, execution="CALCULATED", free=True
        )
