"""Market streams: which frames are due for the streams that somebody listens to.

Push intervals are wall time, the values carry the venue time of sending (design: Clock).  A frame
is made once, however many listen.  What must not be missed at any speed (closed candles, trades)
follows the exchange's events; the rest shows the present and is pushed when it has changed.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice, takewhile
from typing import Any

from core.venue.simulated import frames
from core.venue.simulated.depth import DepthChain, Json, Moment, moment_of
from core.venue.simulated.events import MinuteClosed
from core.venue.simulated.exchange import Exchange
from core.venue.simulated.market import Bar
from core.venue.simulated.prints import prints_after, prints_back
from core.venue.simulated.stream_names import Stream, parse

Frame = tuple[str, Any]  # stream name, payload

FORCED_MS = 1_000  # wall time between liquidation frames of a symbol
_KLINES = frozenset({"kline", "continuous"})


@dataclass(slots=True)
class _Watch:
    stream: Stream
    due_ms: int = 0
    seen: Any = None  # what the last push showed; its kind's own business


@dataclass(slots=True)
class _Forced:
    """Liquidations of a symbol: the largest since the last push waits for the next."""

    pushed_ms: int = 0
    waiting: Json | None = None
    size: Decimal = Decimal(0)


@dataclass(slots=True)
class Publisher:
    """Turns the exchange's state into frames."""

    exchange: Exchange
    _names: list[str] = field(default_factory=list)
    _watches: dict[str, _Watch] = field(default_factory=dict)
    _forced: dict[str, _Forced] = field(default_factory=dict)

    def watch(self, names: Iterable[str]) -> None:
        """Set the streams that are listened to now."""
        asked = list(names)
        if asked == self._names:
            return
        self._names = asked
        wanted = dict.fromkeys(asked)
        for name in [name for name in self._watches if name not in wanted]:
            del self._watches[name]
        for name in wanted:
            stream = parse(name) if name not in self._watches else None
            if stream is None:
                continue
            if stream.symbol and stream.symbol not in self.exchange.quotes.instruments:
                continue
            self._watches[name] = _Watch(stream)

    # ------------------------------------------------------------------ what has happened
    def closed(self, event: MinuteClosed) -> list[Frame]:
        """Return the last trades and the final klines of a minute that has just closed."""
        told: list[Frame] = []
        klines: list[Frame] = []
        for watch in self._watches.values():
            stream = watch.stream
            if stream.kind == "agg":
                trades = self._trades(watch, event.close_ms - 1)
                told += [(stream.name, payload) for payload in trades]
            elif stream.kind in _KLINES:
                last = event.bars.get(stream.symbol)
                bar = last and self.exchange.candles.closed_at(stream.symbol, stream.detail, last)
                if bar:
                    frame = self._kline(stream, bar, event.close_ms, closed=True)
                    klines.append((stream.name, frame))
        return told + klines

    def heard(self, payload: Json) -> None:
        """Take note of a user event: liquidations are told to everybody."""
        frame = frames.forced_order(payload)
        if frame is None:
            return
        order: Any = frame["o"]
        row = self._forced.setdefault(order["s"], _Forced())
        size = Decimal(order["z"])
        if row.waiting is None or size >= row.size:
            row.waiting, row.size = frame, size

    # ------------------------------------------------------------------ what is due
    def due(self, wall_ms: int) -> list[Frame]:
        """Return the frames whose wall time has come and whose content has changed."""
        told: list[Frame] = []
        for watch in self._watches.values():
            if wall_ms < watch.due_ms:
                continue
            watch.due_ms = wall_ms + watch.stream.period_ms
            told += [(watch.stream.name, payload) for payload in self._payloads(watch, wall_ms)]
        return told + self._liquidations(wall_ms)

    def _liquidations(self, wall_ms: int) -> list[Frame]:
        told: list[Frame] = []
        for symbol, row in self._forced.items():
            if row.waiting is None or wall_ms - row.pushed_ms < FORCED_MS:
                continue
            told += [
                (watch.stream.name, row.waiting)
                for watch in self._watches.values()
                if watch.stream.kind == "force" and watch.stream.symbol in {"", symbol}
            ]
            row.waiting, row.pushed_ms = None, wall_ms
        return told

    def _payloads(self, watch: _Watch, wall_ms: int) -> list[Any]:
        stream, exchange = watch.stream, self.exchange
        quotes = exchange.quotes
        match stream.kind:
            case "kline" | "continuous":
                moment = (self._moment(stream.symbol), quotes.minute_index)
                if quotes.ended or not _changed(watch, moment):
                    return []
                bar = exchange.candles.latest(stream.symbol, stream.detail)
                return [self._kline(stream, bar, quotes.now_ms, closed=False)]
            case "book":
                if not _changed(watch, self._moment(stream.symbol)):
                    return []
                return [frames.book_ticker(quotes, stream.symbol)]
            case "books":
                return [frames.book_ticker(quotes, symbol) for symbol in self._moved(watch)]
            case "mark":
                return [frames.mark_price(exchange, stream.symbol)]
            case "marks":
                return [[frames.mark_price(exchange, symbol) for symbol in quotes.symbols]]
            case "agg":
                return self._trades(watch, quotes.now_ms)
            case "ticker" | "mini":
                mini = stream.kind == "mini"
                return [frames.ticker(exchange, stream.symbol, mini=mini)]
            case "tickers" | "minis":
                mini, moved = stream.kind == "minis", self._moved(watch)
                return [[frames.ticker(exchange, name, mini=mini) for name in moved]][: len(moved)]
            case "depth":
                return self._partial_depth(watch)
            case "diff":
                watch.seen = watch.seen or DepthChain(stream.symbol)
                event = watch.seen.step(quotes, wall_ms)
                return [] if event is None else [event]
            case "contracts":
                return self._contracts(watch)
            case _:
                return []  # liquidations are pushed when they happen

    def _moment(self, symbol: str) -> Moment:
        return moment_of(self.exchange.quotes, symbol)

    def _moved(self, watch: _Watch) -> list[str]:
        """Return the symbols whose market has changed since the watch was last asked."""
        before = watch.seen or {}
        watch.seen = {symbol: self._moment(symbol) for symbol in self.exchange.quotes.symbols}
        return [symbol for symbol, moment in watch.seen.items() if before.get(symbol) != moment]

    def _kline(self, stream: Stream, bar: Bar, time_ms: int, *, closed: bool) -> Json:
        rules = self.exchange.quotes.instruments[stream.symbol]
        render = frames.kline if stream.kind == "kline" else frames.continuous_kline
        return render(rules, bar, stream.detail, time_ms, closed=closed)

    def _trades(self, watch: _Watch, upto_ms: int) -> list[Json]:
        """Return the trades up to a venue time that the watch has not told; none of the past."""
        symbol, quotes = watch.stream.symbol, self.exchange.quotes
        moment = (self._moment(symbol), upto_ms // 60_000)
        told, before = watch.seen or (0, None)
        if before == moment:
            return []
        if before is None:
            rows = list(islice(prints_back(quotes, symbol, upto_ms), 1))
        else:
            later = prints_after(quotes, symbol, told)
            rows = list(takewhile(lambda row: row.time_ms <= upto_ms, later))
        watch.seen = (rows[-1].number if rows else told, moment)
        rules = quotes.instruments[symbol]
        return [frames.aggregate_trade(rules, row, upto_ms) for row in rows]

    def _partial_depth(self, watch: _Watch) -> list[Json]:
        symbol, quotes = watch.stream.symbol, self.exchange.quotes
        number, moment = quotes.update_id(symbol), self._moment(symbol)
        told, before = watch.seen or (number - 1, None)
        if moment == before:
            return []
        watch.seen = (number, moment)
        return [frames.partial_depth(quotes, symbol, int(watch.stream.detail), told)]

    def _contracts(self, watch: _Watch) -> list[Json]:
        quotes = self.exchange.quotes
        now = {
            symbol: (rules, quotes.statuses.get(symbol))
            for symbol, rules in quotes.instruments.items()
        }
        before, watch.seen = watch.seen or now, now
        changed = [symbol for symbol, state in now.items() if before.get(symbol) != state]
        return [frames.contract_info(self.exchange, symbol) for symbol in changed]


def _changed(watch: _Watch, now: object) -> bool:
    before, watch.seen = watch.seen, now
    return bool(before != now)
