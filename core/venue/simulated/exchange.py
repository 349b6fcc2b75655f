"""The exchange's door: time in, requests in; answers and events out.

`advance` plays the price points of every watched symbol in time order (ties in symbol order), so
the result does not depend on how the time is sliced.  At a minute's end the candles close, funding
is paid at its hours, then the next minute opens.  Symbols without a position and without a waiting
order are not looked at.  Whole minutes are judged by their lows and highs first: as long as those
can touch nothing, minutes are only counted, and their paths are never made.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from core.venue.simulated.account import Account
from core.venue.simulated.account_view import AccountView, account_event
from core.venue.simulated.algo import AlgoDesk, hits_within
from core.venue.simulated.events import Event, MinuteClosed, Outbox
from core.venue.simulated.klines import Candles
from core.venue.simulated.ledger import AlgoOrder, Ledger, Order
from core.venue.simulated.liquidation import RiskEngine
from core.venue.simulated.market import MINUTE_MS, PriceSource
from core.venue.simulated.orders import OrderDesk
from core.venue.simulated.peril import may_strain
from core.venue.simulated.quotes import FUNDING_MS, MARK_WIGGLE, Quotes
from core.venue.simulated.render import algo_row, income_row, order_row, trade_row

RULES_VERSION = 3  # raise it when the same requests would give another ledger
SPAN_MAX_MINUTES = 240
LAST = 1 << 31  # a rank behind all others

Reach = tuple[Decimal, Decimal]  # lowest and highest price of a stretch of time


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    """Something that may be due inside a minute; ordered by time, then rank."""

    time_ms: int
    rank: int
    symbol: str
    ends: Order | AlgoOrder | None = None  # an order whose date has come
    at_risk: bool = False  # whether positions are to be looked after
    clears: bool = False  # a countdown that cancels the symbol's orders


class Exchange:
    """One account trading on one market, from `start_ms` (venue time) on.

    `quotes` are what the market makes of its prices, the venue's own unless others are given.
    """

    def __init__(
        self,
        source: PriceSource,
        *,
        balance: Decimal,
        start_ms: int,
        quotes: Quotes | None = None,
    ) -> None:
        self.quotes = quotes or Quotes(source, start_ms)
        self.ledger = Ledger()
        self.outbox = Outbox()
        self.account = Account(self.ledger, self.quotes, balance)
        self.orders = OrderDesk(self.ledger, self.quotes, self.account, self.outbox)
        self.algos = AlgoDesk(self.ledger, self.quotes, self.account, self.orders, self.outbox)
        self.orders.follower = self.algos
        self.quotes.resting = self.ledger.resting
        self.risk = RiskEngine(self.ledger, self.quotes, self.account, self.orders, self.outbox)
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
            if quotes.now_ms == end and self._turn(end):
                self._stride(to_ms)
                if quotes.now_ms == to_ms:
                    self._play(to_ms)

    def _turn(self, end_ms: int) -> bool:
        """Close the minute and settle funding; False when no other one follows.

        The first prices of the next one are still to be played.
        """
        if not self._close():
            return False
        if end_ms % FUNDING_MS == 0:
            self._settle_funding(end_ms)
        self._played_ms = end_ms - 1
        return True

    def _close(self) -> bool:
        """Close the minute; False when no other one follows."""
        quotes = self.quotes
        self.outbox.add(MinuteClosed(quotes.open_ms + MINUTE_MS, quotes.closed_bars()))
        return quotes.enter()

    def _settle_funding(self, settlement_ms: int) -> None:
        for symbol in dict.fromkeys(position.symbol for position in self.account.held()):
            rate = self.quotes.funding_rate(symbol, settlement_ms)
            positions = self.account.held(symbol)
            paid = [self.account.settle_funding(position, rate) for position in positions]
            isolated = positions if self.account.settings[symbol].isolated else []
            event = account_event(
                self.account,
                self.quotes,
                "FUNDING_FEE",
                *isolated,
                funding=symbol,
                paid=sum(paid, Decimal(0)),
            )
            self.outbox.user(event)

    def _stride(self, to_ms: int) -> None:
        """Pass over whole minutes in which nothing can happen, up to the last of them."""
        quotes = self.quotes
        for _ in range(self._calm_minutes(to_ms) - 1):
            self._close()
            quotes.now_ms = self._played_ms = quotes.open_ms

    def _calm_minutes(self, to_ms: int) -> int:
        """Return how many minutes from here on can be told to change nothing.

        At most up to the next funding hour.  The span is doubled as long as its extremes touch
        nothing, so that quiet days take few looks and busy minutes cost one.
        """
        quotes = self.quotes
        most = (min(to_ms, quotes.next_funding_ms) - quotes.open_ms) // MINUTE_MS
        watched = self._watched()
        if most <= 1 or not watched:
            return self._playable(most)
        most = min(most, SPAN_MAX_MINUTES)
        before = 1 if quotes.minute_index > -quotes.source.history_minutes else 0
        lows, highs = {}, {}
        for symbol in watched:  # from the minute before on: a leap out of it counts too
            first = quotes.minute_index - before
            low, high = quotes.source.extremes(symbol, first, most + before)
            lows[symbol] = np.minimum.accumulate(low)[before:].tolist()
            highs[symbol] = np.maximum.accumulate(high)[before:].tolist()
            most = min(most, len(lows[symbol]))
        dates = [moment.time_ms for moment in self._expiries(quotes.open_ms, to_ms)]
        if dates:
            most = min(most, (min(dates) - quotes.open_ms) // MINUTE_MS)
        calm, span = 0, 1
        while calm < most:
            last = span - 1
            reach = {s: (Decimal(lows[s][last]), Decimal(highs[s][last])) for s in watched}
            if any(self._touched(reach)):
                break
            calm, span = span, min(2 * span, most)
        return calm

    def _playable(self, minutes: int) -> int:
        quotes = self.quotes
        if minutes < 1 or quotes.source.plays(quotes.minute_index + minutes - 1):
            return minutes
        return 1

    def _play(self, upto_ms: int) -> None:
        """Play all price points in (played, upto] of this minute that may change something."""
        after_ms, self._played_ms = self._played_ms, max(self._played_ms, upto_ms)
        if upto_ms <= after_ms:
            return
        watched = self._watched()
        place = (after_ms, LAST)
        while watched and (moments := self._moments(watched, place, upto_ms)):
            for moment in moments:
                place = (moment.time_ms, moment.rank)
                if self._happened(moment):
                    break  # what may happen next is another question now
            else:
                return

    def _happened(self, moment: _Moment) -> bool:
        """Bring one moment about; True when it has changed anything."""
        told = len(self.outbox)
        self.quotes.now_ms = max(self.quotes.now_ms, moment.time_ms)
        if isinstance(moment.ends, Order):
            self.orders.expire_due(moment.ends)
        elif moment.ends is not None:
            self.algos.expire_due(moment.ends)
        elif moment.clears:
            self.orders.end_countdown(moment.symbol)
        else:
            self._at_point(moment.symbol, at_risk=moment.at_risk)
        return len(self.outbox) > told

    def react(self, symbol: str) -> None:
        """Let orders and positions meet a price that has changed at this moment."""
        self._at_point(symbol, at_risk=True)

    def _at_point(self, symbol: str, *, at_risk: bool) -> None:
        told = len(self.outbox)
        self.algos.match(symbol)
        self.orders.match(symbol)
        if at_risk or len(self.outbox) > told:  # a fill changes what the account can bear
            self.risk.look(symbol)

    def _watched(self) -> list[str]:
        """Return the symbols whose prices may change something, in their order."""
        waiting = {position.symbol: None for position in self.account.held()}
        waiting |= dict.fromkeys(self.ledger.watched())
        return sorted(waiting, key=self.quotes.rank.__getitem__)

    def _moments(self, watched: list[str], place: tuple[int, int], upto_ms: int) -> list[_Moment]:
        """Return what may happen after a place in time and up to another time, in order."""
        after_ms = place[0]
        reach = {symbol: self._reach(symbol, after_ms, upto_ms) for symbol in watched}
        quotes = self.quotes
        open_ms, rank = quotes.open_ms, quotes.rank
        moments = self._expiries(after_ms, upto_ms)
        touched, at_risk = self._touched(reach)
        for symbol in touched:
            moments += [
                _Moment(time_ms=time_ms, rank=rank[symbol], symbol=symbol, at_risk=at_risk)
                for time_ms in (open_ms + offset for offset in quotes.minutes[symbol].offsets_ms)
                if time_ms <= upto_ms and (time_ms, rank[symbol]) > place
            ]
        return sorted(moments, key=lambda one: (one.time_ms, one.rank))

    def _expiries(self, after_ms: int, upto_ms: int) -> list[_Moment]:
        ends = [
            _Moment(time_ms=row.ends_ms, rank=-1, symbol=row.symbol, ends=row)
            for row in self.ledger.open_orders()
            if after_ms <= row.ends_ms <= upto_ms  # what has ended is open no more
        ]
        ends += [
            _Moment(time_ms=row.good_till_ms, rank=-1, symbol=row.symbol, ends=row)
            for row in self.ledger.open_algos()
            if after_ms <= row.good_till_ms <= upto_ms
        ]
        busy = self.ledger.busy_symbols()
        return ends + [
            _Moment(time_ms=due_ms, rank=-1, symbol=symbol, clears=True)
            for symbol, due_ms in self.orders.countdowns.items()
            if symbol in busy and after_ms <= due_ms <= upto_ms
        ]

    def _reach(self, symbol: str, after_ms: int, upto_ms: int) -> Reach:
        """Return the lowest and highest price from now on, over the points in (after, upto].

        A whole minute is judged without its path, together with the one before.
        """
        start = self.quotes.open_ms
        if after_ms <= start and upto_ms >= start + MINUTE_MS - 1:
            low, high = self.quotes.source.extremes(symbol, self.quotes.minute_index - 1, 2)
            return Decimal(float(low.min())), Decimal(float(high.max()))
        minute = self.quotes.minutes[symbol]
        first = bisect_right(minute.offsets_ms, after_ms - start)
        stop = bisect_right(minute.offsets_ms, upto_ms - start)
        past = self.quotes.previous(symbol)  # a leap from there to here counts too
        ahead = (past, self.quotes.last(symbol), *minute.prices[first:stop])
        return min(ahead), max(ahead)

    def _touched(self, reach: Mapping[str, Reach]) -> tuple[list[str], bool]:
        """Return the symbols whose prices, as far as they reach, may change something.

        All of them where positions are at risk, for then every price counts; that is the second
        part of the answer.
        """
        marks = {
            symbol: (low * (1 - MARK_WIGGLE), high * (1 + MARK_WIGGLE))
            for symbol, (low, high) in reach.items()
        }
        if may_strain(self.account, self.quotes.instruments, marks):
            return list(reach), True
        met = [symbol for symbol, (low, high) in marks.items() if self._meets(symbol, low, high)]
        return met, False

    def _meets(self, symbol: str, low: Decimal, high: Decimal) -> bool:
        """Tell whether a price or mark within the two may fill or trigger an order."""
        return any(hits_within(algo, low, high) for algo in self.ledger.open_algos(symbol)) or any(
            low <= order.price if order.sign > 0 else high >= order.price
            for order in self.ledger.open_orders(symbol)
        )

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
