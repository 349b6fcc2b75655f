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
POINTS_MAX = 256  # between two pushes; some 20 minutes, about what a look back may cost
GONE_MAX = 20_000  # levels per side that one push may remove
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


def depth_event(
    quotes: Quotes, symbol: str, previous: int, sides: Sides, first: int | None = None
) -> Json:
    """Return a depth push; `previous` is the number of the one before it, bids first.

    `first` is the oldest number that a snapshot may have to be joined, by default the next one.
    """
    rules, number = quotes.instruments[symbol], quotes.update_id(symbol)
    return {
        "e": "depthUpdate",
        "E": quotes.now_ms,
        "T": quotes.now_ms,
        "s": symbol,
        "ps": symbol,
        "U": previous + 1 if first is None else first,
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


class Passed:
    """The prices at which one side had levels at some time since the last push.

    Told from the best prices alone, without the quantities.  Ticks are counted apart for each
    remainder: recorded prices may lie off the grid.
    """

    def __init__(self, tick: Decimal, *, up: bool) -> None:
        self._tick = tick
        self._up = up
        self._ticks: dict[Decimal, set[int]] = {}

    def add(self, best: Decimal, levels: int) -> None:
        """Note a book of so many levels, a tick apart, from its best price outwards."""
        number, rest = divmod(best, self._tick)
        at = int(number)
        ticks = range(at, at + levels) if self._up else range(max(at - levels + 1, 0), at + 1)
        self._ticks.setdefault(rest, set()).update(ticks)

    def note(self, levels: list[Level]) -> None:
        """Note single levels: own orders may lie off the ticks of the market's."""
        for level in levels:
            number, rest = divmod(level.price, self._tick)
            self._ticks.setdefault(rest, set()).add(int(number))

    def __len__(self) -> int:
        return sum(map(len, self._ticks.values()))

    def told(self, after: list[Level]) -> list[Level]:
        """Return the side as it is now, and with quantity 0 each level that is no more."""
        kept = {level.price for level in after}
        prices = [
            rest + self._tick * at for rest, ticks in self._ticks.items() for at in sorted(ticks)
        ]
        gone = [Level(price, Decimal(0)) for price in prices if price > 0 and price not in kept]
        return gone + after


@dataclass(slots=True)
class DepthChain:
    """The pushes of one diff stream."""

    symbol: str
    _number: int = 0
    _moment: Moment | None = None
    _point: int = 0  # the price point of the last push
    _stirs: int = 0
    _tick: Decimal = Decimal(0)
    _sides: Sides = field(default_factory=lambda: ([], []))
    _told_ms: int = 0  # wall time of the last push

    def step(self, quotes: Quotes, wall_ms: int) -> Json | None:
        """Return the push that is due, or None while there is nothing to say."""
        symbol, number = self.symbol, quotes.update_id(self.symbol)
        if number <= self._number:
            return None
        moment, before = moment_of(quotes, symbol), self._moment
        still = moment == before
        if still and wall_ms - self._told_ms < STILL_MS:
            return None
        first = self._number + 1
        if before is None:
            self._sides = self._books(quotes)
            first, said = number, (self._sides[0][:1], self._sides[1][:1])
        elif still:
            said = (self._sides[0][:1], self._sides[1][:1])
        else:
            old, self._sides = self._sides, self._books(quotes)
            takes = moment[1] - before[1]
            passed = self._passed(quotes, old, takes)
            if passed is None:
                first = number
            if passed:
                said = (passed[0].told(self._sides[0]), passed[1].told(self._sides[1]))
            else:
                said = (changed(old[0], self._sides[0]), changed(old[1], self._sides[1]))
        previous = number - 1 if before is None else self._number
        event = depth_event(quotes, symbol, previous, said, first)
        self._number, self._moment, self._told_ms = number, moment, wall_ms
        self._point = quotes.point_number(symbol)
        self._stirs = quotes.wear.stirs(symbol)
        self._tick = quotes.instruments[symbol].tick_size
        return event

    def _books(self, quotes: Quotes) -> Sides:
        book = quotes.shown
        return book(self.symbol, "SELL", LEVELS), book(self.symbol, "BUY", LEVELS)

    def _passed(
        self, quotes: Quotes, old: Sides, takes: int
    ) -> tuple[Passed, Passed] | tuple[()] | None:
        """Return what the books since the last push had; () if none came between, None if too many.

        Own takes alone need no look between: within one price point they only ever lower levels.
        Own resting orders do: one may have come and gone.
        """
        tick = quotes.instruments[self.symbol].tick_size
        points = quotes.point_number(self.symbol) - self._point
        if points > POINTS_MAX or tick != self._tick:
            return None
        stirred = quotes.wear.stirs(self.symbol) > self._stirs
        if (points == 0 and not stirred) or (points == 1 and not takes):
            return ()
        bids, asks = Passed(tick, up=False), Passed(tick, up=True)
        # A take empties one level at most, and for each emptied one the book shows one further out.
        for side, levels in ((bids, old[0]), (asks, old[1])):
            if levels:
                span = int(abs(levels[-1].price - levels[0].price) / tick) + 1
                side.add(levels[0].price, span + takes)
                if takes:
                    side.note(levels)
        for price, bought in quotes.points_after(self.symbol, self._point):
            bids.add(price - tick * bought, LEVELS + takes)
            asks.add(price + tick * (not bought), LEVELS + takes)
            if max(len(bids), len(asks)) > GONE_MAX:
                return None
        return bids, asks
