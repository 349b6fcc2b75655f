"""`run.py train` and `run.py evaluate`: fit one model per symbol, and judge the saved ones.

Symbols are spread over processes with joblib; each fits on one thread, so that the result does not
depend on how many there are.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from core.errors import UsageError
from models.honest_predictions import OUT_OF_FOLD, SAVED_MODEL, honest_predictions
from models.model_card import write_card
from models.model_files import model_path
from models.price_predictor import PricePredictor


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningOptions:
    """What `train` and `evaluate` are asked to do."""

    data: Path  # folder with SYMBOL-INTERVAL files
    symbols: tuple[str, ...] | None  # None: all in the folder
    model_dir: Path
    key_file: Path | None = None  # None: beside the models folder
    interval: str = "1m"
    jobs: int = 2  # processes
    backend: str = "local"
    address: str | None = None  # of a cluster
    model_type: str = "histogram"
    horizon: int = 1  # bars
    seed: int = 42


def run_train(options: LearningOptions) -> dict[str, Any]:
    """Train and save a model per symbol, each with its card.

    Returns `{symbols: {S: scores}, elapsed_s}`; the scores are out of fold, and skill is asked for
    as is right for so many symbols at once.  Raises UsageError for
    options that cannot be met, DataError for candles that are missing, damaged or too few, OSError
    if the models folder cannot be written.
    """
    return _per_symbol(options, _train_symbol, "training")


def run_evaluate(options: LearningOptions) -> dict[str, Any]:
    """Judge the saved model of each symbol on the given candles.

    Returns the shape of `run_train`; `scored_by` counts the rows by who predicted them: the saved
    model only after its training range, a walk-forward refit elsewhere.  Raises as `run_train`,
    and ModelRefusedError for a model that is missing or fails verification.
    """
    return _per_symbol(options, _evaluate_symbol, "evaluating")


def _per_symbol(
    options: LearningOptions,
    work: Callable[[str, pd.DataFrame, LearningOptions], dict[str, Any]],
    title: str,
) -> dict[str, Any]:
    from actors.commands.reading import read_and_say

    _check(options)
    # Wall time of a command that a person waits for; nothing is decided by it.
    started = time.perf_counter()
    frames = read_and_say(options.data, options.symbols, options.interval)
    options = replace(options, symbols=tuple(frames))  # all that are tested together
    results: dict[str, dict[str, Any]] = {}
    tasks = [joblib.delayed(_named)(work, symbol, frames[symbol], options) for symbol in frames]
    with _progress(title, len(tasks)) as advance:
        workers = min(options.jobs, max(len(tasks), 1))
        pool = joblib.Parallel(n_jobs=workers, return_as="generator_unordered")
        for symbol, result in pool(tasks):
            results[symbol] = result
            advance()
    ordered = {symbol: results[symbol] for symbol in frames}
    return {"symbols": ordered, "elapsed_s": round(time.perf_counter() - started, 3)}


def _check(options: LearningOptions) -> None:
    if options.backend != "local":
        raise UsageError(f"--backend {options.backend} is not available. Fix: use --backend local")
    if options.address is not None:
        raise UsageError(f"--address {options.address} needs a cluster backend. Fix: leave it out")
    if options.jobs < 1:
        raise UsageError(f"--jobs must be at least 1, was {options.jobs}. Fix: set it to 1 or more")
    if options.symbols is not None and not options.symbols:
        raise UsageError("--symbols is empty. Fix: name at least one symbol")


def _named(
    work: Callable[[str, pd.DataFrame, LearningOptions], dict[str, Any]],
    symbol: str,
    df: pd.DataFrame,
    options: LearningOptions,
) -> tuple[str, dict[str, Any]]:
    return symbol, work(symbol, df, options)


def _train_symbol(symbol: str, df: pd.DataFrame, options: LearningOptions) -> dict[str, Any]:
    predictor = PricePredictor(
        model_type=options.model_type, horizon=options.horizon, seed=options.seed
    )
    predictor.train(df, tested_together=_together(options))
    path = model_path(options.model_dir, symbol)
    predictor.save_model(str(path), key_file=options.key_file)
    card = write_card(options.model_dir, symbol, predictor.manifest)
    assert predictor.evaluation is not None
    return predictor.evaluation.as_dict() | {
        "model": str(path),
        "card": str(card),
        "leak_tests": predictor.manifest["leak_tests"],
        "train_rows": predictor.manifest["train_rows"],
        "range_ms": predictor.manifest["range_ms"],
    }


def _evaluate_symbol(symbol: str, df: pd.DataFrame, options: LearningOptions) -> dict[str, Any]:
    predictor = PricePredictor()
    path = model_path(options.model_dir, symbol)
    predictor.load_model(str(path), key_file=options.key_file)
    told = honest_predictions(predictor, df)
    together = _together(options)
    result = told.evaluate(predictor.horizon, tested_together=together).as_dict()
    by_source = {
        kind: told.evaluate(predictor.horizon, kind, tested_together=together).as_dict()
        for kind in (OUT_OF_FOLD, SAVED_MODEL)
        if kind in result["scored_by"]
    }
    return result | {
        "model": str(path),
        "model_skilled": predictor.skilled,
        "leak_tests": predictor.manifest.get("leak_tests", []),
        "train_range_ms": predictor.manifest["range_ms"],
        "by_source": by_source,
    }


def _together(options: LearningOptions) -> int:
    return len(options.symbols or (1,))


@contextmanager
def _progress(title: str, total: int) -> Iterator[Callable[[], None]]:
    """Show a bar on a terminal's stderr; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total)
        yield lambda: bar.advance(task)
