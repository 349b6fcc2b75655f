"""How often: throttles that stay shut until a person opens them, and the same order twice."""

from decimal import Decimal

import pytest

from core import messages as m
from core.risk.machine import RiskMachine
from tests.builders import MINUTE_NS, NOON_NS, a_mark, a_moment, a_proposal, an_account
from tests.risk.rooms import a_risk, decide, make_ready, ready, refusal

MINUTE_S = 60


def wish(
    risk: RiskMachine, number: int, minute: float, symbol: str = "BTCUSDT"
) -> tuple[m.Decision, tuple[object, ...]]:
    """A wish on fresh data, `minute` venue minutes after noon, whose entry ends at once."""
    moment = a_moment(minute * MINUTE_S)
    risk.handle(a_mark(symbol=symbol, event_ns=moment.venue_ns), moment)
    risk.handle(an_account(at_ns=moment.venue_ns), moment)
    proposal = a_proposal(number, symbol=symbol, kline_close_ns=moment.venue_ns)
    out = risk.handle(proposal, moment)
    ended = m.EntryEnded(
        proposal_id=proposal.proposal_id, symbol=symbol, outcome="refused", detail=""
    )
    risk.handle(ended, moment)
    decision = out[0]
    assert isinstance(decision, m.Decision)
    return decision, out


def latched(out: tuple[object, ...]) -> list[tuple[str, str]]:
    return [(x.symbol, x.reason_code) for x in out if isinstance(x, m.StateChanged)]


# ---------------------------------------- entries
def test_a_loop_of_entries_stops_at_its_limit_and_stays_off_after_a_restart():
    risk = ready(MAX_ENTRIES_SYMBOL_1H=3)
    assert all(wish(risk, n, n)[0].approved for n in (1, 2, 3))
    decision, out = wish(risk, 4, 4)
    assert decision.reason_code == "entry_rate"
    assert "3 entries in an hour" in decision.reason
    assert latched(out) == [("BTCUSDT", "entry_rate")]
    assert wish(risk, 5, 5, "ETHUSDT")[0].approved
    assert wish(risk, 6, 120)[0].reason_code == "entry_rate"
    (state,) = [x for x in out if isinstance(x, m.StateChanged)]
    assert refusal(make_ready(a_risk(), symbol_states=(state,)), a_proposal()) == "entry_rate"


def test_the_book_told_twice_counts_its_entries_once():
    risk = a_risk(MAX_ENTRIES_SYMBOL_1H=3)
    entries = (("BTCUSDT", NOON_NS), ("BTCUSDT", NOON_NS + 1))
    make_ready(make_ready(risk, entries=entries), entries=entries)
    assert wish(risk, 1, 1)[0].approved
    assert wish(risk, 2, 2)[0].reason_code == "entry_rate"


def test_a_person_lets_a_throttled_symbol_count_anew():
    risk = ready(MAX_ENTRIES_SYMBOL_1H=1)
    wish(risk, 1, 1)
    wish(risk, 2, 2)
    risk.handle(m.Resume(symbol="BTCUSDT", source="cli"), a_moment(150))
    assert wish(risk, 3, 3)[0].approved
    assert wish(risk, 4, 4)[0].reason_code == "entry_rate"


def test_entries_leave_the_window_after_a_venue_hour():
    risk = ready(MAX_ENTRIES_SYMBOL_1H=2)
    assert all(wish(risk, n, minute)[0].approved for n, minute in ((1, 1), (2, 30), (3, 62)))


def test_a_wish_that_something_else_refuses_latches_no_throttle():
    risk = ready(MAX_ENTRIES_SYMBOL_1H=1)
    wish(risk, 1, 1)
    risk.handle(m.StorageFailed(reason="disk full"), a_moment(61))
    decision, out = wish(risk, 2, 2)
    assert decision.reason_code == "storage"
    assert latched(out) == []


def test_the_journals_entries_count_after_a_restart():
    entries = tuple(("BTCUSDT", NOON_NS - n * MINUTE_NS) for n in range(6, 0, -1))
    assert refusal(make_ready(a_risk(), entries=entries), a_proposal()) == "entry_rate"


@pytest.mark.parametrize("restart", [False, True])
def test_the_days_entries_are_counted_over_all_symbols_until_its_end(restart):
    risk = ready(MAX_ENTRIES_DAY=2)
    wish(risk, 1, 1)
    wish(risk, 1, 2, "ETHUSDT")
    if restart:
        risk = make_ready(a_risk(MAX_ENTRIES_DAY=2), day=risk.book.day)
    decision, out = wish(risk, 2, 3)
    assert decision.reason_code == "entries_day"
    assert latched(out) == []
    tomorrow = 12 * 60 + 1
    moment = a_moment(tomorrow * MINUTE_S)
    risk.handle(an_account(at_ns=moment.venue_ns), moment)
    risk.handle(m.Tick(), moment)
    assert wish(risk, 3, tomorrow)[0].approved


# ---------------------------------------- the same again
def test_refuses_the_same_order_again_within_a_short_while():
    risk = ready()
    assert wish(risk, 1, 0)[0].approved
    decision, _ = wish(risk, 2, 9.9 / MINUTE_S)
    assert decision.reason_code == "dup_window"
    assert "41.666 again after 9.9 s" in decision.reason
    assert wish(risk, 3, 10.1 / MINUTE_S)[0].approved


@pytest.mark.parametrize("other", [{"side": m.Side.SELL}, {"price": "99.7"}])
def test_another_side_or_quantity_is_another_order(other):
    risk = ready()
    assert wish(risk, 1, 0)[0].approved
    assert decide(risk, a_proposal(2, **other), 1)[0].approved


def test_the_window_can_be_closed():
    risk = ready(DUP_WINDOW_S=0.0)
    assert wish(risk, 1, 0)[0].approved
    assert wish(risk, 2, 0)[0].approved


# ---------------------------------------- signals
def test_a_symbol_that_signals_far_above_its_norm_is_latched_off():
    risk = ready(MAX_SIGNAL_RATIO=5.0, MAX_ENTRIES_SYMBOL_1H=1_000, MAX_ENTRIES_DAY=1_000)
    calm = [wish(risk, n, n * 30)[0] for n in range(1, 20)]  # two an hour
    assert all(decision.approved for decision in calm)
    found = [wish(risk, 100 + n, 600 + n) for n in range(1, 30)]
    codes = [decision.reason_code for decision, _ in found]
    first = codes.index("signal_rate")
    assert set(codes[:first]) == {"approved"}
    assert set(codes[first:]) == {"signal_rate"}
    assert latched(found[first][1]) == [("BTCUSDT", "signal_rate")]
    # 5 times the norm of two an hour, the last calm ones in the window included
    assert 8 <= first <= 11
    risk.handle(m.Resume(symbol="BTCUSDT", source="cli"), a_moment(640 * MINUTE_S))
    assert wish(risk, 200, 641)[0].approved


def test_the_norm_survives_a_restart():
    settings = {"MAX_SIGNAL_RATIO": 5.0, "MAX_ENTRIES_SYMBOL_1H": 1_000, "MAX_ENTRIES_DAY": 1_000}
    closes = tuple(NOON_NS + n * 30 * MINUTE_NS for n in range(1, 20))
    risk = make_ready(
        a_risk(**settings), wishes=(("BTCUSDT", closes[0], len(closes), closes[-10:]),)
    )
    codes = [wish(risk, 100 + n, 600 + n)[0].reason_code for n in range(1, 30)]
    assert 8 <= codes.index("signal_rate") <= 11  # as without a restart, above


def test_a_symbol_that_always_signals_is_at_its_norm():
    risk = ready(MAX_SIGNAL_RATIO=1.5, MAX_ENTRIES_SYMBOL_1H=1_000, MAX_ENTRIES_DAY=1_000)
    codes = {wish(risk, n, n)[0].reason_code for n in range(1, 500)}
    assert codes == {"approved"}


def test_no_norm_is_held_against_a_young_symbol():
    risk = ready(MAX_SIGNAL_RATIO=1.1, MAX_ENTRIES_SYMBOL_1H=1_000, MAX_ENTRIES_DAY=1_000)
    assert {wish(risk, n, n)[0].reason_code for n in range(1, 200)} == {"approved"}


def test_decimal_quantities_are_compared_by_value():
    risk = ready()
    decision, _ = wish(risk, 1, 0)
    assert decision.quantity == Decimal("41.6660")
