"""The writer: nothing it took is lost while storage fails, whoever dies meanwhile."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from actors.edges.database import DatabaseManager
from actors.edges.retention import Retention
from core import messages as m
from core.errors import UnavailableError
from core.persistence.machine import PersistenceMachine
from tests.persistence.builders import (
    T0,
    a_decision,
    a_fill,
    a_moment,
    a_move,
    a_record,
    a_signal,
    a_state,
    an_income,
    an_intent,
    kept,
)
from tests.persistence.writer import PATIENCE_S, Writer


class NoCommits(DatabaseManager):
    """Can be read but takes nothing while `down`, as on a full disk."""

    down = False

    def apply(self, writes: Iterable[Any]) -> None:
        if self.down:
            raise UnavailableError("database or disk is full")
        super().apply(writes)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[NoCommits]:
    manager = NoCommits(str(tmp_path / "bot.db"))
    manager.begin_epoch("venue")
    yield manager
    manager.close()


@pytest.fixture
def writer(database: NoCommits, tmp_path: Path) -> Iterator[Writer]:
    writer = Writer(database, tmp_path)
    yield writer
    if writer.generation:
        writer.stop()


@contextmanager
def _taken_away(tmp_path: Path) -> Iterator[None]:
    """Without its file while this lasts."""
    path = tmp_path / "bot.db"
    path.rename(tmp_path / "away.db")
    try:
        yield
    finally:
        (tmp_path / "away.db").rename(path)


def _trades(database: DatabaseManager) -> tuple[tuple[str, int], ...]:
    return database.recover().last_trade_ids


def _rows(database: DatabaseManager, table: str) -> int:
    with database._connection.session() as opened:
        return int(opened.execute_sql(f"SELECT COUNT(*) FROM {table}").fetchone()[0])  # noqa: S608


def test_tells_risk_of_a_state_once_it_is_on_disk(writer: Writer, tmp_path: Path) -> None:
    writer.start()
    with _taken_away(tmp_path):
        writer.tell(a_state())
        failed = writer.expect("risk", m.StorageFailed)
        assert "removed" in failed.reason
        assert "Fix: " in failed.reason
    writer.tell(m.Tick())
    recorded = writer.expect("risk", m.StateRecorded)
    assert recorded.state == a_state()
    assert writer.database.recover().state == a_state()


def test_tells_nothing_of_a_state_whose_commit_failed(writer: Writer, database: NoCommits) -> None:
    writer.start()
    database.down = True
    writer.tell(a_state())
    assert not [x for x in writer.told_so_far() if isinstance(x, m.StateRecorded)]
    database.down = False
    writer.clock.advance(3)
    writer.tell(m.Tick())
    writer.expect("risk", m.StateRecorded)


def test_what_could_not_be_written_survives_a_crash_in_the_middle_of_the_failure(
    writer: Writer, tmp_path: Path
) -> None:
    writer.start()
    with _taken_away(tmp_path):
        writer.tell(a_fill(trade_id=1))
        writer.expect("risk", m.StorageFailed)
        writer.clock.advance(6)
        writer.crash_at_next_word()
        writer.tell(a_fill(trade_id=2), a_state())
        assert writer.mailbox.reader_gone.wait(PATIENCE_S)
        writer.start()
    writer.tell(m.Tick())
    assert writer.expect("risk", m.StateRecorded).state == a_state()
    assert _trades(writer.database) == (("BTCUSDT", 2),)
    assert writer.database.recover().known_trades == (("BTCUSDT", (1, 2)),)


def test_an_intent_that_was_not_on_disk_in_time_is_never_acknowledged_later(
    writer: Writer, database: NoCommits
) -> None:
    writer.start()
    database.down = True
    writer.tell(a_record(an_intent(client_id="late")))
    writer.expect("risk", m.StorageFailed)
    database.down = False
    writer.tell(a_record(an_intent(client_id="fresh")))
    assert writer.expect("execution", m.IntentRecorded).client_id == "fresh"
    assert {i.client_id for i, _ in database.recover().intents} == {"late", "fresh"}


def test_a_message_that_cannot_be_written_takes_none_of_its_batch_along(writer: Writer) -> None:
    writer.tell(a_fill(trade_id=1), a_move("LOST"), a_fill(trade_id=2))
    writer.start()
    assert writer.mailbox.reader_gone.wait(PATIENCE_S)
    assert "LOST" in writer.expect("supervisor", m.Crashed).error
    assert writer.database.recover().known_trades == (("BTCUSDT", (1, 2)),)


_HOSTILE = "a\x00b\ud800c\n<b>'\"; DROP TABLE orders; --\u202e"


def test_hostile_words_of_venue_or_strategy_are_stored_like_any_others(db_url: str) -> None:
    database = DatabaseManager(db_url)
    machine = PersistenceMachine(epoch=1)
    told = (
        a_record(),
        a_move("UNKNOWN", reason=_HOSTILE),
        a_decision(reason=_HOSTILE, reason_code=_HOSTILE),
        a_signal(reason=_HOSTILE, signal=_HOSTILE),
        a_state(reason=_HOSTILE, symbol="BTCUSDT"),
        a_fill(client_id=_HOSTILE, purpose=None),
        m.ActorEvent(name="x", generation=1, event="crashed", detail=_HOSTILE),
        m.Reconciled(reason="r", report=(_HOSTILE,), foreign_positions=0, foreign_orders=0),
        an_income(kind=_HOSTILE, asset=_HOSTILE),
    )
    for message in told:
        database.apply(machine.handle(message, a_moment()))
    assert database.verify_audit().faults == ()
    assert database.recover().symbol_states
    database.close()


def test_a_row_that_the_database_refuses_takes_none_of_its_batch_along(writer: Writer) -> None:
    poison = a_fill(trade_id=7, client_id=None)
    writer.tell(a_fill(trade_id=1), poison, a_state())
    writer.start()
    assert writer.mailbox.reader_gone.wait(PATIENCE_S)
    assert writer.expect("risk", m.StateRecorded).state == a_state()
    assert _trades(writer.database) == (("BTCUSDT", 1),)
    writer.start()
    writer.tell(a_fill(trade_id=2))
    writer.told_so_far()
    assert _trades(writer.database) == (("BTCUSDT", 2),)


def test_a_room_that_starts_while_the_disk_is_full_gets_the_book_with_what_was_not_written(
    writer: Writer, database: NoCommits
) -> None:
    writer.start()
    writer.tell(a_record())
    writer.expect("execution", m.IntentRecorded)
    database.down = True
    writer.tell(a_fill(), a_state())
    writer.expect("risk", m.StorageFailed)
    writer.tell(m.FetchBook(room="execution"))
    writer.expect("risk", m.StorageFailed)  # the room that came back must hear of it
    book = writer.expect("execution", m.RecoveredBook)
    assert book.positions == (("BTCUSDT", Decimal("0.015")),)
    assert book.state == a_state()
    assert database.recover().positions == ()


def test_a_room_that_starts_without_any_database_gets_the_book_once_it_is_back(
    writer: Writer, tmp_path: Path
) -> None:
    writer.start()
    with _taken_away(tmp_path):
        writer.tell(a_fill())
        writer.expect("risk", m.StorageFailed)
        writer.tell(m.FetchBook(room="execution"))
    writer.clock.advance(3)
    writer.tell(m.Tick())
    assert writer.expect("execution", m.RecoveredBook).positions
    assert writer.generation == 1


def test_does_not_try_again_at_every_message_while_storage_fails(
    writer: Writer, database: NoCommits
) -> None:
    writer.start()
    tries = []
    database.down = True
    original = database.apply

    def counted(writes: Any) -> None:
        tries.append(1)
        original(writes)

    database.apply = counted  # type: ignore[method-assign]
    for number in range(50):
        writer.tell(a_fill(trade_id=number + 1))
    writer.told_so_far()
    assert len(tries) < 10
    database.down = False
    writer.clock.advance(3)
    writer.tell(m.Tick())
    writer.told_so_far()
    assert _trades(database) == (("BTCUSDT", 50),)


def test_removes_what_is_older_than_it_has_to_be_kept_when_there_is_nothing_to_do(
    database: NoCommits, tmp_path: Path
) -> None:
    day_ns = 86_400 * 10**9
    writer = Writer(database, tmp_path, retention=kept(30))
    for age in (40, 31, 29, 0):
        at_ns = T0 - age * day_ns
        writer.tell(
            a_signal(kline_close_ns=at_ns),
            a_decision(proposal_id=f"p{age}", decided_at_ns=at_ns),
        )
    writer.start()
    writer.told_so_far()
    assert _rows(database, "decisions") == 4
    deadline = time.monotonic() + PATIENCE_S
    while _rows(database, "decisions") == 4:
        assert time.monotonic() < deadline
        writer.tell(m.Tick())
    assert (_rows(database, "decisions"), _rows(database, "signals")) == (2, 2)
    assert database.verify_audit().faults == ()
    writer.stop()


def test_old_rows_go_in_batches_also_while_others_wait(database: NoCommits, tmp_path: Path) -> None:
    """At hundreds of closed klines a second there is always somebody waiting."""
    machine, old, kept_days = (
        PersistenceMachine(epoch=1),
        700,
        Retention(days=1, signal_days=1, snapshot_days=1),
    )
    day_ns = 86_400 * 1_000_000_000
    for minute in range(old):
        stale = a_signal(kline_close_ns=T0 + minute * 60_000_000_000)
        database.apply(machine.handle(stale, a_moment()))
    writer = Writer(database, tmp_path, kept_days)
    writer.clock.advance(3 * 86_400)
    fresh = [a_signal(kline_close_ns=T0 + 3 * day_ns + n * 60_000_000_000) for n in range(5)]
    database.apply(machine.handle(fresh[0], a_moment()))
    writer.tell(m.Tick(), *fresh[1:])
    writer.start()
    writer.told_so_far()
    assert len(fresh) < _rows(database, "signals") < old
    writer.stop()
