"""Names of the venue's streams: what each one is, its route and its pace (reference, 6.1).

A name that the venue does not push is accepted and silent: one asked for on another route, one of a
symbol that is not listed, and those of `SILENT`, for which this venue has nothing to tell.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from core.venue.simulated.klines import INTERVALS

KLINE_MS = 250
TICKER_MS = 2_000
ARRAY_MS = 1_000
BOOKS_MS = 5_000
DEPTH_MS = 250
CONTRACT_MS = 1_000

# Documented streams without a source here: no index of indices, no asset index, one session only.
# `@trade` is no documented stream; clients ask for it, and production acknowledges and is silent.
SILENT = ("<symbol>@compositeIndex", "!assetIndex@arr", "tradingSession", "<symbol>@trade")


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


_SYMBOL = r"(?P<symbol>\w+)"
_PACE = r"(?:@(?P<pace>100|250|500)ms)?"
_PATTERNS: tuple[tuple[str, str, Route, int], ...] = (
    (_SYMBOL + r"@kline_(?P<detail>\w+)", "kline", Route.MARKET, KLINE_MS),
    (
        _SYMBOL + r"_perpetual@continuouskline_(?P<detail>\w+)",
        "continuous",
        Route.MARKET,
        KLINE_MS,
    ),
    (_SYMBOL + r"@markprice@1s", "mark", Route.MARKET, 1_000),
    (_SYMBOL + r"@markprice(?:@3s)?", "mark", Route.MARKET, 3_000),
    (r"!markprice@arr@1s", "marks", Route.MARKET, 1_000),
    (r"!markprice@arr(?:@3s)?", "marks", Route.MARKET, 3_000),
    (_SYMBOL + r"@aggtrade", "agg", Route.MARKET, 0),
    (_SYMBOL + r"@ticker", "ticker", Route.MARKET, TICKER_MS),
    (_SYMBOL + r"@miniticker", "mini", Route.MARKET, TICKER_MS),
    (r"!ticker@arr", "tickers", Route.MARKET, ARRAY_MS),
    (r"!miniticker@arr", "minis", Route.MARKET, ARRAY_MS),
    (_SYMBOL + r"@forceorder", "force", Route.MARKET, 0),
    (r"!forceorder@arr", "force", Route.MARKET, 0),
    (r"!contractinfo", "contracts", Route.MARKET, CONTRACT_MS),
    (_SYMBOL + r"@bookticker", "book", Route.PUBLIC, 0),
    (r"!bookticker", "books", Route.PUBLIC, BOOKS_MS),
    (_SYMBOL + r"@depth(?P<detail>5|10|20)" + _PACE, "depth", Route.PUBLIC, DEPTH_MS),
    (_SYMBOL + r"@depth" + _PACE, "diff", Route.PUBLIC, DEPTH_MS),
    (_SYMBOL + r"@rpidepth@(?P<pace>500)ms", "diff", Route.PUBLIC, 500),
)
_COMPILED = tuple(
    (re.compile(pattern, re.IGNORECASE | re.ASCII), kind, route, period)
    for pattern, kind, route, period in _PATTERNS
)


@lru_cache(maxsize=4096)
def parse(name: str) -> Stream | None:
    """Return what a stream name means, or None for one that the venue does not push."""
    for pattern, kind, route, period in _COMPILED:
        found = pattern.fullmatch(name)
        if found is None:
            continue
        parts = found.groupdict()
        if (parts.get("symbol") or "").lower() != (parts.get("symbol") or ""):
            return None  # acknowledged, and silent
        detail = parts.get("detail") or ""
        if kind in {"kline", "continuous"} and detail not in INTERVALS:
            return None
        period_ms = int(parts.get("pace") or period)
        return Stream(name, kind, route, period_ms, (parts.get("symbol") or "").upper(), detail)
    return None
