"""How large an entry becomes: the formula above, the caps below, the numbers of the references."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import messages as m
from core.risk.machine import RiskMachine
from tests.builders import (
    NOON_NS,
    a_fill,
    a_flat,
    a_mark,
    a_moment,
    a_position,
    a_proposal,
    an_account_update,
    an_instrument,
)
from tests.risk.rooms import SYMBOLS, a_risk, cap, decide, make_ready, ready, refusal

NAMES = [
    "raw",
    "slot_budget",
    "day_budget",
    "margin",
    "symbol_notional",
    "gross",
    "net",
    "correlated",
    "order_notional",
    "market_lot",
]


def test_every_cap_stands_in_the_decision():
    decision, _ = decide(ready(), a_proposal())
    assert [name for name, _ in decision.caps] == NAMES


def test_a_slot_of_ten_thousand_is_4166():
    """Day limit 300, three slots, 2.4 % lost per notional at a stop: 100 / 0.024."""
    decision, approval = decide(ready(), a_proposal())
    assert cap(decision, "raw") == 500  # 5 x the balance, as the formula says
    assert round(cap(decision, "slot_budget") * 100) == 4_167
    assert decision.quantity == Decimal("41.666")
    assert approval.reservation.notional == Decimal("4166.6")
    assert approval.reservation.risk == Decimal("4166.6") * Decimal("0.024")
    assert round(approval.reservation.margin) == 835  # 833 and the fee


def test_the_demo_trades_a_quarter_of_the_balance():
    risk = ready(STOPLOSS_PCT=0.004, TAKE_PROFIT_PCT=0.008, MAX_SYMBOL_NOTIONAL_X=0.25)
    decision, _ = decide(risk, a_proposal())
    assert decision.quantity == 25
    assert min(decision.caps, key=lambda c: c[1])[0] == "symbol_notional"


@pytest.mark.parametrize(
    ("settings", "name", "quantity"),
    [
        ({"RISK_PER_TRADE": 0.001}, "raw", "5"),
        ({"MAX_SYMBOL_NOTIONAL_X": 0.1}, "symbol_notional", "10"),
        ({"MAX_ORDER_NOTIONAL_X": 0.1}, "order_notional", "10"),
        ({"MAX_GROSS_X": 0.1}, "gross", "10"),
        ({"MAX_NET_X": 0.1}, "net", "10"),
        ({"MAX_MARGIN_USAGE": 0.02}, "margin", "9.975"),  # 200 / (100 x (1/5 + 0.0005))
        ({"MAX_ORDER_QTY": {"BTCUSDT": 2.5}}, "market_lot", "2.5"),
    ],
)
def test_each_setting_binds(settings, name, quantity):
    decision, _ = decide(ready(**settings), a_proposal())
    assert min(decision.caps, key=lambda c: c[1])[0] == name
    assert decision.quantity == Decimal(quantity)


def test_the_venues_largest_market_order_binds():
    risk = ready()
    risk._instruments["BTCUSDT"] = an_instrument(market_quantity_max=Decimal(7))
    assert decide(risk, a_proposal())[0].quantity == 7


def test_exposure_counts_what_is_open_reserved_and_foreign():
    risk = ready(MAX_GROSS_X=0.3, MAX_NET_X=0.3, MAX_OPEN_POSITIONS=9)
    risk.handle(a_position("10", "ETHUSDT"), a_moment())  # 1,000 long
    foreign = a_position("-5", "XRPUSDT", foreign=True, stop_price=Decimal(101))
    risk.handle(foreign, a_moment())  # 500 short
    decision, _ = decide(risk, a_proposal())
    assert cap(decision, "gross") == 15
    assert cap(decision, "net") == 25
    reserved = decision.quantity * 100
    decision, _ = decide(risk, a_proposal(symbol="BNBUSDT", side=m.Side.SELL))
    assert cap(decision, "gross") == max(Decimal(0), 15 - reserved / 100)
    assert cap(decision, "net") == 35 + reserved / 100


def test_exposure_leaves_foreign_positions_out_where_they_are_not_counted():
    risk = ready(COUNT_FOREIGN=False, MAX_GROSS_X=0.3)
    risk.handle(a_position("-5", "XRPUSDT", foreign=True, stop_price=None), a_moment())
    assert cap(decide(risk, a_proposal())[0], "gross") == 30


def test_reserved_margin_is_taken_from_the_usable_part():
    """Free margin x usage - reserved margin, over the margin and fee of one unit."""
    risk = ready(MAX_MARGIN_USAGE=0.5, MAX_SYMBOL_NOTIONAL_X=0.5)
    _, first = decide(risk, a_proposal())
    decision, _ = decide(risk, a_proposal(symbol="ETHUSDT"))
    usable = Decimal(5_000) - first.reservation.margin
    assert cap(decision, "margin") == usable / (100 * (Decimal("0.2") + Decimal("0.0005")))


def test_open_positions_bind_margin():
    risk = ready()
    risk.handle(a_position("10", "ETHUSDT"), a_moment())
    decision, _ = decide(risk, a_proposal())
    usable = (Decimal(10_000) - 200) * Decimal("0.8")
    assert cap(decision, "margin") == usable / (100 * Decimal("0.2005"))


def test_gains_that_are_not_realised_do_not_enlarge_an_order():
    risk = ready()
    risk.handle(a_position("10", "ETHUSDT", stop_price=Decimal(100)), a_moment())
    before, _ = decide(risk, a_proposal())
    risk = ready()
    risk.handle(a_position("10", "ETHUSDT", stop_price=Decimal(100)), a_moment())
    risk.handle(a_mark("150", "ETHUSDT"), a_moment())
    assert decide(risk, a_proposal())[0].caps[0] == before.caps[0]


def test_losses_that_are_not_realised_shrink_an_order():
    risk = ready()
    risk.handle(a_position("10", "ETHUSDT"), a_moment())
    risk.handle(a_mark("98", "ETHUSDT"), a_moment())
    assert cap(decide(risk, a_proposal())[0], "raw") == 499  # 9,980 x 0.1 / (100 x 0.02)


def test_the_day_budget_is_what_the_stops_leave_of_the_limit():
    risk = ready(MAX_OPEN_POSITIONS=9)
    # Its stop costs 10 x 2 and 0.35 % of 1,000 in fee and gap: 23.5.
    risk.handle(a_position("10", "ETHUSDT"), a_moment())
    decision, _ = decide(risk, a_proposal())
    assert cap(decision, "day_budget") == (300 - Decimal("23.5")) / (100 * Decimal("0.024"))


def test_a_position_without_a_confirmed_stop_risks_its_margin():
    risk = ready(MAX_OPEN_POSITIONS=9)
    risk.handle(a_position("10", "ETHUSDT", stop_price=None), a_moment())
    decision, _ = decide(risk, a_proposal())
    assert cap(decision, "day_budget") == (300 - 200) / (100 * Decimal("0.024"))


def test_a_stop_beyond_the_entry_gives_no_budget_back():
    risk = ready(MAX_OPEN_POSITIONS=9)
    risk.handle(a_position("10", "ETHUSDT", stop_price=Decimal(110)), a_moment())
    decision, _ = decide(risk, a_proposal())
    assert cap(decision, "day_budget") == 300 / (100 * Decimal("0.024"))


def test_open_gains_do_not_hide_a_realised_loss_from_the_budget():
    """The gain may be gone at the stop; the loss is there for good."""
    risk = ready(MAX_OPEN_POSITIONS=9)
    risk.handle(a_position("10", "ETHUSDT"), a_moment())
    risk.handle(a_mark("120", "ETHUSDT"), a_moment())
    risk.handle(a_fill("-200"), a_moment())
    risk.handle(an_account_update("9800"), a_moment())
    decision, _ = decide(risk, a_proposal())
    at_stop = 10 * 2 + 10 * 120 * Decimal("0.0035")
    assert cap(decision, "day_budget") == (300 - 200 - at_stop) / (100 * Decimal("0.024"))


def test_a_loss_counts_from_its_fill_on_even_before_the_wallet_tells_it():
    risk = ready()
    risk.handle(a_fill("-199", "1"), a_moment())
    risk.handle(a_flat("ETHUSDT"), a_moment())
    decision, _ = decide(risk, a_proposal())
    assert cap(decision, "day_budget") == 100 / (100 * Decimal("0.024"))


def test_realised_gains_do_not_enlarge_the_days_budget():
    risk = ready()
    risk.handle(a_fill("500"), a_moment())
    risk.handle(an_account_update("10500"), a_moment())
    decision, _ = decide(risk, a_proposal())
    assert cap(decision, "day_budget") == 300 / (100 * Decimal("0.024"))


def test_refuses_when_the_budget_is_used_up():
    risk = ready()
    risk.handle(a_position("100", "ETHUSDT"), a_moment())  # 235 at its stop
    risk.handle(an_account_update("9934.9"), a_moment())
    assert refusal(risk, a_proposal()) == "below_minimum"


# ---------------------------------------- modes
def test_reject_refuses_instead_of_clipping():
    decision, approval = decide(ready(SIZING_MODE="reject"), a_proposal())
    assert approval is None
    assert decision.reason_code == "sizing"
    assert "slot_budget" in decision.reason


def test_reject_lets_the_formula_pass_where_no_cap_is_smaller():
    decision, _ = decide(ready(SIZING_MODE="reject", RISK_PER_TRADE=0.001), a_proposal())
    assert decision.quantity == 5


def test_literal_never_opens_at_the_specified_numbers():
    """Five times the balance at 5x needs the whole balance as margin, and the fee on top."""
    decision, approval = decide(ready(SIZING_MODE="literal"), a_proposal())
    assert approval is None
    assert decision.reason_code == "sizing"


def test_literal_keeps_only_order_size_and_margin():
    decision, _ = decide(ready(SIZING_MODE="literal", RISK_PER_TRADE=0.02), a_proposal())
    assert decision.quantity == 100  # above slot and day budget, below 1.5 x and margin


def test_sizes_coins_of_any_price():
    tiny = an_instrument(
        tick=Decimal("1e-8"), price_min=Decimal("1e-8"), step=Decimal(1), quantity_min=Decimal(1),
        market_quantity_max=Decimal(10) ** 14,
    )  # fmt: skip
    risk = make_ready(a_risk(), wallet="100000000")
    risk._instruments["BTCUSDT"] = tiny
    risk.handle(a_mark("0.00000001"), a_moment())
    decision, _ = decide(risk, a_proposal(price="0.00000001"))
    assert decision.quantity == Decimal(10) ** 14


def test_the_quantity_lies_on_the_step_grid():
    decision, _ = decide(ready(), a_proposal(price="99.7"))
    assert decision.quantity % Decimal("0.001") == 0
    assert decision.quantity <= cap(decision, "slot_budget")


# ---------------------------------------- the promise
def worst_day(risk: RiskMachine, lost: Decimal) -> Decimal:
    """What is lost if every stop is hit now, fees and gap included."""
    held = sum(
        (
            max(Decimal(0), p.quantity * (p.entry_price - p.stop_price))
            + abs(p.quantity) * p.entry_price * Decimal("0.0035")
            for p in risk.book.positions.values()
        ),
        Decimal(0),
    )
    reserved = sum((r.reservation.risk for r in risk.book.reserved.values()), Decimal(0))
    return lost + held + reserved


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(SYMBOLS),
            st.sampled_from(["wish", "fill", "drop", "stop out", "close at gain"]),
            st.sampled_from([m.Side.BUY, m.Side.SELL]),
        ),
        max_size=40,
    )
)
def test_the_worst_case_of_all_that_is_open_never_exceeds_the_days_limit(steps):
    """Any sequence of entries, fills and stop-outs, each outcome arriving whenever it likes."""
    risk = ready(MAX_OPEN_POSITIONS=4)
    wallet, lost = Decimal(10_000), Decimal(0)
    for number, (symbol, step, side) in enumerate(steps, start=1):
        waiting = [p for p, r in risk.book.reserved.items() if r.symbol == symbol]
        held = risk.book.positions.get(symbol)
        if step == "wish":
            decide(risk, a_proposal(number, symbol=symbol, side=side))
        elif step in ("fill", "drop") and waiting:
            entry = risk.book.reserved[waiting[0]]
            if step == "fill":
                quantity = entry.reservation.notional / 100 * entry.side.sign
                stop = Decimal(100) - 2 * entry.side.sign
                risk.handle(a_position(str(quantity), symbol, stop_price=stop), a_moment())
            ended = m.EntryEnded(proposal_id=waiting[0], symbol=symbol, outcome=step, detail="")
            risk.handle(ended, a_moment())
        elif step in ("stop out", "close at gain") and held is not None:
            size = abs(held.quantity) * 100
            pnl = size * (Decimal("-0.024") if step == "stop out" else Decimal("0.036"))
            wallet += pnl
            lost += pnl
            fill = a_fill(str(pnl), trade_id=number, at_ns=NOON_NS)
            risk.handle(fill, a_moment())
            risk.handle(a_flat(symbol), a_moment())
            risk.handle(an_account_update(str(wallet), event_ns=NOON_NS + number), a_moment())
        assert worst_day(risk, max(Decimal(0), -lost)) <= 300
