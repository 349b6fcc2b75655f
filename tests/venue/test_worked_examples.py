"""One worked example in numbers for each rule of money; on paper the ask is the price given."""

from dataclasses import replace
from decimal import Decimal

import pytest

from core.venue.simulated.exchange import Exchange
from core.venue.simulated.instruments import LISTED
from core.venue.simulated.margin import (
    bankruptcy_price,
    joint_liquidation_price,
    liquidation_price,
    maintenance_margin,
)
from core.venue.simulated.market import MINUTE_MS
from tests.venue.market_on_paper import (
    START_MS,
    PaperPrices,
    algo,
    an_exchange,
    call,
    flat,
    limit,
    market,
    statuses,
    user_events,
)

BTC = LISTED["BTCUSDT"]


def minute(exchange: Exchange, number: int) -> None:
    exchange.advance(START_MS + number * MINUTE_MS - 1)


def income(exchange: Exchange, kind: str) -> list[Decimal]:
    return [row.amount for row in exchange.ledger.income if row.kind == kind]


def isolate(exchange: Exchange, symbol: str = "BTCUSDT", leverage: int = 10) -> None:
    call(exchange, "POST v1/marginType", symbol=symbol, marginType="ISOLATED")
    call(exchange, "POST v1/leverage", symbol=symbol, leverage=leverage)


# ---------------------------------------------------------------------- commission
def test_commission_is_half_a_permille_for_takers_and_a_fifth_for_makers():
    exchange = an_exchange({"BTCUSDT": [["100000.00"], ["100000.00", "98000.00"]]})
    market(exchange, "BUY", "0.010")  # 0.010 · 100,000 · 0.05 % = 0.5
    limit(exchange, "BUY", "0.010", "99000.00")  # 0.010 · 99,000 · 0.02 % = 0.198
    minute(exchange, 2)
    assert income(exchange, "COMMISSION") == [Decimal("-0.5"), Decimal("-0.198")]
    assert exchange.account.wallet == Decimal("9999.302")


def test_realized_profit_is_the_closed_quantity_times_the_way_from_the_average_entry():
    exchange = an_exchange({"BTCUSDT": [["100000.00"], ["102000.00"], ["103000.00"]]})
    market(exchange, "BUY", "0.010")
    exchange.advance(START_MS + MINUTE_MS)
    market(exchange, "BUY", "0.030")
    assert exchange.account.positions["BTCUSDT"].entry == Decimal(101500)
    exchange.advance(START_MS + 2 * MINUTE_MS)
    market(exchange, "SELL", "0.020")  # at the bid, a tick below: 0.020 · (102,999.9 − 101,500)
    assert income(exchange, "REALIZED_PNL") == [Decimal("29.998")]
    assert exchange.account.positions["BTCUSDT"].entry == Decimal(101500)


# ---------------------------------------------------------------------- margin
def test_cross_margin_is_shared_and_isolated_margin_set_aside():
    paths = {"BTCUSDT": flat("100000.00", 2), "ETHUSDT": flat("2000.00", 2)}
    exchange = an_exchange(paths, balance="5000")
    isolate(exchange, "ETHUSDT")
    market(exchange, "BUY", "0.100")  # 10,000 at 20: margin 500; fee 5
    market(exchange, "BUY", "5.000", symbol="ETHUSDT")  # 10,000 at 10: margin 1,000; fee 5
    account = call(exchange, "GET v3/account")
    assert account["totalWalletBalance"] == "4990.00000000"
    assert account["totalCrossWalletBalance"] == "3990.00000000"
    rows = {row["symbol"]: row for row in account["positions"]}
    assert rows["ETHUSDT"]["isolatedWallet"] == "1000.00000000"
    assert rows["BTCUSDT"]["isolatedWallet"] == "0.00000000"
    mark = exchange.quotes.mark("BTCUSDT")
    initial = Decimal("0.100") * mark / 20
    assert abs(Decimal(rows["BTCUSDT"]["initialMargin"]) - initial) < Decimal("1e-7")
    free = 3990 + Decimal("0.100") * (mark - 100000) - initial
    assert abs(Decimal(account["availableBalance"]) - free) < Decimal("1e-7")


@pytest.mark.parametrize(
    ("notional", "margin"),
    [
        ("300000", "1200"),  # bracket 1: 0.4 %
        ("300000.01", "1200.00005"),  # bracket 2: 0.5 % − 300
        ("1000000", "5000"),  # bracket 3: 0.65 % − 1,500
        ("-1000000", "5000"),
        ("10000000", "88000"),  # bracket 4: 1 % − 12,000
        ("2000000000", "578518000"),  # beyond the last cap: 50 % − 421,482,000
    ],
)
def test_maintenance_margin_is_that_of_its_bracket(notional, margin):
    assert maintenance_margin(BTC, Decimal(notional)) == Decimal(margin)


def test_the_liquidation_price_is_the_one_of_the_venues_own_example():
    # isolated long 1 @ 100, wallet 10, maintenance 0.4 %: (10 − 100) / (0.004 − 1) = 90.36
    long = liquidation_price(BTC, Decimal(1), Decimal(100), Decimal(10))
    assert round(long, 2) == Decimal("90.36")
    # short: (10 + 100) / (0.004 + 1) = 109.56
    short = liquidation_price(BTC, Decimal(-1), Decimal(100), Decimal(10))
    assert round(short, 2) == Decimal("109.56")
    assert liquidation_price(BTC, Decimal(1), Decimal(100), Decimal(200)) == 0
    assert bankruptcy_price(Decimal(1), Decimal(100), Decimal(10)) == 90


def test_the_liquidation_price_of_a_hedged_symbol_counts_both_sides():
    # long 2 @ 100, short 1 @ 110, wallet 10: (10 − 200 + 110) / (3 · 0.004 − 1) = 80.97
    held = [(Decimal(2), Decimal(100)), (Decimal(-1), Decimal(110))]
    assert round(joint_liquidation_price(BTC, held, Decimal(10)), 2) == Decimal("80.97")


# ---------------------------------------------------------------------- liquidation
def test_an_isolated_liquidation_takes_the_wallet_and_no_more():
    exchange = an_exchange({"BTCUSDT": [["100000.00"], ["100000.00", "90300.00"], ["90300.00"]]})
    isolate(exchange)
    market(exchange, "BUY", "0.100")  # margin 1,000; fee 5; bankrupt at 90,000
    row = call(exchange, "GET v3/positionRisk")[0]
    assert row["liquidationPrice"] == "90361.44578313"  # (1,000 − 10,000) / (0.0004 − 0.1)
    minute(exchange, 2)
    # closed at 90,300: −970; fee 4.515; of the remaining 25.485 the clearance fee takes all
    assert income(exchange, "REALIZED_PNL") == [Decimal(-970)]
    assert income(exchange, "COMMISSION") == [Decimal(-5), Decimal("-4.515")]
    assert income(exchange, "INSURANCE_CLEAR") == [Decimal("-25.485")]
    assert exchange.account.wallet == 10000 - 5 - 1000


def test_the_insurance_fund_pays_what_a_leap_takes_beyond_the_wallet():
    exchange = an_exchange({"BTCUSDT": [["100000.00"], ["100000.00", "85000.00"], ["85000.00"]]})
    isolate(exchange)
    market(exchange, "BUY", "0.100")
    minute(exchange, 2)
    # taken over at the bankruptcy price 90,000: −1,000; the fee of 4.5 is the fund's to bear
    assert income(exchange, "REALIZED_PNL") == [Decimal(-1000)]
    assert income(exchange, "INSURANCE_CLEAR") == [Decimal("4.5")]
    assert exchange.account.wallet == 10000 - 5 - 1000


def test_a_large_liquidation_walks_the_book_and_pays_the_clearance_fee_in_full():
    exchange = an_exchange(
        {"LTCUSDT": [["84.00"], ["84.00", "81.24"], ["81.24"]]}, balance="100000"
    )
    isolate(exchange, "LTCUSDT", 20)
    market(exchange, "BUY", "4700", symbol="LTCUSDT")  # 2 % maintenance: above the fee's 1.5 %
    wallet = exchange.account.positions["LTCUSDT"].isolated_wallet
    cross = exchange.account.cross_wallet
    minute(exchange, 2)
    trades = [t for t in exchange.ledger.trades if t.side == "SELL"]
    assert len({trade.price for trade in trades}) > 5
    taken = sum((trade.price * trade.quantity for trade in trades), Decimal(0))
    (fee,) = income(exchange, "INSURANCE_CLEAR")
    assert fee == -round(taken * Decimal("0.015"), 8)
    spent = sum((trade.realized - trade.commission for trade in trades), fee)
    assert exchange.account.wallet == cross + wallet + spent


# ---------------------------------------------------------------------- auto-deleveraging
def test_a_leap_deleverages_the_first_in_line_at_its_near_edge_without_a_fee():
    exchange = an_exchange({"BTCUSDT": [["100000.00"], ["100000.00", "88000.00"], ["88000.00"]]})
    market(exchange, "SELL", "0.100")  # at the bid 99,999.90; fee 4.999995
    exchange.take_events()
    minute(exchange, 2)
    # counterparties with a tenth of margin are bankrupt at 90,000: 0.1 · (99,999.9 − 90,000)
    assert income(exchange, "REALIZED_PNL") == [Decimal("999.99")]
    assert income(exchange, "COMMISSION") == [Decimal("-4.999995")]
    events = [e["o"] for e in user_events(exchange) if e["e"] == "ORDER_TRADE_UPDATE"]
    assert [(row["c"], row["x"], row["X"]) for row in events] == [
        ("adl_autoclose", "NEW", "NEW"),
        ("adl_autoclose", "CALCULATED", "FILLED"),
    ]
    assert len(call(exchange, "GET v1/forceOrders", autoCloseType="ADL")) == 1


def test_a_low_rank_is_not_deleveraged():
    exchange = an_exchange({"BTCUSDT": [["100000.00"], ["100000.00", "88000.00"], ["88000.00"]]})
    call(exchange, "POST v1/leverage", symbol="BTCUSDT", leverage=5)
    market(exchange, "SELL", "0.100")
    minute(exchange, 2)
    assert call(exchange, "GET v3/positionRisk")[0]["adl"] == 3  # 12,000 on 17,600 of margin
    assert exchange.account.held()


# ---------------------------------------------------------------------- funding
@pytest.mark.parametrize(("side", "sign"), [("BUY", -1), ("SELL", 1)])
def test_longs_pay_a_positive_rate_to_shorts_at_the_mark(side, sign):
    start = START_MS - 2 * MINUTE_MS
    exchange = an_exchange({"BTCUSDT": flat("100000.00", 5)}, start_ms=start, rate="0.0003")
    market(exchange, side, "0.010")
    exchange.advance(START_MS)
    mark = exchange.quotes.mark("BTCUSDT")  # about 100,000: 1,000 · 0.03 % = 0.30
    (paid,) = income(exchange, "FUNDING_FEE")
    assert paid == round(sign * Decimal("0.010") * mark * Decimal("0.0003"), 8)
    assert abs(paid) - Decimal("0.3") < Decimal("0.0001")


def test_funding_of_an_isolated_position_comes_from_its_own_wallet():
    start = START_MS - 2 * MINUTE_MS
    exchange = an_exchange({"BTCUSDT": flat("100000.00", 5)}, start_ms=start, rate="0.01")
    isolate(exchange)
    market(exchange, "BUY", "0.010")
    cross = exchange.account.cross_wallet
    exchange.take_events()
    exchange.advance(START_MS)
    (paid,) = income(exchange, "FUNDING_FEE")
    assert exchange.account.cross_wallet == cross
    assert exchange.account.positions["BTCUSDT"].isolated_wallet == 100 + paid
    event = next(e["a"] for e in user_events(exchange) if e["e"] == "ACCOUNT_UPDATE")
    assert (event["m"], event["S"], event["P"][0]["s"]) == ("FUNDING_FEE", "BTCUSDT", "BTCUSDT")


# ---------------------------------------------------------------------- price protection
def test_price_protection_holds_a_trigger_while_mark_and_last_are_apart():
    source = PaperPrices({"BTCUSDT": [["100000.00"], *flat("98000.00", 8)]})
    tight = Decimal("0.000005")  # of the last price: 0.49 at 98,000
    source.instruments = {"BTCUSDT": replace(BTC, trigger_protect=tight)}
    exchange = Exchange(source, balance=Decimal(10000), start_ms=START_MS)
    market(exchange, "BUY", "0.010")
    fields = {"quantity": "0.005", "reduceOnly": "true"}
    for name, flag in (("held", "true"), ("free", "false")):
        more = {**fields, "clientAlgoId": name, "priceProtect": flag}
        algo(exchange, "SELL", "STOP_MARKET", "98500.00", **more)
    exchange.advance(START_MS + MINUTE_MS)
    assert abs(exchange.quotes.mark("BTCUSDT") - 98000) > Decimal("0.49")
    assert statuses(exchange, "free")[-1] == "FINISHED"
    assert statuses(exchange, "held") == ["NEW"]
    exchange.advance(START_MS + 9 * MINUTE_MS)  # the mark has come near meanwhile
    fired = exchange.ledger.algo(None, "held")
    assert fired.status == "FINISHED"
    assert fired.trigger_ms > START_MS + MINUTE_MS


# ---------------------------------------------------------------------- trailing stop
def trail(exchange: Exchange, side: str, rate: str, **more: object) -> None:
    fields = {"callbackRate": rate, "quantity": "0.010", "clientAlgoId": "trail", **more}
    algo(exchange, side, "TRAILING_STOP_MARKET", "", **fields)


def test_a_trailing_sell_fires_a_callback_below_the_highest_price():
    path = [
        "100000.00",
        "101000.00",
        "102000.00",
        "103000.00",
        "102000.00",
        "101970.00",
        "101969.90",
    ]
    exchange = an_exchange({"BTCUSDT": [["100000.00"], path, ["101000.00"]]})
    market(exchange, "BUY", "0.010")
    exchange.take_events()
    trail(exchange, "SELL", "1", activatePrice="102000.00", reduceOnly="true")
    assert call(exchange, "GET v1/openAlgoOrders")[0]["isActivated"] is False
    minute(exchange, 2)
    algo_row = call(exchange, "GET v1/algoOrder", clientAlgoId="trail")
    # highest 103,000, less 1 %: 101,970 at the sixth point
    assert algo_row["triggerTime"] == START_MS + MINUTE_MS + 25_000
    assert (algo_row["activatePrice"], algo_row["callbackRate"]) == ("102000.00", "1.0")
    told = [e["o"] for e in user_events(exchange) if e["e"] == "ALGO_UPDATE"]
    assert [(row["X"], row["ia"]) for row in told] == [
        ("NEW", False),
        ("NEW", True),
        ("TRIGGERING", True),
        ("TRIGGERED", True),
        ("FINISHED", True),
    ]
    order = call(exchange, "GET v1/order", symbol="BTCUSDT", origClientOrderId="trail")
    assert (order["origType"], order["priceRate"]) == ("TRAILING_STOP_MARKET", "1.0")
    assert order["activatePrice"] == "102000.00"


def test_a_trailing_buy_without_an_activation_price_follows_at_once():
    path = ["100000.00", "99000.00", "98000.00", "98900.00", "98980.00", "99500.00"]
    exchange = an_exchange({"BTCUSDT": [["100000.00"], path, ["99500.00"]]})
    trail(exchange, "BUY", "1.0")
    assert call(exchange, "GET v1/openAlgoOrders")[0]["isActivated"] is True
    minute(exchange, 2)
    row = exchange.ledger.algo(None, "trail")
    # lowest 98,000, plus 1 %: 98,980 at the fifth point
    assert row.trigger_ms == START_MS + MINUTE_MS + 20_000
    assert exchange.ledger.trades[0].price == Decimal("98980.00")


# ---------------------------------------------------------------------- countdown
def test_a_countdown_cancels_the_symbols_orders_unless_armed_again():
    paths = {"BTCUSDT": flat("100000.00", 5), "ETHUSDT": flat("2000.00", 5)}
    exchange = an_exchange(paths)
    limit(exchange, "BUY", "0.010", "99000.00", newClientOrderId="b")
    limit(exchange, "BUY", "0.100", "1950.00", symbol="ETHUSDT", newClientOrderId="e")
    algo(exchange, "BUY", "STOP_MARKET", "104000.00", quantity="0.010", clientAlgoId="stop")
    arm = {"symbol": "BTCUSDT", "countdownTime": 60_000}
    expected = {"symbol": "BTCUSDT", "countdownTime": "60000"}
    assert call(exchange, "POST v1/countdownCancelAll", **arm) == expected
    exchange.advance(START_MS + 50_000)
    call(exchange, "POST v1/countdownCancelAll", **arm)  # now due at 110,000 ms
    exchange.advance(START_MS + 109_999)
    assert len(exchange.ledger.open_orders()) == 2
    exchange.advance(START_MS + 110_000)
    row = call(exchange, "GET v1/order", symbol="BTCUSDT", origClientOrderId="b")
    assert (row["status"], row["updateTime"]) == ("CANCELED", START_MS + 110_000)
    assert [order.symbol for order in exchange.ledger.open_orders()] == ["ETHUSDT"]
    assert statuses(exchange, "stop") == ["NEW"]


def test_countdowns_that_end_together_all_count():
    paths = {"BTCUSDT": flat("100000.00", 5), "ETHUSDT": flat("2000.00", 5)}
    exchange = an_exchange(paths)
    limit(exchange, "BUY", "0.010", "99000.00")
    limit(exchange, "BUY", "0.100", "1950.00", symbol="ETHUSDT")
    for symbol in paths:
        call(exchange, "POST v1/countdownCancelAll", symbol=symbol, countdownTime=60_000)
    exchange.advance(START_MS + 2 * MINUTE_MS)
    assert not exchange.ledger.open_orders()
    assert not exchange.orders.countdowns


def test_a_countdown_of_nought_is_off():
    exchange = an_exchange({"BTCUSDT": flat("100000.00", 5)})
    limit(exchange, "BUY", "0.010", "99000.00")
    for length in (30_000, 0):
        call(exchange, "POST v1/countdownCancelAll", symbol="BTCUSDT", countdownTime=length)
    exchange.advance(START_MS + 2 * MINUTE_MS)
    assert exchange.ledger.open_orders()


# ---------------------------------------------------------------------- amendment
def test_an_amendment_changes_the_margin_by_the_difference():
    exchange = an_exchange()
    limit(exchange, "BUY", "0.010", "99000.00", newClientOrderId="a")  # 990 / 20 = 49.5
    assert call(exchange, "GET v3/account")["totalOpenOrderInitialMargin"] == "49.50000000"
    change = {"symbol": "BTCUSDT", "side": "BUY", "quantity": "0.020", "price": "98000.00"}
    call(exchange, "PUT v1/order", origClientOrderId="a", **change)  # 1,960 / 20 = 98
    assert call(exchange, "GET v3/account")["totalOpenOrderInitialMargin"] == "98.00000000"
    assert call(exchange, "GET v3/account")["availableBalance"] == "9902.00000000"


# ---------------------------------------------------------------------- self-trade
def test_a_self_trade_that_is_allowed_costs_both_fees_and_moves_nothing():
    exchange = an_exchange(balance="100000000")
    limit(exchange, "SELL", "0.010", "100000.00", newClientOrderId="maker")
    queue = exchange.quotes.book("BTCUSDT", "BUY", 1)[0]
    taken = queue.quantity
    market(exchange, "BUY", str(taken))
    before = exchange.account.wallet
    fields = {"selfTradePreventionMode": "NONE", "timeInForce": "IOC"}
    limit(exchange, "BUY", "0.010", "100000.00", **fields)
    # 1,000 · (0.02 % + 0.05 %) = 0.7; the position is what the market gave
    realized = sum((trade.realized for trade in exchange.ledger.trades), Decimal(0))
    assert before - exchange.account.wallet == Decimal("0.7") - realized
    assert exchange.account.positions["BTCUSDT"].amount == taken


# ---------------------------------------------------------------------- hedge
def test_a_hedge_holds_its_profit_and_pays_margin_for_both_sides():
    exchange = an_exchange({"BTCUSDT": [["100000.00"], ["103000.00"], ["103000.00"]]})
    call(exchange, "POST v1/positionSide/dual", dualSidePosition="true")
    market(exchange, "BUY", "0.010", positionSide="LONG")  # at 100,000.00
    market(exchange, "SELL", "0.010", positionSide="SHORT")  # at 99,999.90
    exchange.advance(START_MS + MINUTE_MS)
    rows = call(exchange, "GET v3/positionRisk")
    profit = sum(Decimal(row["unRealizedProfit"]) for row in rows)
    assert profit == Decimal("-0.001")  # the spread, whatever the price
    mark = exchange.quotes.mark("BTCUSDT")
    account = call(exchange, "GET v3/account")
    both = 2 * Decimal("0.010") * mark / 20  # about 103
    assert abs(Decimal(account["totalPositionInitialMargin"]) - both) < Decimal("1e-7")
    market(exchange, "SELL", "0.010", positionSide="LONG")  # at the bid 102,999.90
    assert income(exchange, "REALIZED_PNL") == [Decimal("29.999")]
