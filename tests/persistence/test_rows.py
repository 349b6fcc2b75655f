"""Facts to rows and back, losslessly."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from core.messages import Reservation, RuleCheck, TradingState
from core.persistence.rows import (
    exact,
    intent_from_row,
    intent_values,
    state_from_text,
    state_text,
    utc_text,
)
from tests.persistence.builders import a_decision, a_state, an_intent

_MONEY = st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=-1e9, max_value=1e9)


@given(
    quantity=_MONEY,
    stop=_MONEY,
    confidence=st.none() | st.floats(0, 1),
    words=st.text(max_size=20),
    cap=_MONEY,
)
def test_an_intent_reads_back_as_it_was_written(quantity, stop, confidence, words, cap):
    check = RuleCheck(rule=words, value="1", limit=words, passed=False)
    intent = an_intent(
        quantity=quantity,
        stop_price=stop,
        reservation=Reservation(notional=quantity, margin=stop, risk=cap),
        decision=a_decision(
            confidence=confidence, reason=words, checks=(check,), caps=((words, cap),)
        ),
    )
    assert intent_from_row(dict(intent_values(intent))) == intent


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_amounts_are_exact_and_without_exponent(amount):
    text = exact(amount)
    assert "E" not in text
    assert Decimal(text) == amount


def test_a_latched_state_reads_back():
    for state in TradingState:
        assert state_from_text(state_text(a_state(state))) == a_state(state)


def test_stamps_are_utc_text_that_sorts_by_time():
    assert utc_text(0) == "1970-01-01 00:00:00.000000"
    assert utc_text(1_755_216_000_000_000_000) == "2025-08-15 00:00:00.000000"
    assert utc_text(1_755_215_999_999_999_999) == "2025-08-14 23:59:59.999999"
