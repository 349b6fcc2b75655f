"""PostgreSQL fails under a trading bot: entries stop, protection goes on, and nothing is lost.

One server, one venue and one bot go through all of it, healed after each fault.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from actors.edges.database import DatabaseManager
from tests.persistence.conftest import PostgresServer
from tests.process.conftest import World
from tests.process.stage import Stage

pytestmark = pytest.mark.process


class OnServer(Stage):
    """A bot whose database is a server of its own."""

    def __init__(self, world: World, server: PostgresServer) -> None:
        self.server = server
        self.url = server.empty_database()
        super().__init__(world, self.url)

    def catches_up_there(self) -> None:
        self.catches_up(lambda: DatabaseManager(self.url, read_only=True))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnServer]:
    world = World(tmp_path_factory.mktemp("world"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(world.folder))  # the server's package warns without
        server = PostgresServer()
        try:
            yield OnServer(world, server)
        finally:
            world.end()
            server.remove()


def test_a_locked_journal_of_postgresql_stops_entries_only(stage: OnServer) -> None:
    with psycopg.connect(stage.url) as other:
        other.execute("LOCK TABLE order_intent IN ACCESS EXCLUSIVE MODE")
        stage.goes_on_protecting("lock timeout", "end the session that holds the lock")
    stage.catches_up_there()


@contextmanager
def _read_only(url: str) -> Iterator[None]:
    """Make the server refuse writes, of sessions that are open as well."""
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        other.execute("SELECT pg_reload_conf()")
        try:
            yield
        finally:
            other.execute("SET default_transaction_read_only = off")
            other.execute("ALTER SYSTEM RESET default_transaction_read_only")
            other.execute("SELECT pg_reload_conf()")


def test_a_read_only_postgresql_stops_entries_only(stage: OnServer) -> None:
    with _read_only(stage.url):
        stage.goes_on_protecting("read-only transaction", "let the server take writes")
    stage.catches_up_there()


@contextmanager
def _moved_away(url: str) -> Iterator[None]:
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("ALTER SCHEMA public RENAME TO elsewhere")
        yield
        other.execute("ALTER SCHEMA elsewhere RENAME TO public")


def test_tables_gone_from_postgresql_are_not_begun_anew_and_work_once_put_back(
    stage: OnServer,
) -> None:
    with _moved_away(stage.url):
        stage.goes_on_protecting("removed", "put it back")
    stage.catches_up_there()


@contextmanager
def _rotten(server: PostgresServer) -> Iterator[None]:
    """Overwrite the journal's pages, all of them, and put them back in the end."""
    with psycopg.connect(server.url) as other:
        name = other.execute("SELECT pg_relation_filepath('order_intent')").fetchone()[0]
    path = server.data / name
    server.stop()  # it has them all in memory
    whole = path.read_bytes()
    with path.open("r+b") as file:
        file.write(os.urandom(len(whole)))
    server.start()
    yield
    server.stop()
    with path.open("r+b") as file:
        file.write(whole)
    server.start()


def test_rotten_pages_of_postgresql_stop_entries_only(stage: OnServer) -> None:
    with _rotten(stage.server):
        stage.goes_on_protecting("invalid page", "from a backup")
    stage.catches_up_there()


def test_a_restarted_postgresql_stops_entries_only(stage: OnServer) -> None:
    stage.server.stop()
    stage.goes_on_protecting("database server")
    stage.server.start()
    stage.catches_up_there()
    assert stage.bot.interrupt() == 0
