"""A strategy of one's own, named by its class path: it trades and closes, or is refused."""

from pathlib import Path
from typing import Any

import pytest

from core.errors import SelfCheckError
from core.execution.client_id import purpose_of
from core.messages import Purpose
from tests.process.conftest import World, eventually
from tests.process.leftovers import nothing_is_left

pytestmark = pytest.mark.process

CLOCKWORK = '''
class Clockwork:
    """Opens on every fourth minute, up and down in turn, and closes two minutes later."""

    warmup = 20

    def __init__(self, config):
        self.strength = 0.9

    def generate_signal(self, df):
        minute = df.index[-1].minute
        if minute % 4 == 0:
            return ("BUY" if minute % 8 else "SELL"), self.strength, {"minute": minute}
        if minute % 4 == 2:
            return "CLOSE", 1.0, {}
        return None, 0.0, {}
'''
PROPHET = '''
import numpy as np

class Prophet:
    """Buys before every rise, which it can only know afterwards."""

    warmup = 20

    def __init__(self, config):
        pass

    def generate_signal(self, df):
        return None, 0.0, {}

    def signals(self, df):
        rises = (df["close"].shift(-1) > df["close"]).to_numpy()
        return np.where(rises, "BUY", None).astype(object)
'''
WRECK = """
class Wreck:
    warmup = 20

    def __init__(self, config):
        pass

    def generate_signal(self, df):
        return df["no such column"]
"""
SYMBOLS = "BTCUSDT,ETHUSDT"


def write(folder: Path) -> None:
    for name, source in (("clockwork", CLOCKWORK), ("prophet", PROPHET), ("wreck", WRECK)):
        (folder / f"{name}.py").write_text(source, encoding="utf-8")


def orders(world: World, purpose: Purpose) -> list[dict[str, Any]]:
    return [
        order
        for order in world.ledger()["orders"]
        if purpose_of("afb", order["clientOrderId"]) is purpose
    ]


def test_buys_sells_and_closes_at_market(world: World) -> None:
    write(world.folder)
    world.start_venue("--seed", "3", "--speed", "60", "--symbols", SYMBOLS)
    bot = world.start_bot(
        SYMBOLS=SYMBOLS, STRATEGY="clockwork:Clockwork", PYTHONPATH=str(world.folder)
    )

    def both_sides() -> bool:
        return {order["side"] for order in orders(world, Purpose.ENTRY)} == {"BUY", "SELL"}

    eventually("entries on both sides", both_sides, 60)
    eventually("an exit on demand", lambda: orders(world, Purpose.EXIT), 60)
    closed = orders(world, Purpose.EXIT)[0]
    assert closed["type"] == "MARKET"
    assert closed["reduceOnly"] is True
    eventually("it says so", lambda: "closed at market" in bot.text(), 20)
    assert bot.interrupt() == 0, bot.text()
    assert "Traceback" not in bot.text()
    history = world.ledger()["position_history"]
    assert any(float(row["positionAmt"]) == 0.0 for row in history)


@pytest.mark.parametrize(
    ("strategy", "says"),
    [("prophet:Prophet", "changes its past signals"), ("wreck:Wreck", "no such column")],
)
def test_refuses_what_looks_ahead_or_fails(world: World, strategy: str, says: str) -> None:
    write(world.folder)
    bot = world.start("--config", "paper.yaml", STRATEGY=strategy, PYTHONPATH=str(world.folder))
    assert bot.wait(60) == SelfCheckError.exit_code, bot.text()
    (line,) = bot.text().splitlines()
    assert line.startswith("error: STRATEGY ")
    assert strategy in line
    assert says in line
    assert "Fix: " in line
    nothing_is_left(world.state)
