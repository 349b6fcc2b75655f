"""Spreads independent tasks over processes: of this machine by joblib, of a cluster by Ray.

A task is a function of a module and its arguments; it must give the same result wherever and
however often it runs, for one that was lost with its worker is run again.  Results come back in the
order of the tasks, so nothing depends on the backend or on how many workers there are.

Ray is imported only when it is asked for.  Without an address a cluster of one node is started,
reachable from this machine alone, and ended afterwards; with one, the code of this checkout is sent
along, and the cluster stays as it was.
"""

import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError
from loguru import logger
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from core.errors import UnavailableError, UsageError

BACKENDS: Final = ("local", "ray")
ATTEMPTS_MAX: Final = 3
_ROOT: Final = Path(__file__).parents[2]
_NOT_SENT: Final = (".git", ".venv", "tests", "docs", "state", "*.db", "*.parquet", "*.csv.gz")
_STORE_BYTES: Final = 256 * 2**20
_LOOK_EVERY_S: Final = 1.0
_LEFT_BEHIND: Final = 3
_REACHED_WITHIN_S: Final = 5.0
_LOST: Final = "a worker was lost; its work is done again"

Task = tuple[Callable[..., Any], tuple[Any, ...]]
log = logger.bind(module="work_pool")


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """Where work runs.

    `jobs`: processes at once (on a given cluster: the cluster decides); `backend`: one of
    `BACKENDS`; `address`: of a running Ray cluster, as `ray.init` takes it.  Raises UsageError for
    what cannot be.
    """

    jobs: int = 1
    backend: str = "local"
    address: str | None = None

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            known = " or ".join(BACKENDS)
            raise UsageError(f"--backend must be {known}, was {self.backend!s:.40}. Fix: use one.")
        if self.address is not None and self.backend != "ray":
            raise UsageError(f"--address {self.address} needs a cluster. Fix: add --backend ray.")
        if self.jobs < 1:
            raise UsageError(f"--jobs must be at least 1, was {self.jobs}. Fix: set it to 1.")
        if self.backend == "ray" and find_spec("ray") is None:
            raise UsageError(
                "--backend ray needs Ray, which is not installed."
                " Fix: .venv/bin/pip install --require-hashes -r requirements/cluster.txt"
            )

    @contextmanager
    def pool(self) -> Iterator["Pool"]:
        """Open them for any number of runs.

        Raises UnavailableError if the cluster cannot be reached.
        """
        if self.backend == "local":
            yield _LocalPool(self.jobs)
            return
        with _cluster(self.address, self.jobs) as ray:
            yield _RayPool(ray)


class Pool(ABC):
    """Open workers."""

    def run(self, tasks: Sequence[Task], done: Callable[[], None] = lambda: None) -> list[Any]:
        """Return the results in the order of the tasks; `done` is called at each.

        What a task raises is raised here, and the rest is given up.  Raises UnavailableError if
        workers keep dying under a task.
        """
        results: list[Any] = [None] * len(tasks)
        for index, result in self.each(tasks):
            results[index] = result
            done()
        return results

    @abstractmethod
    def each(self, tasks: Sequence[Task]) -> Iterator[tuple[int, Any]]:
        """Yield (index of the task, its result) in the order in which they come.

        Raises as `run`.
        """


class _LocalPool(Pool):
    def __init__(self, jobs: int) -> None:
        self._jobs = jobs

    def each(self, tasks: Sequence[Task]) -> Iterator[tuple[int, Any]]:
        left = dict(enumerate(tasks))
        for attempt in range(1, ATTEMPTS_MAX + 1):
            # One alone would run in this process, and what kills a worker would kill us.
            workers = 1 if self._jobs == 1 else max(2, min(self._jobs, len(left)))
            pool = joblib.Parallel(
                n_jobs=workers, return_as="generator_unordered", initializer=_settle_in
            )
            wishes = [joblib.delayed(_numbered)(index, *task) for index, task in left.items()]
            try:
                for index, result in pool(wishes):
                    del left[index]
                    yield index, result
            except TerminatedWorkerError:
                if attempt == ATTEMPTS_MAX:
                    raise _gone() from None
                log.warning(_LOST)
            else:
                return


class _RayPool(Pool):
    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self._step = ray.remote(num_cpus=1, max_retries=0)(_called)
        # One copy in the cluster of each argument that tasks share; held, so that ids stay true.
        self._held: dict[int, tuple[Any, Any]] = {}

    def each(self, tasks: Sequence[Task]) -> Iterator[tuple[int, Any]]:
        waiting = {self._begin(index, tasks[index]): (index, 1) for index in range(len(tasks))}
        lost = (
            self._ray.exceptions.WorkerCrashedError,
            self._ray.exceptions.NodeDiedError,
            self._ray.exceptions.OutOfMemoryError,
        )
        while waiting:
            (come, *_), _ = self._ray.wait(list(waiting), num_returns=1)
            index, attempt = waiting.pop(come)
            try:
                yield self._ray.get(come)
            except self._ray.exceptions.RayTaskError as error:
                raise error.cause from None
            except lost:
                if attempt == ATTEMPTS_MAX:
                    raise _gone() from None
                log.warning(_LOST)
                waiting[self._begin(index, tasks[index])] = (index, attempt + 1)

    def _begin(self, index: int, task: Task) -> Any:
        work, arguments = task
        return self._step.remote(index, work, *(self._put(value) for value in arguments))

    def _put(self, value: Any) -> Any:
        if isinstance(value, (int, float, str, bool, type(None))):
            return value
        if id(value) not in self._held:
            self._held[id(value)] = (value, self._ray.put(value))
        return self._held[id(value)][1]


@contextmanager
def progress(title: str, total: int) -> Iterator[Callable[[], None]]:
    """Show a bar on a terminal's stderr; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total)
        yield lambda: bar.advance(task)


@contextmanager
def _cluster(address: str | None, jobs: int) -> Iterator[Any]:
    # Read by Ray when it is imported: nothing is reported to anybody, and a cluster of our own
    # listens on the loopback address only (its switch for systems without clusters).
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address is None or _on_loopback_only(address):
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    import ray

    folder = tempfile.mkdtemp(prefix="ray-")
    asked_to_end = signal.getsignal(signal.SIGTERM)
    quiet = {"log_to_driver": False, "logging_level": "error", "configure_logging": False}
    try:
        if address is None:
            ray.init(
                num_cpus=jobs,
                include_dashboard=False,
                object_store_memory=_STORE_BYTES,
                _temp_dir=folder,
                **quiet,
            )
        else:
            code = {"working_dir": str(_ROOT), "excludes": list(_NOT_SENT)}
            ray.init(address=address, runtime_env=code, **quiet)
        # Ray takes SIGTERM for itself and aborts by it; it is ours to end by.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, asked_to_end)
        yield ray
    except (ConnectionError, RuntimeError, ValueError) as error:
        if ray.is_initialized():
            raise
        raise _unreachable(address, error) from error
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def _on_loopback_only(address: str) -> bool:
    """Tell whether a cluster listens on this machine's loopback address and on no other of it.

    Ray would ask for it at the outward address, and wait for ever.  Raises UnavailableError if
    nobody listens at all; what is no HOST:PORT (such as `auto`) is left to Ray.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not (colon and port.isdecimal()):
        return False
    try:
        socket.create_connection((host, int(port)), _REACHED_WITHIN_S).close()
    except (OSError, OverflowError) as error:
        raise _unreachable(address, error) from error
    if host != "localhost" and not host.startswith("127."):
        return False
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outward:
            outward.connect(("192.0.2.1", 9))  # nothing is sent: it only picks the own address
            own = outward.getsockname()[0]
        socket.create_connection((own, int(port)), _REACHED_WITHIN_S).close()
    except OSError:
        return True
    return False


def _unreachable(address: str | None, error: Exception) -> UnavailableError:
    return UnavailableError(
        f"the Ray cluster {address or 'of this machine'} cannot be reached ({error})."
        " Fix: start it, correct --address, or give both sides one RAY_AUTH_TOKEN"
    )


def _settle_in() -> None:
    """Leave Ctrl-C to the driver, and leave with it however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with, args=(os.getppid(),), daemon=True).start()


def _leave_with(driver: int) -> None:
    while os.getppid() == driver:
        time.sleep(_LOOK_EVERY_S)
    os._exit(_LEFT_BEHIND)


def _numbered(index: int, work: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[int, Any]:
    return index, work(*arguments)


def _called(index: int, work: Callable[..., Any], *arguments: Any) -> tuple[int, Any]:
    return index, work(*arguments)


def _gone() -> UnavailableError:
    return UnavailableError(
        f"a task lost its worker {ATTEMPTS_MAX} times, for want of memory most likely."
        " Fix: lower --jobs"
    )
