"""Hedge mode and multi-assets mode: their switches, their rules, and how positions then look."""

from typing import Any

import pytest

from core.venue.simulated.errors import Rejection
from core.venue.simulated.exchange import Exchange
from core.venue.simulated.market import MINUTE_MS
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

DUAL = "POST v1/positionSide/dual"
MULTI = "POST v1/multiAssetsMargin"
CHANGED = {"code": 200, "msg": "success"}


def code_of(exchange: Exchange, words: str, **params: object) -> int:
    with pytest.raises(Rejection) as caught:
        call(exchange, words, **params)
    return caught.value.code


def a_hedged_exchange(**more: Any) -> Exchange:
    exchange = an_exchange(**more)
    assert call(exchange, DUAL, dualSidePosition="true") == CHANGED
    return exchange


def amounts(exchange: Exchange) -> dict[str, str]:
    rows = call(exchange, "GET v3/positionRisk")
    return {row["positionSide"]: row["positionAmt"] for row in rows}


# ---------------------------------------------------------------------- the switch
def test_hedge_mode_changes_only_while_flat_and_without_orders():
    exchange = an_exchange()
    assert code_of(exchange, DUAL, dualSidePosition="false") == -4059
    limit(exchange, "BUY", "0.010", "99000.00")
    assert code_of(exchange, DUAL, dualSidePosition="true") == -4067
    call(exchange, "DELETE v1/allOpenOrders", symbol="BTCUSDT")
    market(exchange, "BUY", "0.010")
    assert code_of(exchange, DUAL, dualSidePosition="true") == -4068
    market(exchange, "SELL", "0.010")
    assert call(exchange, DUAL, dualSidePosition="true") == CHANGED
    assert call(exchange, "GET v1/positionSide/dual") == {"dualSidePosition": True}
    assert call(exchange, "GET v1/accountConfig")["dualSidePosition"] is True


@pytest.mark.parametrize(
    ("code", "more"),
    [
        (-4061, {}),
        (-4061, {"positionSide": "BOTH"}),
        (-1106, {"positionSide": "LONG", "reduceOnly": "true"}),
        (-2022, {"positionSide": "SHORT"}),  # buying a short that is not there
    ],
)
def test_an_order_that_does_not_fit_hedge_mode_is_refused(code, more):
    exchange = a_hedged_exchange()
    fields = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.010"}
    assert code_of(exchange, "POST v1/order", **fields, **more) == code


# ---------------------------------------------------------------------- positions
def test_long_and_short_stand_side_by_side():
    exchange = a_hedged_exchange()
    market(exchange, "BUY", "0.010", positionSide="LONG")
    market(exchange, "SELL", "0.004", positionSide="SHORT")
    assert amounts(exchange) == {"LONG": "0.010", "SHORT": "-0.004"}
    sides = [e["a"]["P"][0]["ps"] for e in user_events(exchange) if e["e"] == "ACCOUNT_UPDATE"]
    assert sides == ["LONG", "SHORT"]
    rows = call(exchange, "GET v2/account")["positions"]
    assert [row["positionSide"] for row in rows] == ["LONG", "SHORT"]
    rows = call(exchange, "GET v3/account")["positions"]
    assert [row["positionAmt"] for row in rows] == ["0.010", "-0.004"]
    rows = call(exchange, "GET v2/positionRisk")
    assert [row["positionSide"] for row in rows] == ["BOTH", "LONG", "SHORT"]
    quantiles = call(exchange, "GET v1/adlQuantile")[0]["adlQuantile"]
    assert set(quantiles) == {"LONG", "SHORT", "HEDGE"}


def test_closing_a_side_leaves_the_other_and_never_turns_it_round():
    exchange = a_hedged_exchange()
    market(exchange, "BUY", "0.010", positionSide="LONG")
    market(exchange, "SELL", "0.004", positionSide="SHORT")
    fields = {"symbol": "BTCUSDT", "side": "SELL", "type": "MARKET", "positionSide": "LONG"}
    assert code_of(exchange, "POST v1/order", quantity="0.011", **fields) == -2022
    market(exchange, "SELL", "0.010", positionSide="LONG")
    assert amounts(exchange) == {"SHORT": "-0.004"}


def test_an_order_that_closes_needs_no_margin():
    exchange = a_hedged_exchange(balance="600")
    market(exchange, "BUY", "0.100", positionSide="LONG")
    limit(exchange, "SELL", "0.100", "101000.00", positionSide="LONG")
    row = call(exchange, "GET v3/positionRisk")[0]
    assert row["openOrderInitialMargin"] == "0.00000000"


def test_close_position_orders_belong_to_one_side():
    falling = {"BTCUSDT": [["100000.00"], ["98000.00"], ["98000.00"]]}
    exchange = a_hedged_exchange(paths=falling)
    market(exchange, "BUY", "0.010", positionSide="LONG")
    market(exchange, "SELL", "0.010", positionSide="SHORT")
    close = {"closePosition": "true"}
    algo(
        exchange, "SELL", "STOP_MARKET", "99000.00", positionSide="LONG", clientAlgoId="l", **close
    )
    algo(
        exchange, "BUY", "STOP_MARKET", "103000.00", positionSide="SHORT", clientAlgoId="s", **close
    )
    wrong = {"symbol": "BTCUSDT", "algoType": "CONDITIONAL", "type": "STOP_MARKET", **close}
    params = {"side": "BUY", "positionSide": "LONG", "triggerPrice": "103000.00"}
    assert code_of(exchange, "POST v1/algoOrder", **wrong, **params) == -2022
    exchange.advance(START_MS + 2 * MINUTE_MS)
    assert statuses(exchange, "l")[-1] == "FINISHED"
    assert statuses(exchange, "s") == ["NEW"]
    assert amounts(exchange) == {"SHORT": "-0.010"}


def test_isolated_sides_have_wallets_of_their_own():
    exchange = a_hedged_exchange()
    call(exchange, "POST v1/marginType", symbol="BTCUSDT", marginType="ISOLATED")
    market(exchange, "BUY", "0.010", positionSide="LONG")
    fields = {"symbol": "BTCUSDT", "amount": "10", "type": 1}
    assert code_of(exchange, "POST v1/positionMargin", **fields) == -4061
    assert code_of(exchange, "POST v1/positionMargin", positionSide="SHORT", **fields) == -4054
    call(exchange, "POST v1/positionMargin", positionSide="LONG", **fields)
    row = call(exchange, "GET v3/positionRisk")[0]
    assert (row["positionSide"], row["isolatedWallet"]) == ("LONG", "60.00000000")


def test_funding_is_paid_on_each_side():
    start = START_MS - MINUTE_MS
    exchange = a_hedged_exchange(
        paths={"BTCUSDT": flat("100000.00", 4)}, start_ms=start, rate="0.001"
    )
    market(exchange, "BUY", "0.010", positionSide="LONG")
    market(exchange, "SELL", "0.004", positionSide="SHORT")
    exchange.advance(START_MS)
    paid = [row.amount for row in exchange.ledger.income if row.kind == "FUNDING_FEE"]
    assert [round(float(amount), 2) for amount in paid] == [-1.0, 0.4]


# ---------------------------------------------------------------------- multi-assets mode
def test_multi_assets_mode_has_its_rules():
    exchange = an_exchange()
    assert code_of(exchange, MULTI, multiAssetsMargin="false") == -4171
    call(exchange, "POST v1/marginType", symbol="BTCUSDT", marginType="ISOLATED")
    assert code_of(exchange, MULTI, multiAssetsMargin="true") == -4167
    call(exchange, "POST v1/marginType", symbol="BTCUSDT", marginType="CROSSED")
    limit(exchange, "BUY", "0.010", "99000.00")
    assert code_of(exchange, MULTI, multiAssetsMargin="true") == -4170
    call(exchange, "DELETE v1/allOpenOrders", symbol="BTCUSDT")
    exchange.take_events()
    assert call(exchange, MULTI, multiAssetsMargin="true") == CHANGED
    event = user_events(exchange)[0]
    assert (event["e"], event["ai"]) == ("ACCOUNT_CONFIG_UPDATE", {"j": True})
    assert call(exchange, "GET v1/multiAssetsMargin") == {"multiAssetsMargin": True}
    params = {"symbol": "BTCUSDT", "marginType": "ISOLATED"}
    assert code_of(exchange, "POST v1/marginType", **params) == -4168
    account = call(exchange, "GET v2/account")
    assert (account["multiAssetsMargin"], account["totalWalletBalance"]) == (True, "10000.00000000")
