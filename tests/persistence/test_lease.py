"""One owner of a database at a time, whoever hangs."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from actors.edges.database import DatabaseManager
from actors.edges.lease import HELD_S, LEASE_S, RENEW_S, Holder, Lease, LeaseLostError
from core.clock import NS_PER_S
from core.errors import UnavailableError
from core.persistence.rows import Operation, Write
from tests.persistence.builders import kept

LEDGER = "venue-a"


class Time:
    """One clock for all hosts."""

    def __init__(self) -> None:
        self.s = 1_000_000.0

    def seconds(self) -> float:
        return self.s

    def wall_ns(self) -> int:
        return int(self.s * NS_PER_S)


class Host:
    """Processes of one machine, each with its own manager of the same database."""

    def __init__(self, name: str, db_url: str, time: Time) -> None:
        self.name, self.db_url, self.time = name, db_url, time
        self.processes: list[Process] = []

    def process(self, lock_file: Path | str = "bot.lock", pid: int = 1) -> "Process":
        holder = Holder(host=self.name, lock_file=str(lock_file), pid=pid)
        lease = Lease(holder, seconds=self.time.seconds, wall_ns=self.time.wall_ns)
        self.processes.append(Process(DatabaseManager(self.db_url), lease))
        return self.processes[-1]


class Process:
    def __init__(self, database: DatabaseManager, lease: Lease) -> None:
        self.database, self.lease = database, lease
        self.epoch = 0

    def start(self) -> "Process":
        self.epoch = self.database.begin_epoch(LEDGER, self.lease)
        return self

    def commit(self, key: str = "k") -> None:
        values = (("key", key), ("value", str(self.epoch)))
        self.database.apply(
            [Write(table="bot_state", operation=Operation.UPSERT, values=values, key=("key",))]
        )


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def host(db_url: str, time: Time) -> Iterator[Callable[[str], Host]]:
    """Builds hosts, and closes what their processes opened."""
    hosts: list[Host] = []

    def build(name: str) -> Host:
        hosts.append(Host(name, db_url, time))
        return hosts[-1]

    yield build
    for built in hosts:
        for process in built.processes:
            process.database.close()


@pytest.fixture
def here(host: Callable[[str], Host]) -> Host:
    return host("here")


@pytest.fixture
def there(host: Callable[[str], Host]) -> Host:
    return host("there")


def test_a_second_host_is_refused_in_one_line_while_the_first_lives(
    here: Host, there: Host, time: Time
) -> None:
    first = here.process(pid=7).start()
    second = there.process(pid=8)
    for _ in range(5):
        time.s += RENEW_S
        first.commit()
        with pytest.raises(UnavailableError, match=r"in use by pid 7 on here .*Fix: ") as refusal:
            second.start()
        assert refusal.value.exit_code == 75
        assert "\n" not in str(refusal.value)


def test_a_refused_start_takes_no_number_and_disturbs_nobody(here: Host, there: Host) -> None:
    first = here.process().start()
    with pytest.raises(UnavailableError):
        there.process().start()
    first.commit()
    first.database.close()
    assert there.process().start().epoch == 2


def test_another_host_takes_over_once_the_lease_has_run_out_and_the_old_one_can_do_nothing(
    here: Host, there: Host, time: Time
) -> None:
    old = here.process().start()
    time.s += LEASE_S + 1
    assert not old.lease.held()
    new = there.process().start()
    new.commit()
    with pytest.raises(LeaseLostError, match="taken over by pid 1 on there"):
        old.commit("written by the old one")
    assert "written by the old one" not in new.database.get_bot_state()
    assert new.lease.held()
    assert not old.lease.held()


def test_an_owner_stops_sending_before_anybody_may_take_over(
    here: Host, there: Host, time: Time
) -> None:
    old = here.process().start()
    time.s += HELD_S + 0.1
    assert not old.lease.held()
    with pytest.raises(UnavailableError):
        there.process().start()
    old.commit()  # it was slow, not superseded
    assert old.lease.held()


def test_the_own_lock_takes_over_at_once_and_the_hung_one_cannot_commit(here: Host) -> None:
    old = here.process().start()
    new = here.process().start()  # it holds the lock on the same file: the old one is gone
    new.commit()
    with pytest.raises(LeaseLostError):
        old.commit()


def test_a_second_state_directory_of_the_same_host_asks_the_first_one_s_lock(
    here: Host, tmp_path: Path
) -> None:
    import fcntl
    import os

    lock = tmp_path / "first.lock"
    handle = os.open(lock, os.O_RDWR | os.O_CREAT)
    fcntl.flock(handle, fcntl.LOCK_EX)
    here.process(lock).start()
    with pytest.raises(UnavailableError):
        here.process(tmp_path / "second.lock").start()
    os.close(handle)  # as the kernel does when the process ends
    assert here.process(tmp_path / "second.lock").start().epoch == 2


def test_a_clean_stop_lets_the_next_host_in_at_once(here: Host, there: Host) -> None:
    here.process().start().database.close()
    assert there.process().start().epoch == 2


def test_a_commit_that_failed_renews_nothing(here: Host, time: Time, db_url: str) -> None:
    owner = here.process().start()
    time.s += HELD_S + 1
    with _held_up(db_url), pytest.raises(UnavailableError, match="lock"):
        owner.commit()
    assert not owner.lease.held()
    owner.commit()
    assert owner.lease.held()


@contextmanager
def _held_up(db_url: str) -> Iterator[None]:
    """While another program holds what a commit needs."""
    if "://" in db_url:
        with psycopg.connect(db_url) as other:
            other.execute("LOCK TABLE lease IN ACCESS EXCLUSIVE MODE")
            yield
        return
    with closing(sqlite3.connect(db_url, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


def test_of_many_that_start_at_once_one_wins_and_the_others_are_refused_in_one_line(
    host: Callable[[str], Host],
) -> None:
    host("first").process().database.initialize_database()
    processes = [host(f"host{n}").process(pid=n) for n in range(4)]
    go = threading.Barrier(len(processes))

    def start(process: Process) -> UnavailableError | None:
        go.wait(10)
        try:
            process.start()
        except UnavailableError as error:
            return error
        return None

    with ThreadPoolExecutor(len(processes)) as pool:
        outcomes = list(pool.map(start, processes))
    refusals = [outcome for outcome in outcomes if outcome is not None]
    assert len(refusals) == len(processes) - 1
    assert all("Fix: " in str(refusal) and "\n" not in str(refusal) for refusal in refusals)
    winner = processes[outcomes.index(None)]
    winner.commit()
    assert winner.epoch == 1


def test_the_very_first_start_of_two_at_once_is_one_bot_s(
    host: Callable[[str], Host],
) -> None:
    processes = [host(f"host{n}").process(pid=n) for n in range(2)]
    go = threading.Barrier(2)

    def start(process: Process) -> str:
        go.wait(10)
        try:
            process.start()
        except UnavailableError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(start, processes))
    assert sorted(map(bool, outcomes)) == [False, True], outcomes


def test_a_fenced_process_writes_nothing_at_all_not_even_its_backlog(
    here: Host, there: Host, time: Time
) -> None:
    old = here.process().start()
    time.s += LEASE_S + 1
    there.process().start()
    for write in (old.commit, lambda: old.database.prune(0, kept(1))):
        with pytest.raises(LeaseLostError):
            write()
    assert "k" not in old.database.get_bot_state()
