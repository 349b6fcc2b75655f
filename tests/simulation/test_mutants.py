"""The checks bite: each seeded bug is found, by the seed that docs/simulation.md lists."""

import re
from pathlib import Path

import pytest

from tests.simulation.chaos import run_seed
from tests.simulation.mutants import MUTANTS, Mutant

SEEDS = 200
LISTED = re.compile(r"^\| (?P<name>[a-z -]+) \| .* \| (?P<seed>\d+) \|$", re.MULTILINE)
PAGE = Path(__file__).parents[2] / "docs" / "simulation.md"
FOUND_BY = {
    found["name"]: int(found["seed"]) for found in LISTED.finditer(PAGE.read_text(encoding="utf-8"))
}


def test_the_page_lists_every_mutant() -> None:
    assert set(FOUND_BY) == {mutant.name for mutant in MUTANTS}
    assert len(MUTANTS) >= 30


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_finds(mutant: Mutant) -> None:
    """Try the listed seed, then all: other code has other interleavings, and finds it elsewhere."""
    for seed in (FOUND_BY[mutant.name], *range(1, SEEDS + 1)):
        with mutant.alive():
            outcome = run_seed(seed)
        broken = {violation.split(" ")[0] for violation in outcome.violations}
        if broken & set(mutant.breaks):
            return
    pytest.fail(f"nothing noticed within {SEEDS} seeds")


def test_a_mutant_leaves_nothing_behind() -> None:
    before = [vars(owner)[name] for mutant in MUTANTS for owner, name in mutant.changes]
    for mutant in MUTANTS:
        with mutant.alive():
            pass
    assert before == [vars(owner)[name] for mutant in MUTANTS for owner, name in mutant.changes]
