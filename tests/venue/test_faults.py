"""Faults on demand: every kind strikes what it matches, as often as it was armed for."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from actors.edges.venue_journal import open_journal
from actors.edges.venue_source import VenueSettings
from core.venue.simulated import market_faults
from core.venue.simulated.errors import Rejection
from core.venue.simulated.fault_script import FaultScript
from core.venue.simulated.faults import (
    KINDS,
    FaultTable,
    InvalidFault,
    Occasion,
    read_fault,
)
from core.venue.simulated.rest import Entry
from core.venue.simulated.signing import sign
from tests.venue.loopback import KEY, SECRET, a_venue
from tests.venue.market_on_paper import (
    START_MS,
    algo,
    an_exchange,
    call,
    flat,
    limit,
    market,
    statuses,
    user_events,
)

MINUTE = 60_000


def a_fault(kind: str, count: int | None = 1, match: Any = None, **args: Any) -> Any:
    return read_fault({"kind": kind, "count": count, "match": match or {}, "args": args})


def inject(exchange: Any, kind: str, count: int = 1, symbol: str = "BTCUSDT", **args: Any) -> Any:
    return market_faults.inject(exchange, a_fault(kind, count, {"symbol": symbol}, **args))


# ---------------------------------------------------------------------- the table
def test_a_fault_strikes_what_it_matches_and_as_often_as_armed():
    table = FaultTable()
    table.arm(a_fault("latency", 2, {"path": "order", "method": "post", "symbol": "BTCUSDT"}))
    other = Occasion(path="/fapi/v1/order/test", method="POST", symbol="BTCUSDT")
    wanted = Occasion(path="/fapi/v1/order", method="POST", symbol="BTCUSDT")
    struck = [table.take("latency", one) is not None for one in (other, wanted, wanted, wanted)]
    assert struck == [False, True, True, False]
    assert table.fired == {"latency": 2}
    assert [(row["left"], row["fired"]) for row in table.rows()] == [(0, 2)]


def test_a_lasting_fault_begins_at_its_first_stroke_and_counts_whole_times():
    table = FaultTable()
    table.arm(a_fault("maintenance", 2, s=10))
    times = (0, 9_999, 10_000, 19_999, 20_000)
    assert [table.take("maintenance", Occasion(), at) is not None for at in times] == [
        *[True, True, True, True, False]
    ]


@pytest.mark.parametrize(
    ("wish", "word"),
    [
        ([], "object"),
        ({"kind": "nope"}, "kind"),
        ({"kind": "latency", "count": 0}, "count"),
        ({"kind": "latency", "args": {"ms": "x"}}, "ms"),
        ({"kind": "latency", "args": {"ms": -1}}, "ms"),
        ({"kind": "latency", "args": {"seconds": 1}}, "seconds"),
        ({"kind": "latency", "match": {"host": "x"}}, "host"),
        ({"kind": "rest_reject"}, "code"),
        ({"kind": "price_jump"}, "pct"),
        ({"kind": "filter_change"}, "tickSize"),
        ({"kind": "reset", "args": {"when": "never"}}, "when"),
        ({"kind": "partial_fill", "args": {"fraction": 2}}, "fraction"),
    ],
)
def test_a_fault_that_cannot_be_is_refused_by_the_name_of_its_parameter(wish, word):
    with pytest.raises(InvalidFault, match=word):
        read_fault(wish)


def test_a_script_repeats_from_its_seed_and_hands_out_what_is_due():
    def script(seed: int) -> FaultScript:
        return FaultScript(seed, symbols=["BTCUSDT"], start_ms=1_000, span_ms=60_000, faults=30)

    assert script(5).rows == script(5).rows != script(6).rows
    drawn = script(5)
    assert [len(drawn.due(at)) for at in (999, 61_000, 61_000)] == [0, 30, 0]


# ---------------------------------------------------------------------- the market
def test_a_jump_moves_price_candles_and_orders_at_once():
    exchange = an_exchange({"BTCUSDT": flat("100000.00", 10)})
    exchange.advance(START_MS + 1_000)
    limit(exchange, "BUY", "0.010", "96000.00", newClientOrderId="resting")
    inject(exchange, "price_jump", pct=-5)
    assert exchange.quotes.last("BTCUSDT") == Decimal("95000.00")
    assert exchange.ledger.order("BTCUSDT", None, "resting").status == "FILLED"
    exchange.advance(START_MS + 3 * MINUTE)
    rows = call(exchange, "GET v1/klines", symbol="BTCUSDT", interval="1m")
    assert [row[1:5] for row in rows[:2]] == [
        ["100000.00", "100000.00", "95000.00", "95000.00"],
        ["95000.00", "95000.00", "95000.00", "95000.00"],
    ]
    numbers = [row["a"] for row in call(exchange, "GET v1/aggTrades", symbol="BTCUSDT")]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_a_spike_comes_back():
    exchange = an_exchange({"BTCUSDT": flat("100000.00", 3)})
    exchange.advance(START_MS + 1_000)
    inject(exchange, "price_jump", pct=50, s=2)
    assert exchange.quotes.last("BTCUSDT") == 150_000
    exchange.advance(START_MS + 3_000)
    assert exchange.quotes.last("BTCUSDT") == 100_000


def test_a_jump_reaches_stops_and_liquidates():
    exchange = an_exchange({"BTCUSDT": flat("100000.00", 5)}, balance="1000")
    market(exchange, "BUY", "0.100")
    inject(exchange, "price_jump", pct=-30)
    assert [row["incomeType"] for row in exchange.dump()["income"]].count("INSURANCE_CLEAR") == 1
    assert exchange.dump()["positions"] == []


def test_a_freeze_holds_price_and_mark():
    path = [["100000.00", "100100.00", "100200.00"], ["100300.00", "100400.00"], ["100500.00"]]
    exchange = an_exchange({"BTCUSDT": path})
    exchange.advance(START_MS + 6_000)
    inject(exchange, "price_freeze", s=60)
    seen = set()
    for second in range(6, 66, 5):
        exchange.advance(START_MS + second * 1_000)
        seen.add((exchange.quotes.last("BTCUSDT"), exchange.quotes.mark("BTCUSDT")))
    assert len(seen) == 1
    exchange.advance(START_MS + 70_000)
    assert exchange.quotes.last("BTCUSDT") == Decimal("100400.00")


@pytest.mark.parametrize(
    ("status", "ending"),
    [("", "EXPIRED"), ("EXPIRED_IN_MATCH", "EXPIRED_IN_MATCH"), ("CANCELED", "CANCELED")],
)
def test_an_order_fills_in_part_and_ends(status, ending):
    exchange = an_exchange()
    inject(exchange, "partial_fill", fraction=0.5, status=status)
    answer = market(exchange, "BUY", "0.010")
    assert (answer["status"], answer["executedQty"]) == (ending, "0.005")
    assert market(exchange, "BUY", "0.010")["status"] == "FILLED"


def test_a_trigger_is_refused_or_sticks():
    exchange = an_exchange({"BTCUSDT": [["100000.00", "99000.00", "98000.00"], ["98000.00"]]})
    market(exchange, "BUY", "0.010")
    for name, trigger, stuck in (("refused", "99500.00", False), ("stuck", "98500.00", True)):
        more = {"quantity": "0.005", "reduceOnly": "true", "clientAlgoId": name}
        algo(exchange, "SELL", "STOP_MARKET", trigger, **more)
        inject(exchange, "algo_reject_at_trigger", code=-2022, stuck=stuck)
    exchange.advance(START_MS + 30_000)
    assert statuses(exchange, "refused") == ["NEW", "TRIGGERING", "REJECTED"]
    assert statuses(exchange, "stuck") == ["NEW", "TRIGGERING"]
    told = [event["o"] for event in user_events(exchange) if event["e"] == "ALGO_UPDATE"]
    assert [o["rm"] for o in told if o["X"] == "REJECTED"] == ["Reduce Only reject"]


def test_a_foreign_order_is_the_accounts_own_but_nobody_asked_for_it():
    exchange = an_exchange()
    inject(exchange, "foreign_order", 2, side="SELL", quantity="0.010")
    held = call(exchange, "GET v3/positionRisk")
    assert [row["positionAmt"] for row in held] == ["-0.020"]
    ids = [row["clientOrderId"] for row in exchange.dump()["orders"]]
    assert all(name.startswith("ios_") for name in ids)
    with pytest.raises(Rejection):
        inject(exchange, "foreign_order", side="SELL", quantity="1000")


def test_a_delisted_symbol_settles_and_takes_no_more_orders():
    exchange = an_exchange()
    market(exchange, "BUY", "0.010")
    limit(exchange, "BUY", "0.010", "99000.00", newClientOrderId="open")
    inject(exchange, "delist", status="SETTLING")
    assert exchange.ledger.order("BTCUSDT", None, "open").status == "EXPIRED"
    assert call(exchange, "GET v3/positionRisk") == []
    assert call(exchange, "GET v1/exchangeInfo")["symbols"][0]["status"] == "SETTLING"
    with pytest.raises(Rejection) as caught:
        market(exchange, "BUY", "0.010")
    assert caught.value.code in {-4140, -4141}
    reasons = [e["o"]["er"] for e in user_events(exchange) if e["e"] == "ORDER_TRADE_UPDATE"]
    assert "7" in reasons


def test_a_symbol_may_vanish_from_the_listing():
    exchange = an_exchange()
    inject(exchange, "delist", status="TRADING", hidden=True)
    assert call(exchange, "GET v1/exchangeInfo")["symbols"] == []


def test_filters_change_and_prices_follow_the_new_tick():
    exchange = an_exchange({"BTCUSDT": [["100000.40", "100001.60"], ["100002.60"]]})
    inject(exchange, "filter_change", tickSize="1", minNotional="500", stepSize="0.01")
    assert exchange.quotes.last("BTCUSDT") == 100_000
    exchange.advance(START_MS + 6_000)
    assert exchange.quotes.last("BTCUSDT") == 100_002
    for quantity, code in (("0.004", -4164), ("0.015", -4023)):
        with pytest.raises(Rejection) as caught:
            market(exchange, "BUY", quantity)
        assert caught.value.code in {code, -4023}


def test_a_journal_repeats_what_faults_did_to_the_market(tmp_path: Path):
    settings = VenueSettings(
        symbols=("BTCUSDT", "ETHUSDT"),
        seed=3,
        balance="10000",
        history=60,
        data="",
        funding="",
        start_ms=START_MS,
    )
    world, journal = open_journal(tmp_path / "venue.jsonl", settings)
    exchange = world.exchange

    def strike(fault: Any) -> None:
        market_faults.inject(exchange, fault, 60.0)
        params = {"fault": json.dumps(fault.as_json()), "pace": "60.0"}
        entry = Entry(
            at_ms=exchange.now_ms, method="POST", path=market_faults.FAULTS_PATH, params=params
        )
        journal.request(entry)

    def step(seconds: int) -> None:
        exchange.advance(exchange.now_ms + seconds * 1_000)

    match = {"symbol": "BTCUSDT"}
    step(7)
    strike(a_fault("partial_fill", 1, match, fraction=0.3))
    strike(a_fault("foreign_order", 2, match, side="BUY", quantity="0.010"))
    step(33)
    strike(a_fault("price_jump", 1, match, pct=-4))
    strike(a_fault("price_freeze", 1, {"symbol": "ETHUSDT"}, s=2))
    step(400)
    strike(a_fault("filter_change", 1, match, tickSize="0.5"))
    strike(a_fault("delist", 1, {"symbol": "ETHUSDT"}))
    step(120)
    journal.mark(exchange)
    journal.close()
    again, second = open_journal(tmp_path / "venue.jsonl", settings)
    second.close()
    assert again.exchange.dump() == exchange.dump()
    for symbol in settings.symbols:
        query = {"symbol": symbol, "interval": "1m"}
        rows = [call(one, "GET v1/klines", **query) for one in (exchange, again.exchange)]
        assert rows[0] == rows[1]


# ---------------------------------------------------------------------- the transport
class Caller:
    """A client of the venue without a library between."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.session = session

    async def ask(self, method: str, path: str, **params: Any) -> tuple[int, Any, Any]:
        stamp = int(time.time() * 1000)
        query = "&".join(f"{k}={v}" for k, v in {**params, "timestamp": stamp}.items())
        url = f"{self.url}{path}?{query}&signature={sign(SECRET, query)}"
        headers = {"X-MBX-APIKEY": KEY}
        timeout = aiohttp.ClientTimeout(total=5)
        async with self.session.request(method, url, headers=headers, timeout=timeout) as answer:
            text = await answer.text()
            try:
                return answer.status, json.loads(text), answer.headers
            except ValueError:
                return answer.status, text, answer.headers

    async def strike(self, kind: str, count: int | None = 1, match: Any = None, **args: Any) -> Any:
        wish = {"kind": kind, "count": count, "match": match or {}, "args": args}
        async with self.session.post(f"{self.url}/sim/faults", json=wish) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def health(self) -> Any:
        async with self.session.get(f"{self.url}/sim/health") as answer:
            return await answer.json()

    async def buy(self, name: str) -> Any:
        fields = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.010"}
        return await self.ask("POST", "/fapi/v1/order", newClientOrderId=name, **fields)

    async def orders(self) -> list[str]:
        async with self.session.get(f"{self.url}/sim/ledger") as answer:
            return [row["clientOrderId"] for row in (await answer.json())["orders"]]

    def stream(self, path: str) -> Any:
        return self.session.ws_connect(f"{self.url}{path}")


def on_a_venue(scenario: Callable[[Caller], Awaitable[None]], speed: float = 60.0) -> None:
    async def run() -> None:
        async with a_venue(speed=speed) as url, aiohttp.ClientSession() as session:
            await scenario(Caller(url, session))

    asyncio.run(run())


def test_statuses_and_refusals_stand_in_for_the_answer():
    async def scenario(caller: Caller) -> None:
        await caller.strike("rest_status", 1, {"path": "/fapi/v1/order"}, status=503)
        assert (await caller.buy("a"))[:2] == (503, {"code": -1001, "msg": "Service Unavailable."})
        await caller.strike("rest_status", 1, {"path": "/fapi/v1/order"}, status=503, executed=True)
        assert "Unknown error" in (await caller.buy("b"))[1]["msg"]
        await caller.strike("rest_status", 1, status=502)
        assert (await caller.buy("c"))[1].startswith("<html>")
        await caller.strike("rest_status", 1, status=429)
        status, body, headers = await caller.buy("d")
        assert (status, body["code"], headers["Retry-After"]) == (429, -1003, "30")
        await caller.strike("rest_status", 1, status=200, body='{"orderId": 12')
        assert (await caller.buy("e"))[:2] == (200, '{"orderId": 12')
        await caller.strike("rest_reject", 1, code=-2019)
        assert (await caller.buy("f"))[1] == {"code": -2019, "msg": "Margin is insufficient."}
        await caller.strike("rest_reject", 1, code=-4400, msg="Reduce only", status=400)
        assert (await caller.buy("g"))[1] == {"code": -4400, "msg": "Reduce only"}
        assert (await caller.buy("h"))[0] == 200
        assert await caller.orders() == ["b", "h"]
        assert (await caller.health())["faults_fired"] == {"rest_status": 5, "rest_reject": 2}

    on_a_venue(scenario)


@pytest.mark.parametrize(
    ("kind", "args", "executed"),
    [
        ("timeout_before", {"s": 0.1}, False),
        ("timeout_after", {"s": 0.1}, True),
        ("reset", {"when": "before"}, False),
        ("reset", {"when": "after"}, True),
        ("reset", {"when": "body"}, True),
    ],
)
def test_answers_are_lost_before_or_after_execution(kind, args, executed):
    async def scenario(caller: Caller) -> None:
        await caller.strike(kind, 1, {"method": "POST", "path": "/fapi/v1/order"}, **args)
        with pytest.raises((aiohttp.ClientError, ConnectionError)):
            await caller.buy("lost")
        assert await caller.orders() == (["lost"] if executed else [])
        assert (await caller.health())["faults"][0]["fired"] == 1

    on_a_venue(scenario)


def test_answers_come_late_or_byte_by_byte():
    async def scenario(caller: Caller) -> None:
        await caller.strike("latency", 1, ms=150)
        began = time.monotonic()
        assert (await caller.ask("GET", "/fapi/v1/time"))[0] == 200
        assert time.monotonic() - began >= 0.15
        await caller.strike("latency", 1, ms=5, drip=True)
        began = time.monotonic()
        assert "serverTime" in (await caller.ask("GET", "/fapi/v1/time"))[1]
        assert time.monotonic() - began >= 0.1

    on_a_venue(scenario)


def test_faults_compose_and_end_when_they_are_cleared():
    async def scenario(caller: Caller) -> None:
        await caller.strike("latency", None, ms=60)
        await caller.strike("rest_reject", None, code=-1008)
        began = time.monotonic()
        assert (await caller.buy("a"))[1]["code"] == -1008
        assert time.monotonic() - began >= 0.06
        async with caller.session.delete(f"{caller.url}/sim/faults") as answer:
            assert await answer.json() == {"cleared": 2}
        assert (await caller.buy("b"))[0] == 200
        assert (await caller.health())["faults"] == []

    on_a_venue(scenario)


def test_maintenance_refuses_everything_but_the_simulation_itself():
    async def scenario(caller: Caller) -> None:
        await caller.strike("maintenance", 1, s=30)
        for path in ("/fapi/v1/time", "/fapi/v1/exchangeInfo"):
            assert (await caller.ask("GET", path))[0] == 503
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await caller.stream("/market/ws/btcusdt@kline_1m")
        assert (await caller.health())["faults_fired"]["maintenance"] == 3

    on_a_venue(scenario)


def test_queries_lag_behind_orders_and_positions():
    async def scenario(caller: Caller) -> None:
        await caller.strike("query_lag", 1, s=1.5)
        await caller.buy("young")
        query = {"symbol": "BTCUSDT", "origClientOrderId": "young"}
        assert (await caller.ask("GET", "/fapi/v1/order", **query))[1]["code"] == -2013
        assert (await caller.ask("GET", "/fapi/v3/positionRisk"))[1] == []
        assert (await caller.ask("GET", "/fapi/v1/userTrades", symbol="BTCUSDT"))[1] == []
        async with asyncio.timeout(5):
            while (await caller.ask("GET", "/fapi/v1/order", **query))[0] != 200:
                pass
        assert len((await caller.ask("GET", "/fapi/v3/positionRisk"))[1]) == 1

    on_a_venue(scenario)


async def user_stream(caller: Caller) -> Any:
    key = (await caller.ask("POST", "/fapi/v1/listenKey"))[1]["listenKey"]
    return key, await caller.stream(f"/private/ws/{key}")


async def events(socket: Any, count: int) -> list[str]:
    async with asyncio.timeout(5):
        return [json.loads((await socket.receive()).data)["e"] for _ in range(count)]


def test_frames_are_repeated_swapped_and_lost():
    async def scenario(caller: Caller) -> None:
        _, socket = await user_stream(caller)
        route = {"route": "private"}
        await caller.strike("ws_duplicate", 1, {**route, "event": "TRADE_LITE"})
        await caller.strike("ws_stall", 1, {**route, "event": "ACCOUNT_UPDATE"}, s=60)
        await caller.buy("a")
        whole = ["ORDER_TRADE_UPDATE", "TRADE_LITE", "TRADE_LITE", "ORDER_TRADE_UPDATE"]
        assert await events(socket, 4) == whole
        await caller.strike("ws_reorder", 1, route, depth=3)
        await caller.buy("b")
        swapped = ["ORDER_TRADE_UPDATE", "TRADE_LITE", "ORDER_TRADE_UPDATE"]
        assert await events(socket, 3) == swapped
        fired = (await caller.health())["faults_fired"]
        assert fired == {"ws_duplicate": 1, "ws_stall": 2, "ws_reorder": 1}
        await socket.close()

    on_a_venue(scenario)


def test_late_frames_come_in_the_end():
    async def scenario(caller: Caller) -> None:
        _, socket = await user_stream(caller)
        await caller.strike("ws_stall", 1, {"route": "private"}, s=0.3, late=True)
        began = time.monotonic()
        await caller.buy("a")
        told = await events(socket, 4)
        assert told[0] == "ORDER_TRADE_UPDATE"
        assert time.monotonic() - began >= 0.3
        await socket.close()

    on_a_venue(scenario)


@pytest.mark.parametrize("mode", ["truncated", "text", "binary", "types", "unknown", "huge", "set"])
def test_frames_are_spoiled_in_every_way(mode):
    async def scenario(caller: Caller) -> None:
        url = f"{caller.url}/market/ws/btcusdt@markPrice@1s"
        async with caller.session.ws_connect(url, max_msg_size=0) as socket:
            args = {"text": "<oops", "set": {"p": "1e308", "k.h": "0"}}
            await caller.strike("ws_garbage", 1, {"symbol": "BTCUSDT"}, mode=mode, **args)
            async with asyncio.timeout(5):
                frame = await socket.receive()
        binary = frame.type is aiohttp.WSMsgType.BINARY
        assert binary == (mode == "binary")
        if mode in {"types", "unknown", "huge", "set"}:
            body = json.loads(frame.data)
            assert body
            assert mode != "set" or body["p"] == "1e308"
        else:
            with pytest.raises(ValueError, match=r"."):
                json.loads(frame.data)

    on_a_venue(scenario)


def test_connections_are_dropped_stalled_and_refused():
    async def scenario(caller: Caller) -> None:
        async with (
            caller.stream("/market/ws/btcusdt@markPrice@1s") as first,
            caller.stream("/public/ws/btcusdt@bookTicker") as other,
        ):
            await caller.strike("ws_drop", 1, {"route": "market"})
            async with asyncio.timeout(5):
                while not (await first.receive()).type.name.startswith("CLO"):
                    pass
            assert (await other.receive()).type is aiohttp.WSMsgType.TEXT
        await caller.strike("rest_status", 1, {"route": "market"}, status=429)
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await caller.stream("/market/ws/btcusdt@markPrice@1s")
        assert caught.value.status == 429
        async with caller.stream("/market/ws/btcusdt@markPrice@1s") as again:
            await caller.strike("ws_drop", 1, {"route": "market"}, code=1001)
            async with asyncio.timeout(5):
                while not again.closed:
                    await again.receive()
            assert again.close_code == 1001

    on_a_venue(scenario)


@pytest.mark.parametrize("silent", [False, True])
def test_a_listen_key_ends_early(silent):
    async def scenario(caller: Caller) -> None:
        _, socket = await user_stream(caller)
        await caller.strike("listen_key_expire", 1, silent=silent)
        if not silent:
            assert await events(socket, 1) == ["listenKeyExpired"]
        async with asyncio.timeout(5):
            while (await caller.ask("PUT", "/fapi/v1/listenKey"))[1].get("code") != -1125:
                pass
        await socket.close()

    on_a_venue(scenario)


def test_market_faults_work_over_http_and_bad_ones_are_refused():
    async def scenario(caller: Caller) -> None:
        price = Decimal(
            (await caller.ask("GET", "/fapi/v2/ticker/price", symbol="BTCUSDT"))[1]["price"]
        )
        row = await caller.strike("price_jump", 1, {"symbol": "BTCUSDT"}, pct=10)
        assert (row["fired"], row["left"]) == (1, 0)
        after = await caller.ask("GET", "/fapi/v2/ticker/price", symbol="BTCUSDT")
        assert abs(Decimal(after[1]["price"]) / price - Decimal("1.1")) < Decimal("0.0001")
        for wish in ({"kind": "nope"}, {"kind": "price_jump", "match": {"symbol": "X"}}, 7):
            async with caller.session.post(f"{caller.url}/sim/faults", json=wish) as answer:
                assert answer.status == 400
        unlisted = {"kind": "price_jump", "match": {"symbol": "XUSDT"}, "args": {"pct": 1}}
        async with caller.session.post(f"{caller.url}/sim/faults", json=unlisted) as answer:
            assert (await answer.json())["code"] == -1121

    on_a_venue(scenario, speed=0)


# ---------------------------------------------------------------------- the catalogue
# F6 to F45 of the reliability reference: a fault that provokes each, or the request that does.
CATALOGUE: dict[str, dict[str, Any] | str] = {
    "F6 market drop": {"kind": "ws_drop", "match": {"route": "market"}},
    "F7 silent stall": {"kind": "ws_stall", "match": {"route": "market"}, "args": {"s": 60}},
    "F8 duplicates": {"kind": "ws_duplicate", "match": {"route": "market"}},
    "F9 out of order": {"kind": "ws_reorder", "match": {"route": "market"}},
    "F10 garbage": {"kind": "ws_garbage", "args": {"mode": "truncated"}},
    "F10 wrong types": {"kind": "ws_garbage", "args": {"mode": "types"}},
    "F10 unknown event": {"kind": "ws_garbage", "args": {"mode": "unknown"}},
    "F10 huge message": {"kind": "ws_garbage", "args": {"mode": "huge"}},
    "F10 binary": {"kind": "ws_garbage", "args": {"mode": "binary"}},
    "F11 missing closed kline": {"kind": "ws_stall", "match": {"event": "kline", "closed": True}},
    "F11 revised kline": {"kind": "ws_garbage", "args": {"mode": "set", "set": {"k.c": "1"}}},
    "F11 gap over hours": "POST /sim/clock {advance_s: 7200} while ws_stall strikes",
    "F12 24 h cut": {"kind": "ws_drop", "args": {"code": 1001}},
    "F13 connection ban": {
        "kind": "rest_status",
        "match": {"route": "market"},
        "args": {"status": 429},
    },
    "F14 values": {
        "kind": "ws_garbage",
        "args": {"mode": "set", "set": {"k.h": "NaN", "k.v": "-1"}},
    },
    "F15 spike": {"kind": "price_jump", "args": {"pct": 50, "s": 1}},
    "F16 frozen price": {"kind": "price_freeze", "args": {"s": 30}},
    "F17 drop at the fill": {"kind": "ws_drop", "match": {"event": "ORDER_TRADE_UPDATE"}},
    "F18 key expired": {"kind": "listen_key_expire", "args": {"silent": True}},
    "F19 keepalive -1125": {
        "kind": "rest_reject",
        "match": {"path": "listenKey"},
        "args": {"code": -1125},
    },
    "F20 late events": {"kind": "ws_stall", "match": {"route": "private"}, "args": {"late": True}},
    "F21 foreign order": {"kind": "foreign_order", "args": {"quantity": "0.010"}},
    "F22 timeout before": {"kind": "timeout_before"},
    "F23 timeout after": {"kind": "timeout_after"},
    "F24 503 unknown": {"kind": "rest_status", "args": {"status": 503, "executed": True}},
    "F24 -1008": {"kind": "rest_reject", "args": {"code": -1008, "status": 503}},
    "F24 502 page": {"kind": "rest_status", "args": {"status": 502}},
    "F25 429": {"kind": "rest_status", "args": {"status": 429}},
    "F25 418": {"kind": "rest_status", "args": {"status": 418}},
    "F26 -1021": {"kind": "rest_reject", "args": {"code": -1021}},
    "F27 -2013 lag": {"kind": "query_lag", "args": {"s": 60}},
    "F28 reset in the body": {"kind": "reset", "args": {"when": "body"}},
    "F28 partial JSON": {"kind": "rest_status", "args": {"status": 200, "body": '{"a":'}},
    "F29 slow drip": {"kind": "latency", "args": {"ms": 1000, "drip": True}},
    "F30 stale snapshot": {
        "kind": "query_lag",
        "match": {"path": "positionRisk"},
        "args": {"s": 2},
    },
    "F31 EXPIRED_IN_MATCH": {
        "kind": "partial_fill",
        "args": {"fraction": 0, "status": "EXPIRED_IN_MATCH"},
    },
    "F32 partial, then cancel": {"kind": "partial_fill", "args": {"status": "CANCELED"}},
    "F33 stop -2021": {
        "kind": "rest_reject",
        "match": {"path": "algoOrder"},
        "args": {"code": -2021},
    },
    "F34 rejected at trigger": {"kind": "algo_reject_at_trigger"},
    "F35 stop cancelled by the user": "DELETE /fapi/v1/algoOrder with the account's key",
    "F36 gap beyond the stop": {"kind": "price_jump", "args": {"pct": -20}},
    "F37 liquidation": {"kind": "price_jump", "args": {"pct": -60}},
    "F38 -2019": {"kind": "rest_reject", "args": {"code": -2019}},
    "F39 -4400": {"kind": "rest_reject", "args": {"code": -4400}},
    "F40 settings by hand": "POST leverage, marginType, positionSide/dual, multiAssetsMargin",
    "F41 position doubled": {"kind": "foreign_order", "count": 2, "args": {"quantity": "0.010"}},
    "F42 maintenance": {"kind": "maintenance", "args": {"s": 3600}},
    "F43 delisted": {"kind": "delist"},
    "F44 filters change": {"kind": "filter_change", "args": {"tickSize": "1"}},
    "F45 symbol missing": {"kind": "delist", "args": {"hidden": True, "status": "TRADING"}},
}


def test_the_catalogue_names_every_fault_from_f6_to_f45_and_all_can_be_armed():
    numbers = {int(name[1:].split()[0]) for name in CATALOGUE}
    assert numbers == set(range(6, 46))
    used = set()
    for wish in CATALOGUE.values():
        if isinstance(wish, dict):
            used.add(read_fault(wish).kind)
    assert used == set(KINDS)
