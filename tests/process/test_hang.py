"""A symbol whose thread hangs, seen from outside: it alone is replaced, and the bot still stops."""

import json

import pytest

from tests.process.conftest import World, eventually

pytestmark = pytest.mark.process

SYMBOLS = ("BTCUSDT", "ETHUSDT")


def test_a_hung_symbol_has_a_successor_while_the_others_trade_on(world: World) -> None:
    world.start_venue("--seed", "3", "--speed", "60", "--symbols", ",".join(SYMBOLS))
    bot = world.start_bot(SYMBOLS=",".join(SYMBOLS), HUNG_AFTER_S="1")
    control = world.state / "control.json"
    eventually("the bot is up", lambda: control.exists() and "control API" in bot.text(), 60)
    hang = world.start("crash", "BTCUSDT", "--hang", name="crash")
    assert hang.wait(30) == 0, hang.text()

    def replaced() -> bool:
        hung = status(world)["symbols"]["BTCUSDT"]
        return (hung["state"], hung["generation"], hung["restarts"]) == ("up", 2, 1)

    eventually("BTCUSDT has a successor", replaced, 60)
    found = status(world)["symbols"]
    assert (found["ETHUSDT"]["generation"], found["ETHUSDT"]["restarts"]) == (1, 0)
    before = {symbol: found[symbol]["last_kline_close"] for symbol in SYMBOLS}

    def both_go_on() -> bool:
        now = status(world)["symbols"]
        return all(now[symbol]["last_kline_close"] > before[symbol] for symbol in SYMBOLS)

    eventually("both close candles again", both_go_on, 60)
    assert bot.interrupt(60) == 0, bot.text()


def status(world: World) -> dict[str, dict[str, dict[str, int]]]:
    asked = world.start("status", "--json", name="status")
    assert asked.wait(30) == 0, asked.text()
    answer: dict[str, dict[str, dict[str, int]]] = json.loads(asked.text().splitlines()[-1])
    return answer
