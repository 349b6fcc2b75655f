"""pykka 4.5 as it was measured: what our mailbox and guard are built around.

One test for each row of that table.  A pykka that changes one of them changes the ground under
`actors/trading_actor.py` and `actors/mailbox.py`: read those before believing the new behaviour.
"""

import ctypes
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pykka
import pytest
from pykka.messages import _ActorStop

WAIT_S = 5.0
SHORT_S = 0.05  # long enough to see that nothing comes


class OddError(BaseException):
    """Neither an Exception nor one of Python's own exits."""


class Plain(pykka.ThreadingActor):
    """A bare pykka actor that does what it is told and notes what becomes of it."""

    use_daemon_thread = True

    def __init__(self, notes: list[Any] | None = None, fail_at: str = "") -> None:
        super().__init__()
        self.notes = notes if notes is not None else []
        self.fail_at = fail_at
        self.ended = threading.Event()
        if fail_at == "__init__":
            raise ValueError("poison")

    def on_start(self) -> None:
        if self.fail_at == "on_start":
            raise ValueError("poison")
        if self.fail_at == "on_start odd":
            raise OddError

    def on_receive(self, message: Any) -> Any:
        self.notes.append(message)
        return message() if callable(message) else message

    def on_failure(self, *_: Any) -> None:
        alive = self.actor_ref.is_alive()
        registered = self.actor_ref in pykka.ActorRegistry.get_all()
        self.notes.append(("on_failure", alive, registered, threading.current_thread().name))
        self.ended.set()

    def on_stop(self) -> None:
        self.notes.append("on_stop")
        self.ended.set()

    def helper(self) -> None:
        raise ValueError("poison")


@pytest.fixture(autouse=True)
def _clean_up() -> Iterator[None]:
    yield
    for ref in pykka.ActorRegistry.get_all():
        ref.actor_stopped.set()
        pykka.ActorRegistry.unregister(ref)


def raising(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def started(**arguments: Any) -> tuple[Any, Plain]:
    ref = Plain.start(**arguments)
    return ref, ref._actor_weakref()


def test_row_1_a_crash_in_a_tell_reaches_on_failure_when_the_actor_is_gone_already() -> None:
    ref, actor = started()
    ref.tell(raising(ValueError("poison")))
    assert actor.ended.wait(WAIT_S)
    _, alive, registered, thread = actor.notes[-1]
    assert (alive, registered) == (False, False)
    assert thread.startswith("Plain-")


def test_row_2_a_crash_in_an_ask_goes_to_the_asker_and_the_actor_lives_on() -> None:
    ref, actor = started()
    with pytest.raises(ValueError, match="poison"):
        ref.ask(raising(ValueError("poison")), timeout=WAIT_S)
    assert ref.is_alive()
    assert not any(isinstance(note, tuple) for note in actor.notes)
    ref.proxy().helper()  # nobody looks at the future: swallowed
    assert ref.ask("still here", timeout=WAIT_S) == "still here"


def test_row_3_a_deferred_proxy_call_kills_where_the_plain_one_does_not() -> None:
    ref, actor = started()
    ref.proxy().helper.defer()
    assert actor.ended.wait(WAIT_S)
    assert not ref.is_alive()


def test_row_4_a_crash_in_on_start_calls_no_on_failure_and_start_has_returned() -> None:
    notes: list[Any] = []
    ref = Plain.start(notes, "on_start")
    assert ref.actor_stopped.wait(WAIT_S)
    with pytest.raises(pykka.ActorDeadError):
        ref.ask("too late", timeout=WAIT_S)
    assert notes == []


def test_row_5_a_crash_in_init_is_the_callers() -> None:
    with pytest.raises(ValueError, match="poison"):
        Plain.start(fail_at="__init__")
    assert pykka.ActorRegistry.get_all() == []


@pytest.mark.parametrize("error", [SystemExit(3), OddError()], ids=["exit", "odd"])
def test_row_6_a_base_exception_stops_every_actor_and_the_asker_never_hears(
    error: BaseException,
) -> None:
    ref, actor = started()
    _, other = started()
    future = ref.ask(raising(error), block=False)
    assert other.ended.wait(WAIT_S)
    assert other.notes[-1] == "on_stop"
    assert "on_stop" in actor.notes
    with pytest.raises(pykka.Timeout):
        future.get(timeout=SHORT_S)


def test_row_7_and_stands_still_at_one_that_waits_for_the_answer() -> None:
    _, first = started()
    ref, _ = started()
    waiter, waiting = started()
    # Without its timeout the question would wait for ever, and the process with it.
    waiter.tell(lambda: ref.ask(raising(OddError()), timeout=10 * SHORT_S))
    assert not first.ended.wait(2 * SHORT_S)  # stop_all has not come to it
    assert not waiting.ended.is_set()
    assert first.ended.wait(WAIT_S)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_row_8_a_base_exception_in_on_start_leaves_a_corpse_that_seems_alive() -> None:
    before = set(threading.enumerate())
    ref = Plain.start(None, "on_start odd")
    for thread in set(threading.enumerate()) - before:
        thread.join(WAIT_S)
    assert ref.is_alive()
    assert ref in pykka.ActorRegistry.get_all()
    ref.tell("accepted")
    with pytest.raises(pykka.Timeout):
        ref.ask("never", timeout=SHORT_S)


def test_row_9_a_thread_that_does_not_start_leaves_a_registered_actor() -> None:
    class NoThread(Plain):
        def _start_actor_loop(self) -> None:
            raise RuntimeError("can't start new thread")

    with pytest.raises(RuntimeError, match="new thread"):
        NoThread.start()
    (ref,) = pykka.ActorRegistry.get_all()
    assert ref.is_alive()


def test_row_10_a_stop_waits_behind_all_that_is_queued() -> None:
    ref, actor = started()
    go = threading.Event()
    ref.tell(go.wait)
    for number in range(100):
        ref.tell(number)
    ref.stop(block=False)
    go.set()
    assert actor.ended.wait(WAIT_S)
    assert actor.notes[1:] == [*range(100), "on_stop"]


def test_row_11_stop_all_never_asks_those_behind_a_hung_one() -> None:
    _, first = started()
    hung_ref, _ = started()
    go, taken = threading.Event(), threading.Event()
    hung_ref.tell(lambda: (taken.set(), go.wait()))
    assert taken.wait(WAIT_S)
    with pytest.raises(pykka.Timeout):
        pykka.ActorRegistry.stop_all(timeout=SHORT_S)  # last started, first asked
    assert not first.ended.is_set()
    go.set()


def test_row_12_what_is_queued_at_death_is_answered_if_asked_and_lost_if_told() -> None:
    ref, actor = started()
    go = threading.Event()
    ref.tell(go.wait)
    ref.tell(raising(ValueError("poison")))
    ref.tell("lost")
    future = ref.ask("refused", block=False)
    go.set()
    with pytest.raises(pykka.ActorDeadError):
        future.get(timeout=WAIT_S)
    assert "lost" not in actor.notes


def test_row_13_what_is_put_after_the_last_drain_is_never_answered() -> None:
    ref, actor = started()
    inbox = actor.actor_inbox  # the sender has looked: the actor is alive
    ref.stop(timeout=WAIT_S)
    future = pykka.ThreadingFuture[Any]()
    inbox.put(pykka._envelope.Envelope("late", reply_to=future))
    with pytest.raises(pykka.Timeout):
        future.get(timeout=SHORT_S)


def test_row_14_an_inbox_takes_any_number() -> None:
    ref, actor = started()
    go = threading.Event()
    ref.tell(go.wait)
    for number in range(20_000):
        ref.tell(number)
    assert actor.actor_inbox.qsize() >= 20_000  # type: ignore[attr-defined]
    actor.actor_stopped.set()
    go.set()


def test_row_15_a_question_given_up_is_handled_all_the_same() -> None:
    ref, actor = started()
    go, handled = threading.Event(), threading.Event()
    ref.tell(go.wait)
    with pytest.raises(pykka.Timeout):
        ref.ask(handled.set, timeout=SHORT_S)
    go.set()
    assert handled.wait(WAIT_S)
    assert ref.is_alive()
    assert not actor.ended.is_set()


def test_row_16_asking_oneself_is_a_deadlock() -> None:
    ref, _ = started()
    inner = ref.ask(lambda: ref.ask("myself", timeout=SHORT_S), block=False)
    with pytest.raises(pykka.Timeout):
        inner.get(timeout=WAIT_S)


def test_row_17_threads_keep_the_process_alive_by_default() -> None:
    assert pykka.ThreadingActor.use_daemon_thread is False


def test_row_18_a_broadcast_ends_at_the_first_dead_actor() -> None:
    dead, _ = started()
    alive, actor = started()
    dead.actor_stopped.set()  # died after the snapshot, still in the registry
    with pytest.raises(pykka.ActorDeadError):
        pykka.ActorRegistry.broadcast("news", target_class=Plain)
    assert alive.ask("sync", timeout=WAIT_S) == "sync"
    assert "news" not in actor.notes


def test_row_19_a_proxy_keeps_the_actor_object_and_calls_past_on_receive() -> None:
    ref, actor = started()
    proxy = ref.proxy()
    assert proxy._actor is actor
    with pytest.raises(ValueError, match="poison"):
        proxy.helper().get(timeout=WAIT_S)
    assert actor.notes == []


def test_row_20_the_stop_flag_from_outside_condemns() -> None:
    ref, actor = started()
    go, taken = threading.Event(), threading.Event()
    ref.tell(lambda: (taken.set(), go.wait()))
    assert taken.wait(WAIT_S)
    queued = ref.ask("queued", block=False)
    ref.actor_stopped.set()
    with pytest.raises(pykka.ActorDeadError):
        ref.tell("more")
    go.set()
    with pytest.raises(pykka.ActorDeadError):
        queued.get(timeout=WAIT_S)
    assert "on_stop" not in actor.notes


def test_row_21_an_exception_thrown_into_a_thread_does_not_wake_it() -> None:
    go, taken, ended = threading.Event(), threading.Event(), threading.Event()

    def wait() -> None:
        taken.set()
        try:
            go.wait()
        except ValueError:
            ended.set()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    assert taken.wait(WAIT_S)
    throw = ctypes.pythonapi.PyThreadState_SetAsyncExc
    assert throw(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(ValueError)) == 1
    assert not ended.wait(SHORT_S)
    go.set()
    thread.join(WAIT_S)


def test_the_private_names_we_use_are_there() -> None:
    assert issubclass(_ActorStop, object)
    assert callable(Plain._create_actor_inbox)
