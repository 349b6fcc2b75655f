"""`make bench` works: each benchmark runs through, in its short form; no figure is judged here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.__main__ import NAMES
from tests.benchmarks.figures import Figure
from tests.process.conftest import ROOT

pytestmark = pytest.mark.process


def test_every_benchmark_runs_and_the_table_has_its_figures(tmp_path: Path) -> None:
    # The last one is a test of its own, without a shorter form.
    names = [name for name in NAMES if name != "protect_first"]
    command = [sys.executable, "-m", "tests.benchmarks", "--short", "--only", ",".join(names)]
    done = subprocess.run(
        [*command, "--json", str(tmp_path / "bench.json")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))["figures"]
    assert len(figures) >= 2 * len(names)
    assert all(row["ours"][0].isdigit() for row in figures)
    assert all(row["figure"].split()[0] in done.stdout for row in figures)


@pytest.mark.parametrize(
    ("figure", "met", "ratio"),
    [
        (Figure(name="a", ours=3, unit="ms", target=3), True, None),
        (Figure(name="a", ours=3.1, unit="ms", target=3), False, None),
        (Figure(name="a", ours=3, unit="rows/s", target=4, wanted="at least"), False, None),
        (Figure(name="a", ours=3, unit="us", target=2, of_theirs=True, theirs=2), True, 1.5),
        (Figure(name="a", ours=3, unit="us", target=1.4, of_theirs=True, theirs=2), False, 1.5),
        (Figure(name="a", ours=3, unit="us"), None, None),
    ],
)
def test_a_figure_is_met_by_its_own_measure(figure: Figure, met: bool, ratio: float) -> None:
    assert (figure.met, figure.ratio) == (met, ratio)
