"""A new model takes over only where it is better on later bars that neither has seen."""

import copy

import pytest

from models.price_predictor import PricePredictor
from models.succession import judge_succession
from tests.symbol.seeded_candles import seeded_candles

LATER = 1_000


def trained(df) -> PricePredictor:
    predictor = PricePredictor()
    predictor.train(df)
    return predictor


@pytest.fixture(scope="module")
def learnable():
    return seeded_candles(3_500, 11, rhythm=0.4)


@pytest.fixture(scope="module")
def newest(learnable):
    """Trained on all bars of a market that can be learned."""
    return trained(learnable)


@pytest.fixture(scope="module")
def knowing(learnable):
    """Trained on all but its newest bars."""
    return trained(learnable.iloc[:-LATER])


@pytest.fixture(scope="module")
def ignorant(learnable):
    """Trained on a random walk up to the same bar."""
    return trained(seeded_candles(len(learnable) - LATER, 21))


def test_the_first_model_needs_no_comparison(learnable, newest):
    assert judge_succession(None, newest, learnable).accepted


def test_a_better_model_takes_over_and_says_by_how_much(learnable, ignorant, newest):
    verdict = judge_succession(ignorant, newest, learnable)
    assert verdict.accepted
    assert " on 99" in verdict.reason  # of 1000: less embargo, open end, bars without a move
    assert verdict.reason.endswith("better")


def test_one_that_is_no_better_does_not_take_over(learnable, knowing, newest):
    verdict = judge_succession(knowing, newest, learnable)
    assert not verdict.accepted
    assert "not more than one standard error" in verdict.reason


def test_one_without_skill_never_follows_one_with(learnable, knowing, ignorant):
    assert knowing.skilled
    assert not ignorant.skilled
    verdict = judge_succession(knowing, ignorant, learnable)
    assert not verdict.accepted
    assert "proven skill" in verdict.reason


def test_few_later_bars_decide_nothing(learnable, ignorant, newest):
    barely = learnable.iloc[: len(learnable) - LATER + 300]
    verdict = judge_succession(ignorant, newest, barely)
    assert not verdict.accepted
    assert "later bars to compare on, 500 needed" in verdict.reason


def test_a_suspected_leak_never_takes_over(learnable, ignorant, newest):
    new = copy.copy(newest)
    first, *others = newest.manifest["leak_tests"]
    new.manifest = newest.manifest | {"leak_tests": [first | {"passed": False}, *others]}
    assert not judge_succession(ignorant, new, learnable).accepted


def test_one_for_another_horizon_is_replaced(learnable, knowing, newest):
    other = copy.copy(knowing)
    other.horizon = 2
    assert judge_succession(other, newest, learnable).accepted
