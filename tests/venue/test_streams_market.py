"""Market streams: names, content, pace, and agreement with what REST says."""

from collections import Counter
from decimal import Decimal
from itertools import pairwise

import pytest

from core.venue.simulated.events import UserEvent
from core.venue.simulated.faults import read_fault
from core.venue.simulated.klines import INTERVALS
from core.venue.simulated.market_faults import inject
from core.venue.simulated.stream_names import Route, parse
from core.venue.simulated.streams import Publisher
from tests.venue.watching import START_MS, SYMBOLS, Watched


@pytest.mark.parametrize(
    ("name", "route"),
    [
        ("btcusdt@kline_1m", Route.MARKET),
        ("btcusdt_perpetual@continuousKline_1h", Route.MARKET),
        ("btcusdt@markPrice", Route.MARKET),
        ("btcusdt@markPrice@1s", Route.MARKET),
        ("!markPrice@arr@1s", Route.MARKET),
        ("btcusdt@aggTrade", Route.MARKET),
        ("btcusdt@ticker", Route.MARKET),
        ("!miniTicker@arr", Route.MARKET),
        ("btcusdt@forceOrder", Route.MARKET),
        ("!forceOrder@arr", Route.MARKET),
        ("!contractInfo", Route.MARKET),
        ("btcusdt@bookTicker", Route.PUBLIC),
        ("!bookTicker", Route.PUBLIC),
        ("btcusdt@depth", Route.PUBLIC),
        ("btcusdt@depth@500ms", Route.PUBLIC),
        ("btcusdt@depth20@100ms", Route.PUBLIC),
        ("btcusdt@rpiDepth@500ms", Route.PUBLIC),
    ],
)
def test_documented_names_have_their_route(name, route):
    stream = parse(name)
    assert stream is not None
    assert stream.route is route


@pytest.mark.parametrize(
    "name",
    [
        *(
            "btcusdt@trade",
            "BTCUSDT@kline_1m",
            "btcusdt@tradings",
            "btcusdt@kline_7m",
            "btcusdt@depth7",
            "btcusdt@depth@50ms",
            "0",
            "",
        ),
        *("btcusdt@compositeIndex", "!assetIndex@arr", "tradingSession", "btcusdt@depth5@1s"),
    ],
)
def test_other_names_are_silent(name):
    assert parse(name) is None


def test_every_interval_closes_once_and_agrees_with_the_klines_to_the_digit():
    names = [f"btcusdt@kline_{interval}" for interval in INTERVALS]
    names += ["ethusdt@kline_1m", "btcusdt_perpetual@continuousKline_1m"]
    watched = Watched(*names)
    for wall_s in (5.0, 1.0, 3.0):
        watched.play(wall_s)
        watched.jump(733)  # minutes at once, as a steered clock moves
    for interval in INTERVALS:
        name = f"btcusdt@kline_{interval}"
        closed = [frame["k"] for frame in watched.of(name) if frame["k"]["x"]]
        assert [n for n in Counter(k["t"] for k in closed).values() if n != 1] == []
        rows = {
            row[0]: row for row in watched.ask("GET klines", symbol="BTCUSDT", interval=interval)
        }
        for k in closed:
            row = rows[k["t"]]
            assert [k[key] for key in "ohlcvqVQ"] == [row[n] for n in (1, 2, 3, 4, 5, 7, 9, 10)]
            assert (k["T"], k["n"]) == (row[6], row[8])
    closed = [frame for frame in watched.of("ethusdt@kline_1m") if frame["k"]["x"]]
    minutes = (watched.exchange.now_ms - START_MS) // 60_000
    assert [frame["k"]["t"] for frame in closed] == [
        START_MS + 60_000 * number for number in range(minutes)
    ]
    continuous = watched.of("btcusdt_perpetual@continuousKline_1m")
    assert [{"s": "BTCUSDT", **frame["k"]} for frame in continuous] == [
        frame["k"] for frame in watched.of("btcusdt@kline_1m")
    ]
    assert list(continuous[0]) == ["e", "E", "ps", "ct", "k"]


def test_trades_add_up_to_the_klines_however_the_time_is_cut():
    watched = Watched("adausdt@aggTrade", "adausdt@kline_1m")
    watched.play(2.0)
    watched.jump(200)
    watched.play(1.3)
    watched.jump(3_599)
    trades = watched.of("adausdt@aggTrade")
    numbers = [trade["a"] for trade in trades]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    closed = [frame["k"] for frame in watched.of("adausdt@kline_1m") if frame["k"]["x"]]
    assert len(closed) > 60
    for k in closed[1:]:
        inside = [trade for trade in trades if k["t"] <= trade["T"] <= k["T"]]
        prices = [Decimal(trade["p"]) for trade in inside]
        assert [prices[0], max(prices), min(prices), prices[-1]] == [Decimal(k[c]) for c in "ohlc"]
        assert sum(Decimal(trade["q"]) for trade in inside) == Decimal(k["v"])
        bought = sum(Decimal(trade["q"]) for trade in inside if not trade["m"])
        assert bought == Decimal(k["V"])


def test_trades_aggregates_candles_and_tickers_count_the_same_trades():
    watched = Watched("btcusdt@aggTrade", "btcusdt@kline_1m", "btcusdt@kline_5m", "btcusdt@ticker")
    watched.play(2.0)
    watched.jump(333)
    watched.play(2.3)
    prints = watched.of("btcusdt@aggTrade")
    for before, after in pairwise(prints):
        assert (after["a"], after["f"]) == (before["a"] + 1, before["l"] + 1)
        assert after["f"] <= after["l"]
    known = {row["a"]: row for row in watched.ask("GET aggTrades", symbol="BTCUSDT", limit=1000)}
    for row in prints:
        assert {name: row[name] for name in known[row["a"]]} == known[row["a"]]
    candles = [frame["k"] for name in ("1m", "5m") for frame in watched.of(f"btcusdt@kline_{name}")]
    assert {k["x"] for k in candles} == {True, False}
    for k in candles:
        assert k["n"] == k["L"] - k["f"] + 1
        begun = [row for row in known.values() if k["t"] <= row["T"] <= k["T"]]
        assert begun[0]["f"] == k["f"] or k["t"] < START_MS - 1_800_000
        if k["x"]:
            assert begun[-1]["l"] == k["L"]
        else:
            assert k["L"] in {row["l"] for row in begun}
    day = watched.ask("GET ticker/24hr", symbol="BTCUSDT")
    frame = watched.of("btcusdt@ticker")[-1]
    assert frame["n"] == frame["L"] - frame["F"] + 1
    assert day["count"] == day["lastId"] - day["firstId"] + 1
    single = watched.ask("GET trades", symbol="BTCUSDT", limit=1000)
    assert [row["id"] for row in single] == list(range(day["lastId"] - 999, day["lastId"] + 1))
    assert (single[-1]["price"], single[-1]["qty"]) == (day["lastPrice"], day["lastQty"])
    for row in known.values():
        parts = [one for one in single if row["f"] <= one["id"] <= row["l"]]
        if len(parts) == row["l"] - row["f"] + 1:
            assert sum(Decimal(one["qty"]) for one in parts) == Decimal(row["q"])
            assert min(Decimal(one["qty"]) for one in parts) > 0
            assert {(one["price"], one["time"], one["isBuyerMaker"]) for one in parts} == {
                (row["p"], row["T"], row["m"])
            }
    older = {"symbol": "BTCUSDT", "fromId": single[0]["id"] - 300, "limit": 301}
    assert watched.ask("GET historicalTrades", **older)[-1] == single[0]


def test_trades_of_a_long_leap_are_all_told():
    watched = Watched("btcusdt@aggTrade", "btcusdt@kline_1m")
    watched.play(0.1)
    watched.jump(26 * 3_600)
    numbers = [row["a"] for row in watched.of("btcusdt@aggTrade")]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert len(numbers) > 26 * 60 * 12


def test_paces_are_wall_time():
    names = ["btcusdt@markPrice", "btcusdt@markPrice@1s", "!markPrice@arr@1s", "btcusdt@ticker"]
    names += ["!ticker@arr", "!bookTicker", "btcusdt@kline_1m"]
    watched = Watched(*names)
    watched.play(12)
    counts = {name: len(watched.of(name)) for name in names}
    assert counts["btcusdt@markPrice"] == 4
    assert counts["btcusdt@markPrice@1s"] == counts["!markPrice@arr@1s"] == 12
    assert counts["btcusdt@ticker"] == 6
    assert counts["!ticker@arr"] == 12
    assert counts["!bookTicker"] == 3 * len(SYMBOLS)
    assert 40 <= counts["btcusdt@kline_1m"] <= 48 + 12


def test_streams_show_what_rest_answers():
    watched = Watched("btcusdt@markPrice@1s", "btcusdt@bookTicker", "btcusdt@ticker")
    watched.play(0.025)
    (mark,), (book,), (ticker,) = (watched.of(name) for name, _ in watched.frames)
    row = watched.ask("GET premiumIndex", symbol="BTCUSDT")
    assert [mark["p"], mark["i"], mark["r"], mark["T"]] == [
        *[row["markPrice"], row["indexPrice"], row["lastFundingRate"], row["nextFundingTime"]]
    ]
    row = watched.ask("GET ticker/bookTicker", symbol="BTCUSDT")
    assert [book[key] for key in "bBaAu"] == [
        *[row["bidPrice"], row["bidQty"], row["askPrice"], row["askQty"], row["lastUpdateId"]]
    ]
    row = watched.ask("GET ticker/24hr", symbol="BTCUSDT")
    assert [ticker["c"], ticker["v"], ticker["n"], ticker["P"]] == [
        *[row["lastPrice"], row["volume"], row["count"], row["priceChangePercent"]]
    ]
    assert all(frame["st"] == 1 for frame in (mark, book, ticker))
    assert list(mark) == ["e", "E", "s", "p", "ap", "i", "P", "r", "T", "st"]


def test_arrays_hold_changed_symbols_only():
    watched = Watched("!miniTicker@arr", speed=0)
    watched.play(3)
    (first,) = watched.of("!miniTicker@arr")
    assert [row["s"] for row in first] == list(SYMBOLS)


def test_a_liquidation_is_told_once_a_second_at_most_and_the_largest_wins():
    watched = Watched("btcusdt@forceOrder", "!forceOrder@arr", "ethusdt@forceOrder", speed=0)

    def fill(symbol: str, quantity: str, client_id: str = "autoclose-1") -> UserEvent:
        order = {
            "s": symbol,
            "S": "SELL",
            "c": client_id,
            "x": "TRADE",
            "X": "FILLED",
            "q": quantity,
            "p": "9",
            "ap": "10",
            "l": quantity,
            "z": quantity,
            "T": 1,
        }
        return UserEvent({"e": "ORDER_TRADE_UPDATE", "E": 2, "o": order})

    publisher: Publisher = watched.publisher
    publisher.heard(fill("BTCUSDT", "1", client_id="mine").payload)
    assert watched.play(0.1) == []
    publisher.heard(fill("BTCUSDT", "3").payload)
    first = watched.play(0.1)
    assert [name for name, _ in first] == ["btcusdt@forceOrder", "!forceOrder@arr"]
    order = first[0][1]["o"]
    assert (order["o"], order["f"], order["q"], order["X"]) == ("LIMIT", "IOC", "3", "FILLED")
    for quantity in ("1", "5", "2"):
        publisher.heard(fill("BTCUSDT", quantity).payload)
    assert watched.play(0.5) == []
    assert [frame["o"]["z"] for _, frame in watched.play(0.7)] == ["5", "5"]


def test_contract_info_is_told_when_rules_or_state_change():
    watched = Watched("!contractInfo", speed=0)
    assert watched.play(2) == []
    for kind, args in (("filter_change", {"tickSize": "0.50"}), ("delist", {"status": "CLOSE"})):
        wish = {"kind": kind, "match": {"symbol": "ETHUSDT"}, "args": args}
        inject(watched.exchange, read_fault(wish))
        watched.play(1.1)
    first, last = watched.of("!contractInfo")
    assert (first["s"], first["cs"], last["cs"]) == ("ETHUSDT", "TRADING", "CLOSE")
    assert set(first["bks"][0]) == {"bs", "bnf", "bnc", "mmr", "cf", "mi", "ma"}
    assert [row["mi"] for row in first["bks"][:-1]] == [row["ma"] + 1 for row in first["bks"][1:]]


def test_a_jump_of_the_price_is_pushed_at_once():
    watched = Watched("btcusdt@bookTicker", "btcusdt@kline_1m", "btcusdt@depth@100ms", speed=1)
    watched.play(0.2)
    wish = {"kind": "price_jump", "match": {"symbol": "BTCUSDT"}, "args": {"pct": 3}}
    before = Decimal(watched.of("btcusdt@bookTicker")[-1]["b"])
    inject(watched.exchange, read_fault(wish))
    watched.play(0.3)
    assert Decimal(watched.of("btcusdt@bookTicker")[-1]["b"]) > before * Decimal("1.02")
    assert Decimal(watched.of("btcusdt@kline_1m")[-1]["k"]["c"]) > before * Decimal("1.02")
    prices = [Decimal(price) for price, size in watched.of("btcusdt@depth@100ms")[-1]["b"]]
    assert max(prices) > before * Decimal("1.02")
