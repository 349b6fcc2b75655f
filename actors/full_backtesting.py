"""A backtest in full fidelity: the machines that the live bot would run, bar by bar."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from actors.assembly import Assembly, Machines
from actors.backtesting import Study, first_decision, warmup_of
from actors.edges.strategy_loader import load_strategy_class
from actors.model_shelf import ModelShelf
from config import Config
from core.backtest.decisions import Told
from core.backtest.full import run_full
from core.backtest.result import BacktestResult
from core.backtest.tape import Tape

_EQUITY_KNOWN_S = 3_600.0  # how often execution compares its book with the exchange's, venue time


class HonestPredictor:
    """Answers with what a model may honestly say of each bar (`models/honest_predictions.py`)."""

    skilled = True

    def __init__(self, tape: Tape, told: Told) -> None:
        self._first_ms, self._interval_ms = int(tape.open_ms[0]), tape.interval_ms
        self._predictions, self._confidences = told

    def predict(self, df: pd.DataFrame) -> tuple[float, float]:
        """Return prediction and confidence for the last bar of `df`."""
        opened_ms = df.index[-1].value // 1_000_000
        row = (opened_ms - self._first_ms) // self._interval_ms
        return float(self._predictions[row]), float(self._confidences[row])


class HonestShelf(ModelShelf):
    """Holds what may honestly be asked in place of the models of a study."""

    def __init__(self, study: Study, tape: Tape) -> None:
        super().__init__(Path())
        self._shelf = study.shelf
        self._honest = {symbol: HonestPredictor(tape, told) for symbol, told in study.told.items()}

    def current(self, symbol: str) -> Any:
        """Return the honest predictor; where nothing was told, the model, which says why."""
        return self._honest.get(symbol) or self._shelf.current(symbol)


def full_backtest(
    study: Study,
    config: Config,
    *,
    since: datetime | None = None,
    until_bar: int | None = None,
    done: Callable[[int], None] = lambda _: None,
) -> BacktestResult:
    """Trade a study under some settings through every machine; as `actors.backtesting.backtest`."""
    tape = study.recording.tape
    tape = tape if until_bar is None else tape.cut(0, until_bar)
    settings = config.model_copy(update={"RECONCILE_S": _EQUITY_KNOWN_S})
    shelf = HonestShelf(study, tape)
    assembly = Assembly(settings, load_strategy_class(config.STRATEGY), shelf, Machines())
    assembly.instruments.update(tape.instruments)
    symbols = {symbol: assembly.symbol_builder(symbol)(1) for symbol in tape.symbols}
    strategies = [machine.strategy for machine in symbols.values()]
    start = first_decision(tape, warmup_of(study, config) - 1, since)
    return run_full(
        tape,
        settings,
        symbols=symbols,
        risk=assembly.risk(),
        execution=assembly.execution(),
        start=start,
        warmup=min(config.KLINE_HISTORY, *(max(s.warmup, 1) for s in strategies)) - 1,
        filled_bars=study.recording.filled_bars,
        predicted_by=study.predicted_by,
        done=done,
    )
