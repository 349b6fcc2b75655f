"""The account's state, what it earned today, and fees that are not in the quote asset."""

import json
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from actors.edges import account
from core import messages as m
from tests.edges.gateway_desk import Desk, Scripted

TOTALS = {
    "totalWalletBalance": "1000",
    "availableBalance": "900",
    "totalUnrealizedProfit": "-5",
    "totalInitialMargin": "100",
}
WANTED = m.FetchSnapshot(
    reason="test", symbols=("BTCUSDT",), trades_after=(("BTCUSDT", 1),), unresolved=()
)


def an_income(kind: str, income: str, number: int, **fields: Any) -> dict[str, Any]:
    now_ms = time.time_ns() // 1_000_000
    row = {"incomeType": kind, "income": income, "asset": "USDT", "tranId": number}
    return {**row, "symbol": "", "tradeId": "", "time": now_ms, **fields}


def a_trade(number: int, **fields: str) -> dict[str, Any]:
    trade = {"id": number, "orderId": number, "side": "BUY", "qty": "2", "price": "100"}
    trade |= {"commission": "0.1", "commissionAsset": "USDT", "realizedPnl": "0"}
    return {**trade, "time": 1_795_000_000_000, **fields}


@pytest.fixture
def venue() -> Iterator[Scripted]:
    venue = Scripted()
    venue.start()
    venue.script["GET", "/fapi/v3/account"] = deque([TOTALS])
    venue.script["GET", "/fapi/v3/positionRisk"] = deque([[]])
    for name in ("openOrders", "openAlgoOrders", "userTrades", "income"):
        venue.say("GET", name, [])
    venue.say("GET", "order", {"orderId": 1, "clientOrderId": "x"})
    yield venue
    venue.stop()


@pytest.fixture
def desk(venue) -> Iterator[Desk]:
    desk = Desk(venue, MAX_RETRIES=0, TAKER_FEE=0.0005)
    desk.start()
    yield desk
    desk.gateway.stop(2)


def test_the_account_is_told_regularly_without_being_asked(venue, monkeypatch):
    monkeypatch.setattr(account, "_PERIOD_S", 0.05)
    desk = Desk(venue)
    desk.start()
    told = desk.hear(m.AccountSnapshot)
    assert (told.wallet_balance, told.available_balance) == (Decimal(1000), Decimal(900))
    assert told.earned_today is None
    desk.hear(m.AccountSnapshot)
    desk.gateway.stop(2)


def test_the_account_is_left_alone_while_the_venue_wants_silence(venue, monkeypatch):
    monkeypatch.setattr(account, "_PERIOD_S", 0.05)
    desk = Desk(venue, MAX_RETRIES=0)
    desk.start()
    desk.hear(m.AccountSnapshot)
    venue.say("GET", "order", (429, {"code": -1003, "msg": "x"}, {"Retry-After": "30"}))
    desk.ask(m.QueryOrder(client_id="afb-E-aaaaaaaaaaaaaaaa-0", symbol="BTCUSDT"))
    asked = len([r for r in venue.requests if r[1].endswith("account")])
    desk.hear(m.VenueHealth)
    desk.hear(m.VenueHealth)
    assert len([r for r in venue.requests if r[1].endswith("account")]) <= asked + 1
    desk.gateway.stop(2)


def test_income_of_the_day_is_summed_with_transfers_apart(desk, venue):
    rows = [
        an_income("REALIZED_PNL", "12", 1),
        an_income("COMMISSION", "-2", 1),  # the same number: another type
        an_income("FUNDING_FEE", "-0.5", 2),
        an_income("TRANSFER", "500", 3),
        an_income("TRANSFER", "-100", 4),
    ]
    venue.say("GET", "income", rows)
    told = desk.ask(WANTED).account
    assert (told.earned_today, told.transfers_today) == (Decimal("9.5"), Decimal(400))
    day_ms = time.time_ns() // 86_400_000_000_000 * 86_400_000
    assert int(venue.asked("GET", "income")[0]["startTime"]) == day_ms
    again = desk.ask(WANTED).account
    assert (again.earned_today, again.transfers_today) == (None, None)  # once a minute
    assert len(venue.asked("GET", "income")) == 1


def test_income_is_read_to_its_last_page(desk, venue):
    def pages(params: dict[str, str]) -> list[dict[str, Any]]:
        first = (int(params["page"]) - 1) * int(params["limit"])
        return [an_income("FUNDING_FEE", "1", n) for n in range(2500)][first : first + 1000]

    venue.say("GET", "income", pages)
    assert desk.ask(WANTED).account.earned_today == Decimal(2500)


def test_income_is_read_back_to_what_is_known_but_the_day_is_summed_alone(desk, venue):
    day_ms = time.time_ns() // 86_400_000_000_000 * 86_400_000
    known_ms = day_ms - 3 * 86_400_000
    rows = [
        an_income("FUNDING_FEE", "-1", 1, time=known_ms, symbol="BTCUSDT"),
        an_income("FUNDING_FEE", "-2", 2, time=known_ms + 1, symbol="BTCUSDT"),
        an_income("COMMISSION", "-3", 3, time=known_ms + 2),
        an_income("REALIZED_PNL", "4", 3, time=known_ms + 2),
        an_income("TRANSFER", "5", 2, time=day_ms),
        an_income("FUNDING_FEE", "-6", 4, time=day_ms, symbol="ETHUSDT"),
    ]
    venue.say("GET", "income", rows)
    wanted = replace(WANTED, income_after_ns=known_ms * 1_000_000)
    told = desk.ask(wanted)
    assert int(venue.asked("GET", "income")[0]["startTime"]) == known_ms
    assert [(row.kind, row.transaction_id, row.amount) for row in told.income] == [
        ("FUNDING_FEE", 2, Decimal(-2)),
        ("FUNDING_FEE", 4, Decimal(-6)),
        ("TRANSFER", 2, Decimal(5)),
    ]
    assert told.income[0] == m.VenueIncome(
        kind="FUNDING_FEE",
        transaction_id=2,
        symbol="BTCUSDT",
        asset="USDT",
        amount=Decimal(-2),
        at_ns=(known_ms + 1) * 1_000_000,
    )
    assert (told.account.earned_today, told.account.transfers_today) == (Decimal(-6), Decimal(5))
    again = desk.ask(wanted)
    assert again.income == told.income  # not asked again, told again
    assert len(venue.asked("GET", "income")) == 1
    desk.ask(replace(WANTED, income_after_ns=(known_ms - 1) * 1_000_000))
    assert int(venue.asked("GET", "income")[-1]["startTime"]) == known_ms - 1


def test_income_that_the_stream_tells_is_in_the_next_snapshot(desk, venue):
    desk.ask(WANTED)
    balance = {"a": "USDT", "wb": "999", "cw": "999", "bc": "-1"}
    event: dict[str, Any] = {"e": "ACCOUNT_UPDATE", "E": 1_795_000_000_000, "T": 1}
    event["a"] = {"m": "FUNDING_FEE", "B": [balance], "P": []}
    venue.send("private", json.dumps(event))
    desk.hear(m.AccountUpdate)
    venue.say("GET", "income", [an_income("FUNDING_FEE", "-1", 9)])
    assert [row.transaction_id for row in desk.ask(WANTED).income] == [9]


def test_a_snapshot_without_income_is_a_snapshot_all_the_same(desk, venue):
    venue.say("GET", "income", (502, "<html>"))
    told = desk.ask(WANTED)
    assert isinstance(told, m.VenueSnapshot)
    assert told.account.earned_today is None


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        ({"price": "600"}, "0.06"),  # 0.0001 BNB
        ((400, {"code": -1121, "msg": "Invalid symbol."}), "0.1"),  # taker fee of 200
    ],
)
def test_a_fee_paid_in_another_asset_is_counted_in_quote_units(desk, venue, price, expected):
    venue.script["GET", "/fapi/v3/account"] = deque(
        [{**TOTALS, "assets": [{"asset": "BNB", "walletBalance": "1"}]}]
    )
    venue.script["GET", "/fapi/v2/ticker/price"] = deque([price])
    desk.ask(WANTED)
    fee = {"commission": "0.0001", "commissionAsset": "BNB"}
    venue.say("GET", "userTrades", [a_trade(2, **fee)])
    assert desk.ask(WANTED).trades[0].commission == Decimal(expected)
    order = {"s": "BTCUSDT", "c": "x", "i": 2, "S": "BUY", "o": "MARKET", "x": "TRADE"}
    order |= {"X": "FILLED", "q": "2", "z": "2", "ap": "100", "l": "2", "L": "100", "t": 2}
    order |= {"n": "0.0001", "N": "BNB", "T": 1_795_000_000_000}
    venue.send("private", json.dumps({"e": "ORDER_TRADE_UPDATE", "E": 1, "T": 1, "o": order}))
    assert desk.hear(m.OrderUpdate).commission == Decimal(expected)


def test_income_in_another_asset_is_converted_or_the_day_is_not_told(desk, venue):
    rows = [an_income("REALIZED_PNL", "12", 1), an_income("COMMISSION", "-0.01", 1, asset="BNB")]
    venue.say("GET", "income", rows)
    assert desk.ask(WANTED).account.earned_today is None


@pytest.mark.parametrize(("held", "days"), [(False, 1), (True, 7)])
def test_a_first_start_reads_the_trades_of_a_day_and_of_a_week_where_something_is_held(
    desk, venue, held, days
):
    if held:
        position = {"symbol": "BTCUSDT", "positionAmt": "1", "entryPrice": "1", "markPrice": "1"}
        position |= {"unRealizedProfit": "0"}
        venue.script["GET", "/fapi/v3/positionRisk"] = deque([[position]])

    def trades(params: dict[str, str]) -> list[dict[str, Any]]:
        first = int(params.get("fromId", 5000))
        return [a_trade(n) for n in range(first, min(first + 1000, 6500))]

    venue.say("GET", "userTrades", trades)
    venue.say("GET", "allOrders", [{"orderId": n, "clientOrderId": ""} for n in range(7000)])
    wanted = m.FetchSnapshot(
        reason="test", symbols=("BTCUSDT",), trades_after=(("BTCUSDT", 0),), unresolved=()
    )
    assert [t.trade_id for t in desk.ask(wanted).trades] == list(range(5000, 6500))
    first, second = venue.asked("GET", "userTrades")
    from_ms = time.time_ns() // 1_000_000 - days * 86_400_000
    assert int(first["startTime"]) == pytest.approx(from_ms, abs=60_000)
    assert "fromId" not in first
    assert (second["fromId"], second.get("startTime")) == ("6000", None)


def test_income_that_could_not_be_read_comes_with_the_next_snapshot(desk, venue):
    venue.say("GET", "income", (500, {"code": -1000, "msg": "x"}))
    assert desk.ask(WANTED).account.earned_today is None
    venue.say("GET", "income", [an_income("FUNDING_FEE", "-0.5", 2)])
    assert desk.ask(WANTED).account.earned_today == Decimal("-0.5")


@pytest.mark.parametrize(
    ("age_s", "told"), [(0, m.SnapshotFailed), (3600, m.VenueSnapshot)], ids=["young", "old"]
)
def test_a_denied_order_is_forgotten_only_if_its_trade_is_old(desk, venue, age_s, told):
    """Else a fill of ours, shown before its order is, would be taken for another's."""
    traded_ms = time.time_ns() // 1_000_000 - age_s * 1000
    venue.say("GET", "userTrades", [a_trade(7, time=traded_ms)])
    venue.say("GET", "order", (400, {"code": -2013, "msg": "Order does not exist."}))
    assert isinstance(desk.ask(WANTED), told)
