"""The row of rooms that build on one another: restart, the kept queue, the ordered stop."""

import threading
from collections.abc import Callable

import pykka
import pytest

from core import messages as m
from tests.actors.world import PATIENCE_S, ROW, SYMBOLS, Born, Note, Tree, WaitFor

BTC, ETH = "symbol/BTCUSDT", "symbol/ETHUSDT"


def test_a_room_takes_the_later_ones_along_and_symbols_keep_running(tree: Tree) -> None:
    for name in ROW:
        tree.tell(name, Note(number=0))
        tree.expect(name, Note)
    tree.crash_and_restart("risk")
    for name in ("execution", "feed"):
        assert tree.expect(name, Born)[0] == 2
    for symbol in SYMBOLS:
        assert tree.expect(f"symbol/{symbol}", m.Resync)[0] == 1
    tree.await_state(dict.fromkeys(tree.states(), "up"))
    generations = {name: tree.child(name).generation for name in tree.states()}
    assert generations == {"persistence": 1, "risk": 2, "execution": 2, "feed": 2, BTC: 1, ETH: 1}
    restarts = {name: tree.child(name).restarts for name in tree.states()}
    assert restarts == {"persistence": 0, "risk": 1, "execution": 0, "feed": 0, BTC: 0, ETH: 0}


@pytest.mark.parametrize("name", ROW)
def test_rooms_that_came_back_learn_the_symbols_generations(tree: Tree, name: str) -> None:
    tree.crash_and_restart(BTC)
    tree.expect("risk", m.ActorStarted, symbol="BTCUSDT", generation=2)
    tree.crash_and_restart(name)
    tree.expect(BTC, m.Resync)
    wanted = {"persistence": 2, "risk": 2, "execution": 1, "feed": 1}
    for symbol, generation in (("BTCUSDT", 2), ("ETHUSDT", 1)):
        while True:
            reader, _ = tree.expect("risk", m.ActorStarted, symbol=symbol, generation=generation)
            if reader == wanted[name]:
                break


def test_risk_that_came_back_learns_who_is_quarantined(plant: Callable[..., Tree]) -> None:
    tree = plant(restarts_max=1).start_up()
    tree.crash_and_restart(BTC)
    tree.crash(BTC)
    assert tree.expect("risk", m.SymbolQuarantined)[0] == 1
    tree.crash_and_restart("risk")
    assert tree.expect("risk", m.SymbolQuarantined)[0] == 2


def test_the_threads_of_retired_and_of_crashed_readers_end(plant: Callable[..., Tree]) -> None:
    tree = plant()
    tree.start()
    threads = {name: tree.expect(name, Born)[1].thread for name in ROW}
    tree.expect(ETH, Born)
    tree.await_state({ETH: "up"})
    tree.crash_and_restart("persistence")
    for name in ROW[1:]:
        tree.expect(name, Born)
        tree.expect(name, "shut down")
    for thread in threads.values():
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def test_a_retired_room_has_no_say_any_more(tree: Tree) -> None:
    taken, go = threading.Event(), threading.Event()
    thought = m.ReconcilePending(reason="of the old one")
    tree.tell("execution", WaitFor(taken=taken, go=go, then=(thought,)))
    assert taken.wait(PATIENCE_S)
    tree.crash_and_restart("risk")
    tree.expect("execution", Born)
    go.set()
    tree.expect("execution", "shut down")
    tree.tell("risk", Note(number=1))
    tree.expect("risk", Note)
    assert not tree.unread("risk", m.ReconcilePending)


def test_a_second_crash_waits_for_its_turn_in_the_row(tree: Tree) -> None:
    tree.crash("execution")
    tree.expect("persistence", m.ActorEvent, event="crashed", name="execution")
    tree.crash("risk")
    tree.expect("persistence", m.ActorEvent, event="crashed", name="risk")
    tree.runtime.keep_next()  # execution's, while risk is still away
    tree.barrier()
    assert tree.child("execution").state == "down"
    tree.runtime.keep_next()
    for name in ("risk", "execution", "feed"):
        assert tree.expect(name, Born)[0] == 2
    tree.await_state(dict.fromkeys(tree.states(), "up"))


def test_persistence_s_queue_survives_its_crash_in_order(tree: Tree) -> None:
    taken, go = threading.Event(), threading.Event()
    tree.tell("persistence", WaitFor(taken=taken, go=go))
    assert taken.wait(PATIENCE_S)
    tree.crash("persistence")
    for number in range(100):
        tree.tell("persistence", Note(number=number))
    go.set()
    tree.await_state({"persistence": "backoff"})
    for number in range(100, 200):
        tree.tell("persistence", Note(number=number))
    assert tree.directory.depth("persistence") >= 200
    tree.runtime.keep_next()
    for number in range(200):
        assert tree.expect("persistence", Note)[1].number == number
    assert tree.expect("persistence", Born)[0] == 2


def test_a_kept_queue_is_the_successor_s_even_while_the_dead_reader_lingers(
    tree: Tree,
) -> None:
    """The old thread's teardown must neither drain nor close what the successor reads."""
    mailbox = tree.child("persistence").mailbox
    assert mailbox is not None
    for _ in range(3):
        tree.crash_and_restart("persistence")
        tree.await_state(dict.fromkeys(tree.states(), "up"))
        assert not mailbox.reader_gone.is_set()
        assert not mailbox.closed
    assert tree.child("persistence").mailbox is mailbox


def test_a_kept_queue_survives_a_successor_that_is_not_born(tree: Tree) -> None:
    tree.faults["persistence __init__"] = [OSError("disk")]
    tree.crash("persistence")
    tree.await_state({"persistence": "backoff"})
    tree.tell("persistence", Note(number=1))
    tree.runtime.keep_next()
    tree.runtime.keep_next()
    assert tree.expect("persistence", Note)[0] == 3


def test_stops_symbols_first_and_persistence_last_after_their_queues(tree: Tree) -> None:
    names = [BTC, ETH, "feed", "execution", "risk", "persistence"]
    for name in names:
        for number in range(50):
            tree.tell(name, Note(number=number))
    assert tree.stop() == []
    for name in names:
        assert len(tree.unread(name, Note)) == 50
    order = [who for who, _, message in tree._unread if message == "shut down"]
    assert sorted(order[:2]) == [BTC, ETH]
    assert order[2:] == names[2:]
    assert pykka.ActorRegistry.get_all() == []


@pytest.mark.parametrize("name", [BTC, "persistence"])
def test_nobody_is_brought_back_once_the_bot_stops(tree: Tree, name: str) -> None:
    born = tree.unread(name, Born)
    tree.crash(name)
    tree.await_state({name: "backoff"})
    tree.tell(name, Note(number=1))
    assert tree.stop() == []
    tree.runtime.keep_next()
    assert not tree.unread(name, m.Restart)
    assert tree.child(name).generation == 2  # the dead one is fenced, no other was born
    assert tree.unread(name, Born) == born
    assert pykka.ActorRegistry.get_all() == []


def test_a_restart_already_queued_is_not_carried_out_at_a_stop(tree: Tree) -> None:
    tree.crash(BTC)
    tree.await_state({BTC: "backoff"})
    tree.supervisor._stopping = True  # as `retire` does, before the queue is drained
    tree.runtime.keep_next()
    assert tree.stop() == []
    assert not tree.unread(BTC, Born)


def test_a_hung_actor_is_left_behind_and_the_others_stop(tree: Tree) -> None:
    taken, go = threading.Event(), threading.Event()
    tree.tell("execution", WaitFor(taken=taken, go=go))
    assert taken.wait(PATIENCE_S)
    tree.tell("execution", Note(number=1))
    assert tree.stop(within_s=0.05) == ["execution"]
    tree.expect("persistence", "shut down")
    go.set()
    tree.expect("execution", "shut down")


def test_storms_of_crashes_and_messages_lose_nothing(plant: Callable[..., Tree]) -> None:
    tree = plant(restarts_max=10_000, backoff_min_s=0.0).start_up()
    stop = threading.Event()

    def storm(name: str) -> None:
        number = 0
        while not stop.is_set() and number < 3_000:
            tree.tell(name, Note(number=number))
            number += 1

    writers = [threading.Thread(target=storm, args=(n,)) for n in (BTC, "persistence", "risk")]
    for writer in writers:
        writer.start()
    for _ in range(15):
        for name in (BTC, "persistence"):
            tree.crash(name)
            tree.runtime.keep_next()
    stop.set()
    for writer in writers:
        writer.join()
    tree.await_state(dict.fromkeys(tree.states(), "up"))
    tree.stop()
    numbers = [note.number for note in tree.unread("persistence", Note)]
    assert numbers == list(range(len(numbers)))
    outcomes = tree.audit()
    assert outcomes["ValueError"] == 30
