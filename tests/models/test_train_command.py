"""`train` and `evaluate` over files: shapes, refusals, and who scored which rows."""

import json
from dataclasses import replace

import pandas as pd
import pytest

from actors.commands.train import LearningOptions, run_evaluate, run_train
from core.errors import DataError, ModelRefusedError, UsageError
from models.model_files import model_path
from tests.symbol.seeded_candles import seeded_candles

SYMBOLS = ("BTCUSDT", "ETHUSDT")
SHAPE = {
    "direction_accuracy",
    "ci_low",
    "ci_high",
    "rmse",
    "brier",
    "coverage",
    "accuracy_at_confidence",
    "baselines",
    "rows",
}


def write(folder, symbol: str, frame: pd.DataFrame) -> None:
    table = frame.reset_index(names="open_time")
    table["open_time"] = frame.index.asi8
    table.to_csv(folder / f"{symbol}-1m.csv", index=False)


@pytest.fixture
def options(tmp_path) -> LearningOptions:
    data = tmp_path / "data"
    data.mkdir()
    for seed, symbol in enumerate(SYMBOLS):
        write(data, symbol, seeded_candles(700, seed))
    return LearningOptions(
        data=data, symbols=SYMBOLS, model_dir=tmp_path / "models", jobs=1, key_file=tmp_path / "key"
    )


def test_training_then_evaluating_gives_the_stated_shape(options, tmp_path):
    trained = run_train(options)
    assert set(trained) == {"symbols", "elapsed_s"}
    assert tuple(trained["symbols"]) == SYMBOLS
    assert all(model_path(options.model_dir, symbol).exists() for symbol in SYMBOLS)
    judged = run_evaluate(options)
    for symbol in SYMBOLS:
        assert set(trained["symbols"][symbol]) >= SHAPE
        assert set(judged["symbols"][symbol]) >= SHAPE
        assert set(judged["symbols"][symbol]["scored_by"]) == {"out_of_fold"}
    json.dumps([trained, judged], allow_nan=False)


def test_later_candles_are_scored_by_the_saved_model(options, tmp_path):
    run_train(options)
    longer = tmp_path / "longer"
    longer.mkdir()
    for seed, symbol in enumerate(SYMBOLS):
        write(longer, symbol, seeded_candles(900, seed))
    result = run_evaluate(replace(options, data=longer, symbols=None))
    assert result["symbols"]["BTCUSDT"]["scored_by"]["saved_model"] > 150
    assert set(result["symbols"]["BTCUSDT"]["by_source"]) == {"out_of_fold", "saved_model"}


def test_options_that_cannot_be_met_are_refused(options):
    with pytest.raises(UsageError, match="--backend must be local or ray, was dask"):
        run_train(replace(options, backend="dask"))
    with pytest.raises(UsageError, match="--jobs must be at least 1"):
        run_train(replace(options, jobs=0))
    with pytest.raises(UsageError, match="--symbols is empty"):
        run_evaluate(replace(options, symbols=()))
    with pytest.raises(UsageError, match="--address"):
        run_train(replace(options, address="10.0.0.1:6379"))


def test_missing_data_and_models_are_named(options):
    with pytest.raises(DataError, match="DOGEUSDT"):
        run_train(replace(options, symbols=("DOGEUSDT",)))
    with pytest.raises(ModelRefusedError, match="is missing"):
        run_evaluate(options)
