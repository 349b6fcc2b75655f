"""The journal's commit against the bare driver: `python -m tests.benchmarks.journal_commit`.

Both write the same row durably (WAL, synchronous=FULL), taking turns on one disk; the middle one
of the rounds, for the disk's mood differs between them.
"""

import argparse
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import median

from actors.edges.database import DatabaseManager
from core.persistence.machine import PersistenceMachine
from tests.benchmarks.figures import Figure, run
from tests.persistence.builders import a_moment, a_record, an_intent

_COMMITS = 400
_ROUNDS = 5


def _round(ours_path: str, bare_path: str, commits: int) -> tuple[float, float]:
    """Return the median time from message to disk and that of the same row by sqlite3, us."""
    for path in (ours_path, bare_path):
        with closing(DatabaseManager(path)) as database:
            database.initialize_database()
    machine, ours, bare = PersistenceMachine(epoch=1), [], []
    with (
        closing(DatabaseManager(ours_path)) as database,
        closing(sqlite3.connect(bare_path, isolation_level=None)) as driver,
    ):
        driver.execute("PRAGMA journal_mode = WAL")
        driver.execute("PRAGMA synchronous = FULL")
        for number in range(commits):
            message = a_record(an_intent(client_id=f"c{number}"))
            started = time.perf_counter()
            writes = machine.handle(message, a_moment())
            database.apply(writes)
            ours.append(time.perf_counter() - started)
            names, values = zip(*writes[0].values, strict=True)
            places = ",".join("?" * len(values))
            sql = f"INSERT INTO order_intent ({','.join(names)}) VALUES ({places})"  # noqa: S608
            started = time.perf_counter()
            driver.execute("BEGIN")
            driver.execute(sql, values)
            driver.execute("COMMIT")
            bare.append(time.perf_counter() - started)
    return median(ours) * 1e6, median(bare) * 1e6


def measure(given: argparse.Namespace) -> Iterator[Figure]:
    """Measure some rounds."""
    found = []
    for _ in range(1 if given.short else _ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            paths = (str(Path(folder) / "ours.db"), str(Path(folder) / "bare.db"))
            found.append(_round(*paths, commits=20 if given.short else _COMMITS))
    ratios = sorted(ours / bare for ours, bare in found)
    ours, bare = sorted(found, key=lambda pair: pair[0] / pair[1])[len(found) // 2]
    yield Figure(
        name="durable order journal commit, p50",
        ours=ours,
        unit="us",
        target=1.5,
        of_theirs=True,
        peer="sqlite3",
        theirs=bare,
        note=f"ratios {ratios[0]:.2f} to {ratios[-1]:.2f}",
    )


if __name__ == "__main__":
    sys.exit(run(measure, __doc__))
