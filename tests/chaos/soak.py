"""A million bars through the real bot: memory, threads and files stay flat, the books equal.

    python -m tests.chaos.soak --bars 1000000 --folder DIR --json soak.json
    python -m tests.chaos.soak --bars 50000                       a short one

Many made-up symbols at a high speed, the bot's own strategy, real sockets, real database.  At speed
330 sixty symbols close 330 candles a second: a million in 51 minutes.  Everything is kept for one
venue day, so that the database must stop growing within the run.  Ends early with `--minutes`; the
figures are written every half minute, and with the same `--folder` it goes on where it stopped.
"""

# ruff: noqa: T201 - it is a command: what it finds goes to the terminal

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path

from tests.chaos.evidence import Database, Limits, Row
from tests.chaos.invariants import violations
from tests.chaos.processes import Bot, GaveUpError, Venue, eventually

_SAMPLE_S = 5.0
_REPORT_S = 30.0
_MINUTE_MS = 60_000
_PART_WARM = 0.3  # of the samples, left out of the slopes: buffers fill, modules load
_DATABASE = "async_bot_state.db"
# How much each may grow in 100,000 bars once all is warm.  The database keeps a day of them.
SLOPES_MAX = {"rss_mib": 3.0, "threads": 0.5, "files": 2.0, "database_mib": 5.0}
_PAGE = os.sysconf("SC_PAGE_SIZE")
_JUDGED = ("I1", "I2", "I3", "I4", "I6", "I7", "I8", "I11", "I13", "I14", "I15")
_AGREE_S = 30.0
_ENV = {
    "STRATEGY": "core.symbol.strategy:EnhancedStrategy",
    "MAX_SYMBOL_NOTIONAL_X": "0.02",
    "STOPLOSS_PCT": "0.004",
    "TAKE_PROFIT_PCT": "0.008",
    "RECONCILE_S": "60",
    "LOG_LEVEL": "WARNING",
    "RETENTION_DAYS": "1",
    "SIGNAL_RETENTION_DAYS": "1",
    "SNAPSHOT_RETENTION_DAYS": "1",
}


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One look at the bot's process; wall seconds, bars since the beginning."""

    at_s: float
    bars: int
    rss_mib: float
    threads: int
    files: int
    waiting: int  # messages in all mailboxes
    database_mib: float


def look(bot: Bot, began: float, bars: int, status: Row) -> Sample:
    """Read the process's figures from the kernel."""
    proc = Path("/proc") / str(bot.pid)
    pages = int((proc / "statm").read_text().split()[1])
    return Sample(
        at_s=round(time.monotonic() - began, 1),
        bars=bars,
        rss_mib=round(pages * _PAGE / 2**20, 1),
        threads=len(list((proc / "task").iterdir())),
        files=len(list((proc / "fd").iterdir())),
        waiting=sum(row["mailbox"] for row in status["actors"]),
        database_mib=round(_size(bot.state, "*.db*") / 2**20, 1),
    )


def slope(samples: list[Sample], what: str) -> float:
    """Return how much a figure grows per 100,000 bars, by least squares, after the warm part."""
    rows = samples[int(len(samples) * _PART_WARM) :]
    if len(rows) < 2 or rows[0].bars == rows[-1].bars:
        return 0.0
    xs = [row.bars / 100_000 for row in rows]
    ys = [float(getattr(row, what)) for row in rows]
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    above = sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True))
    return above / (sum((a - x) ** 2 for a in xs) or 1.0)


def _closed(status: Row) -> dict[str, int]:
    return {s: row["last_kline_close"] for s, row in status["symbols"].items()}


def soak(bars: int, symbols: int, speed: float, folder: Path, minutes: float) -> Row:
    """Run until so many bars were decided on, then compare the books; returns the figures."""
    names = tuple(f"SIM{n:03d}USDT" for n in range(1, symbols + 1))
    before = json.loads((folder / "soak.json").read_text()) if _begun(folder) else {"bars": 0}
    venue = Venue(folder, 1, speed, symbols=f"SIM:{symbols}", journal=folder / "venue.journal")
    bot = Bot(folder / "state", venue, _ENV | {"SYMBOLS": ",".join(names)})
    samples, done = list[Sample](), 0
    try:
        eventually("the bot is ACTIVE", lambda: bot.status().get("state") == "ACTIVE", 90)
        eventually("all are warm", lambda: all(_closed(bot.status()).values()), 90)
        first, began = _closed(bot.status()), time.monotonic()
        told = began
        while before["bars"] + done < bars:
            if minutes and time.monotonic() - began > minutes * 60:
                break
            if not bot.alive():
                raise GaveUpError(f"the bot ended with {bot.code()}")
            status = bot.status()
            if status:
                done = sum(at - first[s] for s, at in _closed(status).items()) // _MINUTE_MS
                samples.append(look(bot, began, done, status))
            if samples and time.monotonic() - told > _REPORT_S:
                told = time.monotonic()
                _say(samples[-1], before["bars"], bars)
                _keep(folder, _figures(samples, before["bars"], symbols, speed, folder))
            time.sleep(_SAMPLE_S)
        limits = Limits(symbols=names, speed=speed, symbol_x=Decimal("0.02"))
        wrong = _compare(bot, venue, limits)
        faults = Database(str(bot.state / _DATABASE)).audit_faults()
        wrong |= {"I14 audit": list(faults)} if faults else {}
        orders = len(venue.ledger()["orders"])
        bot.signal(signal.SIGTERM)
        bot.waited(20)
        code = bot.code()
    finally:
        bot.kill()
        venue.leave()
    found = _figures(samples, before["bars"], symbols, speed, folder)
    found |= {"orders": orders, "exit_code": code, "violations": wrong}
    _keep(folder, found)
    return found


def _figures(samples: list[Sample], bars: int, symbols: int, speed: float, folder: Path) -> Row:
    """Return the figures of a run so far; `bars` were there before it."""
    last = samples[-1]
    return {
        "what": "soak",
        "bars": bars + last.bars,
        "bars_this_run": last.bars,
        "symbols": symbols,
        "speed": speed,
        "seconds": last.at_s,
        "bars_per_s": round(last.bars / last.at_s, 1),
        "orders": 0,
        "violations": {"not compared yet": []},
        "first": asdict(samples[int(len(samples) * _PART_WARM)]),
        "last": asdict(last),
        "per_100k_bars": {what: round(slope(samples, what), 3) for what in SLOPES_MAX},
        "waiting_max": max(row.waiting for row in samples),
        "database_mib": round(_size(folder / "state", "*.db*") / 2**20, 1),
        "load": os.getloadavg()[0],
        "samples": [asdict(row) for row in samples],
    }


def too_steep(found: Row) -> list[str]:
    """Return the figures that grow faster than they may."""
    slopes = found["per_100k_bars"]
    return [what for what, most in SLOPES_MAX.items() if slopes[what] > most]


def _keep(folder: Path, found: Row) -> None:
    aside = folder / "soak.json.new"
    aside.write_text(json.dumps(found), encoding="utf-8")
    aside.replace(folder / "soak.json")


def _say(last: Sample, before: int, wanted: int) -> None:
    """Print how far it is, and when it will be over at this pace."""
    pace = max(last.bars, 1) / last.at_s
    left_min = (wanted - before - last.bars) / pace / 60
    print(
        f"{last.at_s / 60:.1f} min: {before + last.bars:,} bars, {pace:.0f} a second,"
        f" {last.rss_mib:.0f} MiB resident, database {last.database_mib:.0f} MiB,"
        f" {last.waiting} waiting; {left_min:.0f} min left",
        flush=True,
    )


def _begun(folder: Path) -> bool:
    return (folder / "soak.json").exists()


def _size(folder: Path, pattern: str) -> int:
    return sum(path.stat().st_size for path in folder.glob(pattern))


def _compare(bot: Bot, venue: Venue, limits: Limits) -> dict[str, list[str]]:
    """Compare while it trades on: what is only late comes within the patience."""
    database = Database(str(bot.state / _DATABASE))
    deadline = time.monotonic() + _AGREE_S
    bot_status = bot.status()
    while True:
        evidence = database.read(limits, venue.ledger())
        evidence.status = bot_status
        wrong = violations(evidence, _JUDGED)
        if not wrong or time.monotonic() > deadline:
            return wrong
        time.sleep(0.5)


def main() -> int:
    """Run and print the figures; 1 if an invariant was violated or something grows too fast."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--bars", type=int, default=1_000_000)
    parser.add_argument("--symbols", type=int, default=60)
    parser.add_argument("--speed", type=float, default=330)
    parser.add_argument("--folder", type=Path, help="keep everything there, and go on from it")
    parser.add_argument("--minutes", type=float, default=0, help="at most; 0: as long as it takes")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="soak-"))
    folder.mkdir(parents=True, exist_ok=True)
    found = soak(given.bars, given.symbols, given.speed, folder, given.minutes)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(json.dumps({k: v for k, v in found.items() if k != "samples"}, indent=1))
    steep = too_steep(found)
    for what in steep:
        print(f"{what} grows by more than {SLOPES_MAX[what]:g} in 100,000 bars")
    if given.folder is None and not found["violations"]:
        shutil.rmtree(folder, ignore_errors=True)
    return int(bool(found["violations"] or steep))


if __name__ == "__main__":
    sys.exit(main())
