"""The public classes are the parts that trade: break one, and no entry is ever sent.

Each bot runs in a world of its own on the same prices; one method of one class is replaced before
the program starts.  The unbroken bot beside them shows that there was something to trade.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.errors import SelfCheckError, SupervisorGaveUpError
from tests.process.conftest import ROOT, World, eventually
from tests.process.learned import SYMBOLS, skilled_models

pytestmark = pytest.mark.process

# Python runs a module of this name, if it finds one, before any program.
PATCH_FILE = "sitecustomize.py"
PATCH = """
import threading
from {module} import {owner}

original = {owner}.{method}

def raises(*args, **given):
    raise RuntimeError("{method} was broken by a test")

def answers_nothing(*args, **given):
    return None

def raises_in_the_actor(*args, **given):
    if "Actor" in threading.current_thread().name:
        raise RuntimeError("{method} was broken by a test")
    return original(*args, **given)

{owner}.{method} = {how}
print("replaced {owner}.{method}", flush=True)
"""
LONG_ENOUGH = 15  # minutes of the venue; the unbroken bot needs a few
CODES = (SupervisorGaveUpError.exit_code, SelfCheckError.exit_code)
TWO = ",".join(SYMBOLS)
UNBROKEN = "unbroken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """Which method is replaced, and by what."""

    module: str
    owner: str
    method: str
    how: str


STRATEGY = {"module": "core.symbol.strategy", "owner": "EnhancedStrategy"}
RISK = {"module": "core.risk.risk_manager", "owner": "RiskManager"}
DATABASE = {"module": "actors.edges.database", "owner": "DatabaseManager"}
PREDICTOR = {"module": "models.price_predictor", "owner": "PricePredictor"}
PARTS = {
    "signal-raises": Broken(**STRATEGY, method="generate_signal", how="raises_in_the_actor"),
    "signal-is-nothing": Broken(**STRATEGY, method="generate_signal", how="answers_nothing"),
    "size-raises": Broken(**RISK, method="calculate_position_size", how="raises"),
    "limit-is-nothing": Broken(**RISK, method="check_open_positions_limit", how="answers_nothing"),
    "commit-raises": Broken(**DATABASE, method="apply", how="raises"),
    "order-raises": Broken(**DATABASE, method="store_order", how="raises"),
    "prediction-raises": Broken(**PREDICTOR, method="predict", how="raises_in_the_actor"),
}


class Bot:
    """A bot and its world; `part` is what is broken in it."""

    def __init__(self, folder: Path, part: Broken | None) -> None:
        folder.mkdir()
        self.part = part
        self.world = World(folder)
        env = {
            "SYMBOLS": TWO,
            "MODEL_DIR": str(skilled_models()),
            "ALLOW_TECHNICAL_ONLY": "false",
            "BACKOFF_MIN_S": "0.05",
        }
        if part is not None:
            text = PATCH.format(
                module=part.module, owner=part.owner, method=part.method, how=part.how
            )
            (folder / PATCH_FILE).write_text(text, encoding="utf-8")
            env["PYTHONPATH"] = f"{folder}{os.pathsep}{ROOT}"
        self.world.start_venue("--seed", "3", "--speed", "60", "--symbols", TWO)
        self.process = self.world.start_bot(**env)
        published = self.world.state / "control.json"
        eventually("the bot is up", lambda: published.exists() or not self.process.alive(), 90)
        self.up_ms = self._now_ms()

    def entries(self) -> int:
        return len(self.world.ledger()["orders"])

    def minutes_up(self) -> float:
        return (self._now_ms() - self.up_ms) / 60_000

    def _now_ms(self) -> int:
        return int(self.world.get("/sim/health")["venue_ms"])


@pytest.fixture(scope="module")
def bots(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Bot]]:
    """Start the unbroken bot and all broken ones, and let the venue's time go by."""
    root = tmp_path_factory.mktemp("parts")
    skilled_models()
    parts: dict[str, Broken | None] = {UNBROKEN: None, **PARTS}
    started: dict[str, Bot] = {}
    with ThreadPoolExecutor(2) as pool:
        waiting = {name: pool.submit(Bot, root / name, part) for name, part in parts.items()}
        for name, bot in waiting.items():
            started[name] = bot.result(300)
    yield started
    for bot in started.values():
        bot.world.end()


def test_the_unbroken_bot_trades(bots: dict[str, Bot]) -> None:
    unbroken = bots[UNBROKEN]
    eventually("an entry", unbroken.entries, 60)
    first_ms = unbroken.world.ledger()["orders"][0]["time"]
    assert (first_ms - unbroken.up_ms) / 60_000 < LONG_ENOUGH / 2
    assert unbroken.process.interrupt() == 0, unbroken.process.text()


@pytest.mark.parametrize("name", PARTS)
def test_a_broken_part_sends_no_entry(name: str, bots: dict[str, Bot]) -> None:
    bot, part = bots[name], PARTS[name]
    eventually("venue time", lambda: bot.minutes_up() > LONG_ENOUGH, 90)
    text = bot.process.text()
    assert f"replaced {part.owner}.{part.method}" in text
    assert bot.entries() == 0, text
    if not bot.process.alive():
        assert bot.process.wait(1) in CODES, text
        assert text.splitlines()[-1].startswith("error: "), text
    assert "Traceback" not in text
    bot.world.end()
