"""Time passes the same however it is sliced and whoever looks; candles close once and in order."""

from collections.abc import Mapping
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.venue.simulated.clock import AffineClock
from core.venue.simulated.errors import Rejection
from core.venue.simulated.events import MinuteClosed, UserEvent
from core.venue.simulated.exchange import Exchange
from core.venue.simulated.klines import INTERVAL_MINUTES, kline_row
from core.venue.simulated.market import MINUTE_MS, PriceSource
from core.venue.simulated.quotes import FUNDING_MS
from core.venue.simulated.seeded import SeededPrices
from core.venue.simulated.streams import Publisher
from tests.venue.market_on_paper import an_exchange, call, flat, market

SYMBOLS = ("ETHUSDT", "SOLUSDT")
START_MS = 1_800_000_000_000 // FUNDING_MS * FUNDING_MS - 90 * MINUTE_MS
SPAN = 150  # minutes: a funding hour lies inside


class EveryPoint(Exchange):
    """An exchange that takes no short cut: all points of all that may matter are played."""

    def _touched(self, reach: Mapping[str, tuple[Decimal, Decimal]]) -> tuple[list[str], bool]:
        return list(reach), True


def a_live_exchange(seed: int = 7, history: int = 90, kind: type[Exchange] = Exchange) -> Exchange:
    source: PriceSource = SeededPrices(SYMBOLS, seed, START_MS, history)
    return kind(source, balance=Decimal(10_000), start_ms=START_MS + 12_345)


# ------------------------------------------------------------------ slices and looks
def ask(exchange: Exchange, wish: tuple[Any, ...]) -> None:
    """Send a wish whose prices lie some basis points from the last one; refusals are fine."""
    kind, symbol, side, points, size = wish
    rules, last = exchange.quotes.instruments[symbol], exchange.quotes.last(symbol)
    price = last * (1 + Decimal(points) / 10_000) // rules.tick_size * rules.tick_size
    quantity = (Decimal(size) / last // rules.step_size + 1) * rules.step_size
    fields: dict[str, object] = {"symbol": symbol, "side": side, "quantity": quantity}
    try:
        match kind:
            case "MARKET":
                call(exchange, "POST v1/order", type=kind, **fields)
            case "LIMIT":
                until = exchange.now_ms // 1_000 * 1_000 + 900_000 + size
                more = {"timeInForce": "GTD", "goodTillDate": until} if size % 2 else {}
                more = more or {"timeInForce": "GTC"}
                call(exchange, "POST v1/order", type=kind, price=price, **fields, **more)
            case "TRAILING_STOP_MARKET":
                more = {"algoType": "CONDITIONAL", "callbackRate": "0.3"}
                call(exchange, "POST v1/algoOrder", type=kind, **fields, **more)
            case _:
                more = {"algoType": "CONDITIONAL", "triggerPrice": price}
                call(exchange, "POST v1/algoOrder", type=kind, **fields, **more)
    except Rejection:
        return


def look(exchange: Exchange) -> None:
    """Do what clients do that only watch."""
    for symbol in exchange.quotes.symbols:
        exchange.candles.latest(symbol, "15m")
        exchange.candles.range(symbol, "5m", None, None, 30)
        call(exchange, "GET v1/aggTrades", symbol=symbol)
        exchange.quotes.index(symbol)
        exchange.quotes.book(symbol, "BUY", 5)
        call(exchange, "GET v1/ticker/24hr", symbol=symbol)


def life(
    seed: int,
    wishes: list[tuple[int, Any]],
    slices: list[int],
    *,
    looking: bool = False,
    kind: type[Exchange] = Exchange,
) -> tuple[Any, ...]:
    """Return everything that happened until the end of the span; `slices` are ms, taken in turn."""
    exchange = a_live_exchange(seed, kind=kind)
    told: list[Any] = []
    bars: list[Any] = []
    turn = 0

    def reach(target_ms: int) -> None:
        nonlocal turn
        while exchange.now_ms < target_ms:
            step = slices[turn % len(slices)] if slices else SPAN * MINUTE_MS
            turn += 1
            exchange.advance(min(target_ms, exchange.now_ms + step))
            if looking:
                look(exchange)
            for event in exchange.take_events():
                if isinstance(event, MinuteClosed):
                    bars.append((event.close_ms, dict(event.bars)))
                elif isinstance(event, UserEvent):
                    told.append(event.payload)

    for minute, wish in sorted(wishes, key=lambda one: one[0]):
        reach(START_MS + 12_345 + minute * MINUTE_MS)
        ask(exchange, wish)
    reach(START_MS + SPAN * MINUTE_MS)
    return exchange.dump(), told, bars


WISHES = st.tuples(
    st.integers(0, SPAN - 20),
    st.tuples(
        st.sampled_from(
            ["MARKET", "LIMIT", "STOP_MARKET", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"]
        ),
        st.sampled_from(SYMBOLS),
        st.sampled_from(["BUY", "SELL"]),
        st.integers(-60, 60),
        st.sampled_from([50, 401, 3_000, 60_000]),
    ),
)


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 50),
    wishes=st.lists(WISHES, min_size=1, max_size=12),
    slices=st.lists(
        st.one_of(st.integers(20_000, 400_000), st.integers(1, 30).map(lambda n: n * MINUTE_MS)),
        min_size=1,
        max_size=4,
    ),
)
def test_neither_slices_nor_looks_nor_short_cuts_change_what_happens(seed, wishes, slices):
    in_one_go = life(seed, wishes, [])
    assert life(seed, wishes, slices) == in_one_go
    assert life(seed, wishes, [31 * MINUTE_MS, 47_000], looking=True) == in_one_go
    assert life(seed, wishes, [], kind=EveryPoint) == in_one_go


def test_a_quiet_exchange_reaches_next_week_and_pays_funding_on_the_way():
    exchange = a_live_exchange()
    call(
        exchange,
        "POST v1/order",
        symbol="ETHUSDT",
        side="BUY",
        type="MARKET",
        quantity="0.010",
    )
    exchange.advance(START_MS + 7 * 1_440 * MINUTE_MS)
    paid = [row.time_ms for row in exchange.ledger.income if row.kind == "FUNDING_FEE"]
    assert len(paid) == 21
    assert all(time_ms % FUNDING_MS == 0 for time_ms in paid)
    closed = [event for event in exchange.take_events() if isinstance(event, MinuteClosed)]
    assert len(closed) == 7 * 1_440


def test_data_that_ends_inside_a_long_stride_ends_at_its_last_minute():
    exchange = an_exchange({"BTCUSDT": flat("100000.00", 7)})
    market(exchange, "BUY", "0.010")
    start = exchange.now_ms
    exchange.advance(start + 50 * MINUTE_MS)
    assert exchange.ended
    assert exchange.now_ms == start + 7 * MINUTE_MS
    closed = [event for event in exchange.take_events() if isinstance(event, MinuteClosed)]
    assert [event.close_ms for event in closed] == [
        start + minute * MINUTE_MS for minute in range(1, 8)
    ]


# ------------------------------------------------------------------ candles
def test_a_day_at_speed_5000_closes_every_candle_once_in_order_and_as_klines_say():
    exchange = a_live_exchange()
    publisher = Publisher(exchange)
    names = [f"{symbol.lower()}@kline_{length}" for symbol in SYMBOLS for length in ("1m", "15m")]
    publisher.watch(names)
    closed: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    tick_ms = 125_000  # what 25 ms are at speed 5000
    for step in range(1, 86_400_000 // tick_ms + 2):
        exchange.advance(START_MS + 12_345 + min(86_400_000, step * tick_ms))
        for event in exchange.take_events():
            for name, payload in publisher.closed(event):
                assert payload["E"] == event.close_ms
                closed[name].append(payload["k"])
        for _, payload in publisher.due(step * 25):
            assert not payload["k"]["x"]
    for name, details in closed.items():
        symbol, length = details[0]["s"], name.rsplit("_", 1)[1]
        rules = exchange.quotes.instruments[symbol]
        bars = exchange.candles.range(symbol, length, START_MS, None, 2_000)[:-1]
        rows = [kline_row(rules, bar, length) for bar in bars]
        assert all(detail["x"] for detail in details)
        assert len(details) == 1_440 // INTERVAL_MINUTES[length]
        assert [
            [d["t"], *(d[key] for key in "ohlcv"), d["T"], d["q"], d["n"], d["V"], d["Q"], d["B"]]
            for d in details
        ] == [[*row[:1], *(row[at] for at in (1, 2, 3, 4, 5)), *row[6:]] for row in rows]
        for before, after in pairwise(details):
            assert after["f"] == before["L"] + 1


def test_a_candle_that_began_before_the_history_shows_its_rest():
    exchange = a_live_exchange(history=3)
    weekly = exchange.candles.latest("ETHUSDT", "1w")
    minutes = exchange.candles.range("ETHUSDT", "1m", None, None, 10)
    assert len(minutes) == 4
    assert weekly.open == minutes[0].open
    assert weekly.volume == sum(bar.volume for bar in minutes)


@pytest.mark.parametrize("length", ["3m", "15m", "1h"])
def test_the_open_candle_is_the_sum_of_its_minutes_whenever_it_is_looked_at(length):
    exchange = a_live_exchange()
    for _ in range(130):
        exchange.advance(exchange.now_ms + 47_000)
        (expected,) = exchange.candles.range("SOLUSDT", length, None, None, 1)
        assert exchange.candles.latest("SOLUSDT", length) == expected


# ------------------------------------------------------------------ the clock
def test_a_clock_is_held_back_where_it_runs_ahead_and_keeps_its_pace():
    clock = AffineClock(anchor_venue_ms=1_000_000, anchor_wall_ms=500, speed=60.0)
    assert clock.not_past(600, 1_006_000) is clock
    held = clock.not_past(1_500, 1_030_000)
    assert (held.venue_ms(1_500), held.venue_ms(1_600)) == (1_030_000, 1_036_000)


def test_a_frozen_clock_stands_until_it_gets_a_pace_and_then_goes_on_from_there():
    clock = AffineClock(anchor_venue_ms=7_000, anchor_wall_ms=0, speed=0.0)
    assert clock.venue_ms(10**9) == 7_000
    paced = clock.repaced(10**9, 100.0)
    assert (paced.venue_ms(10**9), paced.venue_ms(10**9 + 5)) == (7_000, 7_500)
