"""One symbol's decisions: once a candle, on a whole buffer only, the same ids after a restart."""

from typing import Any

import pandas as pd
import pytest

from core import messages as m
from core.symbol.machine import CrashOnDemandError, SymbolMachine
from core.symbol.strategy import EnhancedStrategy
from tests.builders import MINUTE_NS, NOON_NS, SYMBOL, a_candle, a_moment, an_instrument
from tests.execution.desk import one, some

BARS = 5


class Scripted:
    """A user's strategy: says what it is told to say, and remembers what it was shown."""

    warmup = BARS

    def __init__(self, signal: str | None = "BUY") -> None:
        self.signal = signal
        self.shown: list[pd.DataFrame] = []

    def generate_signal(self, df: pd.DataFrame) -> tuple[str | None, float, dict[str, Any]]:
        self.shown.append(df)
        return self.signal, 0.8, {}


def a_machine(strategy: Any = None, generation: int = 1, **changes: Any) -> SymbolMachine:
    return SymbolMachine(
        symbol=SYMBOL,
        strategy=strategy or Scripted(),
        strategy_name="scripted",
        instrument=an_instrument(),
        interval_ns=MINUTE_NS,
        generation=generation,
        **{"bars": BARS, "bars_min": BARS, **changes},
    )


def closed(minute: int, close: float = 100.0) -> m.ClosedKline:
    candle = a_candle(minute, close)
    return m.ClosedKline(symbol=SYMBOL, candle=candle, event_ns=NOON_NS)


def history(last: int, bars: int = BARS, missing: tuple[int, ...] = ()) -> m.KlineHistory:
    """`bars` candles up to the one that opened in minute `last`."""
    minutes = [n for n in range(last - bars + 1, last + 1) if n not in missing]
    return m.KlineHistory(symbol=SYMBOL, candles=tuple(map(a_candle, minutes)))


def warm(strategy: Any = None, last: int = 0, **changes: Any) -> SymbolMachine:
    machine = a_machine(strategy, **changes)
    assert machine.start(a_moment()) == (m.FetchHistory(symbol=SYMBOL, bars=BARS),)
    assert machine.handle(history(last), a_moment()) == ()
    return machine


# ---------------------------------------- deciding
def test_a_closed_candle_leads_to_a_signal_and_a_proposal():
    out = warm().handle(closed(1, 100.04), a_moment(60))
    computed, proposal = out
    assert (computed.signal, computed.reason) == ("BUY", "")
    assert computed.kline_close_ns == proposal.kline_close_ns == NOON_NS + 2 * MINUTE_NS
    assert (proposal.side, proposal.strength) == (m.Side.BUY, 0.8)
    assert str(proposal.price) == "100.0"  # on the tick
    assert (proposal.generation, proposal.decided_at_ns) == (1, a_moment(60).venue_ns)


def test_the_strategy_sees_the_newest_bars_with_the_closed_one_last():
    strategy = Scripted()
    warm(strategy).handle(closed(1, 107.0), a_moment())
    (frame,) = strategy.shown
    assert len(frame) == BARS
    assert frame["close"].iloc[-1] == 107.0


def test_no_candle_is_decided_on_twice():
    machine = warm()
    assert machine.handle(closed(1), a_moment())
    assert machine.handle(closed(1), a_moment()) == ()
    assert machine.handle(closed(0), a_moment()) == ()


def test_history_alone_decides_nothing():
    strategy = Scripted()
    warm(strategy)
    assert strategy.shown == []


@pytest.mark.parametrize("silence", [None, "HOLD"])
def test_no_signal_is_told_with_its_reason(silence):
    machine = warm(Scripted(silence))
    (computed,) = machine.handle(closed(1), a_moment())
    assert computed.signal == "HOLD"
    assert computed.reason
    assert machine.last_reason == computed.reason


def test_close_asks_for_an_exit():
    out = warm(Scripted("CLOSE")).handle(closed(1), a_moment())
    leave = one(m.ExitProposal, out)
    assert (leave.symbol, leave.generation) == (SYMBOL, 1)
    assert some(m.Proposal, out) == []


def test_a_strategy_of_ones_own_needs_no_assessment():
    computed, proposal = warm().handle(closed(1), a_moment())
    assert (computed.prediction, computed.confidence, computed.technical) == (0.0, None, ())
    assert proposal.confidence is None


def test_the_default_strategys_assessment_is_told():
    strategy = EnhancedStrategy({})
    bars = strategy.warmup
    machine = a_machine(strategy, bars=bars, bars_min=bars)
    machine.start(a_moment())
    machine.handle(history(0, bars), a_moment())
    (computed,) = machine.handle(closed(1), a_moment())
    assert computed.reason == strategy.last_assessment.reason != ""
    assert dict(computed.technical).keys() >= {"ema_signal", "rsi_signal"}


def test_no_decision_on_a_short_buffer():
    machine = a_machine()
    machine.start(a_moment())
    machine.handle(history(0, BARS - 2), a_moment())
    assert machine.handle(closed(1), a_moment()) == ()
    assert len(machine.handle(closed(2), a_moment())) == 2


# ---------------------------------------- ids
def test_proposal_ids_are_the_same_in_every_generation_and_differ_by_content():
    def proposal(signal: str = "BUY", minute: int = 1, generation: int = 1) -> str:
        machine = warm(Scripted(signal), last=minute - 1, generation=generation)
        return machine.handle(closed(minute), a_moment())[1].proposal_id

    assert proposal() == proposal(generation=2)
    assert len({proposal(), proposal("SELL"), proposal("CLOSE"), proposal(minute=2)}) == 4


# ---------------------------------------- history
def test_candles_that_close_while_the_history_is_on_its_way_are_decided_on():
    machine = a_machine()
    machine.start(a_moment())
    assert machine.handle(closed(1), a_moment()) == ()
    assert machine.handle(closed(2), a_moment()) == ()
    out = machine.handle(history(0), a_moment())
    assert [p.kline_close_ns for p in some(m.Proposal, out)] == [
        NOON_NS + 2 * MINUTE_NS,
        NOON_NS + 3 * MINUTE_NS,
    ]


def test_a_pending_candle_that_the_history_holds_already_is_decided_on_once():
    machine = a_machine()
    machine.start(a_moment())
    machine.handle(closed(1), a_moment())
    out = machine.handle(history(1), a_moment())
    assert len(some(m.Proposal, out)) == 1
    assert machine.handle(closed(1), a_moment()) == ()


def test_a_gap_fetches_the_history_and_decides_nothing_until_it_is_whole():
    strategy = Scripted()
    machine = warm(strategy)
    assert machine.handle(closed(3), a_moment()) == (m.FetchHistory(symbol=SYMBOL, bars=BARS),)
    assert strategy.shown == []
    out = machine.handle(history(3), a_moment())
    assert len(some(m.Proposal, out)) == 1


def test_a_resync_fetches_the_history_and_decides_no_candle_again():
    machine = warm()
    machine.handle(closed(1), a_moment())
    assert some(m.FetchHistory, machine.handle(m.Resync(symbol=SYMBOL, reason="x"), a_moment()))
    assert machine.handle(history(1), a_moment()) == ()
    assert machine.handle(closed(1), a_moment()) == ()
    assert machine.handle(closed(2), a_moment())


def test_a_failed_history_is_asked_for_again_after_a_while():
    machine = a_machine()
    machine.start(a_moment())
    failed = m.KlineHistory(symbol=SYMBOL, candles=(), reason="timeout")
    assert machine.handle(failed, a_moment(1)) == ()
    assert machine.handle(closed(1), a_moment(4)) == ()
    assert some(m.FetchHistory, machine.handle(closed(2), a_moment(6)))
    assert len(some(m.Proposal, machine.handle(history(2), a_moment(7)))) == 1


def test_a_history_that_still_lacks_a_candle_is_not_asked_for_in_a_circle():
    machine = warm()
    machine.handle(closed(3), a_moment())
    assert machine.handle(history(1), a_moment(0.02)) == ()  # the venue lags behind its stream
    assert machine.handle(closed(4), a_moment(1)) == ()
    assert some(m.FetchHistory, machine.handle(closed(5), a_moment(6)))
    assert some(m.Proposal, machine.handle(history(5), a_moment(6.1)))


def test_a_holed_history_is_used_from_behind_its_hole():
    strategy = Scripted()
    machine = a_machine(strategy, bars=10, bars_min=5)
    machine.start(a_moment())
    assert machine.handle(history(0, 10, missing=(-5,)), a_moment()) == ()
    assert machine.handle(closed(1), a_moment())
    (frame,) = strategy.shown
    assert len(frame) == 6
    assert frame.index[-1] - frame.index[0] == pd.Timedelta(minutes=5)


def test_only_as_many_pending_candles_are_kept_as_the_buffer_holds():
    machine = a_machine()
    machine.start(a_moment())
    for minute in range(1, 40):
        machine.handle(closed(minute), a_moment())
    assert len(machine._pending) <= BARS + 1


# ---------------------------------------- life
def test_it_crashes_on_demand():
    with pytest.raises(CrashOnDemandError, match=SYMBOL):
        warm().handle(m.CrashNow(symbol=SYMBOL), a_moment())


def test_it_tells_where_it_stands():
    machine = a_machine()
    assert (machine.last_close_ms, machine.last_reason) == (0, "warming up")
    machine = warm()
    assert machine.last_close_ms == (NOON_NS + MINUTE_NS) // 10**6 - 1
    assert len(machine.frame()) == BARS
