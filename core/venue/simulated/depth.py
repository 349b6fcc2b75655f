"""Diff depth: how the book changed between two pushes, chained by `U`, `u` and `pu`.

Update numbers are those of `Quotes.update_id`, dense and growing with venue time, so a snapshot's
`lastUpdateId` always lies within `U..u` of some push: the venue's rule for joining the two works at
any moment.  The book of a diff stream is the one that `depth?limit=1000` shows.  While it stands
still a push a second repeats its touch: harmless, and a client that has just come can join.
"""

from dataclasses import dataclass, field
from decimal import Decimal

from core.venue.simulated.book import Level
from core.venue.simulated.instruments import ListedInstrument
from core.venue.simulated.quotes import Quotes
from core.venue.simulated.render import price_text, quantity_text

LEVELS = 1000  # per side, the most that REST shows
STILL_MS = 1_000  # wall time between pushes of a book that stands still

Sides = tuple[list[Level], list[Level]]
Json = dict[str, object]
Moment = tuple[int, int, Decimal]


def moment_of(quotes: Quotes, symbol: str) -> Moment:
    """Return what changes with every change of a symbol's prices and book."""
    # A fault may move the price between two points: the time of the point alone would hide it.
    return quotes.moment(symbol), quotes.wear.takes(symbol), quotes.last(symbol)


def rows(rules: ListedInstrument, levels: list[Level]) -> list[list[str]]:
    """Return levels as the pairs of text that the venue sends."""
    return [[price_text(rules, row.price), quantity_text(rules, row.quantity)] for row in levels]


def depth_event(quotes: Quotes, symbol: str, previous: int, sides: Sides) -> Json:
    """Return a depth push; `previous` is the number of the one before it, bids first."""
    rules, number = quotes.instruments[symbol], quotes.update_id(symbol)
    return {
        "e": "depthUpdate",
        "E": quotes.now_ms,
        "T": quotes.now_ms,
        "s": symbol,
        "ps": symbol,
        "U": previous + 1,
        "u": number,
        "pu": previous,
        "b": rows(rules, sides[0]),
        "a": rows(rules, sides[1]),
        "st": 1,
    }


def changed(before: list[Level], after: list[Level]) -> list[Level]:
    """Return the levels that turn one side into another; quantities are absolute, 0 removes."""
    old, new = dict(before), dict(after)
    gone = [Level(price, Decimal(0)) for price in old if price not in new]
    return gone + [level for level in after if old.get(level.price) != level.quantity]


@dataclass(slots=True)
class DepthChain:
    """The pushes of one diff stream."""

    symbol: str
    _number: int = 0
    _moment: object = None
    _sides: Sides = field(default_factory=lambda: ([], []))
    _told_ms: int = 0  # wall time of the last push

    def step(self, quotes: Quotes, wall_ms: int) -> Json | None:
        """Return the push that is due, or None while there is nothing to say."""
        symbol, number = self.symbol, quotes.update_id(self.symbol)
        if number <= self._number:
            return None
        moment = moment_of(quotes, symbol)
        still = moment == self._moment
        if still and wall_ms - self._told_ms < STILL_MS:
            return None
        before, joined = self._sides, self._number > 0
        if not still:
            self._sides = (quotes.book(symbol, "SELL", LEVELS), quotes.book(symbol, "BUY", LEVELS))
        bids, asks = self._sides
        said = (bids[:1], asks[:1])
        if joined and not still:
            said = (changed(before[0], bids), changed(before[1], asks))
        event = depth_event(quotes, symbol, self._number if joined else number - 1, said)
        self._number, self._moment, self._told_ms = number, moment, wall_ms
        return event
