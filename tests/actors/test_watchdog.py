import threading
from dataclasses import replace
from typing import Any

import pytest

from actors.watchdog import Slot, Watchdog, Watched, where_it_stands
from tests.actors.world import PATIENCE_S


class Yard:
    """A watchdog that is told when to look."""

    def __init__(self) -> None:
        self.slot = Slot()
        self.actor = Watched(
            name="symbol/BTCUSDT",
            generation=1,
            slot=self.slot,
            patience_s=5.0,
            starting=False,
            queued=0,
            critical=False,
        )
        self.hung: list[tuple[str, int]] = []
        self.well: list[bool] = []
        self.watchdog = Watchdog(
            lambda: [self.actor],
            lambda actor, _: self.hung.append((actor.name, actor.generation)),
            self.well.append,
        )

    def look(self, times: int, passed_s: float = 0.25) -> None:
        for _ in range(times):
            self.watchdog.look(passed_s)

    def change(self, **changes: Any) -> None:
        self.actor = replace(self.actor, **changes)


@pytest.fixture
def yard() -> Yard:
    return Yard()


def test_idle_is_not_hung(yard: Yard) -> None:
    yard.look(1_000)
    assert yard.hung == []


def test_one_message_for_too_long_is_hung_and_told_once(yard: Yard) -> None:
    yard.slot.begin(["message"])
    yard.look(20)  # 19 quarters of a second since the first
    assert yard.hung == []
    yard.look(1)
    assert yard.hung == [("symbol/BTCUSDT", 1)]
    yard.look(100)
    assert len(yard.hung) == 1


def test_many_messages_are_progress_however_long_they_take_together(yard: Yard) -> None:
    for _ in range(50):
        yard.slot.begin(["message"])
        yard.look(15)
        assert yard.slot.end()
    assert yard.hung == []


def test_a_reader_that_leaves_its_queue_alone_is_hung(yard: Yard) -> None:
    yard.change(queued=3)
    yard.look(21)
    assert len(yard.hung) == 1


def test_a_successor_is_watched_anew(yard: Yard) -> None:
    yard.slot.begin(["message"])
    yard.look(21)
    yard.slot = Slot()
    yard.slot.begin(["message"])
    yard.change(generation=2, slot=yard.slot)
    yard.look(21)
    assert yard.hung == [("symbol/BTCUSDT", 1), ("symbol/BTCUSDT", 2)]


def test_a_start_that_never_gets_ready_is_hung_and_its_patience_is_its_own(yard: Yard) -> None:
    yard.change(starting=True, patience_s=30.0)
    yard.look(120)
    assert yard.hung == []
    yard.look(1)
    assert len(yard.hung) == 1


def test_getting_ready_ends_the_wait_for_it(yard: Yard) -> None:
    yard.change(starting=True)
    yard.look(20)
    yard.change(starting=False, queued=1)
    yard.look(20)
    assert yard.hung == []


def test_a_process_that_was_stopped_for_an_hour_does_not_take_all_for_hung(yard: Yard) -> None:
    yard.slot.begin(["message"])
    yard.look(2)
    yard.look(1, passed_s=3_600.0)
    assert yard.hung == []


def test_only_what_is_critical_makes_the_process_unwell(yard: Yard) -> None:
    yard.slot.begin(["message"])
    yard.look(25)
    assert all(yard.well)
    yard.change(critical=True)
    yard.look(1)
    assert yard.well[-1] is False


def test_either_the_actor_ends_what_it_has_in_hand_or_its_condemner() -> None:
    slot = Slot()
    slot.begin(["a"])
    assert slot.end()
    assert slot.condemn() == []
    slot.begin(["b"])
    assert slot.condemn() == ["b"]
    assert not slot.end()


def test_says_where_a_thread_stands_innermost_first() -> None:
    slot, go, taken = Slot(), threading.Event(), threading.Event()

    def stuck_here() -> None:
        taken.set()
        go.wait()

    slot.thread = threading.Thread(target=stuck_here, daemon=True)
    slot.thread.start()
    assert taken.wait(PATIENCE_S)
    said = where_it_stands(slot)
    assert said.startswith("threading.py:")
    assert "stuck_here" in said
    assert slot.lingers()
    go.set()
    slot.thread.join(PATIENCE_S)
    assert where_it_stands(slot) == "its thread is gone"
    assert not slot.lingers()


def test_its_own_thread_looks_and_survives_a_bad_look() -> None:
    looks = threading.Semaphore(0)

    def watched() -> list[Watched]:
        looks.release()
        raise ValueError("poison")

    watchdog = Watchdog(watched, lambda *_: None)
    watchdog.start()
    try:
        for _ in range(2):
            assert looks.acquire(timeout=PATIENCE_S)
    finally:
        watchdog.stop()
