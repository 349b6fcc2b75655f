"""What speaks against a result must stand beside it."""

import numpy as np
import pytest

from actors.reporting.honesty import (
    BAD,
    CAUTION,
    GOOD,
    OPEN,
    TRIALS,
    deflated,
    findings,
    in_plain_words,
)
from core.backtest.metrics import metrics_of
from core.backtest.result import ExitReason
from core.symbol.strategy import EnhancedStrategy
from tests.reporting.made import BTC, a_config, a_content, a_halt, a_result, a_trade


class Mine(EnhancedStrategy):
    """A rule of one's own, asked bar by bar."""


def found(content, title):
    (one,) = [f for f in findings(content, metrics_of(content.result)) if f.title == title]
    return one


def titles(content):
    return [one.title for one in findings(content, metrics_of(content.result))]


def a_curve(mean: float, count: int = 4_000):
    steps = np.random.default_rng(3).normal(mean, 0.001, count)
    return (10_000 * np.cumprod(1 + steps)).tolist()


@pytest.mark.parametrize(("trades", "mark"), [(29, BAD), (99, CAUTION), (100, GOOD)])
def test_few_trades_are_said_to_tell_little(trades, mark):
    content = a_content(a_result([a_trade()] * trades))
    assert found(content, "Number of trades").mark == mark


def test_trades_that_only_the_end_closed_are_counted():
    content = a_content(a_result([a_trade(exit_reason=ExitReason.END), a_trade()]))
    assert "1 were still open at the end" in found(content, "Number of trades").text


def test_the_more_was_tried_the_less_a_ratio_is_worth():
    result = a_result(equity=a_curve(0.00005))
    odds = [deflated(result, trials) for trials in TRIALS]
    assert odds == sorted(odds, reverse=True)
    assert odds[0] - odds[-1] > 0.2


def test_tries_that_were_not_told_never_pass_as_good():
    result = a_result(equity=a_curve(0.0002))
    assert found(a_content(result), "Number of tries").mark == CAUTION
    assert "--trials N" in found(a_content(result), "Number of tries").text
    assert found(a_content(result, trials=1), "Number of tries").mark == GOOD
    told = found(a_content(result, trials=1_000), "Number of tries")
    assert told.text.startswith("1,000 settings")


@pytest.mark.parametrize(("mean", "mark"), [(0.0003, GOOD), (0.0, CAUTION), (-0.0003, BAD)])
def test_a_sharpe_ratio_within_its_error_is_called_chance(mean, mark):
    content = a_content(a_result([a_trade()], equity=a_curve(mean)))
    assert found(content, "Skill or chance").mark == mark
    assert in_plain_words(content, metrics_of(content.result))[0] == mark


def test_a_curve_that_never_moved_has_nothing_to_deflate():
    content = a_content(a_result([a_trade()]))
    assert found(content, "Number of tries").mark == OPEN
    assert found(content, "Skill or chance").mark == OPEN


def test_a_stop_that_was_never_lifted_is_told_from_where_it_began():
    halts = (
        a_halt(1, "HALTED"),
        a_halt(2, "ACTIVE"),
        a_halt(4, "HALTED", reason="drawdown"),
        a_halt(6, "HALTED", reason="still drawdown"),
    )
    said = found(a_content(a_result(halts=halts)), "Stopped by risk")
    assert said.mark == BAD
    assert "2025-06-16 00:04" in said.text
    assert "60 %" in said.text


def test_a_stop_that_was_lifted_is_a_limit_that_held():
    halts = (a_halt(1, "REDUCING"), a_halt(2, "ACTIVE"))
    content = a_content(a_result(halts=halts))
    assert "Stopped by risk" not in titles(content)
    assert "the account once" in found(content, "Limits").text


def test_a_latched_symbol_is_named():
    content = a_content(a_result(halts=(a_halt(3, "REDUCING", BTC, "6 losses in a row"),)))
    assert "BTCUSDT since 2025-06-16 00:03: 6 losses" in found(content, "Symbols latched").text


def test_missing_bars_are_counted_by_symbol():
    content = a_content(a_result(filled_bars={BTC: 1}))
    said = found(content, "Holes in the data")
    assert (said.mark, "BTCUSDT 1" in said.text, "10.000 %" in said.text) == (BAD, True, True)
    assert found(a_content(), "Holes in the data").mark == GOOD


def test_who_predicted_which_bars_is_told():
    content = a_content(a_result(predicted_by={BTC: {"refit": 6, "model": 4}}))
    assert "6 bars by refit, 4 bars by model" in found(content, "Models and leaks").text


def test_what_was_said_of_several_models_is_said_once():
    lines = tuple(f"[{s}] model {s}.joblib is missing" for s in (BTC, "ETHUSDT"))
    content = a_content(a_result(symbols=(BTC, "ETHUSDT")), models=lines)
    said = found(content, "Models and leaks")
    assert said.text.endswith("BTCUSDT, ETHUSDT: model SYMBOL.joblib is missing.")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "proven by the project's tests"),
        ({"strategy": Mine, "decided_at_once": False}, "asked bar by bar"),
        ({"strategy": Mine}, "sampled bars were decided again"),
    ],
)
def test_how_looking_ahead_was_ruled_out_is_told_as_it_was(changes, words):
    assert words in found(a_content(**changes), "Looking ahead").text


def test_what_was_not_checked_for_looking_ahead_is_not_called_good():
    result = a_result(predicted_by={BTC: {"model": 10}})
    content = a_content(result, strategy=Mine)
    assert found(content, "Looking ahead").mark == CAUTION


def test_funding_that_was_left_out_is_called_bad():
    content = a_content(config=a_config(FUNDING="zero"))
    assert found(content, "Funding").mark == BAD


def test_a_result_without_trades_is_not_judged():
    content = a_content(a_result())
    assert in_plain_words(content, metrics_of(content.result)) == (
        CAUTION,
        "Nothing was traded, so there is nothing to judge.",
    )
