"""The gateway when things go wrong: on a scripted venue that fails in the ways of the reference."""

import asyncio
import json
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal

import pytest

from actors.edges.streams import Attempts, Stream
from core import messages as m
from core.errors import ConfigurationError, SelfCheckError, UnavailableError
from core.messages import Failure, Purpose, Side
from tests.edges.gateway_desk import Desk, Scripted, a_stop, an_entry

FILLED = {"orderId": 7, "status": "FILLED", "executedQty": "0.010", "avgPrice": "60000.0"}
PLACED = {"algoId": 9, "algoStatus": "NEW", "clientAlgoId": a_stop().client_id}
UNKNOWN_503 = {"code": 0, "msg": "Unknown error, please check your request or try again later."}


@pytest.fixture
def venue() -> Iterator[Scripted]:
    venue = Scripted()
    venue.start()
    yield venue
    venue.stop()


@pytest.fixture
def desk(venue) -> Iterator[Desk]:
    desk = Desk(venue, REST_TIMEOUT=1, MAX_RETRIES=3)
    desk.start()
    yield desk
    desk.gateway.stop(2)


# ---------------------------------------- entries
def test_an_entry_goes_out_as_decimal_strings_with_its_own_id_and_a_short_window(desk, venue):
    venue.say("POST", "order", FILLED)
    answer = desk.ask(an_entry())
    assert (answer.venue_id, answer.executed) == ("BTCUSDT:7", Decimal("0.010"))
    sent = venue.asked("POST", "order")[0]
    assert sent["newClientOrderId"] == an_entry().client_id
    assert (sent["quantity"], sent["type"], sent["recvWindow"]) == ("0.010", "MARKET", "3000")
    assert sent["newOrderRespType"] == "RESULT"
    assert "reduceOnly" not in sent
    desk.ask(an_entry("afb-X-aaaaaaaaaaaaaaaa-0", purpose=Purpose.EXIT, reduce_only=True))
    sent = venue.asked("POST", "order")[1]
    assert (sent["reduceOnly"], sent["recvWindow"]) == ("true", "10000")


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        ((503, UNKNOWN_503), Failure.UNKNOWN),
        ((503, {"code": -1001, "msg": "Internal error; unable to process"}), Failure.REFUSED),
        ((503, "<html>busy</html>"), Failure.UNKNOWN),
        ((503, "Service Unavailable."), Failure.REFUSED),
        ((502, "<html>Bad Gateway</html>"), Failure.UNKNOWN),
        ((408, {"code": -1007, "msg": "Timeout"}), Failure.UNKNOWN),
        ((400, {"code": -2019, "msg": "Margin is insufficient."}), Failure.REFUSED),
        ((400, [1, 2]), Failure.REFUSED),
        ((403, "<html>WAF</html>"), Failure.REFUSED),
        ((302, "moved", {"Location": "http://127.0.0.1:9/"}), Failure.UNKNOWN),
        ((200, {"code": -2019, "msg": "Margin is insufficient."}), Failure.REFUSED),
        ((200, "{truncated"), Failure.UNKNOWN),
        ((200, ""), Failure.UNKNOWN),
        ((200, {}), Failure.UNKNOWN),
        ((200, {**FILLED, "executedQty": "NaN"}), Failure.UNKNOWN),
        ("reset", Failure.UNKNOWN),
        ("hang", Failure.UNKNOWN),
    ],
)
def test_a_failed_entry_is_judged_and_never_sent_twice(desk, venue, answer, failure):
    venue.say("POST", "order", answer)
    failed = desk.ask(an_entry())
    assert isinstance(failed, m.OrderFailed)
    assert failed.failure is failure
    assert "\n" not in failed.detail
    assert len(venue.asked("POST", "order")) == 1


def test_an_entry_without_a_venue_was_not_sent(desk, venue):
    venue.stop()
    assert desk.ask(an_entry()).failure is Failure.NOT_SENT
    venue.start()


def test_a_refused_stamp_measures_the_clock_again(desk, venue):
    venue.say("POST", "order", (400, {"code": -1021, "msg": "Timestamp outside of recvWindow."}))
    before = venue.requests.count(("GET", "/sim/health", {}))
    failed = desk.ask(an_entry())
    assert (failed.failure, failed.code) == (Failure.REFUSED, -1021)
    assert venue.requests.count(("GET", "/sim/health", {})) == before + 1


def test_after_429_entries_stay_home_reads_wait_and_protection_goes_out(desk, venue):
    busy = (429, {"code": -1003, "msg": "Too many requests."}, {"Retry-After": "1"})
    venue.say("POST", "order", busy)
    venue.say("POST", "algoOrder", PLACED)
    venue.say("GET", "klines", [])
    assert desk.ask(an_entry()).code == -1003
    home = desk.ask(an_entry("afb-E-bbbbbbbbbbbbbbbb-0"))
    assert (home.failure, home.code) == (Failure.NOT_SENT, -1003)
    assert len(venue.asked("POST", "order")) == 1
    began = time.monotonic()
    assert isinstance(desk.ask(a_stop()), m.OrderAnswered)
    assert time.monotonic() - began < 0.5
    desk.ask(m.FetchHistory(symbol="BTCUSDT", bars=5))
    assert time.monotonic() - began > 0.5


def test_a_ban_is_reported_instead_of_sat_out_and_nothing_more_is_sent(desk, venue):
    until_ms = int(time.time() * 1000) + 3_600_000
    ban = (418, {"code": -1003, "msg": f"Way too many requests; IP banned until {until_ms}."})
    venue.say("GET", "klines", ban)
    history = desk.ask(m.FetchHistory(symbol="BTCUSDT", bars=5))
    assert history.candles == ()
    assert "silence" in history.reason
    assert len(venue.asked("GET", "klines")) == 1
    for order in (an_entry(), an_entry(purpose=Purpose.EXIT, reduce_only=True), a_stop()):
        assert desk.ask(order).failure is Failure.NOT_SENT
    assert venue.asked("POST", "order") == venue.asked("POST", "algoOrder") == []


# ---------------------------------------- protection
def test_a_stop_is_repeated_while_it_certainly_did_not_happen(desk, venue):
    overloaded = (503, {"code": -1008, "msg": "Request throttled by system-level protection."})
    venue.say("POST", "algoOrder", overloaded, (503, "Service Unavailable."), PLACED)
    assert desk.ask(a_stop()).venue_id == "BTCUSDT:algo:9"
    sent = venue.asked("POST", "algoOrder")
    assert len(sent) == 3
    assert {s["clientAlgoId"] for s in sent} == {a_stop().client_id}
    assert (sent[0]["closePosition"], sent[0]["type"]) == ("true", "STOP_MARKET")
    assert (sent[0]["workingType"], sent[0]["algoType"]) == ("MARK_PRICE", "CONDITIONAL")


@pytest.mark.parametrize("answer", ["reset", (503, UNKNOWN_503)])
def test_a_stop_of_unknown_outcome_is_execution_s_to_decide(desk, venue, answer):
    venue.say("POST", "algoOrder", answer)
    assert desk.ask(a_stop()).failure is Failure.UNKNOWN
    assert len(venue.asked("POST", "algoOrder")) == 1


def test_a_stop_beyond_the_price_keeps_its_code(desk, venue):
    venue.say("POST", "algoOrder", (400, {"code": -2021, "msg": "Would immediately trigger."}))
    assert desk.ask(a_stop()).code == -2021


@pytest.mark.parametrize("code", [-4116, -4130])
def test_a_duplicate_stop_is_adopted_if_it_is_the_same(desk, venue, code):
    venue.say("POST", "algoOrder", (400, {"code": code, "msg": "duplicate"}))
    venue.say("GET", "openAlgoOrders", [{"clientAlgoId": "x", "algoId": 1}, PLACED])
    assert desk.ask(a_stop()).venue_id == "BTCUSDT:algo:9"
    venue.say("GET", "openAlgoOrders", [{"clientAlgoId": "x", "algoId": 1}])
    assert desk.ask(a_stop()).code == code


def test_a_cancel_is_repeated_until_it_is_answered(desk, venue):
    venue.say("DELETE", "algoOrder", (502, "<html>"), "reset", (400, {"code": -2011, "msg": "?"}))
    cancel = m.CancelAlgoOrder(client_id=a_stop().client_id, symbol="BTCUSDT")
    assert isinstance(desk.ask(cancel), m.AlgoGone)
    assert len(venue.asked("DELETE", "algoOrder")) >= 3


# ---------------------------------------- reads
def test_a_query_that_fails_is_not_a_query_that_found_nothing(desk, venue):
    query = m.QueryOrder(client_id=an_entry().client_id, symbol="BTCUSDT")
    venue.say("GET", "order", (400, {"code": -2013, "msg": "Order does not exist."}))
    assert desk.ask(query) == m.OrderFound(client_id=query.client_id, symbol="BTCUSDT", found=False)
    venue.say("GET", "order", (502, "<html>"))
    failed = desk.ask(query)
    assert (failed.failure, failed.purpose) == (Failure.UNKNOWN, Purpose.ENTRY)


def test_a_read_is_repeated_and_then_given_up_with_the_reason(desk, venue):
    rows = [
        [60_000 * n, "1", "2", "0.5", "1", "3", 60_000 * n + 59_999, "", 1, "2", "", "0"]
        for n in (1, 2)
    ]
    venue.say("GET", "klines", (502, "<html>"), "reset", rows)
    assert len(desk.ask(m.FetchHistory(symbol="BTCUSDT", bars=5)).candles) == 2
    wanted = m.FetchHistory(symbol="BTCUSDT", bars=5)
    rows[0][2] = "0.1"  # a high below the close
    venue.say("GET", "klines", rows)
    assert "high" in desk.ask(wanted).reason
    venue.say("GET", "klines", (400, {"code": -1130, "msg": "Data sent for limit is not valid."}))
    assert (
        "reduce the data fetch limit" in desk.ask(m.FetchHistory(symbol="BTCUSDT", bars=5)).reason
    )


def a_trade(number: int) -> dict[str, object]:
    return {
        "id": number,
        "orderId": number // 2,
        "side": "BUY",
        "qty": "1",
        "price": "2",
        "commission": "0",
        "realizedPnl": "0",
        "time": 1_795_000_000_000 + number,
    }


def test_a_snapshot_reads_trades_to_their_end_and_names_their_orders(desk, venue):
    def trades(params: dict[str, str]) -> list[dict[str, object]]:
        first, limit = int(params["fromId"]), int(params["limit"])
        return [a_trade(n) for n in range(first, min(first + limit, 2501))]

    def orders(params: dict[str, str]) -> list[dict[str, object]]:
        # The newest are kept where the limit cuts; the older ones are asked for one by one.
        return [
            {"orderId": n, "clientOrderId": f"id-{n}"}
            for n in range(int(params["orderId"]) + 2, 1251)
        ]

    def order(params: dict[str, str]) -> object:
        if params["orderId"] == "101":
            return (400, {"code": -2013, "msg": "Order does not exist."})
        return {"orderId": int(params["orderId"]), "clientOrderId": f"id-{params['orderId']}"}

    venue.say("GET", "userTrades", trades)
    venue.say("GET", "allOrders", orders)
    venue.say("GET", "order", order)
    account = {"totalWalletBalance": "1", "availableBalance": "1"}
    account |= {"totalUnrealizedProfit": "0", "totalInitialMargin": "0"}
    venue.script["GET", "/fapi/v3/account"].extend([account])
    venue.script["GET", "/fapi/v3/account"].popleft()
    venue.script["GET", "/fapi/v3/positionRisk"].extend([[]])
    venue.script["GET", "/fapi/v3/positionRisk"].popleft()
    venue.say("GET", "openOrders", [])
    venue.say("GET", "openAlgoOrders", [])
    wanted = m.FetchSnapshot(
        reason="test", symbols=("BTCUSDT",), trades_after=(("BTCUSDT", 199),), unresolved=()
    )
    snapshot = desk.ask(wanted)
    assert [t.trade_id for t in snapshot.trades] == list(range(200, 2501))
    assert [t.client_id for t in snapshot.trades[:6]] == ["id-100"] * 2 + [""] * 2 + ["id-102"] * 2
    assert len(venue.asked("GET", "userTrades")) == 3


def test_a_snapshot_that_cannot_be_had_says_so(desk, venue):
    venue.script["GET", "/fapi/v3/account"].append((400, {"code": -2015, "msg": "no"}))
    venue.script["GET", "/fapi/v3/account"].popleft()
    failed = desk.ask(m.FetchSnapshot(reason="x", symbols=(), trades_after=(), unresolved=()))
    assert isinstance(failed, m.SnapshotFailed)
    assert "-2015" in failed.reason


# ---------------------------------------- preparation
def a_listing(status: str = "TRADING") -> dict[str, object]:
    filters = [
        {"filterType": "PRICE_FILTER", "minPrice": "1", "maxPrice": "99999", "tickSize": "0.1"},
        {"filterType": "LOT_SIZE", "minQty": "1", "maxQty": "9", "stepSize": "1"},
    ]
    return {"symbols": [{"symbol": "BTCUSDT", "status": status, "filters": filters}]}


def test_a_snapshot_without_open_orders_tells_the_venue_s_silence(desk, venue):
    row = {"symbol": "BTCUSDT", "positionAmt": "0", "entryPrice": "0", "updateTime": 1}
    account = {
        "totalWalletBalance": "1",
        "availableBalance": "1",
        "totalUnrealizedProfit": "0",
        "totalInitialMargin": "0",
    }
    venue.script["GET", "/fapi/v3/account"] = deque([account])
    venue.script["GET", "/fapi/v3/positionRisk"] = deque([[row]])
    venue.say("GET", "openAlgoOrders", [])
    refused = (429, {"code": -1003, "msg": "too many"}, {"Retry-After": "120"})
    venue.say("GET", "openOrders", refused)
    failed = desk.ask(m.FetchSnapshot(reason="x", symbols=(), trades_after=(), unresolved=()))
    assert "the venue wants silence" in failed.reason


def test_isolated_margin_that_is_set_already_is_fine(desk, venue):
    venue.say("GET", "exchangeInfo", a_listing())
    venue.say("POST", "marginType", (400, {"code": -4046, "msg": "No need to change."}))
    venue.say("POST", "leverage", {"leverage": 5, "symbol": "BTCUSDT"})
    assert desk.gateway.prepare(("BTCUSDT",)).leverage == {
        "BTCUSDT": {"leverage": 5, "symbol": "BTCUSDT"}
    }


def test_what_is_set_on_all_symbols_is_read_at_once_and_left_alone(desk, venue):
    names = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
    (listed,) = a_listing()["symbols"]
    venue.say("GET", "exchangeInfo", {"symbols": [listed | {"symbol": s} for s in names]})
    venue.say("POST", "leverage", {"leverage": 5, "symbol": "ETHUSDT"})
    rows = [
        {"symbol": s, "marginType": "ISOLATED", "leverage": 5, "maxNotionalValue": "7"}
        for s in names
    ]
    venue.say("GET", "symbolConfig", rows)
    leverage = desk.gateway.prepare(names).leverage
    assert leverage["SOLUSDT"] == {"symbol": "SOLUSDT", "leverage": 5, "maxNotionalValue": "7"}
    assert not venue.asked("POST", "marginType")
    rows[0]["marginType"] = "CROSSED"
    rows[1]["leverage"] = 20
    desk.gateway.prepare(names)
    for name in ("marginType", "leverage"):
        assert [r["symbol"] for r in venue.asked("POST", name)] == ["BTCUSDT", "ETHUSDT"]


def test_margin_that_a_position_holds_is_fine_if_it_is_isolated(desk, venue):
    venue.say("GET", "exchangeInfo", a_listing())
    venue.say("POST", "marginType", (400, {"code": -4048, "msg": "There is a position."}))
    venue.say("GET", "symbolConfig", [{"symbol": "BTCUSDT", "marginType": "ISOLATED"}])
    assert "BTCUSDT" in desk.gateway.prepare(("BTCUSDT",)).instruments


@pytest.mark.parametrize(
    ("request_", "answer", "error", "words"),
    [
        ("GET exchangeInfo", a_listing("BREAK"), ConfigurationError, "BREAK"),
        ("GET accountConfig", {"dualSidePosition": True}, SelfCheckError, "one-way"),
        (
            "POST marginType",
            (400, {"code": -4048, "msg": "x"}),
            SelfCheckError,
            "close it",
        ),
        ("POST leverage", (400, {"code": -4028, "msg": "x"}), SelfCheckError, "LEVERAGE"),
        ("GET exchangeInfo", (502, "<html>"), UnavailableError, "502"),
    ],
)
def test_what_the_account_does_not_allow_is_one_line(desk, request_, answer, error, words):
    desk.venue.say("GET", "exchangeInfo", a_listing())
    desk.venue.say(*request_.split(), answer)
    with pytest.raises(error, match=words) as caught:
        desk.gateway.prepare(("BTCUSDT",))
    assert "\n" not in str(caught.value)


def test_a_venue_that_accepts_and_never_answers_is_unavailable_in_time():
    venue = Scripted()
    venue.start()
    venue.say("POST", "listenKey", "hang")
    desk = Desk(venue, REST_TIMEOUT=1)
    began = time.monotonic()
    with pytest.raises(UnavailableError, match="No answer in time"):
        desk.start()
    assert time.monotonic() - began < 4
    venue.stop()


# ---------------------------------------- streams
def a_mark(price: str = "60000.1") -> str:
    data = {"e": "markPriceUpdate", "E": 1_795_000_000_000, "s": "BTCUSDT", "p": price}
    return json.dumps({"stream": "btcusdt@markPrice@1s", "data": data})


def test_a_bad_frame_is_reported_and_the_stream_lives_on(desk, venue):
    for text in (a_mark("NaN"), '{"result": null, "id": 1}', "[1]"):
        venue.send("market", text)
        assert desk.hear(m.FrameRejected).sample.isprintable()
    venue.send("market", a_mark())
    assert desk.hear(m.MarkPrice).price == Decimal("60000.1")


def test_garbage_on_the_wire_costs_a_reconnect_and_no_more(desk, venue):
    venue.send("market", "{not json")
    assert desk.hear(m.StreamDown).stream == "market"
    assert desk.hear(m.StreamUp, stream="market", connection=2)
    venue.send("market", a_mark(), connection=2)
    assert desk.hear(m.MarkPrice)


def test_an_expired_listen_key_rebuilds_the_user_stream_with_a_new_one(desk, venue):
    venue.send("private", json.dumps({"e": "listenKeyExpired", "E": 1, "listenKey": "key"}))
    assert desk.hear(m.StreamDown, stream="private").reason == "the listen key expired"
    assert desk.hear(m.StreamUp, stream="private", connection=2)
    assert len(venue.asked("POST", "listenKey")) == 2


def test_a_silent_market_stream_is_rebuilt(venue):
    desk = Desk(venue, WEBSOCKET_TIMEOUT=1)
    desk.start()
    try:
        assert desk.hear(m.StreamDown) == m.StreamDown(stream="market", reason="silence")
        assert desk.hear(m.StreamUp, stream="market", connection=2)
    finally:
        desk.gateway.stop(2)


class Babbler:
    """A socket that always has a frame, even for a reader who has just been cancelled.

    `asyncio.wait_for` before Python 3.12 does that when both arrive together.
    """

    ws = None

    async def recv(self) -> dict[str, str]:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0)
        return {"e": "something"}

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("silence_s", [None, 60])
def test_a_stream_ends_when_told_even_if_the_library_loses_the_cancellation(silence_s):
    async def socket() -> Babbler:
        return Babbler()

    async def scenario() -> None:
        told: list[object] = []
        heard = asyncio.Event()
        stream = Stream(
            "market",
            openers=(socket,),
            attempts=Attempts(),
            on_frame=lambda _frame: heard.set(),
            post=told.append,
            silence_s=silence_s,
        )
        running = asyncio.create_task(stream.run())
        await heard.wait()
        running.cancel()
        await asyncio.wait([running], timeout=5)
        assert running.cancelled()

    asyncio.run(scenario())


def test_what_is_under_way_at_the_stop_is_answered_as_unknown(venue):
    desk = Desk(venue, REST_TIMEOUT=60)
    desk.start()
    venue.say("POST", "order", "hang")
    envelope = desk.put(an_entry(side=Side.SELL))
    desk.gateway.stop(0.5)
    answer, cause = desk.answers.get(timeout=5)
    assert (answer.failure, cause) == (Failure.UNKNOWN, envelope)
    assert desk.traced == [("handled", envelope, "CancelledError")]
