"""Real actors on real threads; only the appointments are kept by hand."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pykka
import pytest

from core import messages as m
from tests.actors.world import PATIENCE_S, ROW, Born, Note, Tree, WaitFor

BTC, ETH = "symbol/BTCUSDT", "symbol/ETHUSDT"


class OddError(BaseException):
    """Neither an Exception nor one of Python's own exits."""


class UnprintableError(Exception):
    def __repr__(self) -> str:
        raise RuntimeError

    def __str__(self) -> str:
        return "nothing to see"


ERRORS = (
    ValueError("poison"),
    MemoryError(),
    SystemExit(3),
    KeyboardInterrupt(),
    OddError(),
    UnprintableError(),
)


def test_the_row_starts_in_order_and_the_symbols_last(plant: Callable[..., Tree]) -> None:
    tree = plant().start_up()
    tree.stop()
    tree.tracer.close()
    started = [
        message.name
        for message in tree.unread("persistence", m.ActorEvent)
        if message.event == "started"
    ]
    assert started == [*ROW, BTC, ETH]


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: type(e).__name__)
def test_a_crash_restarts_that_symbol_and_stops_nobody_else(
    tree: Tree, error: BaseException
) -> None:
    tree.crash(BTC, error)
    _, event = tree.expect("persistence", m.ActorEvent, event="crashed")
    assert event.name == BTC
    assert tree.child(BTC).state == "backoff"
    tree.runtime.keep_next()
    generation, _ = tree.expect(BTC, Born)
    assert generation == 2
    tree.await_state(dict.fromkeys(tree.states(), "up"))
    assert (tree.child(BTC).generation, tree.child(BTC).restarts) == (2, 1)
    for name in (*ROW, ETH, BTC):
        tree.tell(name, Note(number=1))
        assert tree.expect(name, Note)[0] == (2 if name == BTC else 1)
    assert not tree.unread(ETH, m.Resync)


def test_a_crash_whose_report_fails_is_reported_again(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    post, left = tree.directory.post, [MemoryError()]

    def short_of_memory(message: Any, **given: Any) -> None:
        if isinstance(message, m.Crashed) and left:
            raise left.pop()
        post(message, **given)

    monkeypatch.setattr(tree.directory, "post", short_of_memory)
    tree.crash_and_restart("persistence")
    assert tree.child("persistence").restarts == 1
    assert not left


@pytest.mark.parametrize("where", ["__init__", "start_up"])
@pytest.mark.parametrize("error", ERRORS, ids=lambda e: type(e).__name__)
def test_a_symbol_that_fails_at_birth_is_tried_again(
    plant: Callable[..., Tree], where: str, error: BaseException
) -> None:
    tree = plant()
    tree.faults[f"{BTC} {where}"] = [error]
    tree.start()
    tree.expect(ETH, Born)
    _, event = tree.expect("persistence", m.ActorEvent, event="crashed", name=BTC)
    assert event.generation == 1
    tree.runtime.keep_next()
    assert tree.expect(BTC, Born)[0] == 2
    assert tree.child(BTC).restarts == 1


def test_what_is_told_to_a_child_that_was_never_born_is_not_lost(
    plant: Callable[..., Tree],
) -> None:
    tree = plant()
    tree.faults[f"{BTC} __init__"] = [ValueError("poison")]
    tree.start()
    tree.expect(ETH, Born)
    tree.expect("persistence", m.ActorEvent, event="crashed", name=BTC)
    tree.tell(BTC, Note(number=1))
    tree.runtime.keep_next()
    tree.expect(BTC, Born)
    outcomes = tree.audit()
    assert outcomes[f"{BTC} did not start"] == 1


def test_a_crash_names_the_error_and_its_place_in_one_line(
    tree: Tree, log_lines: list[str]
) -> None:
    tree.crash(BTC)
    tree.expect("persistence", m.ActorEvent, event="crashed")
    tree.runtime.keep_next()
    tree.expect(BTC, Born)
    tree.stop()
    about = [line for line in log_lines if "poison" in line]
    assert len(about) == 1
    assert about[0].startswith(
        f"ERROR supervisor: {BTC} crashed: ValueError('poison') at world.py:"
    )
    assert not any("pykka" in line for line in log_lines)


def test_a_late_word_of_an_older_generation_changes_nothing(tree: Tree) -> None:
    tree.crash_and_restart(BTC)
    tree.await_state({BTC: "up"})
    for word in (
        m.Crashed(name=BTC, generation=1, error="again"),
        m.Ready(name=BTC, generation=1),
        m.Restart(name=BTC, generation=1),
        m.Restart(name=BTC, generation=2),
    ):
        tree.tell("supervisor", word)
    tree.barrier()
    child = tree.child(BTC)
    assert (child.state, child.generation, child.restarts) == ("up", 2, 1)


def test_a_crash_told_twice_counts_once(tree: Tree) -> None:
    tree.crash(BTC)
    tree.expect("persistence", m.ActorEvent, event="crashed")
    tree.tell("supervisor", m.Crashed(name=BTC, generation=1, error="again"))
    tree.barrier()
    assert tree.child(BTC).restarts == 1
    assert len(tree.runtime.delays_s) == 1


def test_exactly_the_budgeted_restarts_and_then_quarantine(plant: Callable[..., Tree]) -> None:
    tree = plant(restarts_max=2).start_up()
    for _ in range(2):
        tree.crash_and_restart(BTC)
        tree.await_state({BTC: "up"})
    tree.crash(BTC)
    _, quarantined = tree.expect("risk", m.SymbolQuarantined)
    assert quarantined.symbol == "BTCUSDT"
    tree.expect("persistence", m.ActorEvent, event="quarantined")
    child = tree.child(BTC)
    assert (child.state, child.generation, child.restarts) == ("quarantined", 4, 3)
    assert len(tree.runtime.delays_s) == 2
    tree.tell(ETH, Note(number=1))
    tree.expect(ETH, Note)


def test_crashes_outside_the_period_do_not_count(plant: Callable[..., Tree]) -> None:
    tree = plant(restarts_max=1, period_s=60.0).start_up()
    for _ in range(4):
        tree.crash_and_restart(BTC)
        tree.await_state({BTC: "up"})
        tree.clock.advance(61)
    assert tree.child(BTC).restarts == 4


def test_backoff_doubles_up_to_its_limit_with_a_fifth_of_jitter(
    plant: Callable[..., Tree],
) -> None:
    tree = plant(restarts_max=99, backoff_min_s=0.2, backoff_max_s=3.0).start_up()
    for _ in range(8):
        tree.crash_and_restart(BTC)
    plain = [0.2, 0.4, 0.8, 1.6, 3.0, 3.0, 3.0, 3.0]
    ratios = [delay / base for delay, base in zip(tree.runtime.delays_s, plain, strict=True)]
    assert all(0.8 <= ratio <= 1.2 for ratio in ratios)
    assert len(set(ratios)) == len(ratios)


def test_backoff_is_the_same_for_the_same_seed(plant: Callable[..., Tree]) -> None:
    delays = []
    for seed in (5, 5, 6):
        tree = plant(seed=seed, restarts_max=99).start_up()
        for _ in range(3):
            tree.crash_and_restart(BTC)
        delays.append(tree.runtime.delays_s)
    assert delays[0] == delays[1] != delays[2]


def test_backoff_starts_over_after_a_healthy_time(plant: Callable[..., Tree]) -> None:
    tree = plant(restarts_max=99, reset_after_s=120.0).start_up()
    for healthy_s in (0, 119, 121):
        tree.await_state({BTC: "up"})
        tree.clock.advance(healthy_s)
        tree.crash_and_restart(BTC)
    first, second, third = tree.runtime.delays_s
    assert 0.16 <= first <= 0.24
    assert 0.32 <= second <= 0.48
    assert 0.16 <= third <= 0.24


def test_a_thousand_crashes_in_a_row_do_not_overflow_the_backoff(
    plant: Callable[..., Tree],
) -> None:
    tree = plant(restarts_max=10_000).start_up()
    tree.child(BTC).backoffs = 5_000
    tree.crash_and_restart(BTC)
    assert tree.runtime.delays_s[0] <= 36.0


def test_the_rooms_have_one_budget_together_and_past_it_the_supervisor_gives_up(
    plant: Callable[..., Tree],
) -> None:
    tree = plant(restarts_max=99, root_restarts_max=3).start_up()
    everybody = dict.fromkeys(tree.states(), "up")
    for room in ("feed", "risk", "feed"):
        tree.crash_and_restart(room)
        tree.await_state(everybody)
        tree.clock.advance(30)
    assert tree.gave_up.empty(), "three are within the budget"
    tree.crash("execution")
    why = tree.gave_up.get(timeout=PATIENCE_S)
    assert why.startswith(
        "execution: more than 3 crashes of rooms in 120 s; last error: ValueError('poison')"
    )
    assert tree.child("execution").state == "failed"
    assert tree.gave_up.empty()


def test_rooms_that_crash_seldom_never_use_up_their_budget(plant: Callable[..., Tree]) -> None:
    tree = plant().start_up()
    for _ in range(6):
        tree.crash_and_restart("feed")
        tree.await_state({"feed": "up"})
        tree.clock.advance(40.1)
    assert tree.gave_up.empty()


def test_symbols_do_not_use_up_the_budget_of_the_rooms(plant: Callable[..., Tree]) -> None:
    tree = plant(restarts_max=99, root_restarts_max=1).start_up()
    for _ in range(4):
        tree.crash_and_restart(BTC)
        tree.await_state({BTC: "up"})
    tree.crash_and_restart("feed")
    assert tree.gave_up.empty()


def test_the_supervisor_s_own_crash_gives_up(tree: Tree) -> None:
    tree.tell("supervisor", Note(number=1))
    assert tree.gave_up.get(timeout=PATIENCE_S).startswith("supervisor crashed: TypeError(")


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(1)], ids=["exception", "exit"])
def test_a_failing_shut_down_stops_nobody_else(tree: Tree, error: BaseException) -> None:
    tree.faults[f"{BTC} shut_down"] = [error]
    tree.child(BTC).mailbox.close("test")  # type: ignore[union-attr]
    tree.expect(BTC, "shut down")
    for name in (*ROW, ETH):
        tree.tell(name, Note(number=1))
        tree.expect(name, Note)
    assert tree.stop() == []


def test_an_ask_that_crashes_the_actor_reaches_asker_and_supervisor(tree: Tree) -> None:
    ref: Any = next(
        r for r in pykka.ActorRegistry.get_all() if r.actor_inbox is tree.child(BTC).mailbox
    )
    future = ref.ask(WaitFor(taken=threading.Event(), go=_Broken()), block=False)
    with pytest.raises(Exception, match="symbol/BTCUSDT crashed"):
        future.get(timeout=PATIENCE_S)
    tree.runtime.keep_next()
    assert tree.expect(BTC, Born)[0] == 2
    assert tree.child(BTC).restarts == 1


class _Broken(threading.Event):
    def wait(self, timeout: float | None = None) -> bool:
        raise SystemExit(timeout)


def test_two_trees_do_not_meet(plant: Callable[..., Tree], tmp_path: Path) -> None:
    one, other = plant().start_up(), plant().start_up()
    one.crash(BTC)
    one.await_state({BTC: "backoff"})
    assert other.child(BTC).state == "up"
    assert one.stop() == []
    assert other.states() == dict.fromkeys(other.states(), "up")
