"""`evaluate --experiments` over files: what it returns, says and refuses."""

import json
from dataclasses import replace

import pytest

from actors.commands.experiments import experiment_lines, ideas_named, run_experiments
from actors.commands.train import LearningOptions
from core.errors import UsageError
from models.experiments.catalogue import IDEAS
from models.experiments.lead_lag import IDEA as LEAD_LAG
from models.experiments.order_flow import IDEA as ORDER_FLOW
from models.experiments.variant import Idea, Variant
from tests.models.test_train_command import write
from tests.symbol.seeded_candles import seeded_candles

ROWS = 9_000
QUICK = (
    Idea(name="linear", question="?", variants=(Variant(name="linear", learner="logistic"),)),
    replace(LEAD_LAG, variants=LEAD_LAG.variants[-1:]),
    ORDER_FLOW,
)


@pytest.fixture
def options(tmp_path) -> LearningOptions:
    for seed, symbol in enumerate(("BTCUSDT", "ETHUSDT")):
        write(tmp_path, symbol, seeded_candles(ROWS, seed))
    return LearningOptions(data=tmp_path, symbols=None, model_dir=tmp_path / "models", jobs=1)


def test_every_experiment_has_its_line_and_a_random_walk_no_skill(options):
    result = run_experiments(options, QUICK)
    assert [found["name"] for found in result["experiments"]] == [idea.name for idea in QUICK]
    assert not any(found["skilled"] for found in result["experiments"])
    assert result["trials"] == 2
    assert result["choose_ms"][0] < result["choose_ms"][1] < result["judge_ms"][0]
    lines = list(experiment_lines(json.loads(json.dumps(result, allow_nan=False))))
    assert lines[0].startswith("linear")
    assert "no taker_imbalance" in lines[2]
    assert lines[-1].startswith("2 trials")


def test_two_processes_find_the_same_as_one(options):
    one, two = (
        run_experiments(replace(options, jobs=jobs), QUICK)["experiments"] for jobs in (1, 2)
    )
    assert one == two


def test_some_run_alone_are_corrected_for_all_there_are_to_pick_from(options):
    alone, among = (
        run_experiments(options, QUICK[:1], among=others)["experiments"][0]
        for others in ((), QUICK)
    )
    assert alone["held_out"] == among["held_out"]
    assert alone["bound"] > among["bound"]


def test_experiments_are_named_as_in_the_table():
    assert [idea.name for idea in ideas_named("order flow, plain")] == ["order flow", "plain"]
    assert ideas_named(None) == IDEAS
    with pytest.raises(UsageError, match=r"'plane'. Fix: choose from plain, order flow"):
        ideas_named("plane")


def test_an_option_that_cannot_be_met_is_refused(options):
    with pytest.raises(UsageError, match="--jobs"):
        run_experiments(replace(options, jobs=0), QUICK)
