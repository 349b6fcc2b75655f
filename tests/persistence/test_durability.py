"""What was acknowledged is there, whatever dies; trouble is one line that says what to do."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from actors.edges.connection import Connection
from actors.edges.database import DatabaseManager
from core.errors import UnavailableError

_ROOT = Path(__file__).parents[2]

# Commits journal rows one by one and says each number only once its row is acknowledged.
_WRITER = """
import sys
from actors.edges.database import DatabaseManager
from core.persistence.machine import PersistenceMachine
from tests.persistence.builders import a_moment, a_record, an_intent

database, machine = DatabaseManager(sys.argv[1]), PersistenceMachine(epoch=1)
for number in range(1_000_000):
    intent = an_intent(client_id=f"c{number}")
    database.apply(machine.handle(a_record(intent), a_moment()))
    print(number, flush=True)
"""


def test_sqlite_commits_reach_the_disk_before_the_call_returns(tmp_path):
    connection = Connection(str(tmp_path / "bot.db"), read_only=False)
    with connection.session() as database:
        assert database.execute_sql("PRAGMA journal_mode").fetchone() == ("wal",)
        assert database.execute_sql("PRAGMA synchronous").fetchone() == (2,)  # FULL
    connection.close()


def test_postgresql_commits_reach_the_disk_before_the_call_returns(postgres):
    connection = Connection(postgres.empty_database(), read_only=False)
    with connection.session() as database:
        for setting, value in (("synchronous_commit", "on"), ("fsync", "on"), ("TimeZone", "UTC")):
            assert database.execute_sql(f"SHOW {setting}").fetchone() == (value,)
    connection.close()


def test_a_writer_killed_in_the_middle_loses_nothing_it_acknowledged(db_url):
    with subprocess.Popen(
        [sys.executable, "-c", _WRITER, db_url], cwd=_ROOT, stdout=subprocess.PIPE, text=True
    ) as writer:
        said = [int(writer.stdout.readline()) for _ in range(60)]
        writer.kill()
        said += [int(line) for line in writer.stdout if line.endswith("\n")]
    database = DatabaseManager(db_url)
    kept = {intent.client_id for intent, _ in database.recover().intents}
    database.close()
    assert {f"c{number}" for number in said} <= kept
    assert len(kept) - len(said) <= 1  # committed, killed before it could say so


def _assert_one_line(error: pytest.ExceptionInfo[UnavailableError], *words: str) -> None:
    assert "\n" not in str(error.value)
    for word in ("DB_FILE", "Fix: ", *words):
        assert word in str(error.value)
    assert error.value.exit_code == 75


def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / "bot.db"
    path.write_text("not a database, but somebody's notes " * 50)
    before = path.read_bytes()
    with pytest.raises(UnavailableError) as error:
        DatabaseManager(str(path)).initialize_database()
    _assert_one_line(error, str(path), "not a database")
    assert path.read_bytes() == before


def test_a_damaged_database_is_refused(tmp_path):
    path = tmp_path / "bot.db"
    database = DatabaseManager(str(path))
    for number in range(200):
        database.update_bot_state({f"key{number}": "x" * 200})
    database.close()
    with path.open("r+b") as file:
        for page in range(20, 30):
            file.seek(page * 4096)
            file.write(os.urandom(4096))
    with pytest.raises(UnavailableError) as error:
        DatabaseManager(str(path)).initialize_database()
    _assert_one_line(error, "malformed", "backup")


def test_a_missing_folder_is_named(tmp_path):
    path = tmp_path / "nowhere" / "bot.db"
    with pytest.raises(UnavailableError) as error:
        DatabaseManager(str(path)).initialize_database()
    _assert_one_line(error, str(path), "folder")


def test_a_reader_of_a_database_that_is_not_there_creates_none(tmp_path):
    path = tmp_path / "bot.db"
    with pytest.raises(UnavailableError) as error:
        DatabaseManager(str(path), read_only=True).get_bot_state()
    _assert_one_line(error, "run the bot once")
    assert not path.exists()


def test_a_locked_database_fails_within_seconds_and_works_when_free(tmp_path):
    path = tmp_path / "bot.db"
    database = DatabaseManager(str(path))
    database.initialize_database()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(UnavailableError) as error:
        database.update_bot_state({"a": 1})
    _assert_one_line(error, "locked", "stop the other program")
    other.execute("ROLLBACK")
    other.close()
    database.update_bot_state({"a": 2})
    assert database.get_bot_state() == {"a": 2}
    database.close()


def test_a_full_disk_fails_and_works_again_when_there_is_room(tmp_path):
    path = tmp_path / "bot.db"
    database = DatabaseManager(str(path))
    database.initialize_database()
    with database._connection.session() as opened:
        opened.execute_sql("PRAGMA max_page_count = 60")  # as far as the file may grow
    database.update_bot_state({"before": 1})
    with pytest.raises(UnavailableError) as error:
        database.update_bot_state({"large": "x" * 1_000_000})
    _assert_one_line(error, "full", "free disk space")
    database.update_bot_state({"after": 2})
    assert database.get_bot_state() == {"before": 1, "after": 2}
    database.close()


def test_a_file_removed_under_way_is_not_silently_begun_anew(tmp_path):
    path = tmp_path / "bot.db"
    database = DatabaseManager(str(path))
    database.update_bot_state({"a": 1})
    for file in tmp_path.iterdir():
        file.unlink()
    for _ in range(2):
        with pytest.raises(UnavailableError) as error:
            database.update_bot_state({"a": 2})
        _assert_one_line(error, str(path))
    assert not path.exists()


def test_a_password_in_the_url_is_never_shown():
    url = "postgresql://bot:s3cret@127.0.0.1:1/trading"
    with pytest.raises(UnavailableError) as error:
        DatabaseManager(url).initialize_database()
    _assert_one_line(error, "bot@127.0.0.1:1")
    assert "s3cret" not in str(error.value)


def test_a_restarted_postgresql_is_simply_used_again(postgres):
    database = DatabaseManager(postgres.empty_database())
    database.update_bot_state({"a": 1})
    postgres.stop()
    with pytest.raises(UnavailableError) as error:
        database.update_bot_state({"a": 2})
    _assert_one_line(error)
    postgres.start()
    assert database.get_bot_state() == {"a": 1}
    database.update_bot_state({"a": 3})
    assert database.get_bot_state() == {"a": 3}
    database.close()
