"""The search for skill finds what was planted, nothing where nothing is, and names a leak."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from core.errors import DataError
from models.experiments.catalogue import IDEAS
from models.experiments.judging import Told, deviations, score_of
from models.experiments.lead_lag import IDEA as LEAD_LAG
from models.experiments.lead_lag import each_other, others_mean
from models.experiments.market import Market, market_of
from models.experiments.order_flow import IDEA as ORDER_FLOW
from models.experiments.order_flow import flow_columns
from models.experiments.runner import cut_of, run_idea
from models.experiments.variant import Idea, Variant

BARS = 9_000


def candles(returns: np.ndarray, draws: np.random.Generator) -> pd.DataFrame:
    close = 100.0 * np.cumprod(1.0 + returns)
    opened = np.concatenate(([100.0], close[:-1]))
    spread = 1.0 + 2e-4 * draws.random(len(close))
    index = pd.date_range("2025-01-06", periods=len(close), freq="1min", tz="UTC", unit="ms")
    columns = {
        "open": opened,
        "high": np.maximum(opened, close) * spread,
        "low": np.minimum(opened, close) / spread,
        "close": close,
        "volume": 10.0 + draws.random(len(close)),
    }
    return pd.DataFrame(columns, index=index)


def market_with(*, lead: float = 0.0, flow: float = 0.0, seed: int = 7) -> Market:
    """Two symbols: the second follows the first by a bar, and takers foretell both."""
    draws = np.random.default_rng(seed)
    first, second, taker_1, taker_2 = draws.normal(0.0, 1.0, (4, BARS))
    first[1:] += flow * taker_1[:-1]
    second[1:] += flow * taker_2[:-1] + lead * first[:-1]
    frames = {
        "BTCUSDT": candles(first * 5e-4, draws),
        "ETHUSDT": candles(second * 5e-4, draws),
    }
    for frame, taker in zip(frames.values(), (taker_1, taker_2), strict=True):
        frame["taker_buy_volume"] = frame["volume"] * (0.5 + 0.4 * np.tanh(taker))
    return market_of(frames)


def linear(idea: Idea) -> Idea:
    """Keep the quick trial of an idea: the others take seconds each."""
    return replace(idea, variants=tuple(v for v in idea.variants if v.learner == "logistic"))


def test_finds_a_planted_lead():
    found = run_idea(market_with(lead=0.4), linear(LEAD_LAG), judged_together=9)
    assert found.skilled, found.verdict
    assert found.leaks == ()
    shares = {symbol: share for symbol, share, _ in found.by_symbol}
    assert shares["ETHUSDT"] > 0.55


def test_finds_planted_order_flow():
    found = run_idea(market_with(flow=0.4), linear(ORDER_FLOW), judged_together=9)
    assert found.skilled, found.verdict
    assert found.held_out is not None
    assert found.held_out.low < found.held_out.accuracy < found.held_out.high
    assert found.bound is not None
    assert found.bound < found.held_out.low
    assert found.held_out.gain_bp > 1.0


@pytest.mark.parametrize("idea", [LEAD_LAG, ORDER_FLOW])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_finds_nothing_where_nothing_is(idea, seed):
    found = run_idea(market_with(seed=seed), linear(idea), judged_together=9)
    assert not found.skilled
    assert "no " in found.verdict


def test_columns_made_of_the_future_are_named_a_leak():
    def tomorrow(market: Market) -> np.ndarray:
        future = np.zeros_like(market.close)
        future[:, :-1] = market.close[:, 1:] / market.close[:, :-1] - 1.0
        return future[:, :, None]

    leaking = Variant(name="leak", columns=tomorrow, columns_only=True, learner="logistic")
    idea = Idea(name="leak", question="?", variants=(leaking,))
    found = run_idea(market_with(), idea, judged_together=1)
    assert found.held_out is not None
    assert found.held_out.accuracy > 0.9
    assert not found.skilled
    assert "leak" in found.verdict


def test_columns_stamped_a_bar_early_in_the_data_are_named_a_leak():
    market = market_with(flow=0.6)
    early = {name: np.roll(values, -1, axis=1) for name, values in market.flow.items()}

    def taker(seen: Market) -> np.ndarray:
        return seen.flow["taker_imbalance"][:, :, None]

    alone = Variant(
        name="alone", columns=taker, columns_only=True, learner="logistic", act_share=0.5
    )
    idea = Idea(name="alone", question="?", variants=(alone,))
    assert run_idea(market, idea, judged_together=1).leaks == ()
    (leak,) = run_idea(replace(market, flow=early), idea, judged_together=1).leaks
    assert "the bar before tells" in leak


@pytest.mark.parametrize("columns", [others_mean, each_other, flow_columns])
def test_columns_do_not_change_when_the_future_is_cut_off(columns):
    market = market_with(lead=0.3, flow=0.3)
    whole = columns(market)
    for bars in (200, 1_000, BARS - 1):
        np.testing.assert_array_equal(columns(market.until(bars)), whole[:, :bars])


def test_the_last_bars_do_not_take_part_in_choosing():
    """Whatever comes after the cut, the same trial is chosen with the same score."""
    market = market_with(lead=0.4)
    other = market_with(lead=0.4)
    cut = cut_of(market)
    other.close[:, cut:] = other.close[:, cut - 1 : cut] * (1.0 + 0.01 * np.arange(BARS - cut))
    other.features[:, cut:] *= -1.0
    idea = linear(LEAD_LAG)
    one = run_idea(market, idea, judged_together=1)
    two = run_idea(other, idea, judged_together=1)
    assert (one.chosen, one.choice) == (two.chosen, two.choice)
    assert one.held_out != two.held_out


def test_what_the_candles_lack_is_said_and_not_tried():
    market = replace(market_with(), flow={})
    found = run_idea(market, ORDER_FLOW, judged_together=9)
    assert found.trials == 0
    assert "no taker_imbalance" in found.verdict


def test_the_interval_is_wider_where_symbols_say_the_same():
    draws = np.random.default_rng(3)
    alone = draws.normal(size=(1, 5_000))
    same = np.repeat(alone, 5, axis=0)
    apart = draws.normal(size=(5, 5_000))

    def width(labels: np.ndarray) -> float:
        shape = labels.shape
        told = Told(
            scores=np.ones(shape),
            labels=labels,
            acted=np.ones(shape, dtype=np.bool_),
            last_returns=np.zeros(shape),
        )
        found = score_of(told, horizon=1)
        assert found is not None
        return found.high - found.low

    assert width(same) > 1.7 * width(apart)


def test_too_few_acted_bars_give_no_score():
    labels = np.random.default_rng(1).normal(size=(1, 5_000))
    acted = np.zeros(labels.shape, dtype=np.bool_)
    acted[:, :50] = True
    told = Told(scores=labels, labels=labels, acted=acted, last_returns=labels)
    assert score_of(told, horizon=1) is None


def test_gains_without_a_side_are_few_deviations_from_none():
    gains = np.random.default_rng(2).choice([-1.0, 1.0], size=(3, 24_000))
    assert abs(deviations(gains, horizon=1)) < 4.0
    assert deviations(gains + 0.2, horizon=1) > 4.0


def test_bars_soon_after_a_hole_are_left_out():
    draws = np.random.default_rng(4)
    frame = candles(draws.normal(0.0, 5e-4, 1_000), draws)
    market = market_of({"BTCUSDT": pd.concat([frame.iloc[:500], frame.iloc[600:]])})
    assert np.isnan(market.features[0, 500:560]).all()
    assert np.isfinite(market.features[0, 560:]).all()
    assert np.isnan(market.labels(1)[0, 499])


def test_symbols_without_a_common_bar_are_refused():
    draws = np.random.default_rng(4)
    frame = candles(draws.normal(0.0, 5e-4, 100), draws)
    later = frame.set_axis(frame.index + pd.Timedelta(days=9))
    with pytest.raises(DataError, match="no bar in common"):
        market_of({"BTCUSDT": frame, "ETHUSDT": later})


def test_every_idea_has_trials_of_its_own_name():
    assert len({idea.name for idea in IDEAS}) == len(IDEAS) >= 8
    for idea in IDEAS:
        assert len({variant.name for variant in idea.variants}) == len(idea.variants) >= 1
