"""What a long run keeps of its rounds, and the table of faults that it ends in."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from core.venue.simulated.faults import read_fault
from tests.chaos.driver_faults import DRIVER_FAULTS
from tests.chaos.elsewhere import ELSEWHERE
from tests.chaos.processes import ROOT
from tests.chaos.report import FAULTS, summary, table
from tests.chaos.round_log import RoundLog, left
from tests.chaos.rounds import Round
from tests.chaos.swarm import CATALOGUE, drawn


@dataclass
class Met:
    """As much of a round as its log needs."""

    point: str
    hit: bool = True
    faults: list[str] = field(default_factory=list)


def test_each_line_is_there_once_it_is_written_and_a_cut_one_is_left_out(tmp_path: Path):
    log = RoundLog(tmp_path / "rounds")
    log.begin(resume=False)
    log.append(0, Met("K1"))
    with log.path.open("a") as file:
        file.write('{"job": 1, "poi')
    assert [row["point"] for row in log.rows()] == ["K1"]


def test_a_run_that_goes_on_does_what_was_not_met():
    rows = [{"point": "K1", "hit": True}, {"point": "K2", "hit": False}]
    assert left(["K1", "K2", "K1"], rows) == ["K2", "K1"]


def test_a_run_that_begins_anew_forgets_and_one_that_goes_on_does_not(tmp_path: Path):
    log = RoundLog(tmp_path / "rounds")
    log.begin(resume=False)
    log.append(0, Met("K1"))
    log.begin(resume=True)
    assert [row["job"] for row in log.rows()] == ["before 0"]
    log.begin(resume=False)
    assert log.rows() == []


FOUND = {"I3": ["a fill"]}


def _rounds() -> list[Round]:
    """The second one finds what the faults of the first did; the third tells nothing."""
    return [
        Round(point="K1", times=1, hit=True, faults=["F47", "F50"], took_hold=["F47"]),
        Round(point="K2", times=1, hit=True, faults=["F6"], took_hold=["F6"], violations=FOUND),
        Round(point="K3", times=1, harness="OSError", faults=["F7"]),
        Round(point="last", times=1, hit=True),
    ]


def test_a_fault_is_blamed_for_what_the_next_comparison_finds(tmp_path: Path):
    log = RoundLog(tmp_path / "rounds")
    for done in _rounds():
        log.append(0, done)
    figures = summary(log.rows(), what="chaos", database="SQLite", jobs=1, seconds=1.0)
    assert figures["faults"]["F47"] == {"armed": 1, "struck": 1, "violated": 1}
    assert figures["faults"]["F6"] == {"armed": 1, "struck": 1, "harness": 1}
    assert figures["faults"]["none"] == {"struck": 2, "clean": 1, "harness": 1}
    assert figures["faults"]["F50"] == {"armed": 1}, "it did not strike: nothing follows of it"
    assert figures["rounds_with_trouble"] == 1
    assert any(line.startswith("| F47 | 1 | 1 | 0 | 1 |") for line in table(figures))


def test_every_fault_of_the_catalogue_is_injected_or_its_test_is_named():
    told = {name for name, *_ in CATALOGUE} | set(ELSEWHERE)
    assert told == {f"F{number}" for number in range(1, FAULTS + 1)}
    for _, tests in ELSEWHERE.values():
        for test in tests:
            file, _, name = test.partition("::")
            assert re.search(
                rf"def {name}\b" if name else "def test_", (ROOT / file).read_text()
            ), test


def test_every_venue_fault_of_the_swarm_can_be_armed():
    dice = Random(1)
    kinds = {name for name, *_ in CATALOGUE} - set(DRIVER_FAULTS)
    armed = [
        fault
        for kind in sorted(kinds)
        for _ in range(20)
        for _, fault in drawn(dice, frozenset({kind}))
    ]
    assert {read_fault(fault).kind for fault in armed} >= {"ws_stall", "rest_reject", "price_jump"}
