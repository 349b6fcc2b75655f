"""Long arrays made short: nothing that matters may be lost on the way."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.reporting.series import exposure_of, held_equally, periods, thinned, trade_returns
from core.words import Side
from tests.reporting.made import (
    BTC,
    DAY,
    ETH,
    MINUTE,
    MONDAY,
    a_result,
    a_trade,
    some_prices,
)

curves = st.lists(st.floats(1.0, 1e6), min_size=1, max_size=400)


@given(curves, st.integers(4, 60))
def test_a_thinned_line_keeps_its_ends_its_highest_and_its_lowest_value(values, most):
    line = np.array(values)
    places = thinned(line, most)
    assert places[0] == 0
    assert places[-1] == len(line) - 1
    assert line[places].max() == line.max()
    assert line[places].min() == line.min()
    assert (np.diff(places) > 0).all()
    assert len(places) <= max(len(line) if len(line) <= most else 0, most + 2)


@given(curves, st.sampled_from(["M", "W", "D", "h"]))
def test_periods_add_up_to_the_whole(values, unit):
    result = a_result(equity=values, step=6 * 3_600_000)
    cut = periods(result, unit)
    assert cut.profit.sum() == pytest.approx(values[-1] - 10_000.0)
    assert np.prod(1 + cut.returns) == pytest.approx(values[-1] / 10_000.0)


def test_weeks_begin_on_monday():
    cut = periods(a_result(equity=[1.0] * 15, step=DAY), "W")
    assert cut.start_ms.tolist() == [MONDAY, MONDAY + 7 * DAY, MONDAY + 14 * DAY]


def test_exposure_is_notional_over_equity_from_the_bar_of_entry_to_that_of_exit():
    long = a_trade(entry_bar=1, bars=2)
    short = a_trade(entry_bar=2, bars=3, side=Side.SELL, quantity=Decimal("0.05"))
    held = exposure_of(a_result([long, short], equity=[10_000.0] * 8))
    assert held.long.tolist() == [0, 1, 1, 1, 0, 0, 0, 0]
    assert held.short.tolist() == [0, 0, 0.5, 0.5, 0.5, 0.5, 0, 0]
    assert held.positions.tolist() == [0, 1, 2, 2, 1, 1, 0, 0]
    assert held.gross.max() == 1.5


def test_a_bar_at_whose_open_a_position_was_closed_holds_it_no_longer():
    trade = a_trade(entry_bar=1, exit_ms=MONDAY + 3 * MINUTE)
    assert exposure_of(a_result([trade])).positions.tolist() == [0, 1, 1, *[0] * 7]


def test_holding_in_equal_parts_is_the_mean_of_what_each_symbol_grew_by():
    result = a_result(equity=[1.0] * 3, symbols=(BTC, ETH))
    doubled, halved = some_prices(3), some_prices(3)
    doubled.ohlc[0, 0], doubled.ohlc[3] = 100.0, [100.0, 150.0, 200.0]
    halved.ohlc[0, 0], halved.ohlc[3] = 100.0, [100.0, 50.0, 50.0]
    held = held_equally(result, {BTC: doubled, ETH: halved})
    assert held.tolist() == [10_000.0, 10_000.0, 12_500.0]


def test_holding_is_not_told_where_prices_do_not_cover_the_result():
    result = a_result(equity=[1.0] * 3, symbols=(BTC, ETH))
    assert held_equally(result, {BTC: some_prices(3)}) is None
    assert held_equally(result, {BTC: some_prices(3), ETH: some_prices(2)}) is None


def test_a_trade_s_return_is_net_and_of_its_notional():
    assert trade_returns([a_trade("-20")]).tolist() == [-0.002]
