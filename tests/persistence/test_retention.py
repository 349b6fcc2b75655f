"""What grows with every candle or every few seconds is kept as long as was asked, not longer."""

from dataclasses import replace

from actors.edges.database import DatabaseManager
from actors.edges.retention import Retention
from core.clock import NS_PER_DAY, NS_PER_S
from core.persistence.machine import PersistenceMachine
from core.persistence.rows import utc_text
from tests.persistence.builders import T0, a_decision, a_moment, a_signal

HOUR_NS = 3_600 * NS_PER_S


def _column(database: DatabaseManager, query: str) -> list[str]:
    with database._connection.session() as opened:
        return [str(row[0]) for row in opened.execute_sql(query).fetchall()]


def _pruned(database: DatabaseManager, now_ns: int, keep: Retention) -> int:
    calls = 0
    while database.prune(now_ns, keep):
        calls += 1
    return calls


def _snapshots(database: DatabaseManager, count: int, every_s: int) -> None:
    start_ns = T0 - T0 % NS_PER_DAY
    with database._connection.session():
        for n in range(count):
            stamp = utc_text(start_ns + n * every_s * NS_PER_S)
            figures = {"total_balance": float(n), "available_balance": 0.0}
            database.snapshot_account(figures | {"timestamp": stamp})


def test_of_old_account_snapshots_the_first_of_each_hour_stays(database):
    _snapshots(database, 12 * 24 * 3, every_s=300)  # three days
    now_ns = T0 - T0 % NS_PER_DAY + 3 * NS_PER_DAY
    _pruned(database, now_ns, Retention(days=9, signal_days=9, snapshot_days=1))
    kept = _column(database, "SELECT total_balance FROM account_snapshot ORDER BY id")
    hourly, whole = [float(12 * n) for n in range(48)], [float(n) for n in range(12 * 48, 12 * 72)]
    assert [float(text) for text in kept] == hourly + whole


def test_thinning_goes_on_in_small_batches_and_again_after_a_restart(database):
    _snapshots(database, 1_200, every_s=10)
    now_ns = T0 + 9 * NS_PER_DAY
    keep = Retention(days=30, signal_days=30, snapshot_days=1)
    database.prune(now_ns, keep)
    left = len(_column(database, "SELECT id FROM account_snapshot"))
    assert 1_200 - 500 <= left < 1_200
    database._thinned = type(database._thinned)()  # what a new process knows of it
    _pruned(database, now_ns, keep)
    assert len(_column(database, "SELECT id FROM account_snapshot")) == 4  # 1,200 x 10 s
    assert database.prune(now_ns, keep) == 0


def test_signals_go_before_the_decisions_that_they_led_to(database):
    machine = PersistenceMachine(epoch=1)
    for day in range(10):
        at_ns = T0 + day * NS_PER_DAY
        told = (
            a_signal(kline_close_ns=at_ns),
            a_decision(proposal_id=f"p{day}", decided_at_ns=at_ns),
        )
        for message in told:
            database.apply(machine.handle(message, replace(a_moment(), venue_ns=at_ns)))
    now_ns = T0 + 9 * NS_PER_DAY
    _pruned(database, now_ns, Retention(days=100, signal_days=3, snapshot_days=3))
    assert len(_column(database, "SELECT id FROM signals")) == 4
    assert len(_column(database, "SELECT id FROM decisions")) == 10
    assert database.verify_audit().faults == ()
