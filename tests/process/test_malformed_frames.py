"""Frames nobody can use, on the wire of a running bot: counted, logged, dropped; actors live."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from actors.edges.control_client import ControlClient
from actors.edges.state_directory import StateDirectory
from config import Config
from tests.process.conftest import World, eventually
from tests.process.learned import SYMBOLS
from tests.process.relay import Relay

pytestmark = pytest.mark.process

SYMBOL = SYMBOLS[0]


def a_kline(now_ms: int, **changed: str) -> str:
    opened = now_ms - now_ms % 60_000
    kline: dict[str, Any] = {
        "t": opened,
        "T": opened + 59_999,
        "s": SYMBOL,
        "i": "1m",
        "f": 1,
        "L": 2,
        "o": "105000.0",
        "c": "105001.0",
        "h": "105002.0",
        "l": "104999.0",
        "v": "3.0",
        "n": 2,
        "x": True,
        "q": "315000.0",
        "V": "1.0",
        "Q": "105000.0",
    }
    data = {"e": "kline", "E": opened + 60_000, "s": SYMBOL, "k": kline | changed}
    return json.dumps({"stream": f"{SYMBOL.lower()}@kline_1m", "data": data})


def bad_frames(now_ms: int) -> tuple[str, ...]:
    mark = {"e": "markPriceUpdate", "E": now_ms, "s": SYMBOL, "p": "NaN"}
    return (
        a_kline(now_ms, c="NaN"),
        a_kline(now_ms, h="Infinity"),
        a_kline(now_ms, o="-1"),
        a_kline(now_ms, v="many"),
        json.dumps({"stream": f"{SYMBOL.lower()}@markPrice@1s", "data": mark}),
        json.dumps({"stream": f"{SYMBOL.lower()}@kline_1m", "data": {"e": "kline"}}),
        "[1, 2, 3]",
    )


@pytest.fixture
def relay(world: World) -> Iterator[Relay]:
    world.start_venue("--seed", "3", "--speed", "60", "--symbols", ",".join(SYMBOLS))
    relay = Relay(world.url)
    world.url = relay.url
    yield relay
    world.end()
    relay.stop()


def test_bad_frames_are_counted_logged_and_dropped(world: World, relay: Relay) -> None:
    bot = world.start_bot(SYMBOLS=",".join(SYMBOLS))
    eventually("the bot is up", (world.state / "control.json").exists, 60)
    settings = Config(_env_file=None, _environ={}, STATE_DIR=str(world.state))
    control = ControlClient(StateDirectory.of(settings))

    def newest() -> int:
        return min(row["last_kline_close"] for row in control.snapshot()["symbols"].values())

    eventually("all symbols hear klines", newest, 60)
    frames = bad_frames(world.get("/sim/health")["venue_ms"])
    for frame in frames:
        relay.inject(frame)
    eventually(
        "they are counted",
        lambda: control.snapshot()["messages"]["rejected_frames"] == len(frames),
        20,
    )
    before = newest()
    eventually("all symbols go on", lambda: newest() > before, 20)
    assert "stream: a frame was dropped, kline: c is not a finite number" in bot.text()

    relay.inject("{not json")
    eventually("the stream is rebuilt", lambda: "market stream up again" in bot.text(), 90)
    before = newest()
    eventually("all symbols go on again", lambda: newest() > before, 90)
    assert {row["generation"] for row in control.snapshot()["symbols"].values()} == {1}
    assert {row["restarts"] for row in control.snapshot()["actors"]} == {0}
    assert bot.interrupt() == 0, bot.text()
    assert "Traceback" not in bot.text()
