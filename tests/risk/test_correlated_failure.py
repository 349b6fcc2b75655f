"""What many failing symbols latch, and how a person releases it."""

import pytest

from core import messages as m
from core.messages import TradingState
from tests.builders import DAY, NOON_NS, a_book, a_moment, a_proposal, an_account_update
from tests.risk.rooms import a_risk, ready, refusal

FAILURE = m.CorrelatedFailure(reason="3 of 5 symbols quarantined within 60 s")
CLEARED = m.CorrelatedFailureCleared(reason="BTCUSDT revived, none is left")
HALF_DAY_S = 43_200


def states(out: tuple[object, ...]) -> list[m.StateChanged]:
    return [x for x in out if isinstance(x, m.StateChanged)]


def test_nothing_opens_until_a_person_clears_it_whatever_day_it_is() -> None:
    risk = ready()
    (latched,) = states(risk.handle(FAILURE, a_moment()))
    assert (latched.state, latched.reason_code) == (TradingState.REDUCING, "correlated_failure")
    assert latched.latched_until_day is None
    assert refusal(risk, a_proposal()) == "state"
    assert states(risk.handle(m.Tick(), a_moment(2, venue_s=HALF_DAY_S))) == []
    assert risk.trading_state is TradingState.REDUCING
    (cleared,) = states(risk.handle(CLEARED, a_moment(3)))
    assert (cleared.state, cleared.reason_code) == (TradingState.ACTIVE, "revived")


def test_it_is_told_once_and_clearing_nothing_says_nothing() -> None:
    risk = ready()
    assert risk.handle(CLEARED, a_moment()) == ()
    assert len(risk.handle(FAILURE, a_moment())) == 1
    assert risk.handle(FAILURE, a_moment(1)) == ()


def test_it_survives_a_restart() -> None:
    risk = ready()
    (latched,) = states(risk.handle(FAILURE, a_moment()))
    again = a_risk()
    again.handle(a_book(state=latched), a_moment(1))
    again.handle(
        m.Reconciled(reason="", report=(), foreign_positions=0, foreign_orders=0), a_moment(1)
    )
    assert again.trading_state is TradingState.REDUCING
    assert len(again.handle(CLEARED, a_moment(2))) == 1


@pytest.mark.parametrize("first", ["failure", "loss"])
def test_a_halted_day_still_halts_and_the_next_day_does_not_release_what_a_person_must(
    first: str,
) -> None:
    risk = ready()
    if first == "failure":
        risk.handle(FAILURE, a_moment())
    risk.handle(an_account_update("9000", event_ns=NOON_NS + 1, reason="ORDER"), a_moment())
    halted = [s for n in range(1, 10) for s in states(risk.handle(m.Tick(), a_moment(n)))]
    if first == "loss":
        halted += states(risk.handle(FAILURE, a_moment(20)))
    assert halted[-1].state is TradingState.HALTED
    assert halted[-1].latched_until_day is None
    (left,) = states(risk.handle(m.Tick(), a_moment(30, venue_s=HALF_DAY_S)))
    assert (left.state, left.reason_code) == (TradingState.REDUCING, "correlated_failure")
    assert risk.book.day is not None
    assert risk.book.day.day == DAY + 1
    (cleared,) = states(risk.handle(CLEARED, a_moment(31, venue_s=HALF_DAY_S + 1)))
    assert cleared.state is TradingState.ACTIVE
