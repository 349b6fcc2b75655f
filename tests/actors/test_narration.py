"""The specification's sample lines, as the real log writes them."""

import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from actors.narration import narrate
from core import messages as m
from tests.actors.builders import a_balance, a_fill, a_mark, a_position, a_signal

ROOT = Path(__file__).parents[2]
HEAD = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} \[INFO\] "
SAMPLES = (
    r"__main__: Symbol BTCUSDT precision - Qty: 3, Price: 1, Min notional: 100\.0",
    (
        r"__main__: Leverage set for BTCUSDT: \{'symbol': 'BTCUSDT', 'leverage': 5, "
        r"'maxNotionalValue': '480000000'\}"
    ),
    r"symbol: \[BTCUSDT\] Price: 118,670\.40, Signal: SELL, Strength: 0\.65",
    r"symbol: \[BTCUSDT\] ML Prediction: -0\.0009, Confidence: 72\.00%",
    r"symbol: \[BTCUSDT\] Technical signals - EMA: -1\.00, RSI: 0\.00, BB: 0\.00",
    r"execution: \[BTCUSDT\] SELL order placed: 0\.00008 @ 118670\.40",
    r"execution: \[BTCUSDT\] Stop orders placed - SL: 116297\.99, TP: 123417\.22",
)
SPEAKER = """
from actors.edges.log import get_logger, setup_log
from actors.narration import narrate, narrate_prepared
from tests.actors.builders import a_fill, a_position, a_signal, an_instrument

setup_log("INFO")
answer = {"leverage": 5, "maxNotionalValue": "480000000", "symbol": "BTCUSDT"}
lines = [*narrate_prepared(an_instrument(), answer)]
for message in (a_signal(), a_fill(), a_position(), a_signal(signal="HOLD")):
    lines += narrate(message)
for level, module, line in lines:
    get_logger(module).log(level, line)
"""


def test_the_sample_lines_come_out_of_the_real_log() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SPEAKER], cwd=ROOT, capture_output=True, text=True, check=True
    )
    lines = done.stderr.splitlines()
    assert len(lines) == len(SAMPLES)
    for line, sample in zip(lines, SAMPLES, strict=True):
        assert re.fullmatch(HEAD + sample, line)


def spoken(message: Any) -> list[tuple[str, str, str]]:
    return list(narrate(message))


def test_a_held_signal_is_for_the_curious_only() -> None:
    assert {level for level, _, _ in spoken(a_signal(signal="HOLD"))} == {"DEBUG"}


def test_technical_only_trading_says_so() -> None:
    lines = [line for _, _, line in spoken(a_signal(confidence=None))]
    assert lines[1] == "[BTCUSDT] ML Prediction: -0.0009, Confidence: none (technical-only)"


@pytest.mark.parametrize(
    ("purpose", "says"),
    [
        (m.Purpose.STOP, "stop filled: 0.00008 @ 118670.40, P&L -1.50 USDT before fees"),
        (m.Purpose.TARGET, "target filled: 0.00008 @ 118670.40, P&L -1.50 USDT before fees"),
        (m.Purpose.EXIT, "closed at market: 0.00008 @ 118670.40, P&L -1.50 USDT before fees"),
        (None, "foreign fill: SELL 0.00008 @ 118670.40"),
    ],
)
def test_every_fill_has_its_line(purpose: m.Purpose | None, says: str) -> None:
    fill = a_fill(purpose=purpose, realized_pnl=Decimal("-1.5"))
    assert spoken(fill) == [("INFO", "execution", f"[BTCUSDT] {says}")]


def test_every_purpose_has_words() -> None:
    for purpose in m.Purpose:
        assert spoken(a_fill(purpose=purpose))


@pytest.mark.parametrize(
    "changes",
    [{"stop_price": None}, {"target_price": None}, {"quantity": Decimal(0)}],
    ids=["no stop yet", "no target yet", "flat"],
)
def test_stops_are_called_placed_only_around_a_position_with_both(changes: Any) -> None:
    assert spoken(a_position(**changes)) == []


def test_large_and_small_numbers_are_never_written_with_an_exponent() -> None:
    (line,) = spoken(a_fill(quantity=Decimal("1E-8"), price=Decimal("1E+5")))
    assert line[2] == "[BTCUSDT] SELL order placed: 0.00000001 @ 100000"


def test_a_crash_is_an_error_and_a_restart_is_news() -> None:
    event = m.ActorEvent(name="symbol/BTCUSDT", generation=1, event="crashed", detail="why")
    assert spoken(event) == [("ERROR", "supervisor", "symbol/BTCUSDT crashed: why")]
    event = m.ActorEvent(name="symbol/BTCUSDT", generation=2, event="started", detail="")
    said = "symbol/BTCUSDT restarted, generation 2"
    assert spoken(event) == [("INFO", "supervisor", said)]


def test_most_messages_are_silent() -> None:
    for message in (a_mark(), a_balance(), m.Tick(), m.StreamUp(stream="market", connection=1)):
        assert spoken(message) == []
