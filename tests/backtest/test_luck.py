"""What luck can do: the order of trades, and the best of many tries."""

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.backtest import luck

PNL = st.lists(st.floats(-50, 50), max_size=40)


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(luck).failed == 0


@given(PNL)
def test_another_order_has_the_same_sum(pnl):
    spread = luck.reordered(pnl, 10_000.0, seed=1, runs=20)
    assert spread.final_equity == pytest.approx(10_000 + sum(pnl), abs=1e-6)


def test_another_order_has_another_drawdown_and_the_worst_is_all_losses_first():
    spread = luck.reordered([10.0, -10.0, 10.0, -10.0], 100.0, seed=1, runs=500)
    assert spread.max_drawdown.min() == pytest.approx(10 / 110)
    assert spread.max_drawdown.max() == pytest.approx(0.2)


def test_drawing_with_replacement_spreads_the_sum_as_its_variance_says():
    pnl = [1.0, -1.0] * 50
    final = luck.resampled(pnl, 1_000.0, seed=2, runs=4_000).final_equity
    assert final.mean() == pytest.approx(1_000, abs=1)
    assert final.std() == pytest.approx(10, rel=0.05)  # sqrt(100) trades of deviation 1


def test_a_seed_repeats_and_no_trades_change_nothing():
    one, two = (luck.resampled([3.0, -2.0, 5.0], 100.0, seed=7, runs=10) for _ in range(2))
    assert one.final_equity.tolist() == two.final_equity.tolist()
    assert luck.resampled([], 100.0, seed=7, runs=3).final_equity.tolist() == [100.0] * 3


def test_the_best_of_many_skill_less_tries_does_not_pass_when_their_number_is_told():
    generator = np.random.default_rng(3)
    tries = generator.normal(0.0, 0.01, (200, 500))
    ratios = tries.mean(axis=1) / tries.std(axis=1, ddof=1)
    best = tries[ratios.argmax()]
    alone = luck.deflated_sharpe(best, tries=1, deviation=0.0)
    told = luck.deflated_sharpe(best, tries=200, deviation=float(ratios.std(ddof=1)))
    assert alone is not None
    assert told is not None
    assert alone > 0.99
    assert told < 0.9


def test_skill_passes_in_spite_of_the_tries():
    generator = np.random.default_rng(4)
    returns = generator.normal(0.003, 0.01, 1_000)
    told = luck.deflated_sharpe(returns, tries=200, deviation=1 / np.sqrt(1_000))
    assert told is not None
    assert told > 0.99


@pytest.mark.parametrize("returns", [[], [0.1, 0.2], [0.0] * 10])
def test_nothing_to_judge_is_none(returns):
    assert luck.deflated_sharpe(returns, tries=5, deviation=0.1) is None
