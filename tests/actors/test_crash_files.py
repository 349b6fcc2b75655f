"""What killed an actor, written down with the state it met, and run again."""

import enum
import json
from collections import deque
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.crash_files import CrashFiles, load
from actors.crash_replay import rerun
from actors.state_text import StateTextError, decode, encode
from actors.trading_actor import in_one_line
from core import messages as m
from core.clock import Moment
from core.errors import DataError
from core.feed.machine import FeedMachine
from core.routes import Room
from tests.actors.builders import a_balance, a_candle, a_frame
from tests.actors.world import T0, Explode, Tree

NOW = Moment(venue_ns=T0, wall_ns=T0 + 5, speed=60.0)

PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(),
    st.floats(allow_nan=False),
    st.decimals(allow_nan=False),
    st.sampled_from([m.Side.BUY, m.Purpose.STOP]),
)
THINGS = st.recursive(
    PLAIN,
    lambda inner: st.one_of(
        st.lists(inner),
        st.lists(inner).map(tuple),
        st.dictionaries(st.text(), inner),
        st.lists(inner).map(deque),
    ),
    max_leaves=20,
)


def through_text(thing: Any, fresh: Any = None) -> Any:
    return decode(json.loads(json.dumps(encode(thing))), fresh)


@given(thing=THINGS)
def test_reads_back_what_was_written(thing: Any) -> None:
    again = through_text(thing)
    assert again == thing
    assert type(again) is type(thing)


def test_reads_back_arrays_not_numbers_and_messages() -> None:
    array = np.array([[1.5, np.nan], [np.inf, -0.0]])
    np.testing.assert_array_equal(through_text(array), array)
    assert np.isnan(through_text(float("nan")))
    for message in (a_candle(taker_buy_volume=0.1), a_balance(7), a_frame(closed=True)):
        assert through_text(message) == message


def test_what_two_parts_share_stays_shared() -> None:
    shared = {"quantity": Decimal("0.1")}
    one, other = through_text([shared, shared])
    assert one is other
    ring_of_itself: list[Any] = []
    ring_of_itself.append(ring_of_itself)
    again = through_text(ring_of_itself)
    assert again[0] is again


def test_what_is_not_of_a_room_comes_from_the_fresh_one() -> None:
    class Model:
        pass

    fresh = Model()
    assert through_text({"model": Model(), "seen": 7}, {"model": fresh}) == {
        "model": fresh,
        "seen": 7,
    }


@pytest.mark.parametrize(
    "tree",
    [
        {"$id": 0, "$object": "os:system", "attributes": {}},
        {"$id": 0, "$object": "core.messages:field", "attributes": {}},
        {"$enum": "subprocess:Popen", "value": "x"},
        {"$id": 0, "$code": "x"},
        {"$ref": 7},
        {"$odd": 1},
    ],
)
def test_a_text_builds_nothing_but_our_own_objects(tree: Any) -> None:
    with pytest.raises(StateTextError):
        decode(tree)


def test_a_crash_runs_again_as_it_was(tmp_path: Path) -> None:
    machine = FeedMachine(("BTCUSDT",))
    machine.handle(a_frame(closed=True), NOW)
    files = CrashFiles(tmp_path, {"SYMBOLS": ["BTCUSDT"]})
    path = files.save(
        name=Room.FEED.value,
        generation=2,
        error="x",
        at_wall_ns=T0,
        now=NOW,
        messages=[a_frame(closed=True)],
        machine=machine,
    )
    assert path is not None
    crash = load(path)
    assert (crash.name, crash.generation, crash.now) == ("feed", 2, NOW)
    assert crash.messages == (a_frame(closed=True),)
    for _ in range(2):  # deterministic: the state is read anew each time
        again = rerun(crash, FeedMachine(("BTCUSDT",)))
        assert again.raised is None
        assert again.out == machine.handle(a_frame(closed=True), NOW) == ()  # known by then
    assert FeedMachine(("BTCUSDT",)).handle(a_frame(closed=True), NOW) != ()


def test_the_same_error_at_the_same_place_is_called_the_same(tmp_path: Path) -> None:
    machine, poison = FeedMachine(("BTCUSDT",)), m.CrashNow(symbol="BTCUSDT")
    with pytest.raises(AssertionError) as crashed:
        machine.handle(poison, NOW)  # type: ignore[arg-type]
    path = CrashFiles(tmp_path).save(
        name=Room.FEED.value,
        generation=1,
        error=in_one_line(crashed.value),
        at_wall_ns=T0,
        now=NOW,
        messages=[poison],
        machine=machine,
    )
    assert path is not None
    again = rerun(load(path), FeedMachine(("BTCUSDT",)))
    assert again.same
    assert isinstance(again.raised, AssertionError)


def test_an_actor_that_dies_leaves_its_message_behind(
    plant: Callable[..., Tree], tmp_path: Path
) -> None:
    tree = plant()
    tree.directory.crash_files = CrashFiles(tmp_path / "crashes")
    tree.start_up()
    tree.crash_and_restart("symbol/BTCUSDT")
    tree.stop()
    (path,) = (tmp_path / "crashes").glob("*.json")
    found = json.loads(path.read_bytes())
    assert (found["name"], found["generation"]) == ("symbol/BTCUSDT", 1)
    assert found["kinds"] == [Explode.__name__]
    assert found["error"].startswith("ValueError('poison') at world.py:")


def test_the_newest_files_are_kept(tmp_path: Path) -> None:
    files = CrashFiles(tmp_path)
    for number in range(110):
        files.save(name="risk", generation=1, error="x", at_wall_ns=number, now=NOW, messages=[])
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert len(kept) == 100
    assert kept[0].startswith(f"crash-{10:020d}")


def test_a_folder_that_cannot_be_written_costs_the_file_only(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    files = CrashFiles(tmp_path / "file" / "crashes")
    assert (
        files.save(name="risk", generation=1, error="x", at_wall_ns=1, now=NOW, messages=[]) is None
    )


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 99}', "no json"])
def test_anything_else_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "crash.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"must be a crash file.*Fix: ") as refusal:
        load(path)
    assert "\n" not in str(refusal.value)
    with pytest.raises(DataError, match="No such file"):
        load(tmp_path / "none.json")


def test_enums_of_a_room_keep_their_identity() -> None:
    assert through_text(m.TradingState.HALTED) is m.TradingState.HALTED
    assert isinstance(through_text(m.Side.SELL), enum.Enum)
