"""Storage fails under a trading bot: entries stop, protection goes on, and nothing is lost.

The faults are real: a file system without room, or turned read-only, a lock of another process, a
database that is moved away, pages overwritten.  PostgreSQL: test_postgresql_faults.py.
"""

import os
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from actors.edges.database import DatabaseManager
from tests.process.conftest import World, eventually
from tests.process.stage import Stage

pytestmark = pytest.mark.process

_PAGE = 4096


class OnSmallDisk(Stage):
    """A bot whose database is alone on a small file system."""

    def __init__(self, world: World, wrapper: tuple[str, ...]) -> None:
        self._disk = world.folder / "disk"
        self._disk.mkdir()
        super().__init__(world, str(self._disk / "bot.db"), (*wrapper, str(self._disk)))
        self._seen = Path(f"/proc/{self.bot.pid}/root{self._disk}")  # the bot's own view

    @contextmanager
    def filled(self) -> Iterator[None]:
        """While the file system has no room left."""
        filler = self._seen / "filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(b"x" * _PAGE):
                pass
        yield
        filler.unlink()

    def turn(self, mode: str) -> None:
        """Mount the file system anew, `ro` or `rw`, as soon as nobody writes to it."""
        inside = ("nsenter", "--target", str(self.bot.pid), "--user", "--mount")
        command = (*inside, "mount", "-o", f"remount,{mode}", str(self._disk))

        def turned() -> bool:
            done = subprocess.run(command, check=False, capture_output=True)
            return done.returncode == 0

        eventually(f"the disk is {mode}", turned, 60)

    def catches_up_there(self) -> None:
        copies = self.world.folder / "copies"

        def copied() -> DatabaseManager:
            """Open what a power cut would leave now: the driver does not find its way there."""
            shutil.rmtree(copies, ignore_errors=True)
            copies.mkdir()
            os.kill(self.bot.pid, signal.SIGSTOP)
            try:
                for name in ("bot.db", "bot.db-wal"):
                    shutil.copy(self._seen / name, copies / name)
            finally:
                os.kill(self.bot.pid, signal.SIGCONT)
            return DatabaseManager(str(copies / "bot.db"))

        self.catches_up(copied)


@pytest.fixture(scope="module")
def small_disk(
    tmp_path_factory: pytest.TempPathFactory, may_mount: tuple[str, ...]
) -> Iterator[OnSmallDisk]:
    """One venue and one bot for all that happens to its disk."""
    world = World(tmp_path_factory.mktemp("world"))
    try:
        yield OnSmallDisk(world, may_mount)
    finally:
        world.end()


def test_a_full_disk_stops_entries_only_and_what_was_held_is_written_once_there_is_room(
    small_disk: OnSmallDisk,
) -> None:
    with small_disk.filled():
        small_disk.goes_on_protecting("disk is full", "free disk space")
    small_disk.catches_up_there()


def test_a_file_system_turned_read_only_stops_entries_only(small_disk: OnSmallDisk) -> None:
    with small_disk.filled():  # so that the bot lets go of its files: in use they forbid the mount
        small_disk.turn("ro")
        small_disk.goes_on_protecting("readonly database", "file system writable")
        small_disk.turn("rw")
    small_disk.catches_up_there()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


def test_a_lock_of_another_program_stops_entries_only(world: World) -> None:
    path = world.folder / "bot.db"
    stage = Stage(world, str(path))
    held_from = time.monotonic()
    with _locked(path):
        stage.goes_on_protecting("locked", "stop the other program")
        threading.Event().wait(max(0.0, 30 - (time.monotonic() - held_from)))
        assert stage.bot.alive()
    stage.catches_up(lambda: DatabaseManager(str(path), read_only=True))


def test_a_database_that_is_gone_is_not_begun_anew_and_works_once_put_back(world: World) -> None:
    folder = world.folder / "db"
    folder.mkdir()
    stage = Stage(world, str(folder / "bot.db"))
    folder.rename(world.folder / "elsewhere")
    stage.goes_on_protecting("removed", "put it back")
    assert not folder.exists()
    (world.folder / "elsewhere").rename(folder)
    stage.catches_up(lambda: DatabaseManager(str(folder / "bot.db"), read_only=True))


def _rot(path: Path) -> tuple[bytes, bytes]:
    """Overwrite every page of a file but its header; return what stood there, and the garbage."""
    whole = path.read_bytes()
    garbage = whole[:_PAGE] + os.urandom(len(whole) - _PAGE)
    with path.open("r+b") as file:
        file.write(garbage)
    return whole, garbage


def test_rotten_pages_stop_entries_only(world: World) -> None:
    path = world.folder / "bot.db"
    stage = Stage(world, str(path))
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[0] == 0
    whole, garbage = _rot(path)
    assert len(whole) > 20 * _PAGE
    stage.goes_on_protecting("malformed", "put a backup in its place")
    with path.open("r+b") as file:
        for at in range(0, len(whole), _PAGE):
            if file.seek(at) == at and file.read(_PAGE) == garbage[at : at + _PAGE]:
                file.seek(at)
                file.write(whole[at : at + _PAGE])
    stage.catches_up(lambda: DatabaseManager(str(path), read_only=True))
