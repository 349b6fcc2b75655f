"""A backtest of settings on a recording: builds what the live bot would run, and runs it.

The recording and a model's honest predictions are prepared once (`Study`); a sweep asks the same
study about many settings.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from actors.assembly import Assembly, Machines
from actors.edges.strategy_loader import load_strategy_class
from actors.edges.tape_files import Recording
from actors.model_shelf import ModelShelf
from config import Config
from core.backtest.decisions import Told, decide, decides_rows, frame_of
from core.backtest.result import BacktestResult
from core.backtest.run import run_backtest
from core.backtest.tape import Tape
from core.errors import DataError
from core.symbol.strategy import DecidedRows, Strategy
from models.honest_predictions import honest_predictions


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Study:
    """A recording, and what the models may honestly say about each bar of it."""

    recording: Recording
    shelf: ModelShelf
    told: Mapping[str, Told]
    predicted_by: Mapping[str, Mapping[str, int]]
    said: tuple[str, ...] = ()  # what was told of the models when they were loaded

    @property
    def bars(self) -> int:
        """Return the bars of one symbol."""
        return len(self.recording.tape)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decisions:
    """What a strategy decides on every bar of a tape, warmed up from bar `first` on."""

    tape: Tape
    rows: Mapping[str, DecidedRows]
    first: int


def prepare(recording: Recording, shelf: ModelShelf, said: tuple[str, ...] = ()) -> Study:
    """Predict every bar as the models could have then; an unskilled model is not asked.

    A row of a model's training range is predicted by a walk-forward refit, never by the model that
    saw it.  That a model counts as skilled was found out on its own data all the same.
    """
    told: dict[str, Told] = {}
    predicted_by: dict[str, Mapping[str, int]] = {}
    for symbol in recording.tape.symbols:
        predictor = shelf.current(symbol)
        if predictor is None or not predictor.skilled:
            continue
        honest = honest_predictions(predictor, frame_of(recording.tape, symbol))
        told[symbol] = (honest.predictions, honest.confidences)
        kinds, counts = np.unique(honest.source, return_counts=True)
        predicted_by[symbol] = {
            str(kind) or "nobody": int(count) for kind, count in zip(kinds, counts, strict=True)
        }
    return Study(recording=recording, shelf=shelf, told=told, predicted_by=predicted_by, said=said)


def backtest(
    study: Study,
    config: Config,
    *,
    since: datetime | None = None,
    until_bar: int | None = None,
    decided: Callable[[str], None] = lambda _: None,
    done: Callable[[int], None] = lambda _: None,
) -> BacktestResult:
    """Trade a study under some settings.

    The first entry falls on `since` or, if that is later, on the bar after the warm-up.  `decided`
    is told each symbol that has been decided on, `done` each bar reached.  Raises DataError if the
    warm-up leaves nothing.
    """
    decisions = decide_all(study, config, until_bar=until_bar, decided=decided)
    tape = decisions.tape
    start = first_decision(tape, decisions.first, since)
    return run_backtest(
        tape,
        config,
        decisions.rows,
        start=start,
        strategy_name=config.STRATEGY,
        filled_bars=study.recording.filled_bars,
        predicted_by=study.predicted_by,
        done=done,
    )


def first_decision(tape: Tape, warm: int, since: datetime | None) -> int:
    """Return the bar whose close brings the first decisions; `warm` is the first that may.

    Raises DataError if the warm-up leaves nothing.
    """
    start = warm
    if since is not None:
        wanted = int(since.timestamp() * 1000)
        start = max(start, int(tape.open_ms.searchsorted(wanted)) - 1)
    if start >= len(tape) - 1:
        raise DataError(
            f"backtest: {len(tape)} bars leave nothing after {start + 1} to warm up on."
            " Fix: give more candles, or an earlier --from"
        )
    return start


def decide_all(
    study: Study,
    config: Config,
    *,
    until_bar: int | None = None,
    decided: Callable[[str], None] = lambda _: None,
) -> Decisions:
    """Return what the strategy of some settings decides on each bar up to `until_bar`."""
    tape = study.recording.tape
    tape = tape if until_bar is None else tape.cut(0, until_bar)
    strategies = _strategies(study, config)
    rows: dict[str, DecidedRows] = {}
    for symbol, strategy in strategies.items():
        rows[symbol] = _decide(study, config, symbol, strategy, len(tape))
        decided(symbol)
    return Decisions(tape=tape, rows=rows, first=_warmup(strategies) - 1)


def warmup_of(study: Study, config: Config) -> int:
    """Return how many bars the strategy of some settings wants before its first decision."""
    return _warmup(_strategies(study, config))


def _warmup(strategies: Mapping[str, Strategy]) -> int:
    return max(max(strategy.warmup, 1) for strategy in strategies.values())


def _strategies(study: Study, config: Config) -> dict[str, Strategy]:
    assembly = Assembly(config, load_strategy_class(config.STRATEGY), study.shelf, Machines())
    if config.STRATEGY:
        assembly.check_strategy()
    return {symbol: assembly.strategy(symbol) for symbol in study.recording.tape.symbols}


def _decide(
    study: Study, config: Config, symbol: str, strategy: Strategy, bars: int
) -> DecidedRows:
    told = study.told.get(symbol)
    if told is not None and not decides_rows(type(strategy)):
        raise DataError(
            f"backtest: STRATEGY {config.STRATEGY} asks {symbol}'s model itself, which may have"
            " seen these bars. Fix: remove the model, or give the strategy decide_rows(df, told)"
        )
    return decide(
        strategy,
        frame_of(study.recording.tape, symbol).iloc[:bars],
        bars_kept=max(strategy.warmup, config.KLINE_HISTORY),
        bars_min=min(config.KLINE_HISTORY, max(strategy.warmup, 1)),
        told=None if told is None else (told[0][:bars], told[1][:bars]),
    )
