import threading
from collections.abc import Iterator

import pykka
import pytest

from actors.runtime import Threads
from tests.actors.world import PATIENCE_S


@pytest.fixture
def threads() -> Iterator[Threads]:
    runtime = Threads()
    yield runtime
    runtime.stop()


def test_appointments_are_kept_in_the_order_they_are_due(threads: Threads) -> None:
    kept: list[str] = []
    done = threading.Event()
    threads.later(0.03, done.set)
    threads.later(0.02, lambda: kept.append("second"))
    threads.later(0.0, lambda: kept.append("first"))
    assert done.wait(PATIENCE_S)
    assert kept == ["first", "second"]


def test_a_periodic_action_is_called_again_and_again(threads: Threads) -> None:
    calls = threading.Semaphore(0)
    threads.every(0.001, calls.release)
    for _ in range(5):
        assert calls.acquire(timeout=PATIENCE_S)


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(1)], ids=["exception", "exit"])
def test_an_action_that_raises_does_not_take_the_others_along(
    threads: Threads, log_lines: list[str], error: BaseException
) -> None:
    calls = threading.Semaphore(0)

    def fail() -> None:
        calls.release()
        raise error

    threads.every(0.001, fail)
    for _ in range(3):
        assert calls.acquire(timeout=PATIENCE_S)
    done = threading.Event()
    threads.later(0.0, done.set)
    assert done.wait(PATIENCE_S)
    assert f"ERROR runtime: a timed action failed: {error!r}" in log_lines


def test_no_appointment_is_kept_after_the_stop(threads: Threads) -> None:
    kept: list[int] = []
    threads.later(0.01, lambda: kept.append(1))
    threads.stop()
    threads._thread.join(PATIENCE_S)
    assert not threads._thread.is_alive()
    assert kept == []


def test_a_failing_start_reaches_the_caller(threads: Threads) -> None:
    class Threadless(pykka.ThreadingActor):
        def _start_actor_loop(self) -> None:
            raise RuntimeError("can't start new thread")

    with pytest.raises(RuntimeError, match="new thread"):
        threads.spawn(Threadless)
    pykka.ActorRegistry.unregister(pykka.ActorRegistry.get_by_class(Threadless)[0])
