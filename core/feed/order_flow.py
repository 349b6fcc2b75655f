"""Who was in a hurry during a bar, and how the book leaned: trades and best quotes, reduced.

A bar's *trade imbalance* is (aggregate trades by buying takers - by selling takers) / all of them,
0 without any; its *book imbalance* the mean over the bar's time of (bid quantity - ask quantity) /
(both) at the best prices.  Both are -1..1 and hold what was known when the candle's close was
heard: what comes later, of the same bar, is not looked at any more, for a decision could not have
known it either.  A bar that was not listened to from its first moment on has no record.
"""

from dataclasses import dataclass, field

from core.messages import Candle, KlineFrame

_BARS_MAX = 3  # per symbol: the one that closes, the one that has begun, and one for late clocks


@dataclass(frozen=True, slots=True, kw_only=True)
class TradePrint:
    """One aggregate trade."""

    symbol: str
    number: int  # rises by one a trade
    buyer_is_maker: bool  # then the taker sold
    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BookTop:
    """The best bid and ask; quantities in base units."""

    symbol: str
    number: int  # rises with each update
    bid_quantity: float
    ask_quantity: float
    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowBar:
    """A closed candle with what was heard beside it."""

    symbol: str
    candle: Candle
    trade_imbalance: float  # -1..1
    book_imbalance: float  # -1..1


@dataclass(slots=True)
class _Symbol:
    """What is known of one symbol; times are venue ns."""

    heard_from_ns: int = 0  # 0: nothing yet
    trade_number: int = -1
    book_number: int = -1
    leaning: float | None = None  # of the newest book
    leaning_from_ns: int = 0
    trades: dict[int, tuple[int, int]] = field(default_factory=dict)  # by bar: bought, sold
    books: dict[int, float] = field(default_factory=dict)  # by bar: leaning times ns


class OrderFlow:
    """Reduces trades and quotes of some symbols to a record per bar; bounded, and pure."""

    def __init__(self, symbols: tuple[str, ...], interval_ns: int) -> None:
        self._interval_ns = interval_ns
        self._symbols = {symbol: _Symbol() for symbol in symbols}

    @property
    def bars_kept(self) -> int:
        """The most bars that any symbol is remembered of; bounded."""
        known = self._symbols.values()
        return max((max(len(one.trades), len(one.books)) for one in known), default=0)

    def interrupted(self) -> None:
        """Forget everything: something was missed, and the bars under way are not whole."""
        self._symbols = {symbol: _Symbol() for symbol in self._symbols}

    def take(self, heard: TradePrint | BookTop) -> None:
        """Count what was heard; repeated and overtaken ones, and other symbols, count for nothing.

        While a socket is replaced the same arrives twice.
        """
        known = self._symbols.get(heard.symbol)
        if known is None:
            return
        known.heard_from_ns = known.heard_from_ns or heard.at_ns
        if isinstance(heard, TradePrint):
            self._trade(known, heard)
        else:
            self._book(known, heard)

    def close(self, frame: KlineFrame) -> FlowBar | None:
        """Return the record of the bar whose close was heard, None if it was not heard whole."""
        known = self._symbols.get(frame.symbol)
        if known is None or not frame.closed:
            return None
        opened = frame.candle.open_time_ns
        bought, sold = known.trades.get(opened, (0, 0))
        leaning = self._mean_leaning(known, opened)
        for past in (known.trades, known.books):
            for bar in [bar for bar in past if bar <= opened]:
                del past[bar]
        if leaning is None or not known.heard_from_ns or known.heard_from_ns > opened:
            return None
        return FlowBar(
            symbol=frame.symbol,
            candle=frame.candle,
            trade_imbalance=(bought - sold) / max(bought + sold, 1),
            book_imbalance=leaning,
        )

    def _trade(self, known: _Symbol, trade: TradePrint) -> None:
        if trade.number <= known.trade_number:
            return
        known.trade_number = trade.number
        opened = self._bar_of(trade.at_ns)
        bought, sold = known.trades.get(opened, (0, 0))
        if trade.buyer_is_maker:
            sold += 1
        else:
            bought += 1
        known.trades[opened] = (bought, sold)
        _bound(known.trades)

    def _book(self, known: _Symbol, book: BookTop) -> None:
        both = book.bid_quantity + book.ask_quantity
        if book.number <= known.book_number or book.at_ns < known.leaning_from_ns or both <= 0.0:
            return
        known.book_number = book.number
        if known.leaning is not None:
            # A quote stands until the next one; of a long silence only the newest bars are kept.
            first = self._bar_of(known.leaning_from_ns)
            last = self._bar_of(book.at_ns)
            for bar in range(max(first, last - self._interval_ns), last + 1, self._interval_ns):
                area = known.leaning * self._overlap(bar, known.leaning_from_ns, book.at_ns)
                known.books[bar] = known.books.get(bar, 0.0) + area
            _bound(known.books)
        known.leaning = (book.bid_quantity - book.ask_quantity) / both
        known.leaning_from_ns = book.at_ns

    def _mean_leaning(self, known: _Symbol, opened: int) -> float | None:
        if known.leaning is None:
            return None
        end = opened + self._interval_ns
        rest = known.leaning * self._overlap(opened, known.leaning_from_ns, end)
        mean = (known.books.get(opened, 0.0) + rest) / self._interval_ns
        return min(max(mean, -1.0), 1.0)

    def _overlap(self, bar: int, start_ns: int, end_ns: int) -> int:
        return max(0, min(end_ns, bar + self._interval_ns) - max(start_ns, bar))

    def _bar_of(self, at_ns: int) -> int:
        return at_ns - at_ns % self._interval_ns


def _bound(by_bar: dict[int, tuple[int, int]] | dict[int, float]) -> None:
    while len(by_bar) > _BARS_MAX:
        del by_bar[min(by_bar)]
