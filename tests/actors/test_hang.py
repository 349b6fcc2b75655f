"""Hung actors, quarantines that come together, and the way back."""

import threading
from collections.abc import Callable
from typing import Any

import pykka

from actors.supervisor import ZOMBIES_MAX
from core import messages as m
from tests.actors.world import PATIENCE_S, ROW, Born, Note, Tree, WaitFor

BTC, ETH = "symbol/BTCUSDT", "symbol/ETHUSDT"


class Hang:
    """An actor of a tree, busy until the test lets go."""

    def __init__(self, tree: Tree, name: str, *then: Any) -> None:
        self.tree, self.name = tree, name
        self._taken, self._go = threading.Event(), threading.Event()
        self.slot = tree.child(name).slot
        tree.tell(name, WaitFor(taken=self._taken, go=self._go, then=then))
        assert self._taken.wait(PATIENCE_S)

    def report(self) -> None:
        """Do what the watchdog does, and wait until the supervisor has acted on it."""
        generation = self.tree.child(self.name).generation
        hung = m.Hung(name=self.name, generation=generation, stack="somewhere")
        self.tree.tell("supervisor", hung)
        self.tree.barrier()

    def let_go(self) -> None:
        self._go.set()
        assert self.slot.thread is not None
        self.slot.thread.join(PATIENCE_S)
        assert not self.slot.thread.is_alive()


def test_a_hung_symbol_gets_a_successor_and_the_others_do_not_notice(tree: Tree) -> None:
    hang = Hang(tree, BTC)
    tree.tell(BTC, Note(number=1))
    hang.report()
    tree.expect("persistence", m.ActorEvent, event="hung", name=BTC, generation=1)
    tree.runtime.keep_next()
    assert tree.expect(BTC, Born)[0] == 2
    tree.await_state(dict.fromkeys(tree.states(), "up"))
    assert (tree.child(BTC).restarts, tree.supervisor.zombies) == (1, 1)
    for name in (*ROW, ETH):
        tree.tell(name, Note(number=2))
        assert tree.expect(name, Note)[0] == 1
    hang.let_go()
    assert tree.supervisor.zombies == 0
    outcomes = tree.audit()
    assert outcomes["hung"] == 1
    assert outcomes[f"{BTC} hung"] == 1  # what was queued


def test_the_fence_stands_before_the_successor_does(tree: Tree) -> None:
    hang = Hang(tree, BTC)
    hang.report()
    for room in ("risk", "execution"):
        tree.expect(room, m.ActorStarted, symbol="BTCUSDT", generation=2)
    assert tree.child(BTC).state == "backoff"
    hang.let_go()


def test_a_zombie_has_no_say_and_lets_go_of_nothing(tree: Tree) -> None:
    hang = Hang(tree, BTC, m.ReconcilePending(reason="of the zombie"))
    hang.report()
    hang.let_go()
    tree.tell("risk", Note(number=1))
    tree.expect("risk", Note)
    assert not tree.unread("risk", m.ReconcilePending)
    assert not tree.unread(BTC, "shut down")


def test_a_zombie_s_own_crash_is_no_second_one(tree: Tree) -> None:
    tree.faults[f"{BTC} shut_down"] = [ValueError("late")]
    hang = Hang(tree, BTC, object())  # nobody routes that: it raises when it comes back
    hang.report()
    hang.let_go()
    tree.barrier()
    assert tree.child(BTC).restarts == 1


def test_a_hang_told_twice_counts_once(tree: Tree) -> None:
    hang = Hang(tree, BTC)
    hang.report()
    tree.tell("supervisor", m.Hung(name=BTC, generation=1, stack="somewhere"))
    tree.barrier()
    assert tree.child(BTC).restarts == 1
    hang.let_go()


def test_what_persistence_had_in_hand_and_queued_goes_to_its_successor_in_order(
    tree: Tree,
) -> None:
    hang = Hang(tree, "persistence")
    for number in range(100):
        tree.tell("persistence", Note(number=number))
    old = tree.child("persistence").mailbox
    hang.report()
    hang.let_go()  # the zombie must not read on
    assert old is not None
    for number in range(100, 110):
        tree.tell("persistence", Note(number=number))
    tree.runtime.keep_next()
    assert tree.expect("persistence", WaitFor)[0] == 1
    assert tree.expect("persistence", WaitFor)[0] == 2  # done again by the successor
    for number in range(110):
        assert tree.expect("persistence", Note)[1].number == number
    tree.await_state(dict.fromkeys(tree.states(), "up"))


def test_more_zombies_than_bearable_make_the_supervisor_give_up(
    plant: Callable[..., Tree],
) -> None:
    tree = plant(restarts_max=99).start_up()
    hangs = []
    for number in range(ZOMBIES_MAX + 1):
        assert tree.gave_up.empty()
        hangs.append(Hang(tree, BTC))
        hangs[-1].report()
        tree.runtime.keep_next()
        assert tree.expect(BTC, Born)[0] == number + 2
        tree.await_state({BTC: "up"})
    assert tree.gave_up.get(timeout=PATIENCE_S).startswith(f"{ZOMBIES_MAX + 1} threads hang")
    for hang in hangs:
        hang.let_go()


def test_the_watchdog_sees_who_is_alive_and_what_waits(tree: Tree) -> None:
    hang = Hang(tree, BTC)
    tree.tell(BTC, Note(number=1))
    seen = {actor.name: actor for actor in tree.supervisor.watched()}
    assert set(seen) == {"supervisor", *ROW, BTC, ETH}
    assert (seen[BTC].queued, seen[BTC].critical, bool(seen[BTC].slot.hand)) == (1, False, True)
    assert all(seen[name].critical for name in ("supervisor", *ROW))
    hang.report()
    assert BTC not in {actor.name for actor in tree.supervisor.watched()}
    hang.let_go()


def test_a_thread_that_does_not_start_leaves_nothing_that_seems_alive(
    plant: Callable[..., Tree],
) -> None:
    tree = plant().start_up()
    refuse = [True]
    spawn = tree.runtime.spawn

    def once(actor_class: Any, *arguments: Any) -> None:
        if not refuse:
            return spawn(actor_class, *arguments)
        refuse.clear()

        class NoThread(actor_class):  # type: ignore[misc]
            def _start_actor_loop(self) -> None:
                raise RuntimeError("can't start new thread")

        NoThread.start(*arguments)
        return None

    alive = len(pykka.ActorRegistry.get_all())
    tree.runtime.spawn = once  # type: ignore[method-assign]
    tree.crash_and_restart_unborn(BTC)
    assert len(pykka.ActorRegistry.get_all()) == alive - 1
    assert tree.child(BTC).restarts == 2
    tree.runtime.keep_next()
    assert tree.expect(BTC, Born)[0] == 3


# ---------------------------------------- quarantine and revival
THREE = ("BTCUSDT", "ETHUSDT", "SOLUSDT")


def quarantined(tree: Tree, name: str) -> None:
    tree.crash(name)
    tree.await_state({name: "quarantined"})


def test_two_symbols_at_once_are_no_coincidence_but_one_alone_is(
    plant: Callable[..., Tree],
) -> None:
    tree = plant(restarts_max=0, symbols=THREE).start_up()
    quarantined(tree, BTC)
    tree.tell("risk", Note(number=1))
    tree.expect("risk", Note)
    assert not tree.unread("risk", m.CorrelatedFailure)
    quarantined(tree, ETH)
    _, failure = tree.expect("risk", m.CorrelatedFailure)
    assert failure.reason.startswith("2 of 3 symbols quarantined within 60 s (BTCUSDT, ETHUSDT)")
    tree.barrier()
    assert tree.gave_up.empty()


def test_when_no_symbol_is_left_it_reduces_and_gives_up(plant: Callable[..., Tree]) -> None:
    tree = plant(restarts_max=0).start_up()
    quarantined(tree, BTC)
    quarantined(tree, ETH)
    why = tree.gave_up.get(timeout=PATIENCE_S)
    assert why.startswith("no symbol is left: 2 of 2 symbols quarantined within 60 s")
    assert "poison" in why
    tree.expect("risk", m.CorrelatedFailure)


def test_quarantines_far_apart_have_nothing_in_common(plant: Callable[..., Tree]) -> None:
    tree = plant(restarts_max=0).start_up()
    quarantined(tree, BTC)
    tree.clock.advance(61)
    quarantined(tree, ETH)
    tree.tell("risk", Note(number=1))
    tree.expect("risk", Note)
    assert not tree.unread("risk", m.CorrelatedFailure)
    assert tree.gave_up.empty()


def test_reviving_starts_the_symbol_anew_and_the_last_one_clears_the_latch(
    plant: Callable[..., Tree],
) -> None:
    tree = plant(restarts_max=0, symbols=THREE).start_up()
    for name in (BTC, ETH):
        quarantined(tree, name)
    tree.tell("supervisor", m.Revive(symbol="BTCUSDT"))
    assert tree.expect(BTC, Born)[0] == 2
    tree.expect("persistence", m.ActorEvent, event="revived", name=BTC)
    tree.expect("risk", m.ActorStarted, symbol="BTCUSDT", generation=2)
    tree.await_state({BTC: "up"})
    assert not tree.unread("risk", m.CorrelatedFailureCleared)
    tree.tell("supervisor", m.Revive(symbol="ETHUSDT"))
    tree.expect("risk", m.CorrelatedFailureCleared)
    tree.await_state({ETH: "up"})


def test_reviving_forgets_the_crashes_of_before(plant: Callable[..., Tree]) -> None:
    tree = plant(restarts_max=1).start_up()
    tree.crash_and_restart(BTC)
    tree.await_state({BTC: "up"})
    quarantined(tree, BTC)
    tree.tell("supervisor", m.Revive(symbol="BTCUSDT"))
    tree.await_state({BTC: "up"})
    tree.crash(BTC)
    tree.await_state({BTC: "backoff"})


def test_another_owner_of_the_database_ends_this_process(tree: Tree) -> None:
    tree.tell("supervisor", m.LeaseLost(reason="taken over by pid 7"))
    assert tree.gave_up.get(timeout=PATIENCE_S) == "taken over by pid 7"
