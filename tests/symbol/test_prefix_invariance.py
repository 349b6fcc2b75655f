"""Strategies that know the future are caught before they trade."""

import numpy as np

from core.symbol.prefix import check_prefix_invariance
from core.symbol.strategy import EnhancedStrategy
from tests.symbol.seeded_candles import seeded_candles


class LookAhead:
    """Buys where the next close is higher."""

    warmup = 10

    def generate_signal(self, df):
        return self.signals(df)[-1], 1.0, {}

    def signals(self, df):
        higher = (df["close"].shift(-1) > df["close"]).to_numpy()
        return np.where(higher, "BUY", None)


class CentredMean:
    """Smooths with bars from both sides, the usual accident."""

    warmup = 10

    def generate_signal(self, df):
        return self.signals(df)[-1], 1.0, {}

    def signals(self, df):
        mean = df["close"].rolling(9, center=True, min_periods=1).mean()
        return np.where(df["close"] > mean, "BUY", "SELL").astype(object)


class TwoMinds:
    """Decides otherwise live than in a backtest."""

    warmup = 10

    def generate_signal(self, df):
        return ("BUY" if df["close"].iloc[-1] > df["open"].iloc[-1] else None), 1.0, {}

    def signals(self, df):
        return np.full(len(df), "SELL", dtype=object)


class Moody:
    """Changes its mind when asked again; has no vectorised form."""

    warmup = 10

    def __init__(self):
        self.calls = 0

    def generate_signal(self, df):
        self.calls += 1
        return ("BUY" if self.calls % 3 == 0 else None), 1.0, {}


class Plain:
    """Follows the last bar; honest, and without a vectorised form."""

    warmup = 1

    def generate_signal(self, df):
        return ("BUY" if df["close"].iloc[-1] > df["open"].iloc[-1] else "CLOSE"), 1.0, {}


def test_the_default_strategy_is_sound():
    df = seeded_candles(320)
    strategy = EnhancedStrategy({"allow_technical_only": True})
    assert any(strategy.signals(df))
    assert check_prefix_invariance(strategy, df) == []


def test_an_honest_strategy_of_ones_own_is_sound():
    assert check_prefix_invariance(Plain(), seeded_candles(100)) == []


def test_a_planted_look_ahead_is_caught():
    df = seeded_candles(300)
    for strategy in (LookAhead(), CentredMean()):
        found = check_prefix_invariance(strategy, df)
        assert found
        assert found[0].check == "with the bars after it known"
        assert str(found[0]).startswith(f"bar {found[0].row} (2025-05-04 ")


def test_a_strategy_of_two_minds_is_caught():
    checks = {v.check for v in check_prefix_invariance(TwoMinds(), seeded_candles(100))}
    assert checks == {"from signals()"}


def test_a_moody_strategy_is_caught():
    checks = {v.check for v in check_prefix_invariance(Moody(), seeded_candles(100))}
    assert checks == {"when asked again"}
