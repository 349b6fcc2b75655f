"""Whose decisions a backtest trades: those of the strategy named, none that knows the future."""

import numpy as np
import pytest

from core.backtest.decisions import decide
from core.errors import SelfCheckError
from core.symbol.strategy import CLOSE_ROW, DecidedRows, EnhancedStrategy
from tests.symbol.seeded_candles import seeded_candles

FRAME = seeded_candles(700, 3)
SETTINGS = {"ALLOW_TECHNICAL_ONLY": True}


def decided(strategy, **given):
    return decide(strategy, FRAME, bars_kept=400, bars_min=200, **given)


class EveryFifty:
    """Buys, then sells, then closes, by the minute of the bar."""

    warmup = 200

    def generate_signal(self, df):
        said = {0: "BUY", 20: "SELL", 40: "CLOSE"}.get(df.index[-1].minute)
        return said, 0.5 if said else 0.0, {}


class OwnRule(EnhancedStrategy):
    """What a user writes first: the given strategy with a rule of one's own."""

    warmup = 200

    def generate_signal(self, df):
        return ("BUY", 0.9, {}) if df.index[-1].minute == 0 else (None, 0.0, {})


class OwnWeights(EnhancedStrategy):
    """Another way in: the signals combined otherwise."""

    def combine_signals(self, technical_signals, ml_prediction, ml_confidence):
        return "SELL", 0.8


class OwnRows(OwnRule):
    """Both of one's own, and equal."""

    def decide_rows(self, df, told=None):
        rows = DecidedRows.none(len(df))
        wanted = np.array(df.index.minute == 0)
        wanted[:199] = False
        rows.sides[wanted], rows.strengths[wanted] = 1, 0.9
        return rows


class Foresees(OwnRule):
    """Knows the next close when it decides on all rows, and cannot one by one."""

    def decide_rows(self, df, told=None):
        rows = DecidedRows.none(len(df))
        rises = (df["close"].shift(-1) > df["close"]).to_numpy(copy=True)
        rises[:199] = False
        rows.sides[rises], rows.strengths[rises] = 1, 0.9
        return rows


def test_a_strategy_that_decides_bar_by_bar_is_asked_about_each_with_the_bars_live_keeps():
    seen = []

    class Watching(EveryFifty):
        def generate_signal(self, df):
            seen.append((len(df), df.index[-1]))
            return super().generate_signal(df)

    rows = decided(Watching())
    assert [length for length, _ in seen] == [*range(200, 401), *[400] * 300]
    assert [last for _, last in seen] == list(FRAME.index[199:])
    minutes = FRAME.index.minute[199:]
    assert (rows.sides[199:] == 1).tolist() == (minutes == 0).tolist()
    assert (rows.sides[199:] == -1).tolist() == (minutes == 20).tolist()
    assert (rows.sides[199:] == CLOSE_ROW).tolist() == (minutes == 40).tolist()
    assert not rows.sides[:199].any()


def test_a_subclass_with_a_rule_of_its_own_is_not_replaced_by_the_rule_it_inherits():
    rows = decided(OwnRule(SETTINGS))
    assert (rows.sides[199:] == 1).tolist() == (FRAME.index.minute[199:] == 0).tolist()
    assert not (rows.sides == -1).any()


def test_a_subclass_that_combines_signals_otherwise_trades_by_that():
    rows = decided(OwnWeights(SETTINGS))
    assert (rows.sides[199:] == -1).all()


def test_decisions_of_all_rows_at_once_are_taken_where_they_equal_the_single_ones():
    assert decided(OwnRows(SETTINGS)).sides.tolist() == decided(OwnRule(SETTINGS)).sides.tolist()


def test_a_strategy_that_foresees_the_next_close_is_refused():
    with pytest.raises(SelfCheckError, match="decide_rows and generate_signal differ"):
        decided(Foresees(SETTINGS))
