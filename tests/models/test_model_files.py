"""Model files: what is not exactly what was saved is refused before it is opened."""

import hashlib
import hmac
import io
import json
import pickle
import shutil
from functools import partial
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingRegressor

from core.errors import ModelRefusedError
from models.model_files import (
    default_key_file,
    manifest_path,
    model_path,
    packed,
    read_manifest,
)
from models.price_predictor import PricePredictor
from tests.symbol.seeded_candles import seeded_candles


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("state")
    predictor = PricePredictor()
    predictor.train(seeded_candles(400))
    predictor.save_model(str(model_path(folder / "models", "BTCUSDT")))
    return folder, predictor


@pytest.fixture
def model(saved, tmp_path) -> Path:
    """A private copy of the saved model, its manifest and its key."""
    shutil.copytree(saved[0], tmp_path / "state")
    return model_path(tmp_path / "state" / "models", "BTCUSDT")


class Bomb:
    """Leaves a mark when unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


def sent(thing):
    """What comes out at the other process."""
    buffer = io.BytesIO()
    joblib.dump(thing, buffer)
    return joblib.load(buffer)


def load(path: Path, **options: Path) -> PricePredictor:
    predictor = PricePredictor()
    predictor.load_model(str(path), **options)
    return predictor


def refusal(path: Path, **options: Path) -> str:
    with pytest.raises(ModelRefusedError) as caught:
        load(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert "Fix: " in message
    return message


@pytest.mark.parametrize(
    "new", [partial(HistGradientBoostingRegressor, max_iter=5), GradientBoostingRegressor]
)
def test_the_same_model_is_the_same_bytes_whichever_way_its_arrays_came(new):
    x = np.random.default_rng(7).normal(size=(300, 4))
    y = x[:, 0] - x[:, 1]
    here = new(random_state=1).fit(x, y)
    of_arrays_sent = new(random_state=1).fit(*sent([x, y]))
    read = joblib.load(io.BytesIO(packed(here)))
    assert {packed(model) for model in (of_arrays_sent, sent(here), read)} == {packed(here)}
    assert packed(new(random_state=1).fit(x, -y)) != packed(here)


def test_a_saved_model_predicts_as_before(saved, model):
    df = seeded_candles(200, 3)
    loaded = load(model)
    assert loaded.predict(df) == saved[1].predict(df)
    assert loaded.manifest["scores"]["rows"] == saved[1].evaluation.rows
    assert loaded.train_range_ms == saved[1].train_range_ms


def test_files_lie_where_they_are_looked_for_and_the_key_is_private(model):
    assert model.name == "BTCUSDT_gradient_boosting.joblib"
    key = model.parent.parent / "models.key"
    assert default_key_file(model) == key
    assert key.stat().st_mode & 0o777 == 0o600
    assert len(key.read_bytes()) == 32
    assert sorted(p.name for p in model.parent.iterdir()) == [
        "BTCUSDT_gradient_boosting.joblib",
        "BTCUSDT_gradient_boosting.manifest.json",
    ]


def test_the_manifest_says_what_was_learned_from_what(model):
    manifest = read_manifest(model, default_key_file(model))
    expected = {"features", "data_sha256", "range_ms", "seed", "versions", "scores", "sha256"}
    assert expected <= set(manifest)


def test_one_key_signs_all_models(saved, model):
    before = default_key_file(model).read_bytes()
    saved[1].save_model(str(model_path(model.parent, "ETHUSDT")))
    assert default_key_file(model).read_bytes() == before
    load(model)
    load(model_path(model.parent, "ETHUSDT"))


def test_missing_empty_and_cut_files_are_named(model):
    assert "is missing" in refusal(model.with_name("ETHUSDT_gradient_boosting.joblib"))
    content = model.read_bytes()
    model.write_bytes(content[:-1])
    assert "is not the file its manifest names" in refusal(model)
    model.write_bytes(b"")
    assert "is empty" in refusal(model)
    model.write_bytes(content)
    manifest_path(model).unlink()
    assert "has no manifest" in refusal(model)


@pytest.mark.parametrize("damage", ["flip", "append"])
def test_changed_bytes_are_refused(model, damage):
    content = bytearray(model.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
    else:
        content += b"\0"
    model.write_bytes(bytes(content))
    assert "is not the file its manifest names" in refusal(model)


def test_a_pickle_bomb_is_refused_without_running_it(model, tmp_path):
    mark = tmp_path / "exploded"
    bomb = pickle.dumps(Bomb(mark))
    model.write_bytes(bomb)
    assert "is not the file its manifest names" in refusal(model)
    # Even with a manifest that names it, signed with a key of the attacker's own.
    document = json.loads(manifest_path(model).read_text())
    document["manifest"]["sha256"] = hashlib.sha256(bomb).hexdigest()
    canonical = json.dumps(document["manifest"], sort_keys=True, separators=(",", ":")).encode()
    document["hmac"] = hmac.new(b"guess", canonical, hashlib.sha256).hexdigest()
    manifest_path(model).write_text(json.dumps(document))
    assert "was not signed with" in refusal(model)
    assert not mark.exists()
    pickle.loads(bomb)  # noqa: S301 -- the bomb is live: this is what did not happen
    assert mark.exists()


@pytest.mark.parametrize("field", ["skilled", "seed", "horizon"])
def test_a_changed_manifest_is_refused(model, field):
    document = json.loads(manifest_path(model).read_text())
    document["manifest"][field] = 7
    manifest_path(model).write_text(json.dumps(document))
    assert "was not signed with" in refusal(model)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", '{"manifest": 3}', '{"manifest": {}, "hmac": 1}']
)
def test_a_manifest_that_is_none_is_refused(model, text):
    manifest_path(model).write_text(text)
    refusal(model)


def test_another_key_or_none_is_refused(model, tmp_path):
    other = tmp_path / "other.key"
    assert "its key" in refusal(model, key_file=other)
    assert not other.exists()
    other.write_bytes(b"x" * 32)
    assert "was not signed with" in refusal(model, key_file=other)


def test_a_model_under_another_symbols_name_is_refused(model):
    eth = model_path(model.parent, "ETHUSDT")
    shutil.copy(model, eth)
    shutil.copy(manifest_path(model), manifest_path(eth))
    assert "was saved as BTCUSDT_gradient_boosting.joblib" in refusal(eth)


def test_a_refused_file_leaves_the_loaded_model_in_place(model):
    predictor = load(model)
    df = seeded_candles(200, 3)
    before = predictor.predict(df)
    model.write_bytes(b"no")
    with pytest.raises(ModelRefusedError):
        predictor.load_model(str(model))
    assert predictor.predict(df) == before
