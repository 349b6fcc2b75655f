"""The seeded depth of a symbol at one moment, and how own orders wear it down.

A level holds about 24,000 USDT at the touch and more further out.  The depth is a function of
symbol, moment and level, drawn anew at every price point; what own orders have taken since that
point is missing from it, so a large order pays for its size and the next one finds less.  Tickers,
depth and matching all read the same levels.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import NamedTuple

from core.venue.simulated.draws import scatter

_LEVEL_QUOTE = Decimal(24_000)  # mean quote value of a level at the touch
_NOTHING: Mapping[Decimal, Decimal] = {}


class Level(NamedTuple):
    """One price level of the book."""

    price: Decimal
    quantity: Decimal


class Wear:
    """What own orders took from the book that stands now, per symbol, side and price."""

    def __init__(self) -> None:
        self._taken: dict[tuple[str, str], tuple[int, dict[Decimal, Decimal]]] = {}
        self._takes: dict[str, int] = {}
        self._stirs: dict[str, int] = {}

    def take(
        self, symbol: str, taker_side: str, moment: int, price: Decimal, quantity: Decimal
    ) -> None:
        """Note that a taker of that side has taken a quantity at a price since `moment`."""
        key = (symbol, taker_side)
        at, taken = self._taken.get(key, (moment, {}))
        if at != moment:
            taken = {}
        taken[price] = taken.get(price, Decimal(0)) + quantity
        self._taken[key] = (moment, taken)
        self._takes[symbol] = self._takes.get(symbol, 0) + 1

    def stir(self, symbol: str) -> None:
        """Note that an own order in the symbol's book has come, changed or gone."""
        self._stirs[symbol] = self.stirs(symbol) + 1

    def stirs(self, symbol: str) -> int:
        """Return how often own orders in the symbol's book have come, changed or gone."""
        return self._stirs.get(symbol, 0)

    def taken(self, symbol: str, taker_side: str, moment: int) -> Mapping[Decimal, Decimal]:
        """Return what is missing per price in the book of `moment`."""
        at, taken = self._taken.get((symbol, taker_side), (moment, _NOTHING))
        return taken if at == moment else _NOTHING

    def takes(self, symbol: str) -> int:
        """Return how often own orders have changed the symbol's book: for update ids."""
        return self._takes.get(symbol, 0) + self.stirs(symbol)


def seeded_levels(
    *,
    best: Decimal,
    up: bool,
    tick: Decimal,
    step: Decimal,
    salt: int,
    moment: int,
    taken: Mapping[Decimal, Decimal],
) -> Iterator[Level]:
    """Yield the levels from `best` outwards, a tick apart; emptied ones are left out.

    `up` is the ask side (a buyer walks it upwards); `salt` names the symbol, `moment` is the time
    of the price point in ms, `taken` what is missing per price.
    """
    number = 0
    while True:
        price = best + tick * number if up else best - tick * number
        if price <= 0:
            return
        draw = scatter(salt, moment, number, int(up)) % 1000 + 500
        value = _LEVEL_QUOTE * draw * (20 + number) / 20_000
        quantity = max((value / price // step) * step, step)
        if taken:
            quantity -= taken.get(price, Decimal(0))
        if quantity > 0:
            yield Level(price, quantity)
        number += 1
