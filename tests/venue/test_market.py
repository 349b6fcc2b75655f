"""The venue's prices: recorded ones hit exactly, seeded ones alive, both the same whoever asks."""

from dataclasses import fields
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.edges.history_files import read_funding, read_history
from core.errors import DataError
from core.venue.simulated.instruments import LISTED
from core.venue.simulated.market import Bars, Minute, PriceSource
from core.venue.simulated.reel import BLOCK_MINUTES
from core.venue.simulated.replayed import ReplayedPrices
from core.venue.simulated.seeded import SeededPrices

SHARED = Path(__file__).parents[2] / "../shared/data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="no recorded data beside the project")
FIVE = ("BTCUSDT", "ETHUSDT", "BNBUSDT", "ADAUSDT", "SOLUSDT")
WEEK_MS = 604_800_000
START_MS = 1_795_000_020_000
RECORDED_MS = 1_746_372_780_000


def seeded(symbols=FIVE, seed=7, start_ms=START_MS, history=2_000) -> SeededPrices:
    return SeededPrices(symbols, seed, start_ms, history)


def recorded(minutes=400, price=100.0, volume=5.0, first_ms=RECORDED_MS) -> pd.DataFrame:
    """Return klines that wander a little, open to close, on a grid of 0.01."""
    at = np.arange(minutes)
    close = np.round(price * (1 + 0.01 * np.sin(at / 9)), 2)
    open_ = np.concatenate([[price], close[:-1]])
    return pd.DataFrame(
        {
            "open": open_,
            "high": np.round(np.maximum(open_, close) + 0.05, 2),
            "low": np.round(np.minimum(open_, close) - 0.03, 2),
            "close": close,
            "volume": np.full(minutes, volume),
        },
        index=pd.to_datetime(first_ms + at * 60_000, unit="ms", utc=True).rename("open_time"),
    )


def replayed(frames, start_ms=START_MS, history=60, seed=3, funding=None) -> ReplayedPrices:
    return ReplayedPrices(frames, start_ms, history, seed, funding)


def minutes_of(source: PriceSource, index: int) -> tuple[Minute, ...] | None:
    """Return minute `index` of all symbols, or None after the end."""
    if not source.plays(index):
        return None
    return tuple(source.minute(symbol, index) for symbol in source.symbols)


def without_stamp(minutes: tuple[Minute, ...]) -> list[tuple]:
    return [(m.symbol, m.offsets_ms, m.prices) for m in minutes]


def check_minute(minute: Minute, source: PriceSource) -> None:
    rules = source.instruments[minute.symbol]
    points = len(minute.prices)
    assert points >= 12
    assert points == len(minute.offsets_ms) == len(minute.quantities) == len(minute.taker_buy)
    assert minute.offsets_ms[0] == 0
    assert minute.offsets_ms[-1] <= 59_999
    assert all(a < b for a, b in pairwise(minute.offsets_ms))
    assert all(price % rules.tick_size == 0 and price > 0 for price in minute.prices)
    assert all(quantity % rules.step_size == 0 for quantity in minute.quantities)
    for quantity, count in zip(minute.quantities, minute.counts, strict=True):
        assert 0 <= count <= quantity / rules.step_size
        assert (count > 0) == (quantity > 0)
    assert minute.low <= min(minute.open, minute.close)
    assert max(minute.open, minute.close) <= minute.high
    assert 0 <= minute.taker_buy_volume <= minute.volume


def check_bar(minute: Minute, bars: Bars, at: int) -> None:
    for name in ("open", "high", "low", "close", "volume", "quote_volume"):
        assert getattr(bars, name)[at] == float(getattr(minute, name)), name
    assert bars.open_ms[at] == minute.open_ms
    assert bars.taker_buy_volume[at] == float(minute.taker_buy_volume)
    assert bars.taker_buy_quote[at] == float(minute.taker_buy_quote)
    assert bars.trades[at] == minute.trades


# --------------------------------------------------------------------------- seeded
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(-5, 2**40), index=st.integers(-2_000, 5_000))
def test_a_seeded_minute_is_on_the_grids_and_equals_its_bar(seed, index):
    source = seeded(("SOLUSDT", "DOGEUSDT"), seed)
    minutes = minutes_of(source, index)
    assert tuple(minute.symbol for minute in minutes) == source.symbols
    for minute in minutes:
        check_minute(minute, source)
        assert minute.open_ms == source.first_open_ms + index * 60_000
        assert minute.trades >= 1
        check_bar(minute, source.bars(minute.symbol, index, 1), 0)


@settings(max_examples=15, deadline=None)
@given(order=st.permutations([-2_000, -1_441, -1, 0, 1, 1_439, 1_440, 4_321]))
def test_the_order_of_asking_changes_nothing(order):
    asked = seeded(FIVE[:2])
    answers = {index: minutes_of(asked, index) for index in order}
    assert answers == {index: minutes_of(seeded(FIVE[:2]), index) for index in order}


def test_start_time_history_and_company_do_not_move_prices():
    here = minutes_of(seeded(("ETHUSDT",)), 777)
    there = seeded(("BTCUSDT", "ETHUSDT"), start_ms=START_MS + 3 * 3_600_000, history=9)
    assert without_stamp(minutes_of(there, 777)[1:]) == without_stamp(here)
    assert without_stamp(minutes_of(seeded(("ETHUSDT",), seed=8), 777)) != without_stamp(here)


def test_each_minute_opens_where_the_last_one_closed_across_blocks_and_the_start():
    bars = seeded().bars("BNBUSDT", -2_000, 2_000 + 3 * BLOCK_MINUTES)
    assert (bars.open[1:] == bars.close[:-1]).all()
    assert (np.diff(bars.open_ms) == 60_000).all()


@pytest.mark.parametrize("symbol", FIVE)
def test_seeded_volatility_is_the_instruments_and_no_move_reaches_a_jump(symbol):
    bars = seeded(seed=11, history=5_000).bars(symbol, -5_000, 30_000)
    moves = np.diff(np.log(bars.close))
    wanted = 0.0005 if symbol in {"BTCUSDT", "BNBUSDT"} else 0.001
    assert 0.85 * wanted < moves.std() < 1.15 * wanted
    assert np.abs(bars.close / bars.open - 1).max() < 0.004
    assert np.abs(bars.high[1:] / bars.close[:-1] - 1).max() < 0.004
    assert np.abs(bars.low[1:] / bars.close[:-1] - 1).max() < 0.004
    seed_price = float(LISTED[symbol].seed_price)
    assert 0.5 * seed_price < bars.low.min() < bars.high.max() < 2 * seed_price


def test_seeded_symbols_correlate_and_have_the_documented_dependence():
    source = seeded(FIVE[:3], history=0)
    moves = [np.diff(np.log(source.bars(symbol, 0, 30_000).close)) for symbol in source.symbols]
    pairs = np.corrcoef(moves)[np.triu_indices(3, 1)]
    assert (pairs > 0.6).all()
    assert (pairs < 0.8).all()
    for move in moves:
        assert abs(np.corrcoef(move[1:], move[:-1])[0, 1]) < 0.04
        for lag in (2, 3, 4, 5):
            assert 0.05 < np.corrcoef(move[lag:], move[:-lag])[0, 1] < 0.13


def test_high_comes_before_low_about_as_often_as_after():
    source = seeded(("BTCUSDT",))
    paths = [minutes_of(source, index)[0].prices for index in range(300)]
    first = sum(path.index(max(path)) < path.index(min(path)) for path in paths)
    assert 100 < first < 200


def test_seeded_volume_follows_the_hour_of_the_day():
    bars = seeded(history=0).bars("BTCUSDT", 0, 20 * BLOCK_MINUTES)
    hours = bars.open_ms // 3_600_000 % 24
    assert np.median(bars.volume[hours == 14]) > 1.5 * np.median(bars.volume[hours == 2])


def test_seeded_prices_have_no_minute_before_their_history_and_no_end():
    source = seeded(("BTCUSDT",), history=10)
    with pytest.raises(IndexError, match="history"):
        minutes_of(source, -11)
    assert len(source.bars("BTCUSDT", -50, 45)) == 5
    assert len(source.bars("BTCUSDT", -50, 40)) == 0
    assert minutes_of(source, 100_000) is not None


def test_premium_is_small_seeded_and_continuous():
    source = seeded(("BTCUSDT",))
    premiums = [source.premium("BTCUSDT", index) for index in range(-100, 500)]
    assert premiums == [seeded(FIVE).premium("BTCUSDT", index) for index in range(-100, 500)]
    assert max(map(abs, premiums)) <= Decimal("0.0005")
    assert len(set(premiums)) > 100
    jumps = [abs(b - a) for a, b in pairwise(premiums)]
    assert max(jumps) < Decimal("0.00002")


# --------------------------------------------------------------------------- replayed
@st.composite
def a_kline(draw):
    low, high = sorted(draw(st.tuples(*[st.integers(1, 10**6)] * 2)))
    open_, close = (draw(st.integers(low, high)) for _ in range(2))
    volume = draw(st.integers(0, 10**9))
    return open_, high, low, close, volume, draw(st.integers(0, volume)), draw(st.integers(0, 999))


@settings(max_examples=60, deadline=None)
@given(klines=st.lists(a_kline(), min_size=2, max_size=8), seed=st.integers(0, 9))
def test_replay_hits_every_recorded_number_exactly(klines, seed):
    table = np.array(klines, dtype=float)
    names = ["open", "high", "low", "close", "volume", "taker_buy_volume", "count"]
    frame = pd.DataFrame(table, columns=names, index=recorded(len(klines)).index)
    frame[names[:4]] /= 100
    frame[["volume", "taker_buy_volume"]] /= 1_000
    source = replayed({"BTCUSDT": frame}, history=0, seed=seed)
    bars = source.bars("BTCUSDT", 0, 100)
    assert len(bars) == source.minutes_to_play == len(klines)
    for at, (open_, high, low, close, volume, bought, count) in enumerate(klines):
        (minute,) = minutes_of(source, at)
        check_minute(minute, source)
        check_bar(minute, bars, at)
        ohlc = (minute.open, minute.high, minute.low, minute.close)
        assert ohlc == tuple(Decimal(ticks) / 100 for ticks in (open_, high, low, close))
        assert minute.volume == Decimal(volume) / 1_000
        assert minute.taker_buy_volume == Decimal(bought) / 1_000
        sides = (bought > 0) + (bought < volume)
        assert minute.trades == min(max(count, sides), volume)  # of at least a step each
    assert minutes_of(source, len(klines)) is None


@pytest.mark.parametrize(
    ("open_", "high", "low", "close", "volume"),
    [
        (500, 500, 500, 500, 0),  # nothing happened
        (500, 500, 500, 500, 7_000),  # flat with volume
        (500, 500, 400, 400, 5),  # falls from the open, which is the high, to the close
        (400, 500, 400, 500, 5),
        (500, 500, 499, 500, 1),  # one tick, one step
        (500, 900, 100, 500, 3),  # fewer steps than points
        (1, 10**9, 1, 10**9, 10**12),
    ],
)
def test_replay_hits_odd_klines_exactly_in_either_order_of_high_and_low(
    open_, high, low, close, volume
):
    names = ["open", "high", "low", "close", "volume"]
    row = np.array([[open_ / 100, high / 100, low / 100, close / 100, volume / 1_000]] * 60)
    frame = pd.DataFrame(row, columns=names, index=recorded(60).index)
    source = replayed({"ADAUSDT": frame}, history=0)
    orders = set()
    for at in range(60):
        (minute,) = minutes_of(source, at)
        check_minute(minute, source)
        found = (minute.open, minute.high, minute.low, minute.close)
        assert found == tuple(Decimal(ticks) / 100 for ticks in (open_, high, low, close))
        assert minute.volume == Decimal(volume) / 1_000
        bar = source.bar("ADAUSDT", at)
        assert bar[1:7] == (*found, minute.volume, minute.quote_volume)
        assert (bar.taker_volume, bar.taker_quote) == (
            minute.taker_buy_volume,
            minute.taker_buy_quote,
        )
        orders.add(minute.prices.index(minute.high) < minute.prices.index(minute.low))
    extremes_inside = {open_, close}.isdisjoint({high, low})
    assert orders == {True, False} or not extremes_inside


def test_extremes_and_trade_numbers_are_those_of_the_candles():
    thin = recorded(2 * 10_080 + 2_440).assign(count=np.arange(2 * 10_080 + 2_440) % 41)
    thin["taker_buy_volume"] = np.where(thin["count"] % 3, 5.0, 0.01)
    for source in (
        seeded(FIVE[:2], history=700),
        replayed(FORTNIGHT, history=700),
        replayed({"BTCUSDT": thin}, history=700),
    ):
        symbol = source.symbols[0]
        bars = source.bars(symbol, -700, 2_500)
        low, high = source.extremes(symbol, -700, 2_500)
        np.testing.assert_array_equal(low, bars.low)
        np.testing.assert_array_equal(high, bars.high)
        number = prints = 1
        for at in range(-700, 1_800):
            bar, minute = source.bar(symbol, at), source.minute(symbol, at)
            assert bar.first_trade == number == 1 + source.trades_before(symbol, at)
            assert bar.trades == bars.trades[at + 700] == minute.trades
            number += bar.trades
            assert prints == 1 + source.prints_before(symbol, at)
            prints += sum(count > 0 for count in minute.counts)


def test_a_quiet_minute_is_made_of_its_few_trades():
    frame = recorded(60).assign(count=np.arange(60) % 9, volume=0.009, taker_buy_volume=0.004)
    source = replayed({"BTCUSDT": frame}, history=0)
    for at in range(source.minutes_to_play):
        minute = source.minute("BTCUSDT", at)
        printed = [p for p, count in zip(minute.prices, minute.counts, strict=True) if count]
        assert len(printed) == minute.trades == max(2, at % 9)
        if len(printed) >= 4:
            assert (printed[0], max(printed), min(printed), printed[-1]) == (
                *(minute.open, minute.high, minute.low, minute.close),
            )


def test_replay_serves_the_same_trades_at_any_start_and_in_any_company():
    frames = {"BTCUSDT": recorded(3_000), "XYZUSDT": recorded(3_000, price=3.0)}
    both = replayed(frames)
    alone = replayed({"XYZUSDT": frames["XYZUSDT"]}, start_ms=START_MS + 3 * 86_400_000)
    moved = both.shift_ms - alone.shift_ms
    shift = (alone.first_open_ms + moved - both.first_open_ms) // 60_000
    wanted = [minutes_of(both, index + shift)[1:] for index in range(5)]
    assert [without_stamp(minutes_of(alone, index)) for index in range(5)] == [
        without_stamp(minutes) for minutes in wanted
    ]


@settings(max_examples=50, deadline=None)
@given(start_minute=st.integers(0, 3 * 10_080), history=st.integers(0, 1_000))
def test_replay_moves_by_whole_weeks_with_the_history_and_the_longest_run(start_minute, history):
    source = replayed(FORTNIGHT, START_MS + start_minute * 60_000, history)
    assert source.shift_unit_minutes == 10_080
    assert source.shift_ms % WEEK_MS == 0
    first = source.bars("BTCUSDT", -history, 1)
    assert first.open_ms[0] == source.first_open_ms - history * 60_000
    spare = (first.open_ms[0] - source.shift_ms - RECORDED_MS) // 60_000
    assert 0 <= spare < 10_080
    assert minutes_of(source, source.minutes_to_play - 1) is not None
    assert minutes_of(source, source.minutes_to_play) is None


FORTNIGHT = {"BTCUSDT": recorded(2 * 10_080 + 2_440)}


@pytest.mark.parametrize(("minutes", "unit"), [(3_000, 1_440), (100, 1)])
def test_a_recording_too_short_for_weeks_moves_by_days_or_minutes(minutes, unit):
    source = replayed({"BTCUSDT": recorded(minutes)}, START_MS, history=60)
    assert source.shift_unit_minutes == unit
    assert source.shift_ms % (unit * 60_000) == 0
    assert minutes_of(source, 0) is not None
    assert minutes_of(source, -60) is not None


def test_replay_plays_the_common_window_in_the_order_given():
    frames = {
        "SOLUSDT": recorded(300),
        "BTCUSDT": recorded(300, first_ms=RECORDED_MS + 120_000).iloc[:-10],
    }
    source = replayed(frames, history=0)
    assert source.symbols == ("SOLUSDT", "BTCUSDT")
    assert source.minutes_to_play == 290
    assert float(minutes_of(source, 0)[0].close) == frames["SOLUSDT"]["close"].iloc[2]


def test_missing_minutes_are_flat_without_volume_and_counted():
    frame = recorded(100)
    source = replayed({"BTCUSDT": frame.drop(frame.index[40:43])}, history=0)
    assert source.filled_minutes == {"BTCUSDT": 3}
    (minute,) = minutes_of(source, 41)
    check_minute(minute, source)
    assert set(minute.prices) == {minutes_of(source, 39)[0].close}
    assert (minute.volume, minute.trades) == (0, 0)


@pytest.mark.parametrize(
    ("frames", "history", "message"),
    [
        ({}, 0, "No klines"),
        ({"BTCUSDT": recorded(60)}, 60, "at most 59"),
        ({"BTCUSDT": recorded(900).iloc[::15]}, 0, "needs 1m klines, these are 15 minutes"),
        ({"BTCUSDT": recorded(9), "ETHUSDT": recorded(9, first_ms=START_MS)}, 0, "No common time"),
        ({"BTCUSDT": recorded(3_000).drop(recorded(3_000).index[9:2_000])}, 0, "1991 minutes are"),
        ({"BTCUSDT": recorded(99) * 1.00000000123}, 0, "more than 8 decimals"),
        ({"ETHBTC": recorded(99)}, 0, "nor quoted in USDT"),
    ],
)
def test_refuses_what_cannot_be_replayed(frames, history, message):
    with pytest.raises(DataError, match=message) as caught:
        replayed(frames, history=history)
    assert "Fix:" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_recorded_funding_is_found_at_its_moved_hour_only():
    rates = pd.DataFrame({"funding_rate": [0.0001, -0.00012345]})
    rates.index = pd.to_datetime([RECORDED_MS + 5, RECORDED_MS + 28_800_000], unit="ms", utc=True)
    source = replayed(FORTNIGHT, funding={"BTCUSDT": rates})
    first = RECORDED_MS + source.shift_ms
    assert source.funding_rate("BTCUSDT", first) == Decimal("0.0001")
    assert source.funding_rate("BTCUSDT", first + 28_800_000) == Decimal("-0.00012345")
    assert source.funding_rate("BTCUSDT", first + 14_400_000) is None
    assert source.funding_rate("ETHUSDT", first) is None


# --------------------------------------------------------------------------- rules of recordings
def test_an_unlisted_recording_gets_plausible_rules():
    frame = recorded(200, price=2.5, volume=12.5)
    rules = replayed({"XYZUSDT": frame}, history=0).instruments["XYZUSDT"]
    assert (rules.base_asset, rules.tick_size, rules.step_size) == (
        "XYZ",
        Decimal("0.01"),
        Decimal("0.1"),
    )
    assert rules.price_min < Decimal("2.4")
    assert rules.price_max > Decimal("2.6")
    assert rules.quantity_min <= rules.market_quantity_max <= rules.quantity_max


def test_a_listed_recording_keeps_its_rules_unless_its_grid_is_finer():
    coarse = recorded(200, price=80_000.0, volume=5.0)
    assert (
        replayed({"BTCUSDT": coarse.round(1)}, history=0).instruments["BTCUSDT"]
        == LISTED["BTCUSDT"]
    )
    fine = replayed({"BTCUSDT": coarse.assign(volume=0.12345)}, history=0).instruments["BTCUSDT"]
    assert (fine.tick_size, fine.step_size) == (Decimal("0.01"), Decimal("0.00001"))
    assert fine.quantity_precision == 5


def test_a_stray_trade_off_the_tick_is_served_but_does_not_change_the_rules():
    frame = recorded(400)
    frame.iloc[17, frame.columns.get_loc("high")] += 0.003
    source = replayed({"SOLUSDT": frame}, history=0)
    assert source.instruments["SOLUSDT"] == LISTED["SOLUSDT"]
    (minute,) = minutes_of(source, 17)
    assert float(minute.high) == frame["high"].iloc[17]
    assert sum(price % Decimal("0.01") != 0 for price in minute.prices) == 1
    check_minute(minutes_of(source, 18)[0], source)


# --------------------------------------------------------------------------- recorded data
@needs_shared
def test_replays_recorded_futures_minutes():
    folder = SHARED / "um-1m/2025q2"
    frames = read_history(folder, FIVE)
    source = replayed(frames, history=1_000, funding=read_funding(SHARED / "um-funding", FIVE))
    assert source.shift_unit_minutes == 10_080
    assert set(source.filled_minutes.values()) == {0}
    assert source.instruments == {symbol: LISTED[symbol] for symbol in FIVE}
    for symbol, frame in frames.items():
        bars = source.bars(symbol, -1_000, 3_000)
        stamps = pd.to_datetime(bars.open_ms - source.shift_ms, unit="ms", utc=True)
        wanted = frame.loc[stamps]
        for name in ("open", "high", "low", "close", "volume"):
            np.testing.assert_array_equal(getattr(bars, name), wanted[name].to_numpy())
    for minute in minutes_of(source, 1_999):
        check_minute(minute, source)
    first_hour = -(-source.first_open_ms // 28_800_000) * 28_800_000
    assert source.funding_rate("BTCUSDT", first_hour) is not None


def test_minutes_and_bars_name_the_same_facts():
    shared = {field.name for field in fields(Bars)}
    assert all(hasattr(Minute, name) for name in shared)
