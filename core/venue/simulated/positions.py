"""Positions and what a trader has chosen for a symbol.

A symbol has three positions: BOTH in one-way mode, LONG and SHORT in hedge mode.  Quantities are
signed (short negative), money is quote currency in 1e-8.
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from core.venue.simulated.ledger import CASH, ZERO

ENTRY_PLACES = Decimal("0.000000000001")
LEVERAGE_DEFAULT = 20
POSITION_SIDES = ("BOTH", "LONG", "SHORT")


def cash(value: Decimal) -> Decimal:
    """Round to the 1e-8 that money is booked in."""
    return value.quantize(CASH, ROUND_HALF_EVEN)


@dataclass(slots=True)
class Position:
    """A signed quantity at an average entry price."""

    symbol: str
    side: str = "BOTH"
    amount: Decimal = ZERO
    entry: Decimal = ZERO
    isolated_wallet: Decimal = ZERO
    realized: Decimal = ZERO
    fee_rate: Decimal = ZERO  # of the last opening fill, for the break-even price
    update_ms: int = 0
    called_ms: int = 0  # time of the last margin call

    def unrealized(self, mark: Decimal) -> Decimal:
        """Return the profit at a mark price, before fees."""
        return self.amount * (mark - self.entry)

    @property
    def break_even(self) -> Decimal:
        """Entry price moved by the fee paid to open."""
        direction = 1 if self.amount >= 0 else -1
        return self.entry * (1 + direction * self.fee_rate)

    def shrink(self, signed: Decimal) -> None:
        """Close a part (`signed` against the amount); the same part of the set-aside cash is freed.

        The entry price stays until nothing is left.
        """
        if not signed:
            return
        left = self.amount + signed
        freed = self.isolated_wallet * abs(signed) / abs(self.amount)
        self.isolated_wallet = cash(self.isolated_wallet - freed) if left else ZERO
        self.amount = left
        if not left:
            self.entry = ZERO
            self.called_ms = 0

    def grow(self, signed: Decimal, price: Decimal, rate: Decimal) -> None:
        """Open or add: the entry becomes the volume-weighted price."""
        total = self.amount + signed
        cost = self.amount * self.entry + signed * price
        self.entry = (cost / total).quantize(ENTRY_PLACES, ROUND_HALF_EVEN)
        self.amount = total
        self.fee_rate = rate


@dataclass(slots=True)
class SymbolSettings:
    """What a trader has chosen for a symbol."""

    leverage: int = LEVERAGE_DEFAULT
    isolated: bool = False
