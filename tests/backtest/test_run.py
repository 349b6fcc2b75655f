"""What a backtest assumes, one assumption a test, on tapes written bar by bar."""

from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.backtest.result import ExitReason
from core.words import Side
from tests.backtest.paper import BTC, MINUTE_MS, NOON_MS, flat, tape, traded

ETH, SOL = "ETHUSDT", "SOLUSDT"
P = 100_000.0
BUY, SELL, CLOSE = 1, -1, 2


def only(result):
    (trade,) = result.trades
    return trade


def bars(*rows):
    return tape({BTC: [*flat(P, 2), *rows]})


# ---------------------------------------- entries
def test_a_decision_at_the_close_is_filled_at_the_next_open():
    paper = tape({BTC: [*flat(P, 2), (P + 50, P + 60, P + 40, P + 55), *flat(P + 55, 2)]})
    trade = only(traded(paper, {BTC: {1: BUY}}))
    assert (trade.entry_bar, trade.entry_price) == (2, Decimal(100050))
    assert trade.entry_ms == NOON_MS + 2 * MINUTE_MS
    assert trade.side is Side.BUY


@pytest.mark.parametrize(("side", "price"), [(BUY, "100011.1"), (SELL, "99990.9")])
def test_slippage_is_against_us_and_rounded_to_the_tick_against_us(side, price):
    paper = tape({BTC: [*flat(P, 2), (P + 1, P + 2, P, P), *flat(P, 2)]})
    trade = only(traded(paper, {BTC: {1: side}}, SLIPPAGE_BPS=1.0))
    assert trade.entry_price == Decimal(price)


def test_a_decision_at_the_last_close_is_never_filled():
    assert traded(tape({BTC: flat(P, 5)}), {BTC: {4: BUY}}).trades == ()


def test_an_opposite_signal_closes_nothing():
    trade = only(traded(tape({BTC: flat(P, 8)}), {BTC: {1: BUY, 3: SELL}}))
    assert (trade.exit_reason, trade.exit_bar) == (ExitReason.END, 7)


def test_a_close_signal_is_filled_at_the_next_open():
    paper = tape({BTC: [*flat(P, 4), (P + 7, P + 8, P + 6, P + 7), *flat(P + 7, 2)]})
    trade = only(traded(paper, {BTC: {1: BUY, 3: CLOSE}}))
    assert (trade.exit_reason, trade.exit_bar, trade.exit_price) == (
        ExitReason.SIGNAL,
        4,
        Decimal(100_007),
    )


# ---------------------------------------- exits
@pytest.mark.parametrize(
    ("side", "row", "reason", "price"),
    [
        (BUY, (P, P, 97_900, 99_000), ExitReason.STOP, 98_000),
        (BUY, (P, 104_100, P, 103_000), ExitReason.TARGET, 104_000),
        (BUY, (P, 104_100, 97_900, P), ExitReason.STOP, 98_000),  # both: the stop first
        (BUY, (97_000, 97_100, 96_000, 97_000), ExitReason.STOP, 97_000),  # opens beyond
        (BUY, (105_000, 106_000, 104_500, 105_000), ExitReason.TARGET, 105_000),
        (SELL, (P, 102_100, P, 101_000), ExitReason.STOP, 102_000),
        (SELL, (P, P, 95_900, 97_000), ExitReason.TARGET, 96_000),
        (SELL, (P, 102_100, 95_900, P), ExitReason.STOP, 102_000),
        (SELL, (103_000, 103_500, 102_500, 103_000), ExitReason.STOP, 103_000),
        (SELL, (95_000, 95_500, 94_000, 95_000), ExitReason.TARGET, 95_000),
    ],
)
def test_how_a_bar_closes_a_position(side, row, reason, price):
    paper = tape({BTC: [*flat(P, 4), row, *flat(row[3], 2)]})
    trade = only(traded(paper, {BTC: {1: side}}))
    assert (trade.exit_reason, trade.exit_price, trade.exit_bar) == (reason, Decimal(price), 4)
    gain = (trade.exit_price - trade.entry_price) * trade.quantity * trade.side.sign
    assert trade.pnl == gain


def test_the_stop_is_live_in_the_very_bar_of_the_entry():
    paper = tape({BTC: [*flat(P, 2), (P, P, 97_000, 99_000), *flat(99_000, 2)]})
    trade = only(traded(paper, {BTC: {1: BUY}}))
    assert (trade.entry_bar, trade.exit_bar, trade.exit_price) == (2, 2, Decimal(98_000))


def test_slippage_and_fees_are_paid_at_both_ends():
    paper = tape({BTC: [*flat(P, 4), (P, P, 97_000, 98_500), *flat(98_500, 2)]})
    trade = only(traded(paper, {BTC: {1: BUY}}, SLIPPAGE_BPS=1.0, TAKER_FEE=0.0005))
    # The stop is 100010 * 0.98 = 98009.8, less one basis point 97999.999, rounded against us.
    assert (trade.entry_price, trade.exit_price) == (Decimal(100_010), Decimal("97999.9"))
    paid = trade.quantity * (trade.entry_price + trade.exit_price) * Decimal("0.0005")
    assert trade.fees == paid
    gain = (trade.exit_price - trade.entry_price) * trade.quantity
    assert trade.pnl == gain - paid


def test_a_bar_that_opens_beyond_the_liquidation_price_costs_the_whole_margin():
    paper = tape({BTC: [*flat(P, 4), (70_000, 70_500, 69_000, 70_000), *flat(70_000, 2)]})
    trade = only(traded(paper, {BTC: {1: BUY}}))
    assert trade.exit_reason is ExitReason.LIQUIDATION
    assert trade.pnl == -trade.quantity * trade.entry_price / 5


# ---------------------------------------- funding, end
@pytest.mark.parametrize(("side", "sign"), [(BUY, -1), (SELL, 1)])
def test_funding_is_paid_on_the_last_close_by_what_is_held_over_it(side, sign):
    paper = tape({BTC: flat(P, 8)}, funding={BTC: [(5, "0.0001")]})
    trade = only(traded(paper, {BTC: {1: side}}))
    assert trade.funding == sign * trade.quantity * Decimal(100_000) * Decimal("0.0001")


def test_who_enters_at_a_settlement_neither_pays_nor_receives():
    paper = tape({BTC: flat(P, 8)}, funding={BTC: [(3, "0.0001")]})
    assert only(traded(paper, {BTC: {2: BUY}})).funding == 0


def test_what_is_open_at_the_end_is_closed_at_the_last_close():
    paper = tape({BTC: [*flat(P, 5), (P, P + 20, P - 20, P + 15)]})
    trade = only(traded(paper, {BTC: {1: BUY}}))
    assert (trade.exit_reason, trade.exit_price) == (ExitReason.END, Decimal(100_015))


# ---------------------------------------- risk decides
def test_slots_hold_over_symbols_and_free_themselves():
    rises = [*flat(3_000.0, 4), (3_000, 3_150, 2_999, 3_100), *flat(3_100.0, 5)]
    paper = tape({BTC: flat(P, 10), ETH: rises, SOL: flat(150.0, 10)})
    at = {BTC: {1: BUY}, ETH: {1: BUY}, SOL: dict.fromkeys(range(1, 9), BUY)}
    result = traded(paper, at, MAX_OPEN_POSITIONS=2)
    entries = {trade.symbol: trade.entry_bar for trade in result.trades}
    assert entries == {BTC: 2, ETH: 2, SOL: 5}  # ETH is out in bar 4, SOL at its close


def test_a_lost_day_lets_nothing_in_until_the_next():
    day_bars = 1_440
    price, rows = P, []
    for bar in range(day_bars + 60):
        if 5 <= bar < 200 and bar % 5 == 0:  # each falls through a stop
            rows.append((price, price, price * 0.97, price * 0.975))
            price *= 0.975
        else:
            rows.append((price, price + 1, price - 1, price))
    paper = tape({BTC: rows}, start_ms=NOON_MS - 43_200_000)
    at = {BTC: dict.fromkeys(range(1, len(rows)), BUY)}
    result = traded(paper, at, MAX_DRAWDOWN=0.99, GAP_ALLOWANCE=0.003)
    lost = [halt for halt in result.halts if halt.reason_code.startswith("day_loss")]
    begun = [halt for halt in result.halts if halt.reason_code == "new_day"]
    assert lost
    assert begun
    assert begun[0].at_ms == NOON_MS - 43_200_000 + day_bars * MINUTE_MS
    between = [t for t in result.trades if lost[0].at_ms < t.entry_ms < begun[0].at_ms]
    assert between == []
    assert any(t.entry_ms >= begun[0].at_ms for t in result.trades)


def test_too_many_entries_in_an_hour_latch_the_symbol():
    rows = [(P, P * 1.05, P, P) if bar % 2 else (P, P + 1, P - 1, P) for bar in range(40)]
    at = {BTC: dict.fromkeys(range(1, 39), BUY)}
    result = traded(tape({BTC: rows}), at, MAX_ENTRIES_SYMBOL_1H=3)
    assert len(result.trades) == 3
    assert [halt.reason_code for halt in result.halts if halt.symbol == BTC] == ["entry_rate"]


def test_a_symbol_far_above_its_norm_is_latched_though_slots_are_full():
    paper = tape({BTC: flat(P, 460), ETH: flat(3_000.0, 460)})
    burst = {**dict.fromkeys(range(10, 390, 60), BUY), **dict.fromkeys(range(400, 459), BUY)}
    at = {BTC: burst, ETH: {1: BUY}}
    result = traded(paper, at, MAX_SIGNAL_RATIO=10.0, MAX_OPEN_POSITIONS=1)
    assert [trade.symbol for trade in result.trades] == [ETH]
    assert [halt.reason_code for halt in result.halts if halt.symbol == BTC] == ["signal_rate"]


# ---------------------------------------- whatever comes
MOVES = st.lists(st.floats(-0.03, 0.03), min_size=10, max_size=80)


def walked(moves, price):
    rows, at = [], price
    for number, move in enumerate(moves):
        opened = round(at, 1)
        closed = round(max(opened * (1 + move), 1.0), 1)
        high = round(max(opened, closed) * (1 + (number % 3) * 0.004), 1)
        low = round(min(opened, closed) * (1 - (number % 4) * 0.004), 1)
        rows.append((opened, high, low, closed))
        at = closed * (1 + (0.01 if number % 7 == 3 else 0.0))
    return rows


COSTS = {"SLIPPAGE_BPS": 1.0, "TAKER_FEE": 0.0005, "GAP_ALLOWANCE": 0.003}


@settings(deadline=None, max_examples=60)
@given(MOVES, st.dictionaries(st.integers(0, 79), st.sampled_from([BUY, SELL, CLOSE])))
def test_money_is_conserved_and_no_trade_is_without_its_decision(moves, at):
    paper = tape({BTC: walked(moves, P)}, funding={BTC: [(7, "0.0003")]})
    at = {bar: side for bar, side in at.items() if bar < len(paper)}
    result = traded(paper, {BTC: at}, **COSTS)
    assert result.end_equity == result.start_equity + sum(t.pnl for t in result.trades)
    assert result.equity[-1] == pytest.approx(float(result.end_equity))
    for trade in result.trades:
        assert at[trade.entry_bar - 1] == trade.side.sign
        assert trade.exit_bar >= trade.entry_bar
    for earlier, later in pairwise(result.trades):
        assert later.entry_bar >= earlier.exit_bar  # one position a symbol


@settings(deadline=None, max_examples=40)
@given(MOVES, st.integers(5, 60))
def test_the_future_changes_no_trade_that_was_closed_before_it(moves, cut):
    rows = walked(moves, P)
    cut = min(cut, len(rows) - 1)
    at = {bar: (BUY if bar % 3 else SELL) for bar in range(len(rows))}
    whole = traded(tape({BTC: rows}), {BTC: at}, **COSTS)
    past = traded(tape({BTC: rows[:cut]}), {BTC: {b: s for b, s in at.items() if b < cut}}, **COSTS)
    closed = [t for t in past.trades if t.exit_reason is not ExitReason.END]
    assert closed == [t for t in whole.trades if t.exit_bar < cut][: len(closed)]


def test_equity_is_marked_at_each_close():
    rows = [*flat(P, 3), (P, P + 600, P - 10, P + 500), *flat(P + 500, 2)]
    result = traded(tape({BTC: rows}), {BTC: {1: BUY}}, TAKER_FEE=0.0005)
    trade = only(result)
    fee = float(trade.fees)
    gain = float(trade.quantity) * 500
    assert np.diff(result.equity)[2] == pytest.approx(gain)
    assert result.equity[3] == pytest.approx(10_000 + gain - fee)


def test_a_tape_that_does_not_fit_together_is_refused():
    paper = tape({BTC: flat(P, 5)})
    with pytest.raises(Exception, match="not on one grid"):
        replace(paper, open_ms=paper.open_ms * 2)
