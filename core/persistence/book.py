"""Our own net positions, computed exactly from the booked fills.

A fill of ours counts as ours, but for what a stop of ours closes beyond it.  A foreign fill (by
hand, a liquidation) first undoes what others hold on the symbol and then what we hold, since the
account has one net position per symbol; what is left of it is theirs.  So a position the owner
closed by hand is not ours any more.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from core.messages import Side


@dataclass(frozen=True, slots=True, kw_only=True)
class BookedFill:
    """What a position is made of: one fill, base quantity and quote price."""

    symbol: str
    trade_id: int
    ours: bool
    side: Side
    quantity: Decimal
    price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class NetPosition:
    """Our signed quantity and its average entry price, and the others' signed quantity."""

    quantity: Decimal = Decimal(0)
    entry_price: Decimal = Decimal(0)
    foreign: Decimal = Decimal(0)

    def after(self, fill: BookedFill) -> "NetPosition":
        """Return the position once this fill is in."""
        signed = fill.side.sign * fill.quantity
        if fill.ours:
            # A stop of ours closes all there is: what it closes beyond ours was the others'.
            beyond = signed - _undone(self.quantity, signed) if self.quantity != 0 else Decimal(0)
            undone = _undone(self.foreign, beyond)
            return self._moved(signed - undone, fill.price, self.foreign + undone)
        undone = _undone(self.foreign, signed)
        rest = signed - undone
        closed = _undone(self.quantity, rest)
        return self._moved(closed, fill.price, self.foreign + undone + (rest - closed))

    def _moved(self, signed: Decimal, price: Decimal, foreign: Decimal) -> "NetPosition":
        """Add to our part: growing averages the price, shrinking keeps it, crossing restarts it."""
        before, after = self.quantity, self.quantity + signed
        if after == 0:
            return NetPosition(foreign=foreign)
        if before * signed > 0:
            entry = (before * self.entry_price + signed * price) / after
        elif before * after > 0:
            entry = self.entry_price
        else:
            entry = price
        return NetPosition(quantity=after, entry_price=entry, foreign=foreign)


def net_positions(fills: Iterable[BookedFill]) -> dict[str, NetPosition]:
    """Return each symbol's position from all its fills, in any order, each given once.

    The venue numbers trades per symbol in the order they happened.
    """
    positions: dict[str, NetPosition] = {}
    for fill in sorted(fills, key=lambda fill: (fill.symbol, fill.trade_id)):
        positions[fill.symbol] = positions.get(fill.symbol, NetPosition()).after(fill)
    return positions


def _undone(held: Decimal, signed: Decimal) -> Decimal:
    """Return the part of `signed` that reduces `held` towards zero, with the sign of `signed`."""
    if held * signed >= 0:
        return Decimal(0)
    size = min(abs(held), abs(signed))
    return size if signed > 0 else -size
