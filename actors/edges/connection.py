"""The one connection of a DatabaseManager: opened when needed, durable, dropped on trouble.

Trouble with the storage becomes UnavailableError, one line with the fix, and the connection is
dropped; the next session opens it anew, so a healed database is simply used again.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import peewee
import psycopg
from peewee import Database, PostgresqlDatabase, SqliteDatabase

from actors.edges.migrations import VERSION, check_version, migrate, version_of
from actors.edges.storage_trouble import TROUBLE, fix_of, is_of_the_row, words_of
from core.errors import ConfigurationError, UnavailableError

_MEMORY = ":memory:"
_BUSY_TIMEOUT_S = 2.0  # longer would hold up the journal, and with it nothing but entries
_CONNECT_TIMEOUT_S = 5
# A server that is slow is waited for, one that hangs is given up before the watchdog would take
# the writer for hung (15 s) and restart with it the rooms that protect.
_ANSWER_WITHIN_S = 8.0
_TURN_WITHIN_S = 10.0
# SQLite would go on for hours with pages it has in memory while the file rots: entries would be
# journalled where nobody finds them again.  So what a commit needs is read anew this often.
_REREAD_S = 5.0


class _ImpatientConnection(psycopg.Connection[Any]):
    """A connection that no silent server can hold up for ever."""

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        try:
            return super().wait(gen, interval, timeout or _ANSWER_WITHIN_S)
        except psycopg.errors._WaitTimeout:  # noqa: SLF001 - the driver's own word for it
            self.pgconn.finish()
            raise psycopg.OperationalError(
                f"the server did not answer within {_ANSWER_WITHIN_S:.0f} s"
            ) from None


class _Postgresql(PostgresqlDatabase):
    def _connect(self) -> Any:
        connection = _ImpatientConnection.connect(self.database, **self.connect_params)
        connection.autocommit = True
        return connection


class Connection:
    """One connection to `db_file`, a path or a `postgresql://` URL; `where` names it in messages.

    Safe to use from any thread, one session at a time.  `check_reopened` looks at a database that
    was opened once more, inside a transaction; what it raises keeps that database from use.
    """

    def __init__(
        self,
        db_file: str,
        *,
        read_only: bool,
        check_reopened: Callable[[Database], None] | None = None,
    ) -> None:
        self.read_only = read_only
        self._check_reopened = check_reopened
        self.where = _without_password(db_file) if "://" in db_file else db_file
        self._url = db_file
        self._path = None if "://" in db_file or db_file == _MEMORY else Path(db_file).absolute()
        self._database: SqliteDatabase | PostgresqlDatabase | None = None
        self._known = False  # the schema was seen: reopening must find the same database
        self._file_id: tuple[int, int] | None = None
        self._reread_s = 0.0
        self._lock = threading.RLock()
        self._inside = False

    def close(self) -> None:
        """Move the write-ahead log into the file and close; harmless when closed already."""
        with self._lock:
            database = self._database
            if database is None:
                return
            if isinstance(database, SqliteDatabase) and not self.read_only:
                with suppress(peewee.DatabaseError):  # a reader may hold it up: the log stays valid
                    database.execute_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            self._drop()

    @contextmanager
    def session(self) -> Iterator[SqliteDatabase | PostgresqlDatabase]:
        """Hold the connection in one transaction, committed at the end; nested use joins it."""
        with self._turn():
            if self._inside:
                assert self._database is not None, "a joined session is open"
                yield self._database
                return
            self._inside = True
            try:
                database = self._opened()
                with _transaction(database):
                    yield database
            except TROUBLE as error:
                if is_of_the_row(error):
                    raise
                self._drop()
                raise self._unavailable(error) from error
            finally:
                self._inside = False

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait for whoever is in a session, but not for one that hangs."""
        if not self._lock.acquire(timeout=_TURN_WITHIN_S):
            raise UnavailableError(
                f"DB_FILE {self.where} cannot be used (held up by a call that does not return)."
                " Fix: see why the storage hangs, then restart the bot."
            )
        try:
            yield
        finally:
            self._lock.release()

    def _opened(self) -> SqliteDatabase | PostgresqlDatabase:
        """Return the open connection to the database that was opened first, and no other."""
        if self._database is not None:
            self._check_still_there()
            self._reread(self._database)
            return self._database
        database = self._built()
        database.connect()
        try:
            with _transaction(database):
                self._check_or_migrate(database)
                if self._known and self._check_reopened is not None:
                    self._check_reopened(database)
        except BaseException:
            database.close()
            raise
        self._database, self._known = database, True
        self._file_id = None if self._path is None else _file_id(self._path)
        return database

    def _built(self) -> SqliteDatabase | PostgresqlDatabase:
        plain = {"thread_safe": False, "autoconnect": False}
        if "://" in self._url:
            scheme, _, rest = self._url.partition("://")
            if scheme not in {"postgresql", "postgres"}:
                raise ConfigurationError(
                    f"DB_FILE {self.where} is no known kind of database. "
                    "Fix: give a file path or a postgresql:// URL."
                )
            # A writer says nothing here: a server that was made read-only is not to be talked over.
            mode = " -c default_transaction_read_only=on" if self.read_only else ""
            return _Postgresql(
                f"postgresql://{rest}",
                prefer_psycopg3=True,
                connect_timeout=_CONNECT_TIMEOUT_S,
                options="-c synchronous_commit=on -c timezone=UTC "
                f"-c lock_timeout={_BUSY_TIMEOUT_S:.0f}s{mode}",
                **plain,
            )
        # A database that was there and is gone must not come back empty: no `rwc` from then on.
        mode = "ro" if self.read_only else "rw" if self._known else "rwc"
        pragmas = {} if self.read_only else {"journal_mode": "wal", "synchronous": "full"}
        return SqliteDatabase(
            _MEMORY if self._path is None else f"{self._path.as_uri()}?mode={mode}",
            uri=self._path is not None,
            pragmas=pragmas,
            timeout=_BUSY_TIMEOUT_S,
            lock_type=None if self.read_only else "IMMEDIATE",
            check_same_thread=False,
            **plain,
        )

    def _check_or_migrate(self, database: SqliteDatabase | PostgresqlDatabase) -> None:
        found = version_of(database)
        if self._known and found == 0:
            raise FileNotFoundError("its tables were removed while in use")
        if not self.read_only:
            if isinstance(database, SqliteDatabase):
                _check_intact(database)
            migrate(database, self.where)
            return
        check_version(found, self.where)
        if found < VERSION:
            raise ConfigurationError(
                f"DB_FILE {self.where} has schema {found}, this program reads {VERSION}. "
                "Fix: run the bot once: it brings the database up to date."
            )

    def _check_still_there(self) -> None:
        """Refuse to commit into a file that was deleted or swapped: nobody would find the rows."""
        if self._path is not None and _file_id(self._path) != self._file_id:
            raise FileNotFoundError(f"{self._path.name} was removed or replaced while in use")

    def _reread(self, database: SqliteDatabase | PostgresqlDatabase) -> None:
        """Forget now and then which pages are in memory, so that a rotten one is met."""
        now_s = time.monotonic()
        if isinstance(database, SqliteDatabase) and now_s - self._reread_s >= _REREAD_S:
            self._reread_s = now_s
            database.execute_sql("PRAGMA shrink_memory")

    def _drop(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            with suppress(*TROUBLE):
                database.close()

    def _unavailable(self, error: BaseException) -> UnavailableError:
        words = words_of(error)
        fix = fix_of(words, remote="://" in self._url)
        if self.read_only and self._path is not None and not self._path.exists():
            fix = "run the bot once: it creates the database"
        return UnavailableError(f"DB_FILE {self.where} cannot be used ({words}). Fix: {fix}.")


@contextmanager
def _transaction(database: SqliteDatabase | PostgresqlDatabase) -> Iterator[None]:
    """Commit at the end, roll back on any exception, and let that very exception out.

    peewee's own context would replace it: after a full disk SQLite has rolled back by itself, and
    the second rollback's complaint says nothing about the disk.
    """
    database.begin()
    try:
        yield
        database.commit()
    except BaseException:
        with suppress(*TROUBLE):
            database.rollback()
        raise


def _check_intact(database: SqliteDatabase) -> None:
    verdict = database.execute_sql("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise sqlite3.DatabaseError(f"database disk image is malformed: {verdict}")


def _file_id(path: Path) -> tuple[int, int] | None:
    with suppress(FileNotFoundError):
        found = os.stat(path)  # noqa: PTH116 - on every commit; Path.stat costs three times that
        return found.st_dev, found.st_ino
    return None


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}@{host}" if user else host))
