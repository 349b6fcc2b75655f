"""What we hold by our own fills, each counted once."""

from dataclasses import dataclass, field
from decimal import Decimal

from core import messages as m
from core.messages import Side

ZERO = Decimal(0)
_IDS_KEPT = 2_000
_FROM_THE_FIRST = 1  # a trade id below all of ours
TRADES_KNOWN = 500  # of a symbol, told at a start; half a page of the venue's


@dataclass(slots=True)
class Holding:
    """Net position of one symbol: signed quantity and average entry price."""

    quantity: Decimal = ZERO
    entry_price: Decimal = ZERO

    def apply(self, side: Side, quantity: Decimal, price: Decimal) -> None:
        """Book a fill: averaged when it adds, unchanged entry when it reduces, new when it flips.

        Source: the venue's rule for one-way positions (venue reference, section 11).
        """
        signed = side.sign * quantity
        before, after = self.quantity, self.quantity + signed
        if before * signed >= ZERO:
            cost = abs(before) * self.entry_price + quantity * price
            self.entry_price = cost / abs(after)
        elif before * after < ZERO:
            self.entry_price = price
        if after == ZERO:
            self.entry_price = ZERO
        self.quantity = after


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
        newest, known = dict(book.last_trade_ids), dict(book.known_trades)
        journalled = {intent.symbol for intent, _ in book.intents}
        for symbol in sorted({*newest, *held, *journalled}):
            self.restore(
                symbol,
                held.get(symbol, ZERO),
                prices.get(symbol, ZERO),
                newest.get(symbol, 0),
                known.get(symbol, ()),
            )
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
        self.by_symbol[symbol] = Holding(quantity, entry_price)
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
        self.by_symbol[symbol] = Holding()

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
