"""Market data over REST: every field and type, and which rows a limit returns."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from core.venue.simulated.endpoints import ENDPOINTS
from core.venue.simulated.errors import Rejection
from core.venue.simulated.exchange import Exchange
from core.venue.simulated.params import Params
from core.venue.simulated.seeded import SeededPrices
from tests.venue.market_on_paper import an_exchange, call, flat, market

SAMPLES = Path(__file__).parents[2] / "../shared/data/exchange"
SAMPLE = SAMPLES / "fapi-prod-btcusdt-samples-2026-09-15.json"
START_MS = int(datetime(2026, 11, 3, 12, tzinfo=UTC).timestamp() * 1000)
HISTORY = 5 * 1440


@pytest.fixture(scope="module")
def exchange() -> Exchange:
    source = SeededPrices(("BTCUSDT", "ETHUSDT"), 7, START_MS, HISTORY)
    made = Exchange(source, balance=Decimal(10_000), start_ms=START_MS)
    made.advance(START_MS + 9 * 3_600_000 + 12_345)
    return made


def ask(exchange: Exchange, path: str, **params: object) -> Any:
    fields = {name: str(value) for name, value in params.items()}
    return ENDPOINTS["GET", path].handler(exchange, Params(fields))


def code_of(exchange: Exchange, words: str, **params: object) -> int:
    with pytest.raises(Rejection) as caught:
        call(exchange, words, **params)
    return caught.value.code


def shape(value: Any) -> Any:
    """Return names and types of an answer, without its figures."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value)


@pytest.mark.skipif(not SAMPLE.exists(), reason="the recorded samples are not here")
@pytest.mark.parametrize(
    ("name", "words", "params"),
    [
        ("premiumIndex", "GET v1/premiumIndex", {}),
        ("openInterest", "GET v1/openInterest", {}),
        ("klines_1m", "GET v1/klines", {"interval": "1m", "limit": 3}),
        ("fundingRate", "GET v1/fundingRate", {"limit": 2}),
        ("ticker_24hr", "GET v1/ticker/24hr", {}),
        ("ticker_bookTicker", "GET v1/ticker/bookTicker", {}),
        ("depth_limit5", "GET v1/depth", {"limit": 5}),
        ("aggTrades", "GET v1/aggTrades", {"limit": 2}),
    ],
)
def test_answers_have_the_shape_of_recorded_ones(exchange, name, words, params):
    recorded = json.loads(SAMPLE.read_text(encoding="utf-8"))[name]
    assert shape(call(exchange, words, symbol="BTCUSDT", **params)) == shape(recorded)


@pytest.mark.skipif(not SAMPLE.exists(), reason="the recorded samples are not here")
def test_the_listing_has_every_recorded_field(exchange):
    recorded = json.loads(SAMPLE.read_text(encoding="utf-8"))["exchangeInfo"]
    info = call(exchange, "GET v1/exchangeInfo")
    wanted, given = shape(recorded["symbols"][0]), shape(info["symbols"][0])
    assert {name: given[name] for name in wanted} == wanted
    assert set(recorded) <= set(info)
    filters = {row["filterType"]: set(row) for row in recorded["symbols"][0]["filters"]}
    ours = {row["filterType"]: set(row) for row in info["symbols"][0]["filters"]}
    assert ours == filters
    assert info["rateLimits"] == recorded["rateLimits"]


@pytest.mark.parametrize(
    ("words", "params", "code"),
    [
        ("GET v1/klines", {"symbol": "BTCUSDT", "interval": "7m"}, -1120),
        ("GET v1/klines", {"symbol": "BTCUSDT", "interval": "1m", "limit": 1501}, -1130),
        ("GET v1/klines", {"symbol": "NONE", "interval": "1m"}, -1121),
        ("GET v1/klines", {"interval": "1m"}, -1102),
        ("GET v1/depth", {"symbol": "BTCUSDT", "limit": 3}, -4021),
        ("GET v1/aggTrades", {"symbol": "BTCUSDT", "limit": 1001}, -1130),
        ("GET v1/continuousKlines", {"pair": "BTCUSDT", "contractType": "X"}, -1130),
        ("GET v1/indexPriceKlines", {"pair": "NONE", "interval": "1m"}, -1121),
    ],
)
def test_bad_questions_get_the_documented_code(exchange, words, params, code):
    assert code_of(exchange, words, **params) == code


@pytest.mark.parametrize("interval", ["1m", "5m", "1h", "1d", "1w", "1M"])
@pytest.mark.parametrize("path", ["klines", "markPriceKlines", "premiumIndexKlines"])
def test_candles_of_every_kind_and_interval_are_whole(exchange, path, interval):
    rows = call(exchange, f"GET v1/{path}", symbol="BTCUSDT", interval=interval, limit=50)
    assert rows
    assert rows[-1][0] <= exchange.now_ms <= rows[-1][6]
    for before, after in pairwise(rows):
        assert before[6] + 1 == after[0]
    for row in rows:
        opened, high, low, closed = (Decimal(text) for text in row[1:5])
        assert low <= min(opened, closed) <= max(opened, closed) <= high
        assert [type(cell) for cell in row] == [
            *[int, str, str, str, str, str],
            *[int, str, int, str, str, str],
        ]


def test_a_month_opens_with_the_calendar(exchange):
    rows = call(exchange, "GET v1/klines", symbol="BTCUSDT", interval="1M")
    opens = [datetime.fromtimestamp(row[0] / 1000, UTC) for row in rows]
    assert [(one.month, one.day, one.hour) for one in opens] == [(10, 1, 0), (11, 1, 0)]
    assert rows[-1][6] + 1 == datetime(2026, 12, 1, tzinfo=UTC).timestamp() * 1000


def test_mark_and_index_candles_agree_with_the_premium_index(exchange):
    now = call(exchange, "GET v1/premiumIndex", symbol="BTCUSDT")
    mark = call(exchange, "GET v1/markPriceKlines", symbol="BTCUSDT", interval="1m", limit=1)
    index = call(exchange, "GET v1/indexPriceKlines", pair="BTCUSDT", interval="1m", limit=1)
    assert mark[-1][4] == now["markPrice"]
    assert index[-1][4] == now["indexPrice"]


def test_a_limit_keeps_the_latest_rows_unless_a_start_is_given(exchange):
    query = {"symbol": "BTCUSDT", "interval": "1m"}
    latest = call(exchange, "GET v1/klines", **query, limit=10)
    assert len(latest) == 10
    first = call(exchange, "GET v1/klines", **query, limit=3, startTime=latest[0][0])
    assert first == latest[:3]
    until = call(exchange, "GET v1/klines", **query, limit=3, endTime=latest[4][0])
    assert until == latest[2:5]
    assert len(call(exchange, "GET v1/klines", **query)) == 500


def test_old_trades_go_on_from_an_id(exchange):
    latest = call(exchange, "GET v1/trades", symbol="BTCUSDT", limit=20)
    row = {"symbol": "BTCUSDT", "fromId": latest[5]["id"], "limit": 4}
    assert call(exchange, "GET v1/historicalTrades", **row) == latest[5:9]


def test_aggregated_trades_of_the_last_day_are_found_by_time_and_by_number(exchange):
    begin = exchange.now_ms - 23 * 3_600_000
    query = {"symbol": "BTCUSDT", "startTime": begin}
    rows = call(exchange, "GET v1/aggTrades", **query, limit=50)
    assert begin <= rows[0]["T"] < begin + 60_000
    assert [row["a"] for row in rows] == list(range(rows[0]["a"], rows[0]["a"] + 50))
    again = call(exchange, "GET v1/aggTrades", symbol="BTCUSDT", fromId=rows[7]["a"], limit=3)
    assert again == rows[7:10]
    until = call(exchange, "GET v1/aggTrades", **query, endTime=rows[5]["T"])
    assert until == rows[:6]
    back = call(exchange, "GET v1/aggTrades", symbol="BTCUSDT", endTime=rows[9]["T"], limit=4)
    assert back == rows[6:10]
    old = call(exchange, "GET v1/aggTrades", symbol="BTCUSDT", startTime=1, limit=1)
    assert old[0]["T"] >= exchange.now_ms - 24 * 3_600_000


def test_statistics_follow_from_the_market(exchange):
    query = {"symbol": "BTCUSDT", "period": "5m", "limit": 4}
    rows = ask(exchange, "/futures/data/takerlongshortRatio", **query)
    candles = call(exchange, "GET v1/klines", symbol="BTCUSDT", interval="5m", limit=5)
    assert [row["timestamp"] for row in rows] == [candle[6] + 1 for candle in candles[:-1]]
    assert [row["buyVol"] for row in rows] == [candle[9] for candle in candles[:-1]]
    basis = {"pair": "BTCUSDT", "contractType": "PERPETUAL", "period": "5m", "limit": 4}
    assert len(ask(exchange, "/futures/data/basis", **basis)) == 4
    assert ask(exchange, "/futures/data/globalLongShortAccountRatio", **query) == []


def test_every_endpoint_of_the_market_answers_for_one_symbol_and_for_all(exchange):
    for path in (
        *("premiumIndex", "ticker/price", "ticker/bookTicker", "ticker/24hr"),
        *("insuranceBalance", "symbolAdlRisk"),
    ):
        assert isinstance(call(exchange, f"GET v1/{path}", symbol="BTCUSDT"), dict)
        assert isinstance(call(exchange, f"GET v1/{path}"), list)
    assert call(exchange, "GET v1/constituents", symbol="BTCUSDT")["constituents"]
    assert call(exchange, "GET v1/assetIndex", symbol="USDTUSD")["index"] == "1.00000000"


def test_wallet_calls_of_a_start_tell_of_an_empty_spot_account():
    paper = an_exchange({"BTCUSDT": flat("100000.00", 2)})
    coins = ask(paper, "/sapi/v1/capital/config/getall")
    assert [row["coin"] for row in coins] == ["USDT", "BTC"]
    assert ask(paper, "/sapi/v1/margin/allPairs") == []
    assert ask(paper, "/api/v3/exchangeInfo")["symbols"] == []
    assert ask(paper, "/api/v3/account")["balances"] == []
    assert ask(paper, "/sapi/v1/account/apiRestrictions")["enableWithdrawals"] is False


def test_settlements_are_the_latest_200_or_from_a_start_the_first_of_all_symbols():
    symbols, eight_h = ("BTCUSDT", "ETHUSDT", "SOLUSDT"), 8 * 3_600_000
    start_ms = START_MS // eight_h * eight_h + 70 * eight_h
    source = SeededPrices(symbols, 7, start_ms, 70 * 480)
    held = Exchange(source, balance=Decimal(10_000), start_ms=start_ms)
    rows = call(held, "GET v1/fundingRate")
    assert len(rows) == 200
    assert rows[-1]["fundingTime"] == start_ms
    oldest = start_ms - 60 * eight_h
    paged = call(held, "GET v1/fundingRate", startTime=oldest, limit=100)
    assert len(paged) == 100
    assert paged[0]["fundingTime"] == oldest
    assert [row["symbol"] for row in paged[:3]] == list(symbols)


def test_a_settlement_lists_the_mark_that_was_charged():
    at_ms = START_MS // (8 * 3_600_000) * (8 * 3_600_000) + 8 * 3_600_000
    source = SeededPrices(("BTCUSDT",), 7, at_ms - 120_000, HISTORY)
    held = Exchange(source, balance=Decimal(10_000), start_ms=at_ms - 120_000)
    market(held, "BUY", "0.037")
    held.advance(at_ms + 600_000)
    (row,) = call(held, "GET v1/fundingRate", symbol="BTCUSDT", startTime=at_ms)
    (income,) = call(held, "GET v1/income", incomeType="FUNDING_FEE")
    due = -Decimal("0.037") * Decimal(row["markPrice"]) * Decimal(row["fundingRate"])
    assert round(Decimal(income["income"]), 8) == round(due, 8)
    minute = call(held, "GET v1/markPriceKlines", symbol="BTCUSDT", interval="1m", startTime=at_ms)
    assert Decimal(minute[0][1]) == Decimal(row["markPrice"])


def test_the_latest_candles_are_there_after_data_has_ended_at_a_whole_minute():
    paper = an_exchange({"BTCUSDT": flat("100000.00", 3)})
    paper.advance(paper.now_ms + 600_000)
    assert paper.ended
    for interval in ("1m", "3m", "1h"):
        query = {"symbol": "BTCUSDT", "interval": interval}
        rows = call(paper, "GET v1/klines", **query)
        assert rows
        assert call(paper, "GET v1/klines", **query, limit=1) == rows[-1:]
        assert len(call(paper, "GET v1/markPriceKlines", **query, limit=1)) == 1
    day = call(paper, "GET v1/ticker/24hr", symbol="BTCUSDT")
    assert (day["count"], day["lastId"]) == (36, 36)
