"""`run.py sweep` as a person uses it: from one go, interrupted by Ctrl-C, and killed."""

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.process.conftest import ROOT, World, eventually
from tests.research.searched import GIVEN, SPACE_FILE, history

pytestmark = pytest.mark.process

TRIES = 24
BLOCKS = ("--blocks", "4", "--embargo", "5")


@pytest.fixture
def words(world: World) -> Callable[..., list[str]]:
    """Return the words of a sweep that keeps its tries in a file of the given name."""
    data, space = history(world.folder), world.folder / "space.yaml"
    space.write_text(SPACE_FILE, encoding="utf-8")
    given = world.folder / "given.yaml"
    given.write_text(yaml.safe_dump(GIVEN), encoding="utf-8")

    def sweep(name: str, *more: str) -> list[str]:
        storage = str(world.folder / f"{name}.db")
        files = ["--data", str(data), "--space", str(space), "--config", str(given)]
        rest = ["--jobs", "1", "--trials", str(TRIES), "--storage", storage]
        return ["sweep", *files, *BLOCKS, *rest, *more]

    return sweep


def run(words: list[str], folder: Path, code: int = 0) -> Any:
    done = subprocess.run(
        [sys.executable, "run.py", *words],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "STATE_DIR": str(folder / "state")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def kept(path: Path) -> int:
    if not path.exists():
        return 0
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as connection:
        try:
            return int(connection.execute("SELECT count(*) FROM trials").fetchone()[0])
        except sqlite3.OperationalError:  # nothing was made yet
            return 0


def told(text: str) -> dict[str, Any]:
    """Return the document without what differs from run to run."""
    document = json.loads(text)
    return {k: v for k, v in document.items() if k not in {"files", "elapsed_s", "resumed_from"}}


def test_killed_and_stopped_sweeps_go_on_to_the_same_end(world, words):
    whole = run(words("whole", "--json"), world.folder)
    document = json.loads(whole.stdout)
    assert document["trials"] == len(document["tries"]) == TRIES
    assert document["best"]["score"] == max(one["score"] or -1e9 for one in document["tries"])
    assert set(document["importance"]) == set(document["best"]["settings"])
    assert 0.0 <= document["deflated_sharpe"] <= 1.0
    assert document["held_out"]["looks"] == 1
    page = Path(document["files"]["page"]).read_text(encoding="utf-8")
    assert "Hyperparameter Importances" in page
    assert "https://cdn" not in page.split("<script")[0]

    path = world.folder / "broken.db"
    first = world.start(*words("broken"), name="first")
    eventually("a batch is kept", lambda: kept(path) >= 8 or not first.alive())
    assert first.alive(), first.text()
    first.kill()
    second = world.start(*words("broken", "--resume"), name="second")
    before = kept(path)
    eventually("a batch more is kept", lambda: kept(path) > before or not second.alive())
    assert second.alive(), second.text()
    second.signal(signal.SIGINT)
    assert second.wait(90) == 130
    assert f"{kept(path)} of {TRIES} tries are kept in {path}" in second.text()
    assert "Go on with the same words and --resume" in second.text()
    assert "Traceback" not in second.text()

    last = run(words("broken", "--resume", "--json"), world.folder)
    assert json.loads(last.stdout)["resumed_from"] == kept_before(second.text())
    assert told(last.stdout) == told(whole.stdout)


def kept_before(text: str) -> int:
    (line,) = [one for one in text.splitlines() if "tries are kept" in one]
    return int(line.split()[0])


def test_what_cannot_be_searched_is_refused_in_a_line(world, words):
    (world.folder / "space.yaml").write_text("KLINE_INTERVAL: [1m, 5m]\n", encoding="utf-8")
    done = run(words("a"), world.folder, 64)
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "KLINE_INTERVAL cannot be searched, for history is read once. Fix: leave it" in line
