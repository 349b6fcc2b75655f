"""The card says in plain words what a model is worth, and its page needs nothing from outside."""

import json
import re

import numpy as np
import pytest

from core.symbol.features import FEATURE_NAMES
from models.importances import permutation_importances
from models.model_card import card_of, in_plain_words, write_card
from models.price_predictor import PricePredictor
from tests.symbol.seeded_candles import seeded_candles


@pytest.fixture(scope="module")
def skilled():
    predictor = PricePredictor()
    predictor.train(seeded_candles(3_000, 11, rhythm=0.4), tested_together=5)
    return predictor.manifest


@pytest.fixture(scope="module")
def unskilled():
    predictor = PricePredictor()
    predictor.train(seeded_candles(1_000, 21))
    return predictor.manifest


def test_the_card_holds_what_one_must_know_before_trusting_it(skilled):
    card = card_of("BTCUSDT", skilled)
    assert card["data"]["sha256"] == skilled["data_sha256"]
    assert card["data"]["from"] == "2025-05-04T15:33+00:00"
    assert card["scores"]["ci_low"] < card["scores"]["direction_accuracy"]
    assert {"always_up", "last_direction", "zero_return"} == set(card["scores"]["baselines"])
    assert len(card["scores"]["calibration"]) == 10
    assert card["scores"]["tested_together"] == 5
    assert [row["feature"] for row in card["importances"][:1]] == ["minute"]  # the planted rhythm
    assert {row["feature"] for row in card["importances"]} == set(FEATURE_NAMES)
    assert [test["name"] for test in card["leak_tests"]] == [
        "prefix",
        "purge",
        "shuffle",
        "shift",
        "plausible",
    ]
    assert card["drift"]["watched"]
    assert "PSI" in card["drift"]["rule"]
    json.dumps(card, allow_nan=False)


def test_plain_words_for_each_outcome(skilled, unskilled):
    assert in_plain_words(unskilled).startswith(
        "This model has no proven skill: the bot trades technical-only"
    )
    assert "proven skill" in in_plain_words(skilled)
    assert "the bot uses it" in in_plain_words(skilled)
    leaking = skilled | {
        "leak_tests": [test | {"passed": False} for test in skilled["leak_tests"][:1]]
    }
    assert in_plain_words(leaking).startswith("A leak is suspected in this model (test prefix)")
    modest = skilled | {"scores": skilled["scores"] | {"meets_targets": False}}
    assert "misses its targets" in in_plain_words(modest)


def test_both_files_are_written_beside_the_model(unskilled, tmp_path):
    path = write_card(tmp_path / "models", "ETHUSDT", unskilled)
    assert path == tmp_path / "models" / "ETHUSDT_model_card.json"
    assert json.loads(path.read_text()) == card_of("ETHUSDT", unskilled)
    page = path.with_suffix(".html").read_text()
    assert in_plain_words(unskilled) in page
    assert page.count("Plotly.newPlot(") >= 3


def test_the_page_loads_nothing_from_anywhere(unskilled, tmp_path):
    page = write_card(tmp_path, "ETHUSDT", unskilled).with_suffix(".html").read_text()
    tags = re.findall(r"<(?:script|link|img|iframe)\b[^>]*>", page)
    assert tags
    assert not [tag for tag in tags if re.search(r"\b(?:src|href)\s*=", tag)]
    assert page.count("<!DOCTYPE html>") == 1


def test_a_symbol_cannot_write_into_the_page(unskilled, tmp_path):
    page = write_card(tmp_path, "<b>X", unskilled).with_suffix(".html").read_text()
    assert "<b>X" not in page
    assert "&lt;b&gt;X" in page


def test_importances_find_what_the_outcome_rests_on():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(4_000, 3))
    y = x[:, 1] + 0.1 * rng.normal(size=4_000)
    first, *others = permutation_importances(lambda rows: rows[:, 1], x, y, "abc", seed=3)
    assert first.feature == "b"
    assert first.accuracy_lost == pytest.approx(0.5, abs=0.05)
    assert first.rmse_gained > 1.0
    assert [(row.accuracy_lost, row.spread) for row in others] == [(0.0, 0.0)] * 2


def test_skill_is_asked_for_as_fits_the_number_of_symbols(skilled):
    scores = skilled["scores"]
    assert scores["skill_low"] < scores["accuracy_at_confidence_low"]
