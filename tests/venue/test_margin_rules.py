"""Leverage, margin type, isolated margin, margin calls and forced orders: codes and effects."""

from decimal import Decimal

import pytest

from core.venue.simulated.errors import Rejection
from core.venue.simulated.exchange import Exchange
from core.venue.simulated.market import MINUTE_MS
from tests.venue.market_on_paper import (
    START_MS,
    an_exchange,
    call,
    flat,
    limit,
    market,
    user_events,
)

LEVERAGE, TYPE, MARGIN = "POST v1/leverage", "POST v1/marginType", "POST v1/positionMargin"


def refused(exchange: Exchange, words: str, **params: object) -> tuple[int, str]:
    with pytest.raises(Rejection) as caught:
        call(exchange, words, symbol="BTCUSDT", **params)
    assert caught.value.status == 400
    return caught.value.code, caught.value.message


# ---------------------------------------------------------------------- leverage
@pytest.mark.parametrize("leverage", [0, 126, -3])
def test_leverage_has_bounds(leverage):
    exchange = an_exchange()
    expected = (-4028, f"Leverage {leverage} is not valid")
    assert refused(exchange, LEVERAGE, leverage=leverage) == expected


def test_leverage_answers_its_cap_and_may_be_set_again():
    exchange = an_exchange()
    expected = {"leverage": 21, "maxNotionalValue": "70000000", "symbol": "BTCUSDT"}
    for _ in range(2):
        assert call(exchange, LEVERAGE, symbol="BTCUSDT", leverage=21) == expected
    events = [event["ac"] for event in user_events(exchange)]
    assert events == [{"s": "BTCUSDT", "l": 21}]


def test_leverage_may_not_rise_past_the_bracket_of_the_position_or_its_orders():
    exchange = an_exchange(balance="1000000")
    limit(exchange, "BUY", "4.000", "99000.00")
    code, message = refused(exchange, LEVERAGE, leverage=125)
    assert (code, message) == (
        -2027,
        "Exceeded the maximum allowable position at current leverage.",
    )


def test_leverage_may_not_fall_below_what_the_account_can_back():
    exchange = an_exchange(balance="600")
    market(exchange, "BUY", "0.100")
    assert refused(exchange, LEVERAGE, leverage=10) == (
        -2028,
        "Leverage is smaller than permitted: insufficient margin balance.",
    )


def test_isolated_leverage_may_not_fall_with_a_position():
    exchange = an_exchange()
    call(exchange, TYPE, symbol="BTCUSDT", marginType="ISOLATED")
    market(exchange, "BUY", "0.010")
    assert refused(exchange, LEVERAGE, leverage=10)[0] == -4161
    assert call(exchange, LEVERAGE, symbol="BTCUSDT", leverage=30)["leverage"] == 30


# ---------------------------------------------------------------------- margin type
def test_the_margin_type_changes_only_while_nothing_is_open():
    exchange = an_exchange()
    assert refused(exchange, TYPE, marginType="CROSSED") == (
        -4046,
        "No need to change margin type.",
    )
    assert refused(exchange, TYPE, marginType="NONE")[0] == -1130
    limit(exchange, "BUY", "0.010", "99000.00")
    assert refused(exchange, TYPE, marginType="ISOLATED") == (
        -4047,
        "Margin type cannot be changed if there exists open orders.",
    )
    call(exchange, "DELETE v1/allOpenOrders", symbol="BTCUSDT")
    market(exchange, "BUY", "0.010")
    assert refused(exchange, TYPE, marginType="ISOLATED") == (
        -4048,
        "Margin type cannot be changed if there exists position.",
    )


# ---------------------------------------------------------------------- isolated margin
def an_isolated_long() -> Exchange:
    exchange = an_exchange({"BTCUSDT": flat("100000.00", 3)})
    call(exchange, TYPE, symbol="BTCUSDT", marginType="ISOLATED")
    market(exchange, "BUY", "0.010")
    exchange.take_events()
    return exchange


@pytest.mark.parametrize(
    ("code", "params"),
    [
        (-1130, {"amount": "1", "type": 3}),
        (-4055, {"amount": "0", "type": 1}),
        (-4050, {"amount": "10000", "type": 1}),
        (-4051, {"amount": "5", "type": 2}),
        (-4061, {"amount": "1", "type": 1, "positionSide": "LONG"}),
    ],
)
def test_isolated_margin_cannot_be_moved_against_a_rule(code, params):
    assert refused(an_isolated_long(), MARGIN, **params)[0] == code


def test_only_an_isolated_position_takes_margin():
    exchange = an_exchange()
    market(exchange, "BUY", "0.010")
    expected = (-4049, "Add margin only support for isolated position.")
    assert refused(exchange, MARGIN, amount="1", type=1) == expected


def test_isolated_margin_is_added_and_taken_back_and_remembered():
    exchange = an_isolated_long()
    answer = call(exchange, MARGIN, symbol="BTCUSDT", amount="25.5", type=1)
    assert (answer["amount"], answer["code"], answer["type"]) == (25.5, 200, 1)
    event = user_events(exchange)[0]["a"]
    assert (event["m"], event["P"][0]["iw"]) == ("MARGIN_TRANSFER", "75.50000000")
    call(exchange, MARGIN, symbol="BTCUSDT", amount="20", type=2)
    rows = call(exchange, "GET v1/positionMargin/history", symbol="BTCUSDT")
    assert [(row["type"], row["amount"]) for row in rows] == [
        (1, "25.50000000"),
        (2, "20.00000000"),
    ]
    rows = call(exchange, "GET v1/positionMargin/history", symbol="BTCUSDT", type=2)
    assert len(rows) == 1
    assert exchange.account.positions["BTCUSDT"].isolated_wallet == Decimal("55.5")


# ---------------------------------------------------------------------- margin call and after
SLIDE = [["100000.00"], ["95600.00"], ["94950.00"], ["94950.00"], ["94000.00"], ["94000.00"]]


def a_sliding_long() -> Exchange:
    """Return 0.09 long at 100,000 with 500 USDT: called at 94,969, liquidated at 94,874."""
    exchange = an_exchange({"BTCUSDT": SLIDE}, balance="500")
    market(exchange, "BUY", "0.090")
    limit(exchange, "SELL", "0.010", "104000.00", newClientOrderId="rest")
    exchange.take_events()
    return exchange


def calls_by(exchange: Exchange, minute: int) -> list[dict[str, object]]:
    exchange.advance(START_MS + minute * MINUTE_MS - 1)
    return [event for event in user_events(exchange) if event["e"] == "MARGIN_CALL"]


def test_a_margin_call_comes_once_an_hour_before_the_liquidation():
    exchange = a_sliding_long()
    assert not calls_by(exchange, 2)
    (event,) = calls_by(exchange, 3)
    row = event["p"][0]
    assert (row["s"], row["ps"], row["mt"], row["pa"]) == ("BTCUSDT", "BOTH", "CROSSED", "0.090")
    assert event["cw"] == "495.50000000"
    assert not calls_by(exchange, 4)
    assert exchange.account.held()
    assert not calls_by(exchange, 5)
    assert not exchange.account.held()


def test_a_liquidation_cancels_orders_first_and_says_what_it_is():
    exchange = a_sliding_long()
    exchange.advance(START_MS + 4 * MINUTE_MS - 1)
    exchange.take_events()
    exchange.advance(START_MS + 5 * MINUTE_MS - 1)
    events = user_events(exchange)
    orders = [e["o"] for e in events if e["e"] == "ORDER_TRADE_UPDATE"]
    assert (orders[0]["c"], orders[0]["X"], orders[0]["er"]) == ("rest", "EXPIRED", "5")
    assert orders[1]["c"].startswith("autoclose-")
    assert [(row["x"], row["o"]) for row in orders[1:]] == [
        ("NEW", "LIQUIDATION"),
        ("CALCULATED", "LIQUIDATION"),
    ]
    assert "TRADE_LITE" not in {e["e"] for e in events}
    reasons = [e["a"]["m"] for e in events if e["e"] == "ACCOUNT_UPDATE"]
    assert reasons[-1] == "INSURANCE_CLEAR"
    row = call(exchange, "GET v1/forceOrders")[0]
    assert (row["type"], row["status"]) == ("LIQUIDATION", "FILLED")
    assert call(exchange, "GET v1/forceOrders", autoCloseType="ADL") == []


def test_a_cross_liquidation_spares_isolated_positions():
    crash = {
        "BTCUSDT": [["100000.00"], ["100000.00", "90000.00"], ["90000.00"]],
        "ETHUSDT": flat("2000.00", 3),
    }
    exchange = an_exchange(crash, balance="1000")
    call(exchange, TYPE, symbol="ETHUSDT", marginType="ISOLATED")
    market(exchange, "BUY", "0.500", symbol="ETHUSDT")
    market(exchange, "BUY", "0.100")
    exchange.advance(START_MS + 2 * MINUTE_MS)
    assert [row.symbol for row in exchange.account.held()] == ["ETHUSDT"]
