"""What the checks read of a real database is what the bot wrote there."""

from pathlib import Path

from actors.edges.database import DatabaseManager
from core import messages as m
from core.clock import NS_PER_MS
from core.messages import TradingState
from core.persistence.machine import PersistenceMachine
from tests.chaos.evidence import Database, Limits
from tests.chaos.invariants import violations
from tests.chaos.test_invariants import T0, a_clean_trade
from tests.persistence.builders import a_moment, a_state

LONG_BEFORE_NS = int(T0 * NS_PER_MS) - 3_600_000 * NS_PER_MS


def test_a_halt_holds_through_a_restart_until_somebody_resumes(tmp_path: Path):
    path = tmp_path / "bot.db"
    database = DatabaseManager(str(path), clock=a_moment)
    machine = PersistenceMachine(epoch=1)
    started = m.ActorEvent(
        name="risk", generation=1, event="started", detail="", at_ns=LONG_BEFORE_NS + 1
    )
    of_a_symbol = a_state(TradingState.ACTIVE, symbol="BTCUSDT", at_ns=LONG_BEFORE_NS + 2)
    for told in (a_state(at_ns=LONG_BEFORE_NS), started, of_a_symbol):
        database.apply(machine.handle(told, a_moment()))
    evidence = a_clean_trade()
    evidence.states = Database(str(path)).read(Limits(), evidence.ledger).states
    assert evidence.states == [("HALTED", LONG_BEFORE_NS / NS_PER_MS)]
    assert "I4" in violations(evidence)

    database.apply(
        machine.handle(a_state(TradingState.ACTIVE, at_ns=LONG_BEFORE_NS + 3), a_moment())
    )
    database.close()
    evidence.states = Database(str(path)).read(Limits(), evidence.ledger).states
    assert "I4" not in violations(evidence)
