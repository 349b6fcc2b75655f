"""The journal's commit against the bare driver: `python -m tests.benchmarks.journal_commit`.

Both write the same row durably (WAL, synchronous=FULL), taking turns on one disk.
"""

import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path
from statistics import median

from actors.edges.database import DatabaseManager
from core.persistence.machine import PersistenceMachine
from tests.persistence.builders import a_moment, a_record, an_intent

_COMMITS = 400
_ROUNDS = 4


def _measure(ours_path: str, bare_path: str) -> None:
    """Print the median time from message to disk and that of the same row by sqlite3."""
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
        for number in range(_COMMITS):
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
    print(  # noqa: T201
        f"ours p50 {median(ours) * 1e6:.0f} us, sqlite3 p50 {median(bare) * 1e6:.0f} us,"
        f" ratio {median(ours) / median(bare):.2f}"
    )


def main() -> None:
    """Measure a few rounds; the disk's mood differs between them."""
    for _ in range(_ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            _measure(str(Path(folder) / "ours.db"), str(Path(folder) / "bare.db"))


if __name__ == "__main__":
    main()
