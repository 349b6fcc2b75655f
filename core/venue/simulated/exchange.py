"""The exchange's door: time in, requests in; answers and events out.

`advance` plays the price points of every watched symbol in time order (ties in symbol order), so
the result does not depend on how the time is sliced.  At a minute's end the candles close, funding
is paid at its hours, then the next minute opens.  Symbols without a position and without a waiting
order are not looked at; neither are minutes whose extremes can touch nothing.
"""

from dataclasses import dataclass
from decimal import Decimal

from core.venue.simulated.account import Account
from core.venue.simulated.account_view import AccountView, account_event
from core.venue.simulated.algo import AlgoDesk, hits_within
from core.venue.simulated.events import Event, MinuteClosed, Outbox
from core.venue.simulated.klines import Candles
from core.venue.simulated.ledger import AlgoOrder, Ledger, Order
from core.venue.simulated.market import MINUTE_MS, PriceSource
from core.venue.simulated.orders import OrderDesk
from core.venue.simulated.quotes import FUNDING_MS, MARK_WIGGLE, Quotes
from core.venue.simulated.render import algo_row, income_row, order_row, trade_row

RULES_VERSION = 1  # raise it when the same requests would give another ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    """Something that is due inside a minute; ordered by time, then rank."""

    time_ms: int
    rank: int
    symbol: str
    ends: Order | AlgoOrder | None = None  # a GTD order whose date has come


class Exchange:
    """One account trading on one market, from `start_ms` (venue time) on."""

    def __init__(self, source: PriceSource, *, balance: Decimal, start_ms: int) -> None:
        self.quotes = Quotes(source, start_ms)
        self.ledger = Ledger()
        self.outbox = Outbox()
        self.account = Account(self.ledger, self.quotes, balance)
        self.orders = OrderDesk(self.ledger, self.quotes, self.account, self.outbox)
        self.algos = AlgoDesk(self.ledger, self.quotes, self.account, self.orders, self.outbox)
        self.orders.follower = self.algos
        self.view = AccountView(self.account, self.quotes, self.ledger)
        self.candles = Candles(self.quotes)
        self._played_ms = start_ms

    @property
    def now_ms(self) -> int:
        """The venue's present, ms since 1970."""
        return self.quotes.now_ms

    @property
    def ended(self) -> bool:
        """Whether the prices have run out; time then stands still."""
        return self.quotes.ended

    def take_events(self) -> list[Event]:
        """Return the events since the last time this was asked, oldest first."""
        return self.outbox.take()

    # ------------------------------------------------------------------ time
    def advance(self, to_ms: int) -> None:
        """Move the venue's time forward; earlier times and a time after the end do nothing."""
        quotes = self.quotes
        while not quotes.ended and quotes.now_ms < to_ms:
            end = quotes.open_ms + MINUTE_MS
            self._play(min(to_ms, end - 1))
            quotes.now_ms = min(to_ms, end)
            if quotes.now_ms == end:
                self._turn(end)

    def _turn(self, end_ms: int) -> None:
        """Close the minute, settle funding, open the next one at its first prices."""
        bars = self.quotes.leave()
        self.outbox.add(MinuteClosed(end_ms, bars))
        if not self.quotes.enter():
            return
        if end_ms % FUNDING_MS == 0:
            self._settle_funding(end_ms)
        self._played_ms = end_ms - 1
        self._play(end_ms)

    def _settle_funding(self, settlement_ms: int) -> None:
        for symbol in self.quotes.symbols:
            rate = self.quotes.funding_rate(symbol, settlement_ms)
            if self.account.settle_funding(symbol, rate):
                isolated = [symbol] if self.account.settings[symbol].isolated else []
                event = account_event(
                    self.account, self.quotes, "FUNDING_FEE", *isolated, funding=symbol
                )
                self.outbox.user(event)

    def _play(self, upto_ms: int) -> None:
        """Play all price points in (played, upto] of this minute that may change something."""
        after_ms, self._played_ms = self._played_ms, max(self._played_ms, upto_ms)
        if upto_ms <= after_ms:
            return
        watched = [s for s in self.quotes.symbols if self._is_watched(s)]
        if not watched or not self._may_happen(watched, after_ms, upto_ms):
            return
        moments = self._points(watched, after_ms, upto_ms) + self._expiries(after_ms, upto_ms)
        for moment in sorted(moments, key=lambda one: (one.time_ms, one.rank)):
            self.quotes.now_ms = max(self.quotes.now_ms, moment.time_ms)
            if isinstance(moment.ends, Order):
                self.orders.expire_due(moment.ends)
            elif moment.ends is not None:
                self.algos.expire_due(moment.ends)
            else:
                self._at_point(moment.symbol)

    def _at_point(self, symbol: str) -> None:
        self.algos.match(symbol)
        self.orders.match(symbol)
        while doomed := self.account.doomed():
            self.orders.liquidate(doomed[0])

    def _is_watched(self, symbol: str) -> bool:
        return self.ledger.is_watched(symbol) or bool(self.account.positions[symbol].amount)

    def _points(self, symbols: list[str], after_ms: int, upto_ms: int) -> list[_Moment]:
        open_ms = self.quotes.open_ms
        return [
            _Moment(time_ms=open_ms + offset, rank=self.quotes.rank[symbol], symbol=symbol)
            for symbol in symbols
            for offset in self.quotes.minutes[symbol].offsets_ms
            if after_ms < open_ms + offset <= upto_ms
        ]

    def _expiries(self, after_ms: int, upto_ms: int) -> list[_Moment]:
        rows: list[Order | AlgoOrder] = [*self.ledger.open_orders(), *self.ledger.open_algos()]
        return [
            _Moment(time_ms=row.good_till_ms, rank=-1, symbol=row.symbol, ends=row)
            for row in rows
            if after_ms < row.good_till_ms <= upto_ms
        ]

    def _may_happen(self, symbols: list[str], after_ms: int, upto_ms: int) -> bool:
        """Tell whether any order, date or liquidation lies within the extremes ahead.

        An optimisation only: False means that playing every point would change nothing.
        """
        extremes: dict[str, tuple[Decimal, Decimal]] = {}
        for symbol in symbols:
            minute = self.quotes.minutes[symbol]
            start = self.quotes.open_ms
            ahead = [self.quotes.last(symbol)]
            for offset, price in zip(minute.offsets_ms, minute.prices, strict=True):
                if after_ms < start + offset <= upto_ms:
                    ahead.append(price)
            low, high = min(ahead), max(ahead)
            low, high = low * (1 - MARK_WIGGLE), high * (1 + MARK_WIGGLE)
            extremes[symbol] = (low, high)
            for algo in self.ledger.open_algos(symbol):
                if hits_within(algo, low, high):
                    return True
            for order in self.ledger.open_orders(symbol):
                touched = low <= order.price if order.sign > 0 else high >= order.price
                if touched:
                    return True
        if self._expiries(after_ms, upto_ms):
            return True
        return self.account.can_be_doomed(extremes)

    # ------------------------------------------------------------------ the book of record
    def dump(self) -> dict[str, object]:
        """Return the whole ledger in the field names of the REST answers (`/sim/ledger`)."""
        rules, ledger = self.quotes.instruments, self.ledger
        orders = [
            {**order_row(rules[order.symbol], order), "history": order.history}
            for order in ledger.orders
        ]
        algos = []
        for algo in ledger.algo_orders:
            row = algo_row(rules[algo.symbol], algo, self.algos.child(algo))
            algos.append({**row, "reason": algo.failure, "history": algo.history})
        return {
            "time": self.now_ms,
            "orders": orders,
            "algo_orders": algos,
            "trades": [trade_row(rules[trade.symbol], trade) for trade in ledger.trades],
            "positions": self.view.ledger_positions(),
            "position_history": ledger.position_history,
            "income": [income_row(row) for row in ledger.income],
            "balances": self.view.balance(),
            "balance_history": ledger.balances,
        }
