"""The bot on the stepped runtime: 200 seeds of faults, and those that once failed."""

from pathlib import Path

import pytest

from tests.simulation.chaos import run_seed
from tests.simulation.faults import KINDS
from tests.simulation.world import Simulation

SEEDS = 200
SLICES = 10
KNOWN = [
    int(line.split("#")[0])
    for line in (Path(__file__).parent / "seeds.txt").read_text(encoding="utf-8").splitlines()
    if line.split("#")[0].strip()
]


def test_the_same_seed_is_the_same_run_to_the_last_message() -> None:
    first, again = (run_seed(7, whole=True) for _ in range(2))
    assert first.lines == again.lines
    assert first.digest == again.digest
    assert first.turns > 1_000


def test_another_seed_is_another_run() -> None:
    assert len({run_seed(seed).digest for seed in range(3)}) == 3


def test_without_faults_it_trades_and_every_book_agrees() -> None:
    outcomes = [run_seed(seed, KINDS) for seed in range(4)]
    assert [outcome.violations for outcome in outcomes] == [[]] * 4
    assert all(outcome.processes == 1 and not outcome.faults for outcome in outcomes)
    assert sum(outcome.entries for outcome in outcomes) >= 20
    assert max(outcome.naked_max_s for outcome in outcomes) < 1.5


@pytest.mark.parametrize("part", range(SLICES))
def test_safety_at_every_step_and_liveness_after_healing(part: int) -> None:
    failed = [
        f"{outcome.rerun}: {outcome.violations[0]}"
        for seed in range(1 + part, 1 + SEEDS, SLICES)
        if (outcome := run_seed(seed)).violations
    ]
    assert not failed, "\n".join(failed)


@pytest.mark.parametrize("seed", KNOWN)
def test_what_was_once_found_stays_mended(seed: int) -> None:
    outcome = run_seed(seed)
    assert not outcome.violations, f"{outcome.rerun}: {outcome.violations}"


class CrashingAtBirth(Simulation):
    """Every first life of a symbol ends while it says that it is ready."""

    def _start(self) -> None:
        super()._start()
        assert self.process is not None
        self.process.directory.trips["symbol/BTCUSDT"] = 1  # its wish for the history, no more


def test_a_crash_while_saying_ready_is_reported_and_mended() -> None:
    outcome = CrashingAtBirth(1, without=KINDS).run()
    assert outcome.kinds["Crashed"] == 1
    assert not outcome.violations


def test_every_kind_of_fault_strikes_within_the_seeds() -> None:
    drawn = [Simulation(seed).faults.kinds for seed in range(1, SEEDS)]
    assert set().union(*drawn) == set(KINDS)
    assert min(sum(kind in kinds for kinds in drawn) for kind in KINDS) > SEEDS // 10
