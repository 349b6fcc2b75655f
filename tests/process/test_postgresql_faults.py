"""PostgreSQL fails under a trading bot: entries stop, protection goes on, and nothing is lost.

One server, one venue and one bot go through all of it, healed after each fault.
"""

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


def test_a_restarted_postgresql_stops_entries_only(stage: OnServer) -> None:
    stage.server.stop()
    stage.goes_on_protecting("database server")
    stage.server.start()
    stage.catches_up_there()
    assert stage.bot.interrupt() == 0
