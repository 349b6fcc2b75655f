"""Every older schema is brought up to date with its rows; a newer one is refused."""

import signal
import subprocess
import sys
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import peewee
import pytest

from actors.edges import migrations
from actors.edges.connection import Connection
from actors.edges.database import DatabaseManager
from core.clock import NS_PER_DAY
from core.errors import ConfigurationError, UnavailableError
from core.execution.income import LAG_NS
from core.persistence.machine import PersistenceMachine
from tests.persistence.builders import T0, a_day, a_decision, a_moment, an_income


def _at_version(db_url: str, version: int) -> None:
    """Make a database as the program of that version left it, with one trade."""
    words = migrations._POSTGRESQL if "://" in db_url else migrations._SQLITE
    with _raw(db_url) as database:
        for step in migrations.MIGRATIONS[:version]:
            for statement in step:
                database.execute_sql(statement.format(**words))
        database.execute_sql(
            "INSERT INTO trades (trade_id, order_id, symbol, side, quantity, price, pnl, timestamp)"
            " VALUES ('A:1', 'A:1', 'A', 'BUY', 1, 2, 3.5, '2025-08-15 12:00:00')"
        )
        for step in range(2, version + 1):
            insertion = f"INSERT INTO schema_version (version) VALUES ({step})"  # noqa: S608
            database.execute_sql(insertion)


def _raw(db_url: str) -> peewee.Database:
    if "://" in db_url:
        return peewee.PostgresqlDatabase(db_url, prefer_psycopg3=True)
    return peewee.SqliteDatabase(db_url)


@pytest.mark.parametrize("version", range(1, migrations.VERSION + 1))
def test_an_older_database_is_brought_up_to_date_with_its_rows(db_url, version):
    _at_version(db_url, version)
    database = DatabaseManager(db_url)
    database.initialize_database()
    assert database.get_daily_pnl(day="2025-08-15") == 3.5
    assert database.begin_epoch("venue") == 1
    database.close()
    connection = Connection(db_url, read_only=True)
    with connection.session() as opened:
        assert migrations.version_of(opened) == migrations.VERSION
        versions = opened.execute_sql("SELECT version FROM schema_version ORDER BY version")
        assert [row[0] for row in versions.fetchall()] == list(range(1, migrations.VERSION + 1))
    connection.close()


def test_opening_an_up_to_date_database_again_changes_nothing(db_url):
    for _ in range(2):
        database = DatabaseManager(db_url)
        database.initialize_database()
        database.close()


def test_a_newer_database_is_refused_in_one_line_and_left_as_it_is(db_url):
    _at_version(db_url, migrations.VERSION)
    with _raw(db_url) as database:
        database.execute_sql("INSERT INTO schema_version (version) VALUES (99)")
    for read_only in (False, True):
        manager = DatabaseManager(db_url, read_only=read_only)
        for _ in range(2):
            with pytest.raises(ConfigurationError, match=r"schema 99, newer.*Fix: ") as refusal:
                manager.initialize_database()
            assert "\n" not in str(refusal.value)


def test_a_reader_does_not_migrate_but_says_who_does(db_url):
    _at_version(db_url, 1)
    with pytest.raises(ConfigurationError, match=r"schema 1.*Fix: run the bot once"):
        DatabaseManager(db_url, read_only=True).get_bot_state()


def test_an_upgrade_that_fails_half_way_leaves_the_older_schema_whole(db_url):
    _at_version(db_url, 1)
    with _raw(db_url) as database:
        database.execute_sql("CREATE TABLE day_ledger (day INTEGER)")  # in the way of the last step
    with pytest.raises((UnavailableError, peewee.ProgrammingError), match="day_ledger"):
        DatabaseManager(db_url).initialize_database()
    with _raw(db_url) as database:
        assert "order_intent" not in database.get_tables()
        assert migrations.version_of(database) == 1


# Migrates, and kills itself as `kill -9` does once so many statements of the upgrade are through.
_KILLED = """
import os, signal, sys
import peewee
from actors.edges.database import DatabaseManager

left, original = int(sys.argv[2]), peewee.Database.execute_sql

def execute(self, sql, *arguments, **named):
    global left
    result = original(self, sql, *arguments, **named)
    left -= sql.startswith(("CREATE", "ALTER", "INSERT"))
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return result

peewee.Database.execute_sql = execute
DatabaseManager(sys.argv[1]).initialize_database()
"""


@pytest.mark.parametrize(("version", "statements"), [(1, 1), (1, 14), (3, 1), (3, 9), (3, 15)])
def test_an_upgrade_killed_half_way_leaves_the_older_schema_and_is_done_by_the_next_start(
    db_url, version, statements
):
    _at_version(db_url, version)
    command = [sys.executable, "-c", _KILLED, db_url, str(statements)]
    killed = subprocess.run(command, check=False, cwd=Path(__file__).parents[2], timeout=60)
    assert killed.returncode == -signal.SIGKILL
    with closing(_raw(db_url)) as database:
        database.connect()
        assert migrations.version_of(database) == version
        assert "audit_chain" not in database.get_tables()
    database = DatabaseManager(db_url)
    assert database.begin_epoch("venue") == 1
    assert database.get_daily_pnl(day="2025-08-15") == 3.5
    assert database.verify_audit().faults == ()
    database.close()


def test_what_an_older_program_decided_is_outside_the_chain_and_what_comes_later_inside(db_url):
    _at_version(db_url, 3)
    with _raw(db_url) as database:
        database.execute_sql(
            "INSERT INTO decisions (proposal_id, symbol, side, approved, reason_code, reason,"
            " checks, caps, quantity, price, kline_close_ns, decided_at_ns, epoch)"
            " VALUES ('old', 'A', 'BUY', 1, '', '', '[]', '[]', '1', '1', 1, 1, 1)"
        )
        database.execute_sql(
            "INSERT INTO day_ledger (day, equity_start, realized, fees, funding, entries, halted,"
            " epoch, updated_at_ns) VALUES (20315, '1000.5', '-3', '0', '0', 2, 0, 1, 1)"
        )
    database = DatabaseManager(db_url)
    database.apply(PersistenceMachine(epoch=1).handle(a_decision(), a_moment()))
    assert database.verify_audit().faults == ()
    assert database.verify_audit().links == 1
    assert database.recover().day.equity_min == Decimal("1000.5")
    database.close()


def test_income_that_the_stream_told_stays_and_the_venues_list_goes_on_after_it(db_url):
    _at_version(db_url, 4)
    with _raw(db_url) as database:
        for number in range(2):
            values = f"'FUNDING_FEE', '-0.5', '{number}', {T0}"
            columns = "kind, amount, wallet_balance, at_ns"
            database.execute_sql(f"INSERT INTO income ({columns}) VALUES ({values})")  # noqa: S608
    database = DatabaseManager(db_url)
    assert database.recover().income_up_to_ns == T0
    machine = PersistenceMachine(epoch=1)
    for _ in range(2):
        for symbol in ("BTCUSDT", "ETHUSDT"):
            told = an_income(symbol=symbol, at_ns=T0 + LAG_NS + 1)
            database.apply(machine.handle(told, a_moment()))
    assert database.recover().income_up_to_ns == T0 + 1
    database.close()
    with _raw(db_url) as raw:
        rows = raw.execute_sql("SELECT amount, symbol, at_ns FROM income ORDER BY id").fetchall()
    new = [("-1.23", symbol, T0 + LAG_NS + 1) for symbol in ("BTCUSDT", "ETHUSDT")]
    assert [tuple(row) for row in rows] == [("-0.5", None, T0)] * 2 + new


def test_a_database_without_income_begins_with_its_own_first_day(db_url):
    database = DatabaseManager(db_url)
    database.initialize_database()
    assert database.recover().income_up_to_ns == 0
    machine = PersistenceMachine(epoch=1)
    for day in (20_316, 20_315):
        database.apply(machine.handle(a_day(day), a_moment()))
    assert database.recover().income_up_to_ns == 20_315 * NS_PER_DAY - 1  # midnight's is wanted
    database.close()
