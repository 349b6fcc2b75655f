"""A few minutes of the real thing: the bot dies at the kill points and at random, and comes back.

`python -m tests.chaos` is the long form; here each point is tried once, and a slow machine is given
less to do, not less to prove.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from actors.kill_points import POINTS
from tests.chaos.__main__ import KNOWN
from tests.chaos.processes import ROOT

pytestmark = pytest.mark.process

_MINUTES = 3
_MET_MIN = 6  # on a machine that is busy with other things


def test_the_killed_bot_comes_back_with_its_books_right(tmp_path: Path) -> None:
    figures_file = tmp_path / "chaos.json"
    words = ["--kills", "1", "--random", "3", "--jobs", "2", "--minutes", str(_MINUTES)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos", *words, "--json", str(figures_file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=_MINUTES * 60 + 120,
        check=False,
        env={"TMPDIR": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )
    assert figures_file.exists(), done.stdout + done.stderr
    figures = json.loads(figures_file.read_text(encoding="utf-8"))
    broken = {n: row for n, row in figures["violations"].items() if n not in KNOWN}
    assert not broken, done.stdout
    assert sum(row["hit"] > 0 for row in figures["points"].values()) >= _MET_MIN, done.stdout
    assert set(figures["points"]) == set(POINTS)
    assert figures["secrets_found"] == []
