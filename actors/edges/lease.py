"""Who owns the account's database: one process at a time, proven with every commit.

The file lock keeps a second bot off the same state directory; the lease does it for two state
directories, or two hosts, with one database.  It is a row that names the owner's epoch and when it
was last renewed.  Three rules make it hold:

- a new process takes the row over only from an owner that is gone: whose file lock is free, or,
  where that cannot be seen from here, whose last renewal is older than `LEASE_S`;
- every commit first proves that the row still bears its own epoch, in the same transaction, so
  that what a superseded process would write is refused;
- an entry leaves only while the last renewal is younger than `HELD_S`, looked at right before the
  send.  It is the smaller number: a process that hung between commit and send finds its own lease
  run out before anybody could have taken it over.  Ages run on a clock that counts sleep.
"""

import fcntl
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peewee import Database, SqliteDatabase

from core.clock import NS_PER_S
from core.errors import UnavailableError

LEASE_S = 30.0
HELD_S = 20.0  # the rest allows for hosts whose clocks disagree
RENEW_S = 5.0


class LeaseLostError(UnavailableError):
    """Another process took the database over: this one must write nothing and send nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A process as others can find it."""

    host: str
    lock_file: str
    pid: int

    @classmethod
    def here(cls, lock_file: Path) -> "Holder":
        """Describe this process, which holds the lock on `lock_file`."""
        return cls(host=platform.node(), lock_file=str(lock_file), pid=os.getpid())


def _seconds() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Lease:
    """This process's hold on a database.  The calls with a `database` run in its open transaction.

    `seconds` is a clock that counts sleep, `wall_ns` the one that other hosts compare with.
    """

    def __init__(
        self,
        holder: Holder,
        *,
        seconds: Callable[[], float] = _seconds,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._holder = holder
        self._seconds = seconds
        self._wall_ns = wall_ns
        self._epoch = 0
        self._renewed_s = float("-inf")
        self._renewing_s: float | None = None

    def take(self, database: Database, epoch: int, where: str) -> None:
        """Become the owner as `epoch`.  Raises UnavailableError while another one lives."""
        owner = _owner(database)
        if owner is not None:
            self._refuse_living(*owner, where)
            database.execute_sql("DELETE FROM lease")
        row = (1, epoch, self._holder.host, self._holder.lock_file, self._holder.pid)
        self._renewing_s = self._seconds()
        marks = ", ".join([database.param] * 6)
        columns = "id, epoch, host, lock_file, pid, beat_wall_ns"
        sql = f"INSERT INTO lease ({columns}) VALUES ({marks})"  # noqa: S608 - fixed words
        database.execute_sql(sql, (*row, self._wall_ns()))
        self._epoch = epoch

    def prove(self, database: Database) -> None:
        """Hold that the row is still ours, and renew it when due.  Raises LeaseLostError."""
        owner = _owner(database)
        if owner is None or owner[0] != self._epoch:
            self._renewed_s = float("-inf")
            by = "nobody" if owner is None else f"pid {owner[1].pid} on {owner[1].host}"
            raise LeaseLostError(
                f"the database was taken over by {by} while this bot hung or slept."
                " Fix: let that bot trade, one account has one."
            )
        now_s = self._seconds()
        if now_s - self._renewed_s >= RENEW_S:
            self._renewing_s = now_s
            self._beat(database, self._wall_ns())

    def committed(self) -> None:
        """Note that the transaction of `take` or `prove` is on disk."""
        if self._renewing_s is not None:
            self._renewed_s, self._renewing_s = self._renewing_s, None

    def held(self) -> bool:
        """Tell whether nobody can have taken over yet; any thread may ask."""
        return self._seconds() - self._renewed_s < HELD_S

    def release(self, database: Database) -> None:
        """Let the next process in at once; the last act of a clean stop."""
        self._beat(database, 0)

    def _beat(self, database: Database, wall_ns: int) -> None:
        mark = database.param
        sql = f"UPDATE lease SET beat_wall_ns = {mark} WHERE epoch = {mark}"  # noqa: S608
        database.execute_sql(sql, (wall_ns, self._epoch))

    def _refuse_living(self, _: int, owner: Holder, beat_wall_ns: int, where: str) -> None:
        if beat_wall_ns == 0:
            return  # it left in good order
        age_s = abs(self._wall_ns() - beat_wall_ns) / NS_PER_S
        locked: bool | None = None
        if owner.host == self._holder.host:
            mine = owner.lock_file == self._holder.lock_file
            locked = False if mine else _is_locked(Path(owner.lock_file))
        if locked is False or (locked is None and age_s >= LEASE_S):
            return
        raise UnavailableError(
            f"DB_FILE {where} must belong to one bot, it is in use by pid {owner.pid} on"
            f" {owner.host} (seen {age_s:.0f} s ago). Fix: stop that bot, or wait"
            f" {LEASE_S:.0f} s after its end."
        )


def alone(database: Database) -> None:
    """Keep every other process that wants to become the owner waiting until this one is."""
    if not isinstance(database, SqliteDatabase):  # SQLite has one writer at a time anyway
        database.execute_sql("LOCK TABLE lease IN EXCLUSIVE MODE")


def _owner(database: Database) -> tuple[int, Holder, int] | None:
    """Read the row, locked until the end of the transaction."""
    lock = "" if isinstance(database, SqliteDatabase) else " FOR UPDATE"  # SQLite locks it all
    sql = f"SELECT epoch, host, lock_file, pid, beat_wall_ns FROM lease{lock}"  # noqa: S608
    row: Any = database.execute_sql(sql).fetchone()
    if row is None:
        return None
    return int(row[0]), Holder(host=row[1], lock_file=row[2], pid=int(row[3])), int(row[4])


def _is_locked(path: Path) -> bool | None:
    """Tell whether a living process holds this lock; None if that cannot be told from here."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(handle)
    return False
