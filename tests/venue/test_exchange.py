"""Orders, conditional orders, margin, funding and liquidation, in numbers, without a server."""

from decimal import Decimal

import pytest

from core.venue.simulated.errors import Rejection
from core.venue.simulated.exchange import Exchange
from core.venue.simulated.instruments import LISTED
from core.venue.simulated.margin import liquidation_price
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


def refusal(function, *args, **params) -> int:
    with pytest.raises(Rejection) as caught:
        function(*args, **params)
    return caught.value.code


def wallet(exchange: Exchange) -> Decimal:
    return exchange.account.wallet


def average_price(exchange: Exchange, answer: dict[str, object]) -> Decimal:
    ask = {"symbol": answer["symbol"], "orderId": answer["orderId"]}
    return Decimal(call(exchange, "GET v1/order", **ask)["avgPrice"])


# ---------------------------------------------------------------------- placing
def test_a_market_order_fills_with_fees_and_its_answer_names_no_price():
    exchange = an_exchange()
    answer = market(exchange, "BUY", "0.010")
    assert (answer["status"], answer["executedQty"]) == ("FILLED", "0.010")
    assert not {"avgPrice", "cumQuote"} & set(answer)
    price = average_price(exchange, answer)
    assert wallet(exchange) == Decimal(10000) - price * Decimal("0.010") * Decimal("0.0005")


def test_an_acknowledged_order_is_new_in_the_answer_and_filled_in_the_query():
    exchange = an_exchange()
    answer = market(exchange, "BUY", "0.010", newOrderRespType="ACK")
    assert (answer["status"], answer["executedQty"]) == ("NEW", "0.000")
    row = call(exchange, "GET v1/order", symbol="BTCUSDT", orderId=answer["orderId"])
    assert (row["status"], row["executedQty"]) == ("FILLED", "0.010")


def test_a_fill_is_told_as_new_then_lite_then_order_then_account():
    exchange = an_exchange()
    market(exchange, "SELL", "0.010")
    events = user_events(exchange)
    kinds = [event["e"] for event in events]
    assert kinds == ["ORDER_TRADE_UPDATE", "TRADE_LITE", "ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE"]
    assert [event["o"]["X"] for event in events if "o" in event] == ["NEW", "FILLED"]
    assert events[-1]["a"]["P"][0]["pa"] == "-0.010"


def test_a_large_order_walks_the_book_and_pays_for_it():
    exchange = an_exchange(balance="1000000")
    small = market(exchange, "BUY", "0.001")
    large = market(exchange, "BUY", "5.000")
    prices = [average_price(exchange, row) for row in (small, large)]
    assert prices[1] > prices[0]
    assert len(exchange.ledger.trades) > 3


@pytest.mark.parametrize(
    ("code", "params"),
    [
        (-1121, {"symbol": "NOPEUSDT"}),
        (-1117, {"side": "HOLD"}),
        (-1116, {"type": "WISH"}),
        (-1102, {"quantity": ""}),
        (-1100, {"quantity": "1e-3"}),
        (-1111, {"quantity": "0.0001"}),
        (-4003, {"quantity": "0"}),
        (-4005, {"quantity": "121"}),
        (-4061, {"positionSide": "LONG"}),
        (-4060, {"positionSide": "UP"}),
        (-4120, {"type": "STOP_MARKET"}),
        (-4015, {"newClientOrderId": "x" * 37}),
        (-1106, {"price": "1"}),
        (-2019, {"quantity": "10"}),
        (-2022, {"reduceOnly": "true"}),
        (-1136, {"newOrderRespType": "FULL"}),
    ],
)
def test_a_market_order_against_a_rule_is_refused_with_its_code(code, params):
    exchange = an_exchange()
    fields = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.010"}
    assert refusal(call, exchange, "POST v1/order", **{**fields, **params}) == code
    assert not exchange.ledger.orders
    assert not user_events(exchange)


@pytest.mark.parametrize(
    ("code", "params"),
    [
        (-4014, {"price": "99000.05"}),
        (-4001, {"price": "0"}),
        (-4013, {"price": "100.00"}),
        (-4016, {"price": "106000.00"}),
        (-1115, {"timeInForce": "NOW"}),
        (-1102, {"timeInForce": ""}),
        (-4164, {"quantity": "0.001", "price": "40000.00"}),
        (-5022, {"timeInForce": "GTX", "price": "100100.00"}),
        (-5021, {"timeInForce": "FOK", "price": "99000.00"}),
    ],
)
def test_a_limit_order_against_a_rule_is_refused_with_its_code(code, params):
    exchange = an_exchange()
    fields = {"side": "BUY", "quantity": "0.010", "price": "99000.00", **params}
    assert refusal(limit, exchange, **fields) == code
    assert not exchange.ledger.orders


def test_a_resting_order_fills_as_maker_at_its_own_price_when_touched():
    exchange = an_exchange({"BTCUSDT": [["100000.00"], ["100000.00", "98999.90"]]})
    answer = limit(exchange, "BUY", "0.010", "99000.00")
    assert answer["status"] == "NEW"
    exchange.advance(START_MS + 2 * MINUTE_MS - 1)
    trade = exchange.ledger.trades[0]
    assert (trade.price, trade.maker) == (Decimal("99000.00"), True)
    assert trade.commission == Decimal("0.198")


def test_a_client_id_is_free_again_after_the_order_has_closed():
    exchange = an_exchange()
    limit(exchange, "BUY", "0.010", "99000.00", newClientOrderId="mine")
    assert refusal(limit, exchange, "BUY", "0.010", "99000.00", newClientOrderId="mine") == -4116
    call(exchange, "DELETE v1/order", symbol="BTCUSDT", origClientOrderId="mine")
    assert limit(exchange, "BUY", "0.010", "99000.00", newClientOrderId="mine")["status"] == "NEW"


def test_cancelling_an_order_twice_is_an_unknown_order():
    exchange = an_exchange()
    order_id = limit(exchange, "BUY", "0.010", "99000.00")["orderId"]
    ask = {"symbol": "BTCUSDT", "orderId": order_id}
    assert call(exchange, "DELETE v1/order", **ask)["status"] == "CANCELED"
    assert refusal(call, exchange, "DELETE v1/order", **ask) == -2011
    assert refusal(call, exchange, "GET v1/openOrder", **ask) == -2013
    assert refusal(call, exchange, "GET v1/order", symbol="BTCUSDT", orderId=1) == -2013


def test_a_reduce_only_order_never_flips_the_position():
    exchange = an_exchange()
    market(exchange, "BUY", "0.010")
    market(exchange, "SELL", "0.025", reduceOnly="true")
    assert exchange.account.positions["BTCUSDT"].amount == 0


def test_a_larger_opposite_order_flips_the_position_and_realizes_the_closed_part():
    exchange = an_exchange({"BTCUSDT": [["100000.00"], ["101000.00"]]})
    market(exchange, "BUY", "0.010")
    exchange.advance(START_MS + MINUTE_MS)
    market(exchange, "SELL", "0.025")
    position = exchange.account.positions["BTCUSDT"]
    first, second = exchange.ledger.trades
    assert position.amount == Decimal("-0.015")
    assert position.entry == second.price
    assert second.realized == (second.price - first.price) * Decimal("0.010")


# ---------------------------------------------------------------------- conditional orders
FALL = {"BTCUSDT": [["100000.00"], ["100000.00", "99000.00", "97000.00", "98000.00"], ["98000.00"]]}


def protected(paths, **more) -> Exchange:
    exchange = an_exchange(paths)
    market(exchange, "BUY", "0.010")
    both = {"closePosition": "true", **more}
    algo(exchange, "SELL", "STOP_MARKET", "98000.00", clientAlgoId="stop", **both)
    algo(exchange, "SELL", "TAKE_PROFIT_MARKET", "104000.00", clientAlgoId="target", **both)
    exchange.take_events()
    return exchange


@pytest.mark.parametrize("working", ["MARK_PRICE", "CONTRACT_PRICE"])
def test_a_stop_fires_inside_the_bar_and_its_sibling_expires(working):
    exchange = protected(FALL, workingType=working)
    exchange.advance(START_MS + 2 * MINUTE_MS)
    assert statuses(exchange, "stop") == ["NEW", "TRIGGERING", "TRIGGERED", "FINISHED"]
    assert statuses(exchange, "target") == ["NEW", "EXPIRED"]
    child = exchange.ledger.order("BTCUSDT", None, "stop")
    assert (child.type, child.status, child.reduce_only) == ("MARKET", "FILLED", True)
    assert child.time_ms == START_MS + MINUTE_MS + 10_000
    kinds = [event["o"]["X"] for event in user_events(exchange) if event["e"] == "ALGO_UPDATE"]
    assert kinds == ["TRIGGERING", "TRIGGERED", "FINISHED", "EXPIRED"]
    row = call(exchange, "GET v1/algoOrder", clientAlgoId="stop")
    assert row["actualOrderId"] == str(child.order_id)


def test_close_position_orders_expire_when_the_position_is_closed_by_hand():
    exchange = protected({"BTCUSDT": flat("100000.00", 3)})
    market(exchange, "SELL", "0.010")
    assert statuses(exchange, "stop") == statuses(exchange, "target") == ["NEW", "EXPIRED"]
    assert call(exchange, "GET v1/openAlgoOrders") == []
    assert len(call(exchange, "GET v1/allAlgoOrders", symbol="BTCUSDT")) == 2
    assert refusal(call, exchange, "DELETE v1/algoOrder", clientAlgoId="stop") == -2011


def test_an_order_that_stands_no_longer_than_the_position_expires_with_it():
    exchange = an_exchange({"BTCUSDT": flat("100000.00", 3)})
    market(exchange, "BUY", "0.010")
    bound = {"timeInForce": "GTE_GTC", "quantity": "0.010", "reduceOnly": "true"}
    algo(exchange, "SELL", "STOP_MARKET", "98000.00", clientAlgoId="bound", **bound)
    algo(exchange, "SELL", "STOP_MARKET", "97000.00", clientAlgoId="loose", quantity="0.010")
    market(exchange, "SELL", "0.010")
    assert statuses(exchange, "bound") == ["NEW", "EXPIRED"]
    assert statuses(exchange, "loose") == ["NEW"]
    assert call(exchange, "GET v1/openAlgoOrders", algoType="VP") == []


def test_a_quantity_of_zero_is_none_beside_close_position():
    exchange = an_exchange({"BTCUSDT": flat("100000.00", 3)})
    market(exchange, "BUY", "0.010")
    zero = {"quantity": "0", "closePosition": "true"}
    assert algo(exchange, "SELL", "STOP_MARKET", "98000.00", **zero)["algoStatus"] == "NEW"


def test_one_stop_and_one_target_per_side_may_close_a_position():
    exchange = protected({"BTCUSDT": flat("100000.00", 3)})
    for kind, trigger in (("STOP_MARKET", "97000.00"), ("TAKE_PROFIT_MARKET", "105000.00")):
        assert refusal(algo, exchange, "SELL", kind, trigger, closePosition="true") == -4130


@pytest.mark.parametrize(
    ("code", "side", "kind", "trigger", "more"),
    [
        (-2021, "SELL", "STOP_MARKET", "100500.00", {"quantity": "0.010"}),
        (-2021, "SELL", "TAKE_PROFIT_MARKET", "99000.00", {"quantity": "0.010"}),
        (-2021, "BUY", "STOP_MARKET", "99000.00", {"quantity": "0.010"}),
        (-4509, "SELL", "STOP_MARKET", "98000.00", {"closePosition": "true"}),
        (-4137, "SELL", "STOP_MARKET", "98000.00", {"closePosition": "true", "quantity": "1"}),
        (-4136, "SELL", "STOP", "98000.00", {"closePosition": "true", "price": "98000.00"}),
        (-4014, "SELL", "STOP_MARKET", "98000.05", {"quantity": "0.010"}),
        (-1102, "SELL", "TRAILING_STOP_MARKET", "98000.00", {"quantity": "0.010"}),
        (-1116, "SELL", "MARKET", "98000.00", {"quantity": "0.010"}),
    ],
)
def test_a_conditional_order_against_a_rule_is_refused_with_its_code(
    code, side, kind, trigger, more
):
    exchange = an_exchange()
    assert refusal(algo, exchange, side, kind, trigger, **more) == code
    assert not exchange.ledger.algo_orders


def test_a_stop_without_a_position_left_to_reduce_is_rejected_at_its_trigger():
    exchange = an_exchange(FALL)
    market(exchange, "BUY", "0.010")
    fields = {"quantity": "0.010", "reduceOnly": "true", "clientAlgoId": "plain"}
    algo(exchange, "SELL", "STOP_MARKET", "98000.00", **fields)
    market(exchange, "SELL", "0.010")
    exchange.advance(START_MS + 2 * MINUTE_MS)
    assert statuses(exchange, "plain") == ["NEW", "TRIGGERING", "REJECTED"]
    assert user_events(exchange)[-1]["o"]["rm"] == "Reduce Only reject"
    assert exchange.account.positions["BTCUSDT"].amount == 0


def test_a_stop_limit_becomes_a_resting_order_and_finishes_with_it():
    exchange = an_exchange(FALL)
    market(exchange, "BUY", "0.010")
    fields = {"quantity": "0.010", "price": "99500.00", "clientAlgoId": "stop"}
    algo(exchange, "SELL", "STOP", "98000.00", **fields)
    exchange.advance(START_MS + 2 * MINUTE_MS)
    assert statuses(exchange, "stop")[-1] == "TRIGGERED"
    call(exchange, "DELETE v1/order", symbol="BTCUSDT", origClientOrderId="stop")
    assert statuses(exchange, "stop")[-1] == "FINISHED"


def test_a_cancelled_algo_order_answers_with_a_code_in_quotes():
    exchange = protected({"BTCUSDT": flat("100000.00", 3)})
    assert call(exchange, "DELETE v1/algoOrder", clientAlgoId="stop")["code"] == "200"
    assert call(exchange, "DELETE v1/algoOpenOrders", symbol="BTCUSDT")["code"] == 200
    assert statuses(exchange, "target") == ["NEW", "CANCELED"]


# ---------------------------------------------------------------------- account
def test_settings_that_change_nothing_or_too_much_are_refused():
    exchange = an_exchange()
    assert call(exchange, "POST v1/leverage", symbol="BTCUSDT", leverage=5)["leverage"] == 5
    assert refusal(call, exchange, "POST v1/leverage", symbol="BTCUSDT", leverage=126) == -4028
    ask = {"symbol": "BTCUSDT", "marginType": "ISOLATED"}
    call(exchange, "POST v1/marginType", **ask)
    assert refusal(call, exchange, "POST v1/marginType", **ask) == -4046
    mode = "POST v1/positionSide/dual"
    assert refusal(call, exchange, mode, dualSidePosition="false") == -4059
    assert call(exchange, mode, dualSidePosition="true")["code"] == 200
    call(exchange, mode, dualSidePosition="false")
    market(exchange, "BUY", "0.010")
    ask["marginType"] = "CROSSED"
    assert refusal(call, exchange, "POST v1/marginType", **ask) == -4048
    assert refusal(call, exchange, "POST v1/leverage", symbol="BTCUSDT", leverage=4) == -4161


def test_an_isolated_position_sets_its_margin_aside():
    exchange = an_exchange()
    call(exchange, "POST v1/marginType", symbol="BTCUSDT", marginType="ISOLATED")
    call(exchange, "POST v1/leverage", symbol="BTCUSDT", leverage=10)
    market(exchange, "BUY", "0.010")
    trade = exchange.ledger.trades[0]
    position = exchange.account.positions["BTCUSDT"]
    assert position.isolated_wallet == trade.price * Decimal("0.010") / 10
    assert exchange.account.cross_wallet == wallet(exchange) - position.isolated_wallet
    market(exchange, "SELL", "0.010")
    assert position.isolated_wallet == 0


def test_funding_is_paid_at_the_hour_by_rate_mark_and_amount():
    start = START_MS - 2 * MINUTE_MS
    exchange = an_exchange({"BTCUSDT": flat("100000.00", 5)}, start_ms=start, rate="0.0003")
    market(exchange, "BUY", "0.010")
    before = wallet(exchange)
    exchange.take_events()
    exchange.advance(START_MS - 1)
    assert wallet(exchange) == before
    exchange.advance(START_MS + 30_000)
    paid = exchange.ledger.income[-1]
    assert (paid.kind, paid.time_ms) == ("FUNDING_FEE", START_MS)
    assert wallet(exchange) - before == paid.amount
    mark = exchange.quotes.mark("BTCUSDT")
    assert abs(paid.amount + Decimal("0.010") * mark * Decimal("0.0003")) < Decimal("0.0001")
    event = user_events(exchange)[0]["a"]
    assert (event["m"], event["S"], event["P"]) == ("FUNDING_FEE", "BTCUSDT", [])


def test_the_liquidation_price_follows_the_documented_formula():
    # isolated long 1 @ 100, wallet 10, maintenance 0.4 %: (10 − 100) / (0.004 − 1)
    found = liquidation_price(LISTED["BTCUSDT"], Decimal(1), Decimal(100), Decimal(10))
    assert round(found, 2) == Decimal("90.36")
    short = liquidation_price(LISTED["BTCUSDT"], Decimal(-1), Decimal(100), Decimal(10))
    assert round(short, 2) == Decimal("109.56")


def test_an_isolated_loss_ends_at_the_isolated_wallet():
    crash = {"BTCUSDT": [["100000.00"], ["100000.00", "85000.00"], ["85000.00"]]}
    exchange = an_exchange(crash)
    call(exchange, "POST v1/marginType", symbol="BTCUSDT", marginType="ISOLATED")
    call(exchange, "POST v1/leverage", symbol="BTCUSDT", leverage=10)
    market(exchange, "BUY", "0.100")
    both = {"closePosition": "true", "clientAlgoId": "stop"}
    algo(exchange, "SELL", "STOP_MARKET", "80000.00", **both)
    cross = exchange.account.cross_wallet
    exchange.advance(START_MS + 2 * MINUTE_MS)
    order = exchange.ledger.orders[-1]
    assert order.client_order_id.startswith("autoclose-")
    assert exchange.account.positions["BTCUSDT"].amount == 0
    assert wallet(exchange) == cross
    assert statuses(exchange, "stop") == ["NEW", "EXPIRED"]
    assert exchange.ledger.income[-1].kind == "INSURANCE_CLEAR"


def test_a_cross_account_is_liquidated_as_a_whole_and_never_below_zero():
    crash = {
        "BTCUSDT": [["100000.00"], ["100000.00", "70000.00"], ["70000.00"]],
        "ETHUSDT": [["2000.00"], ["2000.00", "1300.00"], ["1300.00"]],
    }
    exchange = an_exchange(crash, balance="1000")
    market(exchange, "BUY", "0.100")
    market(exchange, "BUY", "2.000", symbol="ETHUSDT")
    limit(exchange, "BUY", "0.001", "96000.00")
    exchange.advance(START_MS + 2 * MINUTE_MS)
    assert not exchange.account.held()
    assert not exchange.ledger.open_orders()
    assert Decimal(0) <= wallet(exchange) < Decimal(100)


# ---------------------------------------------------------------------- time
def test_the_result_does_not_depend_on_how_the_time_is_sliced():
    def play(step_ms: int) -> object:
        exchange = protected(FALL)
        limit(exchange, "BUY", "0.010", "97500.00")
        end = START_MS + 3 * MINUTE_MS
        while exchange.now_ms < end and not exchange.ended:
            exchange.advance(exchange.now_ms + step_ms)
        return exchange.dump(), user_events(exchange)

    assert play(37) == play(1_000) == play(61_000) == play(10 * MINUTE_MS)


def test_time_stands_still_when_the_data_ends():
    exchange = an_exchange({"BTCUSDT": flat("100000.00", 2)})
    exchange.advance(START_MS + 60 * MINUTE_MS)
    assert exchange.ended
    assert exchange.now_ms == START_MS + 2 * MINUTE_MS
    rows = call(exchange, "GET v1/klines", symbol="BTCUSDT", interval="1m")
    assert [row[0] for row in rows] == [START_MS, START_MS + MINUTE_MS]


def test_the_ledger_shows_every_row_with_its_history():
    exchange = protected(FALL)
    exchange.advance(START_MS + 2 * MINUTE_MS)
    ledger = exchange.dump()
    assert [row["status"] for row in ledger["orders"][0]["history"]] == ["NEW", "FILLED"]
    assert [row["positionAmt"] for row in ledger["position_history"]] == ["0.010", "0.000"]
    assert {row["algoStatus"] for row in ledger["algo_orders"]} == {"FINISHED", "EXPIRED"}
    spent = sum(Decimal(row["income"]) for row in ledger["income"])
    assert spent == wallet(exchange) == Decimal(ledger["balances"][0]["balance"])
