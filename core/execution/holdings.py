"""What we hold by our own fills, each counted once."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from core import messages as m
from core.persistence.book import BookedFill, NetPosition

ZERO = Decimal(0)
_IDS_KEPT = 2_000
_FROM_THE_FIRST = 1  # a trade id below all of ours
TRADES_KNOWN = 500  # of a symbol, told at a start; half a page of the venue's


@dataclass(slots=True)
class Holding:
    """Net position of one symbol: signed quantity and average entry price.

    A comparison says whose a position is, as a whole; `beside` is what others hold there by it and
    by their fills since then, which they take away first.  `booked` is ours by the fills alone, as
    the database will read them.
    """

    quantity: Decimal = ZERO
    entry_price: Decimal = ZERO
    beside: Decimal = ZERO
    booked: NetPosition = field(default_factory=NetPosition)

    def take(self, fill: BookedFill) -> tuple[Decimal, bool]:
        """Book a fill; return how much of it moved what we hold, and whether it is all ours.

        Another's fill is ours where it closes nothing but what our own fills have opened.
        """
        before = self.quantity
        held = NetPosition(quantity=before, entry_price=self.entry_price, foreign=self.beside)
        after = held.after(fill)
        self.quantity, self.entry_price = after.quantity, after.entry_price
        self.beside = after.foreign
        moved = abs(after.quantity - before)
        closes = moved == fill.quantity and self.booked.quantity * before > ZERO
        ours = fill.ours or (closes and fill.quantity <= abs(self.booked.quantity))
        self.booked = self.booked.after(replace(fill, ours=ours))
        return moved, ours

    def hold(self, quantity: Decimal, entry_price: Decimal) -> None:
        """Hold what the venue says, all of it."""
        self.quantity, self.entry_price, self.beside = quantity, entry_price, ZERO


@dataclass(slots=True)
class Holdings:
    """All symbols, and which trades are counted already."""

    by_symbol: dict[str, Holding] = field(default_factory=dict)
    fetched_up_to: dict[str, int] = field(default_factory=dict)  # trade ids; the stream has gaps
    _counted: dict[str, dict[int, None]] = field(default_factory=dict)
    _floor: dict[str, int] = field(default_factory=dict)  # all ids up to here are counted

    def of(self, symbol: str) -> Holding:
        """Return the holding of a symbol, flat if it never traded."""
        return self.by_symbol.setdefault(symbol, Holding())

    def begin(self, book: m.RecoveredBook) -> None:
        """Start from what the database holds."""
        held, prices = dict(book.positions), dict(book.entry_prices)
        foreign = dict(book.foreign)
        newest, known = dict(book.last_trade_ids), dict(book.known_trades)
        journalled = {intent.symbol for intent, _ in book.intents}
        for symbol in sorted({*newest, *held, *foreign, *journalled}):
            self.restore(
                symbol,
                held.get(symbol, ZERO),
                prices.get(symbol, ZERO),
                newest.get(symbol, 0),
                known.get(symbol, ()),
            )
            self.by_symbol[symbol].beside = foreign.get(symbol, ZERO)
            if symbol in journalled and not self.fetched_up_to[symbol]:
                # Its fill may not have been booked when we died, longer ago than the last day.
                self.fetched_up_to[symbol] = _FROM_THE_FIRST

    def restore(
        self,
        symbol: str,
        quantity: Decimal,
        entry_price: Decimal,
        newest_trade: int,
        known: tuple[int, ...] = (),
    ) -> None:
        """Start from what the database holds: the `known` trades, or all up to `newest_trade`.

        A trade may be missing among the known: the stream lost it and the process died before a
        snapshot brought it.  So those are fetched again, all there are if they are few.
        """
        booked = NetPosition(quantity=quantity, entry_price=entry_price)
        self.by_symbol[symbol] = Holding(quantity, entry_price, booked=booked)
        floor = newest_trade
        if known:
            floor = known[0] if len(known) >= TRADES_KNOWN else 0
        self._floor[symbol] = floor
        # Not 0, which means that nothing is known and asks for the last day only: a position may
        # have been closed days ago, while nobody was there.
        self.fetched_up_to[symbol] = floor or (_FROM_THE_FIRST if known else 0)
        self._counted[symbol] = dict.fromkeys(known)

    def forget(self, symbol: str) -> None:
        """Hold nothing of a symbol any more; its trades stay counted."""
        self.of(symbol).hold(ZERO, ZERO)

    def note_foreign(self, compared: frozenset[str], foreign: Mapping[str, Decimal]) -> None:
        """Learn what others hold of the symbols that were compared: nothing, unless it is named."""
        for symbol in compared:
            self.of(symbol).beside = foreign.get(symbol, ZERO)

    def note_fetched(self, symbol: str, trade_id: int) -> None:
        """Remember that the venue's list of trades was read up to this one."""
        self.fetched_up_to[symbol] = max(trade_id, self.fetched_up_to.get(symbol, 0))

    def count(self, symbol: str, trade_id: int) -> bool:
        """Mark a trade as counted; False if it was counted before.

        The venue numbers the trades of a symbol upwards, so ids far below the newest are known.
        """
        seen = self._counted.setdefault(symbol, {})
        if trade_id in seen or trade_id <= self._floor.get(symbol, 0):
            return False
        seen[trade_id] = None
        if len(seen) > _IDS_KEPT:
            for oldest in sorted(seen)[: _IDS_KEPT // 2]:
                del seen[oldest]
                self._floor[symbol] = max(oldest, self._floor.get(symbol, 0))
        return True


def booked_fill(trade: m.VenueTrade, *, ours: bool) -> BookedFill:
    """Return what a trade changes of a position."""
    return BookedFill(
        symbol=trade.symbol,
        trade_id=trade.trade_id,
        ours=ours,
        side=trade.side,
        quantity=trade.quantity,
        price=trade.price,
    )
