"""Measures the kill switch on real processes: `python -m tests.benchmarks.kill_switch`.

Each round is the demo in a folder of its own.  When a position is open, one trigger is pulled.
*Block*: until the bot's snapshot says HALTED or FLATTEN.  *Flat*: until the venue's ledger holds no
position of any symbol; only for the triggers that flatten.  Wall seconds since the trigger.  An
entry that the ledger dates after the block is printed as a miss: the venue's clock is compared with
itself, at the moment the snapshot spoke.
"""

import argparse
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from actors.edges.control_client import ControlClient
from actors.edges.state_directory import StateDirectory
from config import Config
from core.errors import TradingError
from core.execution.client_id import purpose_of
from core.messages import Purpose
from tests.benchmarks.first_minutes import ROOT, TAG, ledger_of

PATIENCE_S = 60.0
LOOK_S = 0.005
TRIGGERS = ("cli halt", "signal", "file", "cli flatten", "file flatten")
_STOPPED = ("HALTED", "FLATTEN")


def pull(trigger: str, bot: int, state: Path, client: ControlClient) -> None:
    """Do what a person would."""
    match trigger:
        case "cli halt":
            client.command("halt")
        case "cli flatten":
            client.command("flatten")
        case "signal":
            os.kill(bot, signal.SIGUSR1)
        case "file":
            (state / "KILL").touch()
        case "file flatten":
            (state / "KILL").write_text("flatten\n", encoding="utf-8")


def held(ledger: dict[str, Any] | None) -> int | None:
    """Count the open positions; None without a ledger."""
    if ledger is None:
        return None
    return sum(bool(Decimal(row["positionAmt"])) for row in ledger["positions"])


def until(met: Callable[[], bool]) -> float:
    """Return the seconds until it is met; raises TimeoutError."""
    since, pause = time.monotonic(), threading.Event()
    while not met():
        if time.monotonic() - since > PATIENCE_S:
            raise TimeoutError
        pause.wait(LOOK_S)
    return time.monotonic() - since


def entries_after(ledger: dict[str, Any], moment_ms: int) -> int:
    """Count our entries that the venue took after a moment of its own clock."""
    ours = (o for o in ledger["orders"] if o["time"] > moment_ms)
    return sum(purpose_of(TAG, o["clientOrderId"]) is Purpose.ENTRY for o in ours)


def measure(trigger: str, seed: int) -> tuple[float, float | None, int]:
    """Run the demo once; return (block, flat, entries after the block)."""
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state"
        env = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "TMPDIR")}
        env |= {"STATE_DIR": str(state), "VENUE_SEED": str(seed)}
        bot = subprocess.Popen(
            [sys.executable, str(ROOT / "run.py"), "--no-dashboard"],
            cwd=ROOT,
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            until(lambda: bool(held(ledger_of(state))))
            config = Config(_env_file=None, _environ={}, STATE_DIR=str(state))
            client = ControlClient(StateDirectory.of(config))
            since = time.monotonic()
            pull(trigger, bot.pid, state, client)
            until(lambda: _state(client) in _STOPPED)
            block = time.monotonic() - since
            ledger = ledger_of(state)
            assert ledger is not None
            moment = int(ledger["time"])
            flat = None
            if "flatten" in trigger:
                until(lambda: held(ledger_of(state)) == 0)
                flat = time.monotonic() - since
            else:
                threading.Event().wait(5)  # five venue minutes: decisions that must not pass
            after = ledger_of(state)
            assert after is not None
            return block, flat, entries_after(after, moment)
        finally:
            bot.send_signal(signal.SIGINT)
            bot.wait(40)


def _state(client: ControlClient) -> str:
    with contextlib.suppress(TradingError):
        return str(client.snapshot()["state"])
    return ""


def main() -> None:
    """Measure and print a line a trigger."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    given = options.parse_args()
    for trigger in TRIGGERS:
        rounds = [measure(trigger, seed) for seed in range(1, given.rounds + 1)]
        blocks = [block for block, _, _ in rounds]
        flats = [flat for _, flat, _ in rounds if flat is not None]
        entries = sum(count for _, _, count in rounds)
        line = f"{trigger:13} block p50 {statistics.median(blocks):.3f} max {max(blocks):.3f} s"
        if flats:
            line += f"  flat p50 {statistics.median(flats):.3f} max {max(flats):.3f} s"
        print(f"{line}  entries after {entries}  (n={len(rounds)})", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
