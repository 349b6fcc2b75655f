"""Frames: what the venue sends becomes messages, and nothing it sends can raise."""

import json
import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import messages as m
from core.feed.frames import parse_market, parse_user

T = 1795000000123
NS = T * 1_000_000

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=20,
)


def a_kline(**bar):
    return {
        "e": "kline",
        "E": T,
        "s": "BTCUSDT",
        "k": {
            "t": 1794999960000,
            "T": 1795000019999,
            "s": "BTCUSDT",
            "i": "1m",
            "f": 100,
            "L": 200,
            "o": "60000.0",
            "c": "60010.0",
            "h": "60020.0",
            "l": "59990.0",
            "v": "12.3",
            "n": 100,
            "x": True,
            "q": "738000.0",
            "V": "6.1",
            "Q": "366000.0",
            "B": "0",
            **bar,
        },
    }


def a_mark(**extra):
    return {"e": "markPriceUpdate", "E": T, "s": "BTCUSDT", "p": "60001.1", "st": 1, **extra}


def an_order(**order):
    return {
        "e": "ORDER_TRADE_UPDATE",
        "E": T,
        "T": T - 5,
        "o": {
            "s": "BTCUSDT",
            "c": "afb-E-x-0",
            "S": "BUY",
            "o": "MARKET",
            "f": "GTC",
            "q": "0.010",
            "p": "0",
            "ap": "60000.5",
            "sp": "0",
            "x": "TRADE",
            "X": "FILLED",
            "i": 22542179,
            "l": "0.010",
            "z": "0.010",
            "L": "60000.5",
            "n": "0.30000250",
            "N": "USDT",
            "T": T - 7,
            "t": 77,
            "m": False,
            "R": False,
            "cp": False,
            "rp": "0",
            **order,
        },
    }


def an_algo(**order):
    return {
        "e": "ALGO_UPDATE",
        "T": T,
        "E": T,
        "o": {
            "caid": "afb-S-x-0",
            "aid": 4000001910058351,
            "at": "CONDITIONAL",
            "o": "STOP_MARKET",
            "s": "BTCUSDT",
            "S": "SELL",
            "ps": "BOTH",
            "X": "REJECTED",
            "tp": "58000.0",
            "rm": "Reduce Only reject",
            "ia": False,
            **order,
        },
    }


def test_reads_a_closed_kline():
    frame = parse_market(a_kline(), "btcusdt@kline_1m")
    assert frame == m.KlineFrame(
        symbol="BTCUSDT",
        candle=m.Candle(
            open_time_ns=1794999960000 * 1_000_000,
            open=60000.0,
            high=60020.0,
            low=59990.0,
            close=60010.0,
            volume=12.3,
            taker_buy_volume=6.1,
        ),
        closed=True,
        event_ns=NS,
    )


def test_reads_a_mark_price_exactly_and_ignores_what_it_does_not_know():
    frame = parse_market(a_mark(news={"a": [1]}), "btcusdt@markPrice@1s")
    assert frame == m.MarkPrice(symbol="BTCUSDT", price=Decimal("60001.1"), event_ns=NS)


def test_reads_a_fill_with_the_time_of_the_trade():
    assert parse_user(an_order()) == m.OrderUpdate(
        symbol="BTCUSDT",
        client_id="afb-E-x-0",
        order_id=22542179,
        side=m.Side.BUY,
        order_type="MARKET",
        status="FILLED",
        execution="TRADE",
        quantity=Decimal("0.010"),
        executed=Decimal("0.010"),
        average_price=Decimal("60000.5"),
        trade_id=77,
        last_quantity=Decimal("0.010"),
        last_price=Decimal("60000.5"),
        commission=Decimal("0.30000250"),
        realized_pnl=Decimal(0),
        reduce_only=False,
        event_ns=(T - 7) * 1_000_000,
    )


def test_an_order_event_without_a_fill_has_no_commission():
    event = an_order(x="NEW", X="NEW", z="0", l="0", L="0", ap="0", t=0)
    del event["o"]["n"], event["o"]["N"]
    update = parse_user(event)
    assert isinstance(update, m.OrderUpdate)
    assert (update.commission, update.event_ns) == (Decimal(0), (T - 5) * 1_000_000)


def test_reads_why_a_stop_was_rejected():
    update = parse_user(an_algo())
    assert isinstance(update, m.AlgoUpdate)
    assert (update.client_id, update.status, update.reason) == (
        "afb-S-x-0",
        "REJECTED",
        "Reduce Only reject",
    )
    assert update.trigger_price == Decimal("58000.0")


def test_reads_the_quote_balance_and_ignores_other_assets():
    def event(asset):
        balance = {"a": asset, "wb": "9999.5", "cw": "9999.5", "bc": "-0.5"}
        return {"e": "ACCOUNT_UPDATE", "E": T, "T": T, "a": {"m": "FUNDING_FEE", "B": [balance]}}

    assert parse_user(event("USDT")) == m.AccountUpdate(
        reason="FUNDING_FEE",
        wallet_balance=Decimal("9999.5"),
        balance_change=Decimal("-0.5"),
        event_ns=NS,
    )
    assert parse_user(event("BNB")) is None


@pytest.mark.parametrize(
    "event", ["TRADE_LITE", "ACCOUNT_CONFIG_UPDATE", "MARGIN_CALL", "listenKeyExpired"]
)
def test_what_is_known_and_of_no_use_is_nothing(event):
    assert parse_user({"e": event}) is None


@pytest.mark.parametrize(
    "bar",
    [
        {"o": "NaN"},
        {"c": "inf"},
        {"c": None},
        {"c": True},
        {"l": "0"},
        {"l": "-1"},
        {"h": "60005.0"},
        {"l": "60005.0"},
        {"v": "-1"},
        {"V": "NaN"},
        {"t": 1794999960},
        {"t": "1794999960000"},
        {"T": 1794999960000},
        {"x": "true"},
        {"x": 1},
    ],
)
def test_a_kline_that_contradicts_itself_is_rejected(bar):
    frame = parse_market(a_kline(**bar), "btcusdt@kline_1m")
    assert isinstance(frame, m.FrameRejected)
    assert frame.stream == "btcusdt@kline_1m"
    assert frame.reason.startswith("kline: ")


@pytest.mark.parametrize(
    "payload",
    [
        a_mark(p="0"),
        a_mark(p="-5"),
        a_mark(p="NaN"),
        a_mark(p=60000.1),
        a_mark(p="1e99"),
        a_mark(s=""),
        a_mark(s="BTC\nUSDT"),
        a_mark(E=1.5),
        {"e": "aggTrade"},
        {},
        [],
        "x",
        None,
        3,
    ],
)
def test_market_frames_that_cannot_be_used_are_rejected(payload):
    assert isinstance(parse_market(payload, "s"), m.FrameRejected)


@pytest.mark.parametrize(
    "payload",
    [
        an_order(S="LONG"),
        an_order(z="-1"),
        an_order(i="22542179"),
        an_order(i=True),
        an_order(c=None),
        an_order(n="NaN"),
        an_algo(aid=-1),
        an_algo(tp="Infinity"),
        {"e": "ORDER_TRADE_UPDATE", "o": []},
        {"e": "ACCOUNT_UPDATE", "E": T, "a": {"m": "ORDER", "B": {}}},
        {"e": "UNHEARD_OF"},
    ],
)
def test_user_events_that_cannot_be_used_are_rejected(payload):
    assert isinstance(parse_user(payload), m.FrameRejected)


def test_a_sample_is_short_and_cannot_forge_a_log_line():
    payload = {"e": "kline", "k": "a\nb\x1b[31m" + "x" * 10_000, "more": ["y"] * 10_000}
    frame = parse_market(payload, "s\nt")
    assert isinstance(frame, m.FrameRejected)
    for text in (frame.sample, frame.reason, frame.stream):
        assert len(text) <= 120
        assert text.isprintable()


@given(JSON)
def test_no_json_value_raises(value):
    for parse in (lambda: parse_market(value, "s"), lambda: parse_user(value)):
        assert parse() is None or isinstance(parse(), m.FrameRejected)


@given(
    st.sampled_from([a_kline, a_mark, an_order, an_algo]),
    st.sampled_from(list("eEsToclhvVxXitqzapLnRSk")),
    JSON,
    st.booleans(),
)
def test_no_value_under_a_used_key_raises_or_lets_nonsense_through(make, key, value, inside):
    payload = make()
    inner = payload.get("k") or payload.get("o")
    target = inner if inside and isinstance(inner, dict) else payload
    target[key] = value
    for message in (parse_market(payload, "s"), parse_user(payload)):
        match message:
            case m.KlineFrame(candle=candle):
                prices = (candle.open, candle.high, candle.low, candle.close, candle.volume)
                assert all(map(math.isfinite, prices))
                assert candle.low > 0
            case m.MarkPrice(price=price):
                assert price.is_finite()
                assert price > 0
            case m.OrderUpdate():
                assert message.executed.is_finite()


def test_a_huge_number_in_a_frame_is_only_a_bad_frame():
    payload = json.loads('{"e": "kline", "E": ' + "9" * 4000 + ', "k": {}}')
    assert isinstance(parse_market(payload, "s"), m.FrameRejected)
    assert isinstance(parse_user(10**5000), m.FrameRejected)
