"""Instruments: rounding never loosens what was decided; only numbers become prices."""

import math
from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InstrumentError
from core.messages import Side
from core.venue.instrument import Instrument


def a_row(symbol="BTCUSDT", tick="0.10", step="0.001", price_min="556.80", **extra):
    return {
        "symbol": symbol,
        "status": "TRADING",
        "pricePrecision": 2,
        "quantityPrecision": 3,
        "triggerProtect": "0.0500",
        "deliveryDate": 4133404800000,
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": price_min,
                "maxPrice": "4529764",
                "tickSize": tick,
            },
            {"filterType": "LOT_SIZE", "minQty": step, "maxQty": "1000", "stepSize": step},
            {"filterType": "MARKET_LOT_SIZE", "minQty": step, "maxQty": "120", "stepSize": step},
            {"filterType": "MIN_NOTIONAL", "notional": "100"},
            {
                "filterType": "PERCENT_PRICE",
                "multiplierUp": "1.0500",
                "multiplierDown": "0.9500",
                "multiplierDecimal": "4",
            },
            {"filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE"},
        ],
        **extra,
    }


BTC = Instrument.from_exchange_info(a_row())
ADA = Instrument.from_exchange_info(a_row("ADAUSDT", tick="0.00010", step="1", price_min="0.01740"))
INSTRUMENTS = st.sampled_from([BTC, ADA])
SIDES = st.sampled_from(list(Side))


def test_reads_the_rules_that_orders_need():
    assert (BTC.symbol, BTC.status) == ("BTCUSDT", "TRADING")
    assert (BTC.tick, BTC.step) == (Decimal("0.10"), Decimal("0.001"))
    assert (BTC.price_decimals, BTC.quantity_decimals) == (1, 3)  # the grid's, not the display's
    assert (BTC.quantity_min, BTC.quantity_max) == (Decimal("0.001"), Decimal(1000))
    assert BTC.market_quantity_max == Decimal(120)
    assert BTC.min_notional == Decimal(100)
    assert (BTC.percent_up, BTC.percent_down) == (Decimal("1.05"), Decimal("0.95"))
    assert BTC.trigger_protect == Decimal("0.05")


def test_takes_the_fallback_where_the_venue_names_no_least_notional():
    row = a_row()
    row["filters"] = [f for f in row["filters"] if f["filterType"] != "MIN_NOTIONAL"]
    assert Instrument.from_exchange_info(row, min_notional_fallback=Decimal(5)).min_notional == 5


@pytest.mark.parametrize("tick", ["0", "-1", "NaN", "", None, "1e40", "x"])
def test_refuses_rules_that_cannot_be_used_in_one_line(tick):
    with pytest.raises(InstrumentError, match=r"BTCUSDT: .*tickSize") as caught:
        Instrument.from_exchange_info(a_row(tick=tick))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("row", [{}, {"symbol": ""}, {"symbol": 3}, {"symbol": "X"}, None, []])
def test_refuses_rows_that_are_no_symbols(row):
    with pytest.raises(InstrumentError):
        Instrument.from_exchange_info(row)


@given(INSTRUMENTS, st.decimals(0, 10**6, allow_nan=False, allow_infinity=False))
def test_a_quantity_is_rounded_down_by_less_than_a_step(instrument, quantity):
    rounded = instrument.round_quantity_down(quantity)
    assert 0 <= rounded <= quantity
    assert quantity - rounded < instrument.step
    assert rounded % instrument.step == 0


@given(INSTRUMENTS, st.floats(1e-3, 1e7))
def test_a_computed_price_lands_on_the_nearest_tick(instrument, price):
    try:
        rounded = instrument.price_from_float(price)
    except InstrumentError:
        assert price <= instrument.tick
        return
    assert (rounded - instrument.price_min) % instrument.tick == 0
    assert abs(rounded - Decimal(repr(price))) <= instrument.tick / 2


@given(INSTRUMENTS, st.integers(1, 10**7))
def test_a_price_of_the_venue_survives_the_way_through_float(instrument, ticks):
    price = instrument.price_min % instrument.tick + ticks * instrument.tick
    assert instrument.price_from_float(float(price)) == price


@pytest.mark.parametrize("price", [math.nan, math.inf, -math.inf, 0.0, -1.0, 1e-9, 1e300])
def test_what_is_no_price_is_refused(price):
    with pytest.raises(InstrumentError, match="BTCUSDT"):
        BTC.price_from_float(price)


@given(
    INSTRUMENTS,
    st.integers(10, 10**6),
    st.decimals("0.0001", "0.2", places=6),
    SIDES,
)
def test_stop_and_target_lie_on_their_sides_and_never_further_than_decided(
    instrument, ticks, pct, side
):
    # An average, off the grid; with digits to spare, so that the comparison below is exact.
    entry = (instrument.price_min + ticks * instrument.tick / 3).quantize(Decimal("1e-12"))
    stop = instrument.stop_price(entry, pct, side)
    target = instrument.target_price(entry, pct, side)
    assert (entry - stop) * side.sign >= instrument.tick
    assert (target - entry) * side.sign >= instrument.tick
    for price in (stop, target):
        assert (price - instrument.price_min) % instrument.tick == 0
        # Further than decided only where less than a tick was asked for.
        assert abs(price - entry) <= max(entry * pct, 2 * instrument.tick)


def test_a_sell_has_its_stop_above_and_its_target_below():
    entry, pct = Decimal(60000), Decimal("0.004")
    assert BTC.stop_price(entry, pct, Side.SELL) == Decimal("60240.0")
    assert BTC.target_price(entry, pct, Side.SELL) == Decimal("59760.0")
    assert BTC.stop_price(entry, pct, Side.BUY) == Decimal("59760.0")
    assert BTC.target_price(entry, pct, Side.BUY) == Decimal("60240.0")


@pytest.mark.parametrize("pct", [Decimal(0), Decimal("-0.01"), Decimal("NaN")])
def test_a_distance_that_is_none_is_refused(pct):
    with pytest.raises(InstrumentError, match="BTCUSDT"):
        BTC.stop_price(Decimal(60000), pct, Side.BUY)


def test_beyond_the_venue_s_bounds_stop_and_target_come_nearer():
    assert BTC.stop_price(Decimal(600), Decimal("0.9"), Side.BUY) == BTC.price_min
    assert BTC.target_price(Decimal(4529000), Decimal("0.1"), Side.BUY) <= BTC.price_max


def test_an_entry_at_the_venue_s_bound_leaves_no_room_for_a_stop():
    with pytest.raises(InstrumentError, match="no stop fits"):
        BTC.stop_price(BTC.price_min, Decimal("0.1"), Side.BUY)


def test_the_least_notional_counts_with_its_multiple():
    price = Decimal(50000)
    assert BTC.notional_ok(Decimal("0.002"), price)
    assert not BTC.notional_ok(Decimal("0.002"), price, Decimal("1.1"))


def test_a_price_is_rounded_as_asked():
    assert BTC.round_price(Decimal("600.05"), ROUND_HALF_EVEN) == Decimal("600.0")
    assert BTC.round_price(Decimal("600.06"), ROUND_HALF_EVEN) == Decimal("600.1")
