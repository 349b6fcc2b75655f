"""A kill point strikes where and when it was asked to, on the embedded venue alone."""

import os
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from actors import kill_points
from actors.kill_points import POINTS, Armed, Seam, arm, parsed
from core import messages as m
from core.errors import ConfigurationError
from core.execution.order_life import OrderState
from core.messages import Purpose
from core.routes import Room
from tests.chaos.processes import ROOT

EXECUTION, GATEWAY = Room.EXECUTION.value, Room.GATEWAY.value


def a_fetch() -> m.FetchBook:
    return m.FetchBook(room=EXECUTION)


def an_answer(purpose: Purpose) -> m.OrderAnswered:
    return m.OrderAnswered(
        client_id=f"afb-{purpose}-a-0",
        symbol="BTCUSDT",
        purpose=purpose,
        venue_id="BTCUSDT:1",
        status="FILLED",
        executed=Decimal(1),
    )


def struck(name: str, times: int, passings: list[tuple[Seam, str, object]]) -> list[int]:
    """Return after which passings the process would have died."""
    deaths: list[int] = []
    armed = Armed(name, times, lambda _: deaths.append(place), later=lambda die: die())
    for place, (seam, room, message) in enumerate(passings):  # noqa: B007 - read by the lambda
        armed.passes(seam, room, message)
    return deaths


def test_strikes_once_at_the_time_asked_for():
    passing = (Seam.POSTING, GATEWAY, an_answer(Purpose.ENTRY))
    assert struck("K7", 2, [passing] * 4) == [1]


def test_minds_seam_room_and_purpose():
    entry, stop = an_answer(Purpose.ENTRY), an_answer(Purpose.STOP)
    passings = [
        (Seam.POSTED, GATEWAY, entry),
        (Seam.POSTING, EXECUTION, entry),
        (Seam.POSTING, GATEWAY, stop),
        (Seam.POSTING, GATEWAY, entry),
    ]
    assert struck("K7", 1, passings) == [3]
    assert struck("K12", 1, passings) == [2]


def test_counts_every_row_of_one_commit():
    def moved(state: OrderState) -> m.IntentMoved:
        return m.IntentMoved(
            client_id="afb-E-a-0",
            state=state,
            venue_id="",
            executed=Decimal(0),
            average_price=Decimal(0),
            reason="",
            at_ns=0,
        )

    deaths: list[str] = []
    armed = Armed("K8", 2, deaths.append)
    armed.passes(Seam.COMMITTED, "persistence", moved(OrderState.ACKED), moved(OrderState.FILLED))
    assert deaths == ["K8"]


def test_a_recovery_is_over_once_it_has_reconciled():
    done = m.Reconciled(reason="", report=(), foreign_positions=0, foreign_orders=0)
    step = (Seam.POSTING, EXECUTION, a_fetch())
    assert struck("K14", 2, [step, step]) == [1]
    assert struck("K14", 3, [step, (Seam.POSTING, EXECUTION, done), step, step]) == []


def test_a_new_day_is_one_after_the_first_seen():
    def ledger(day: int) -> m.DayLedger:
        zero = Decimal(0)
        return m.DayLedger(
            day=day,
            equity_start=zero,
            realized=zero,
            fees=zero,
            funding=zero,
            entries=0,
            halted=False,
        )

    days = [(Seam.COMMITTING, "persistence", ledger(day)) for day in (7, 7, 8)]
    assert struck("K15", 1, days) == [2]


@pytest.mark.parametrize("text", ["K0", "K17", "K6:x", "K6@USR1", "6"])
def test_refuses_a_point_that_does_not_exist(text: str):
    with pytest.raises(ConfigurationError, match="Fix:"):
        parsed(text)


@pytest.mark.parametrize("venue", ["demo", "testnet", "live"])
def test_nothing_is_armed_off_the_embedded_venue(venue: str):
    arm({"CHAOS_KILL_AT": "K6"}, venue)
    assert kill_points.ARMED is None


def test_every_point_of_the_catalogue_is_in_the_table():
    assert [*POINTS] == [f"K{n}" for n in range(1, 17)]


def test_dies_of_kill_9_and_leaves_a_hit(tmp_path: Path):
    hits = tmp_path / "hits"
    program = (
        "import os; from actors import kill_points as k; from core.messages import FetchBook;"
        "k.arm(os.environ, 'embedded');"
        "k.passes(k.Seam.POSTING, 'risk', FetchBook(room='risk')); print('lived')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={"CHAOS_KILL_AT": "K14", "CHAOS_HITS": str(hits), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert "lived" not in done.stdout
    assert hits.read_text().split()[0] == "K14"
