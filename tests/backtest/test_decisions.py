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


class Signals(EveryFifty):
    """Says of all bars at once what it says of each."""

    asked = 0

    def generate_signal(self, df):
        self.asked += 1
        return super().generate_signal(df)

    def signals(self, df):
        words = {0: "BUY", 20: "SELL", 40: "CLOSE"}
        return np.array([words.get(minute) for minute in df.index.minute], dtype=object)


class BuysBeforeRises(Signals):
    def signals(self, df):
        said = super().signals(df)
        said[np.flatnonzero(df["close"].shift(-1) > df["close"] * 1.001)] = "BUY"
        return said


class SilentBeforeLosses(Signals):
    """Buys every third bar, but for the three worst of these: no word of it is a lie."""

    def signals(self, df):
        wanted = np.flatnonzero(df.index.minute % 3 == 0)
        moves = (df["close"].shift(-1) / df["close"]).to_numpy()[wanted]
        said = np.full(len(df), None, dtype=object)
        said[wanted[moves.argsort()[3:]]] = "BUY"
        return said

    def generate_signal(self, df):
        wanted = df.index[-1].minute % 3 == 0
        return ("BUY", 0.5, {}) if wanted else (None, 0.0, {})


class ARuleOfItsOwn(Signals):
    """Changes the rule, and inherits the signals of another."""

    def generate_signal(self, df):
        return "SELL", 0.7, {}


def test_signals_of_all_rows_at_once_spare_most_questions_and_change_nothing():
    strategy = Signals()
    at_once, singly = decided(strategy), decided(EveryFifty())
    assert at_once.sides.tolist() == singly.sides.tolist()
    assert at_once.strengths.tolist() == singly.strengths.tolist()
    assert strategy.asked < 250  # of 501


@pytest.mark.parametrize("peeker", [BuysBeforeRises, SilentBeforeLosses])
def test_signals_that_know_the_next_close_are_refused(peeker):
    with pytest.raises(SelfCheckError, match="signals and generate_signal differ"):
        decided(peeker())


def test_signals_of_an_inherited_rule_are_not_taken_for_ones_own():
    assert (decided(ARuleOfItsOwn()).sides[199:] == -1).all()


def test_signals_of_another_length_are_refused():
    class Short(Signals):
        def signals(self, df):
            return super().signals(df)[1:]

    with pytest.raises(SelfCheckError, match="699 rows for 700 bars"):
        decided(Short())
