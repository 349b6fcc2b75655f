"""The stepped bot killed at every point, and what a run over all points says of it."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos.report import write_docs
from tests.simulation.kill_run import STEPPED, Killed, report_points, run_point

FIRST, SEEDS = 50_000, 3  # a point


@pytest.mark.parametrize("point", STEPPED)
def test_it_recovers_from_a_death_at(point: str) -> None:
    ended = [run_point(seed, point) for seed in range(FIRST, FIRST + SEEDS)]
    assert [e.outcome.violations for e in ended] == [[]] * SEEDS
    assert sum(len(e.deaths) for e in ended) > 0


@pytest.fixture(scope="module")
def killed() -> Killed:
    return run_point(FIRST, "K10")


def test_a_run_counts_its_deaths_by_what_was_filled_and_goes_on_the_page(
    killed: Killed, tmp_path: Path
) -> None:
    figures, page = tmp_path / "kills.json", tmp_path / "page.md"
    assert report_points([killed], FIRST, figures) == 0
    page.write_text("before <!-- figures: start --><!-- figures: end --> after", encoding="utf-8")
    write_docs(page, [figures])
    text = page.read_text(encoding="utf-8")
    assert f"{len(killed.deaths)} kills in 1 seeds (from {FIRST}" in text
    assert text.startswith("before ")
    assert text.endswith(" after")


def test_a_violation_or_a_point_never_met_fails_the_run(
    killed: Killed, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = replace(killed.outcome, violations=["I1: twice"])
    assert report_points([replace(killed, outcome=broken)], FIRST, None) == 1
    assert f"--kill-points --seed {FIRST}" in capsys.readouterr().out
    assert report_points([replace(killed, deaths=[])], FIRST, None) == 1
