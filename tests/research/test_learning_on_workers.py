"""Training and evaluation on other processes and on Ray: the same models and scores."""

from dataclasses import replace

import pytest

from actors.commands.train import LearningOptions, run_evaluate, run_train
from models.model_files import model_path, read_manifest
from tests.research.searched import SYMBOLS, history


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Options of one process, and what it learned and judged."""
    folder = tmp_path_factory.mktemp("alone")
    options = LearningOptions(
        data=history(folder, bars=700),
        symbols=SYMBOLS,
        model_dir=folder / "models",
        key_file=folder / "key",
        jobs=1,
    )
    return options, run_train(options), run_evaluate(options)


@pytest.mark.parametrize("backend", ["local", "ray"])
def test_models_and_scores_are_the_same_on_workers(tmp_path, alone, backend):
    options, learned, judged = alone
    spread = replace(options, model_dir=tmp_path, jobs=2, backend=backend)
    learned_there, judged_there = run_train(spread), run_evaluate(spread)
    for symbol in SYMBOLS:
        assert scores(learned, symbol) == scores(learned_there, symbol)
        assert scores(judged, symbol) == scores(judged_there, symbol)
        one, other = (
            read_manifest(model_path(folder, symbol), options.key_file)
            for folder in (options.model_dir, spread.model_dir)
        )
        assert one == other  # the hash of the model's bytes included


def scores(result, symbol):
    rows = result["symbols"][symbol]
    return {name: value for name, value in rows.items() if name not in {"model", "card"}}
