"""What the rounds were, one JSON line each, written as they end: an interruption loses nothing."""

import fcntl
import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.chaos.evidence import Row


class RoundLog:
    """A file of lines that several jobs append to."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, job: int, done: Any) -> None:
        """Add a round (a dataclass) of a job."""
        line = json.dumps({"job": job, **asdict(done)}) + "\n"
        with self.path.open("a", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(line)

    def rows(self) -> list[Row]:
        """Return all rounds, those of a job in order; a line cut by a kill is left out."""
        if not self.path.exists():
            return []
        found = []
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    def begin(self, *, resume: bool) -> None:
        """Start anew, or go on behind what is there; a job of then is none of the jobs of now."""
        kept = [{**row, "job": f"before {row['job']}"} for row in self.rows()] if resume else []
        text = "".join(json.dumps(row) + "\n" for row in kept)
        self.path.write_text(text, encoding="utf-8")


def left(chosen: list[str], rows: list[Row]) -> list[str]:
    """Return the part of a plan that no round has met yet."""
    met = Counter(row["point"] for row in rows if row["hit"])
    todo = []
    for point in chosen:
        if met[point]:
            met[point] -= 1
        else:
            todo.append(point)
    return todo


def outcome(row: Row, after: Row | None) -> str:
    """Judge what a round's faults did: found by the next comparison of the same job, mostly."""
    if row["harness"] or (after is not None and after["harness"]):
        return "harness"
    ended = any("the bot ended" in line for line in row["violations"].get("I12", ()))
    return "violated" if ended or (after is not None and after["violations"]) else "clean"
