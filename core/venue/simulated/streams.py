"""Market streams: names, routes, payloads, and when each is due.

Push intervals are wall time, the values carry the venue time of sending (design: Clock).  A stream
asked for on the wrong route is accepted and silent, as on the venue; so is an unknown name.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from core.venue.simulated.events import MinuteClosed
from core.venue.simulated.exchange import Exchange
from core.venue.simulated.klines import INTERVAL_MINUTES, kline_detail
from core.venue.simulated.quotes import Bar
from core.venue.simulated.render import price_text, quantity_text
from core.venue.simulated.rest_market import day_row, premium_row

Json = dict[str, Any]
Frame = tuple[str, Any]  # stream name, payload

KLINE_MS = 250
TICKER_MS = 2_000


class Route(StrEnum):
    """The three paths of the stream host; what has no route behaves like PUBLIC."""

    PUBLIC = "public"
    MARKET = "market"
    PRIVATE = "private"


@dataclass(frozen=True, slots=True)
class Stream:
    """A parsed stream name; `symbol` is empty for all-market streams, `period_ms` wall time."""

    name: str
    kind: str
    route: Route
    period_ms: int
    symbol: str = ""
    detail: str = ""  # kline interval, or number of depth levels


_PATTERNS: tuple[tuple[str, str, Route, int], ...] = (
    (r"(?P<symbol>\w+)@kline_(?P<detail>\w+)", "kline", Route.MARKET, KLINE_MS),
    (
        r"(?P<symbol>\w+)_perpetual@continuouskline_(?P<detail>\w+)",
        "continuous",
        Route.MARKET,
        KLINE_MS,
    ),
    (r"(?P<symbol>\w+)@markprice@1s", "mark", Route.MARKET, 1_000),
    (r"(?P<symbol>\w+)@markprice", "mark", Route.MARKET, 3_000),
    (r"!markprice@arr@1s", "marks", Route.MARKET, 1_000),
    (r"!markprice@arr", "marks", Route.MARKET, 3_000),
    (r"(?P<symbol>\w+)@aggtrade", "agg", Route.MARKET, 0),
    (r"(?P<symbol>\w+)@ticker", "ticker", Route.MARKET, TICKER_MS),
    (r"(?P<symbol>\w+)@miniticker", "mini", Route.MARKET, TICKER_MS),
    (r"!ticker@arr", "tickers", Route.MARKET, 1_000),
    (r"!miniticker@arr", "minis", Route.MARKET, 1_000),
    (r"(?P<symbol>\w+)@bookticker", "book", Route.PUBLIC, 0),
    (r"!bookticker", "books", Route.PUBLIC, 5_000),
    (r"(?P<symbol>\w+)@depth(?P<detail>5|10|20)@500ms", "depth", Route.PUBLIC, 500),
    (r"(?P<symbol>\w+)@depth(?P<detail>5|10|20)@100ms", "depth", Route.PUBLIC, 100),
    (r"(?P<symbol>\w+)@depth(?P<detail>5|10|20)", "depth", Route.PUBLIC, 250),
)
_COMPILED = tuple(
    (re.compile(pattern, re.IGNORECASE | re.ASCII), kind, route, period)
    for pattern, kind, route, period in _PATTERNS
)


def parse(name: str) -> Stream | None:
    """Return what a stream name means, or None for one the venue does not push."""
    for pattern, kind, route, period in _COMPILED:
        found = pattern.fullmatch(name)
        if found is None:
            continue
        parts = found.groupdict()
        detail = parts.get("detail") or ""
        if kind in {"kline", "continuous"} and detail not in INTERVAL_MINUTES:
            return None
        return Stream(name, kind, route, period, (parts.get("symbol") or "").upper(), detail)
    return None


@dataclass(slots=True)
class _Watch:
    stream: Stream
    due_ms: int = 0
    seen: object = None


@dataclass(slots=True)
class Publisher:
    """Turns the exchange's state into frames for the streams that somebody listens to."""

    exchange: Exchange
    _watches: dict[str, _Watch] = field(default_factory=dict)

    def watch(self, names: Iterable[str]) -> None:
        """Set the streams that are listened to now."""
        wanted = dict.fromkeys(names)
        for name in [name for name in self._watches if name not in wanted]:
            del self._watches[name]
        for name in wanted:
            stream = parse(name) if name not in self._watches else None
            if stream is None:
                continue
            if stream.symbol and stream.symbol not in self.exchange.quotes.instruments:
                continue
            self._watches[name] = _Watch(stream)

    def closed(self, event: MinuteClosed) -> list[Frame]:
        """Return the final kline frames of a minute that has just closed."""
        frames: list[Frame] = []
        for watch in self._watches.values():
            stream = watch.stream
            if stream.kind not in {"kline", "continuous"}:
                continue
            last = event.bars[stream.symbol]
            bar = self.exchange.candles.closed_at(stream.symbol, stream.detail, last)
            if bar is not None:
                frames.append((stream.name, self._kline(stream, bar, event.close_ms, closed=True)))
        return frames

    def due(self, wall_ms: int) -> list[Frame]:
        """Return the frames whose wall time has come and whose content has changed."""
        frames: list[Frame] = []
        for watch in self._watches.values():
            if wall_ms < watch.due_ms:
                continue
            watch.due_ms = wall_ms + watch.stream.period_ms
            frames += [(watch.stream.name, payload) for payload in self._payloads(watch)]
        return frames

    # ------------------------------------------------------------------ payloads
    def _payloads(self, watch: _Watch) -> list[Any]:
        stream, quotes = watch.stream, self.exchange.quotes
        match stream.kind:
            case "kline" | "continuous":
                if quotes.ended or not self._changed(watch, quotes.update_id(stream.symbol)):
                    return []
                bar = self.exchange.candles.latest(stream.symbol, stream.detail)
                return [self._kline(stream, bar, quotes.now_ms, closed=False)]
            case "book":
                if not self._changed(watch, quotes.update_id(stream.symbol)):
                    return []
                return [self._book(stream.symbol)]
            case "books":
                return [self._book(symbol) for symbol in quotes.symbols]
            case "mark":
                return [self._mark(stream.symbol)]
            case "marks":
                return [[self._mark(symbol) for symbol in quotes.symbols]]
            case "agg":
                return self._prints(watch)
            case "ticker" | "mini":
                return [self._ticker(stream.symbol, mini=stream.kind == "mini")]
            case "tickers" | "minis":
                mini = stream.kind == "minis"
                return [[self._ticker(symbol, mini=mini) for symbol in quotes.symbols]]
            case _:
                return self._depth(watch)

    @staticmethod
    def _changed(watch: _Watch, now: object) -> bool:
        changed, watch.seen = watch.seen != now, now
        return changed

    def _kline(self, stream: Stream, bar: Bar, time_ms: int, *, closed: bool) -> Json:
        rules = self.exchange.quotes.instruments[stream.symbol]
        detail = kline_detail(rules, bar, stream.detail, closed=closed)
        if stream.kind == "kline":
            return {"e": "kline", "E": time_ms, "s": stream.symbol, "k": detail}
        del detail["s"]
        head = {"e": "continuous_kline", "E": time_ms, "ps": stream.symbol, "ct": "PERPETUAL"}
        return {**head, "k": detail}

    def _mark(self, symbol: str) -> Json:
        row = premium_row(self.exchange, symbol)
        return {
            "e": "markPriceUpdate",
            "E": self.exchange.now_ms,
            "s": symbol,
            "p": row["markPrice"],
            "ap": row["markPrice"],
            "i": row["indexPrice"],
            "P": row["estimatedSettlePrice"],
            "r": row["lastFundingRate"],
            "T": row["nextFundingTime"],
            "st": 1,
        }

    def _book(self, symbol: str) -> Json:
        quotes, rules = self.exchange.quotes, self.exchange.quotes.instruments[symbol]
        bid, ask = quotes.touch(symbol)
        return {
            "e": "bookTicker",
            "u": quotes.update_id(symbol),
            "E": quotes.now_ms,
            "T": quotes.now_ms,
            "s": symbol,
            "ps": symbol,
            "b": price_text(rules, bid.price),
            "B": quantity_text(rules, bid.quantity),
            "a": price_text(rules, ask.price),
            "A": quantity_text(rules, ask.quantity),
            "st": 1,
        }

    def _prints(self, watch: _Watch) -> list[Json]:
        symbol, quotes = watch.stream.symbol, self.exchange.quotes
        rules = quotes.instruments[symbol]
        found = quotes.prints(symbol)
        seen = watch.seen if isinstance(watch.seen, int) else found[-1].number - 1
        watch.seen = found[-1].number
        return [
            {
                "e": "aggTrade",
                "E": quotes.now_ms,
                "s": symbol,
                "a": row.number,
                "p": price_text(rules, row.price),
                "q": quantity_text(rules, row.quantity),
                "nq": quantity_text(rules, row.quantity),
                "f": row.number,
                "l": row.number,
                "T": row.time_ms,
                "m": row.buyer_is_maker,
                "st": 1,
            }
            for row in found
            if row.number > seen
        ]

    def _ticker(self, symbol: str, *, mini: bool) -> Json:
        row = day_row(self.exchange, symbol)
        payload: Json = {
            "e": "24hrMiniTicker" if mini else "24hrTicker",
            "E": self.exchange.now_ms,
            "s": symbol,
            "c": row["lastPrice"],
            "o": row["openPrice"],
            "h": row["highPrice"],
            "l": row["lowPrice"],
            "v": row["volume"],
            "q": row["quoteVolume"],
            "ps": symbol,
            "st": 1,
        }
        if not mini:
            names = {
                "p": "priceChange",
                "P": "priceChangePercent",
                "w": "weightedAvgPrice",
                "Q": "lastQty",
                "O": "openTime",
                "C": "closeTime",
                "F": "firstId",
                "L": "lastId",
                "n": "count",
            }
            payload |= {key: row[name] for key, name in names.items()}
        return payload

    def _depth(self, watch: _Watch) -> list[Json]:
        symbol, quotes = watch.stream.symbol, self.exchange.quotes
        number, before = quotes.update_id(symbol), watch.seen
        if not self._changed(watch, number):
            return []
        rules, count = quotes.instruments[symbol], int(watch.stream.detail)
        sides = {
            side: [
                [price_text(rules, level.price), quantity_text(rules, level.quantity)]
                for level in quotes.book(symbol, taker, count)
            ]
            for side, taker in (("b", "SELL"), ("a", "BUY"))
        }
        previous = before if isinstance(before, int) else number - 1
        return [
            {
                "e": "depthUpdate",
                "E": quotes.now_ms,
                "T": quotes.now_ms,
                "s": symbol,
                "ps": symbol,
                "U": previous + 1,
                "u": number,
                "pu": previous,
                **sides,
                "st": 1,
            }
        ]
