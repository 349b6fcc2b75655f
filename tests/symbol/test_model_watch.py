"""A symbol's machine follows its model: takes a newer one, tells of drift, holds back if asked."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from actors.narration import narrate
from core import messages as m
from core.clock import NS_PER_MS
from core.symbol.drift import WINDOW, DriftReference, reference_of
from core.symbol.features import FEATURE_NAMES, bars_of, feature_matrix
from core.symbol.indicators import FEATURES_WARMUP
from core.symbol.machine import SymbolMachine
from core.symbol.model_watch import CONSTANT_BARS, REPORT_EVERY, ModelWatch
from core.symbol.strategy import EnhancedStrategy
from tests.builders import MINUTE_NS, SYMBOL, a_moment, an_instrument
from tests.symbol.seeded_candles import seeded_candles


@dataclass
class Model:
    """Says nearly the same of every bar, or, for `stuck` bars from the first, exactly the same."""

    prediction: float
    drift_reference: DriftReference | None = None
    skilled: bool = True
    horizon: int = 1
    stuck: int = 0
    asked: int = 0

    def predict(self, df: Any) -> tuple[float, float]:
        self.asked += 1
        moves = self.asked > self.stuck and self.asked % 2
        return self.prediction * (1 + 1e-6 * moves), 0.9


@pytest.fixture(scope="module")
def candles():
    return seeded_candles(WINDOW + 700, 3)


@pytest.fixture(scope="module")
def usual(candles) -> DriftReference:
    return reference_of(feature_matrix(candles)[FEATURES_WARMUP:], FEATURE_NAMES)


@pytest.fixture(scope="module")
def calmer() -> DriftReference:
    """Of a market with a twentieth of the moves."""
    df = seeded_candles(2_000, 5)
    df[["open", "high", "low", "close"]] = 100 + (df[["open", "high", "low", "close"]] - 100) / 20
    return reference_of(feature_matrix(df)[FEATURES_WARMUP:], FEATURE_NAMES)


def machine_with(model: Model | None, shelf: dict[str, Model], **watch: Any) -> SymbolMachine:
    settings = {"KLINE_HISTORY": 60, "predictor": model, "MIN_SIGNAL_STRENGTH": 0.0}
    return SymbolMachine(
        symbol=SYMBOL,
        strategy=EnhancedStrategy(settings),
        strategy_name="enhanced",
        instrument=an_instrument(),
        interval_ns=MINUTE_NS,
        bars=200,
        bars_min=60,
        generation=3,
        watch=ModelWatch(model, **watch),
        model_of=shelf.get,
    )


def closes(df: Any) -> list[m.Candle]:
    bars = bars_of(df)
    return [
        m.Candle(
            open_time_ns=int(open_ms) * NS_PER_MS,
            **dict(
                zip(
                    ("open", "high", "low", "close", "volume", "taker_buy_volume"),
                    row,
                    strict=True,
                )
            ),
        )
        for open_ms, row in zip(bars.open_ms, bars.table.T.tolist(), strict=True)
    ]


def run(machine: SymbolMachine, df: Any) -> list[Any]:
    candles = closes(df)
    machine.start(a_moment())
    machine.handle(m.KlineHistory(symbol=SYMBOL, candles=tuple(candles[:100])), a_moment())
    return [
        out
        for candle in candles[100:]
        for out in machine.handle(
            m.ClosedKline(symbol=SYMBOL, candle=candle, event_ns=0), a_moment()
        )
    ]


def kinds(outs: list[Any], kind: type[Any]) -> list[Any]:
    return [out for out in outs if isinstance(out, kind)]


def test_a_newer_model_decides_from_the_next_bar_on(candles):
    older, newer = Model(1e-3), Model(-1e-3)
    machine = machine_with(older, {"abcdef0123": newer})
    assert {p.side for p in kinds(run(machine, candles[:150]), m.Proposal)} == {m.Side.BUY}
    (event,) = machine.handle(m.ModelReady(symbol=SYMBOL, sha256="abcdef0123"), a_moment())
    assert (event.event, event.generation) == ("model", 3)
    assert event.detail == "model abcdef01 is in use: it proved its skill"
    assert machine.watch.model is newer
    candle = closes(candles[150:151])[0]
    outs = machine.handle(m.ClosedKline(symbol=SYMBOL, candle=candle, event_ns=0), a_moment())
    assert {p.side for p in kinds(list(outs), m.Proposal)} == {m.Side.SELL}


def test_a_model_that_is_not_on_the_shelf_changes_nothing(candles):
    machine = machine_with(Model(1e-3), {})
    (event,) = machine.handle(m.ModelReady(symbol=SYMBOL, sha256="feedbeef99"), a_moment())
    assert event.detail == "model feedbeef is not on the shelf"
    assert {p.side for p in kinds(run(machine, candles[:150]), m.Proposal)} == {m.Side.BUY}


def test_a_market_like_the_training_is_no_drift(candles, usual):
    machine = machine_with(Model(1e-3, usual), {})
    assert not kinds(run(machine, candles), m.ActorEvent)
    assert machine.watch.report is not None
    assert machine.watch.report.rows == WINDOW
    assert machine.watch.report.brier_rows > 0


def test_drift_is_told_once_and_stops_nothing_by_itself(candles, calmer):
    machine = machine_with(Model(1e-3, calmer), {})
    outs = run(machine, candles)
    (event,) = kinds(outs, m.ActorEvent)
    assert event.event == "drift"
    assert "PSI > 0.25 over 1440 bars" in event.detail
    assert isinstance(outs[-1], m.Proposal)


def test_a_model_that_promises_too_much_is_told_of(candles, usual):
    machine = machine_with(Model(1e-3, replace(usual, brier=0.25)), {})
    (event,) = kinds(run(machine, candles[:900]), m.ActorEvent)
    assert "live predictions, 0.2500 out of sample" in event.detail


def test_drift_holds_entries_back_where_the_setting_says_so(candles, calmer):
    machine = machine_with(Model(1e-3, calmer), {}, blocks=True)
    outs = run(machine, candles)
    last = kinds(outs, m.SignalComputed)[-1]
    assert not kinds(outs[-REPORT_EVERY:], m.Proposal)
    assert kinds(outs, m.Proposal)  # before the window was full
    assert (last.signal, last.strength > 0.0) == ("HOLD", True)
    assert last.reason.startswith("model drift: ")
    assert machine.last_reason == last.reason


def test_a_new_model_is_compared_with_its_own_training(candles, calmer, usual):
    machine = machine_with(Model(1e-3, calmer), {"beef": Model(1e-3, usual)}, blocks=True)
    run(machine, candles)
    assert machine.watch.objection
    machine.handle(m.ModelReady(symbol=SYMBOL, sha256="beef"), a_moment())
    assert machine.watch.objection == ""


def test_the_history_before_the_first_decision_counts(candles, usual):
    watch = ModelWatch(Model(1e-3, usual))
    watch.history(candles)
    assert watch.report is not None
    assert watch.report.rows == WINDOW
    assert watch.report.drifted == ()


def test_without_a_model_nothing_is_watched(candles):
    machine = machine_with(None, {})
    run(machine, candles[:150])
    assert machine.watch.report is None
    assert machine.watch.objection == ""
    assert np.isfinite(machine.last_close_ms)


def test_a_model_that_says_the_same_of_every_bar_is_told_of_once_and_again_when_it_moves(candles):
    model = Model(1e-3, stuck=CONSTANT_BARS + 20)
    outs = run(machine_with(model, {}), candles[:300])
    stuck, over = kinds(outs, m.ActorEvent)
    assert (stuck.event, stuck.generation) == ("constant_output", 3)
    assert stuck.detail == f"the model said 0.001 of each of the last {CONSTANT_BARS} bars"
    assert over.detail == "the model's output moves again"
    told_after = outs[: outs.index(stuck)]
    assert len(kinds(told_after, m.SignalComputed)) == CONSTANT_BARS - 1
    assert isinstance(outs[-1], m.Proposal)  # it stops nothing
    level, _, line = next(narrate(stuck))
    assert (level, line) == ("WARNING", f"[{SYMBOL}] {stuck.detail}")


def test_a_model_that_moves_before_long_is_not_stuck(candles):
    model = Model(1e-3, stuck=CONSTANT_BARS - 2)  # and the next one moves
    assert not kinds(run(machine_with(model, {}), candles[:300]), m.ActorEvent)


def test_another_model_is_counted_anew(candles):
    machine = machine_with(Model(1e-3, stuck=10_000), {"abcdef0123": Model(1e-3, stuck=10_000)})
    run(machine, candles[: 100 + CONSTANT_BARS - 1])
    machine.handle(m.ModelReady(symbol=SYMBOL, sha256="abcdef0123"), a_moment())
    (candle,) = closes(candles[100 + CONSTANT_BARS - 1 : 100 + CONSTANT_BARS])
    outs = machine.handle(m.ClosedKline(symbol=SYMBOL, candle=candle, event_ns=0), a_moment())
    assert not kinds(list(outs), m.ActorEvent)
