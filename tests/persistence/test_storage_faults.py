"""Real damage under way: one line with the fix, nothing falsely acknowledged, used once healed."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from actors.edges.connection import _ANSWER_WITHIN_S
from actors.edges.database import DatabaseManager
from core.errors import UnavailableError
from core.persistence.machine import PersistenceMachine
from tests.persistence.builders import a_decision, a_moment, a_record, an_intent

_ROOT = Path(__file__).parents[2]


def _store(database: DatabaseManager, name: str) -> None:
    intent = an_intent(client_id=name, proposal_id=name)
    database.apply(PersistenceMachine(epoch=1).handle(a_record(intent), a_moment()))


def _stored(db_url: str) -> set[str]:
    with closing(DatabaseManager(db_url)) as database:
        assert database.verify_audit().faults == ()
        return {intent.client_id for intent, _ in database.recover().intents}


def _copied(folder: Path, to: Path) -> Path:
    """What a power cut leaves: the files as they are, without what the process has in memory."""
    to.mkdir()
    for name in ("bot.db", "bot.db-wal"):
        shutil.copy(folder / name, to / name)
    return to / "bot.db"


# ---------------------------------------- SQLite
def test_each_acknowledged_commit_is_in_the_files_when_the_power_goes(tmp_path):
    (tmp_path / "live").mkdir()
    with closing(DatabaseManager(str(tmp_path / "live" / "bot.db"))) as database:
        names = set()
        for number in range(20):
            _store(database, f"c{number}")
            names.add(f"c{number}")
            left = _copied(tmp_path / "live", tmp_path / f"cut{number}")
            assert _stored(str(left)) == names


def test_a_write_ahead_log_cut_anywhere_leaves_whole_transactions_and_a_chain_that_holds(tmp_path):
    (tmp_path / "live").mkdir()
    with closing(DatabaseManager(str(tmp_path / "live" / "bot.db"))) as database:
        for number in range(12):
            _store(database, f"c{number}")
        size = (tmp_path / "live" / "bot.db-wal").stat().st_size
        seen = set()
        for cut in range(20):
            left = _copied(tmp_path / "live", tmp_path / f"cut{cut}")
            os.truncate(left.with_name("bot.db-wal"), size * (cut + 1) // 20 - 1)
            kept = _stored(str(left))
            assert kept == {f"c{number}" for number in range(len(kept))}, "an earlier one is lost"
            seen.add(len(kept))
    assert len(seen) > 5


def test_pages_that_rot_under_way_stop_all_writing_as_soon_as_they_are_read(tmp_path):
    path = tmp_path / "bot.db"
    with closing(DatabaseManager(str(path))) as database:
        machine = PersistenceMachine(epoch=1)
        for number in range(300):
            decision = a_decision(proposal_id=f"p{number}", reason="x" * 20_000)
            database.apply(machine.handle(decision, a_moment()))
    database = DatabaseManager(str(path))
    _store(database, "before")
    with path.open("r+b") as file:
        for page in range(4, path.stat().st_size // 4096):
            file.seek(page * 4096)
            file.write(os.urandom(4096))
    with pytest.raises(UnavailableError, match=r"malformed.*Fix: put a backup") as error:
        database.verify_audit()  # reads what no cache holds
    assert "\n" not in str(error.value)
    with pytest.raises(UnavailableError, match="Fix: "):
        _store(database, "later")
    database.close()


_READ_ONLY = """
import os, sys
from actors.edges.database import DatabaseManager
from core.errors import UnavailableError
if os.getuid() == 0:
    os.setuid(65534)  # root may write everywhere
try:
    DatabaseManager(sys.argv[1]).update_bot_state({"a": 1})
except UnavailableError as error:
    print(error)
"""


@pytest.mark.parametrize(("file", "folder"), [(0o444, 0o777), (0o444, 0o555), (0o666, 0o555)])
def test_a_read_only_file_or_folder_is_refused_with_what_to_do(file, folder):
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "bot.db"
        with closing(DatabaseManager(str(path))) as database:
            database.initialize_database()
        path.chmod(file)
        path.parent.chmod(folder)
        command = [sys.executable, "-c", _READ_ONLY, str(path)]
        said = subprocess.run(
            command, cwd=_ROOT, check=True, capture_output=True, text=True, timeout=60
        ).stdout
        path.parent.chmod(0o700)
    assert f"DB_FILE {path} cannot be used" in said
    assert "Fix: make the f" in said
    assert said.count("\n") == 1


def test_a_folder_removed_under_way_is_not_made_again(tmp_path):
    folder = tmp_path / "state"
    folder.mkdir()
    database = DatabaseManager(str(folder / "bot.db"))
    _store(database, "before")
    shutil.rmtree(folder)
    for _ in range(2):
        with pytest.raises(UnavailableError, match="Fix: "):
            _store(database, "after")
    assert not folder.exists()
    database.close()


def test_an_older_copy_put_in_its_place_is_not_written_on(tmp_path):
    path = tmp_path / "live" / "bot.db"
    path.parent.mkdir()
    with closing(DatabaseManager(str(path))) as database:
        _store(database, "before")
        older = _copied(path.parent, tmp_path / "older").parent
        _store(database, "acknowledged")
        path.parent.rename(tmp_path / "newest")
        older.rename(path.parent)
        with pytest.raises(UnavailableError, match="removed or replaced"):
            _store(database, "later")
        for _ in range(2):
            with pytest.raises(UnavailableError, match=r"older copy.*Fix: put the newest copy"):
                _store(database, "later")
        path.parent.rename(older)
        (tmp_path / "newest").rename(path.parent)
        _store(database, "later")
    assert _stored(str(path)) == {"before", "acknowledged", "later"}


# ---------------------------------------- PostgreSQL
@pytest.fixture
def on_postgres(postgres) -> Iterator[DatabaseManager]:
    database = DatabaseManager(postgres.empty_database())
    _store(database, "first")
    yield database
    database.close()


@contextmanager
def _standing_still(database: DatabaseManager) -> Iterator[int]:
    """While the server's process for this connection stands still."""
    with database._connection.session() as opened:
        pid = opened.execute_sql("SELECT pg_backend_pid()").fetchone()[0]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_commit_that_takes_five_seconds_is_waited_for(on_postgres):
    with _standing_still(on_postgres) as pid:
        wake = threading.Timer(5, os.kill, (pid, signal.SIGCONT))
        wake.start()
        began = time.monotonic()
        _store(on_postgres, "slow")
        assert time.monotonic() - began > 4
        wake.join()
    assert {i.client_id for i, _ in on_postgres.recover().intents} == {"first", "slow"}


def test_a_server_that_never_answers_is_given_up_before_the_writer_counts_as_hung(on_postgres):
    with _standing_still(on_postgres):
        began = time.monotonic()
        with pytest.raises(UnavailableError, match=r"did not answer.*Fix: see why") as error:
            _store(on_postgres, "lost")
        assert time.monotonic() - began < _ANSWER_WITHIN_S + 5  # the watchdog's limit is 15 s
        assert "\n" not in str(error.value)
        _store(on_postgres, "again")  # over a new connection
    assert {"first", "again"} <= {i.client_id for i, _ in on_postgres.recover().intents}


def test_a_lost_connection_costs_one_commit_at_most_and_loses_none(on_postgres, postgres):
    with on_postgres._connection.session() as opened:
        pid = opened.execute_sql("SELECT pg_backend_pid()").fetchone()[0]
    with psycopg.connect(postgres.url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", (pid,))
    with pytest.raises(UnavailableError, match="Fix: "):
        _store(on_postgres, "lost")
    _store(on_postgres, "lost")
    assert {i.client_id for i, _ in on_postgres.recover().intents} == {"first", "lost"}
    assert on_postgres.verify_audit().faults == ()


def test_a_server_that_comes_back_without_its_newest_rows_is_not_written_on(on_postgres, postgres):
    """As a standby that had not received them all, and was made the server."""
    _store(on_postgres, "acknowledged")
    with on_postgres._connection.session() as opened:
        pid = opened.execute_sql("SELECT pg_backend_pid()").fetchone()[0]
    with psycopg.connect(postgres.url, autocommit=True) as other:
        other.execute("DELETE FROM audit_chain WHERE seq = (SELECT MAX(seq) FROM audit_chain)")
        other.execute("SELECT pg_terminate_backend(%s)", (pid,))
    with pytest.raises(UnavailableError, match="terminating connection"):
        _store(on_postgres, "later")
    with pytest.raises(UnavailableError, match=r"older copy.*or restart the bot"):
        _store(on_postgres, "later")


def test_a_table_taken_away_is_trouble_with_the_server_not_with_the_row(on_postgres, postgres):
    with psycopg.connect(postgres.url, autocommit=True) as other:
        other.execute("ALTER TABLE order_intent RENAME TO elsewhere")
        for _ in range(2):
            with pytest.raises(UnavailableError, match=r"does not exist\).*Fix: ") as error:
                _store(on_postgres, "later")
            assert "\n" not in str(error.value)
        other.execute("ALTER TABLE elsewhere RENAME TO order_intent")
    _store(on_postgres, "later")
    assert {i.client_id for i, _ in on_postgres.recover().intents} == {"first", "later"}


def test_a_right_taken_away_is_used_again_once_given_back(on_postgres, postgres):
    with psycopg.connect(postgres.url, autocommit=True) as other:
        other.execute("CREATE ROLE trader LOGIN")
        other.execute("GRANT ALL ON SCHEMA public TO trader")
        other.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO trader")
        other.execute("GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO trader")
        with closing(DatabaseManager(postgres.url.replace("postgres:", "trader:", 1))) as database:
            _store(database, "before")
            other.execute("REVOKE INSERT ON order_intent FROM trader")
            for _ in range(2):
                with pytest.raises(UnavailableError, match=r"permission denied.*rights back"):
                    _store(database, "later")
            other.execute("GRANT INSERT ON order_intent TO trader")
            _store(database, "later")
        other.execute("DROP OWNED BY trader")
        other.execute("DROP ROLE trader")


def test_a_server_gone_for_good_fails_each_time_in_one_line(on_postgres, postgres):
    postgres.stop()
    try:
        for _ in range(3):
            with pytest.raises(UnavailableError, match="Fix: ") as error:
                _store(on_postgres, "lost")
            assert "\n" not in str(error.value)
    finally:
        postgres.start()
