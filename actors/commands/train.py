"""`run.py train` and `run.py evaluate`: fit one model per symbol, and judge the saved ones.

Symbols are spread over workers; each fits on one thread, so that the result does not depend on how
many there are, nor where.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from actors.edges.work_pool import Task, Workers, progress
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
    as is right for so many symbols at once.  Models are written here, not by the workers, which may
    be other machines.  Raises UsageError for options that cannot be met, DataError for candles that
    are missing, damaged or too few, UnavailableError for a cluster that cannot be reached or loses
    its workers, OSError if the models folder cannot be written.
    """

    def task(symbol: str, df: pd.DataFrame, together: int) -> Task:
        del symbol
        new = PricePredictor(
            model_type=options.model_type, horizon=options.horizon, seed=options.seed
        )
        return trained, (new, df, together)

    def keep(symbol: str, predictor: PricePredictor) -> dict[str, Any]:
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

    return _per_symbol(options, "training", task, keep)


def run_evaluate(options: LearningOptions) -> dict[str, Any]:
    """Judge the saved model of each symbol on the given candles.

    Returns the shape of `run_train`; `scored_by` counts the rows by who predicted them: the saved
    model only after its training range, a walk-forward refit elsewhere.  Raises as `run_train`,
    and ModelRefusedError for a model that is missing or fails verification.
    """
    models: dict[str, PricePredictor] = {}

    def task(symbol: str, df: pd.DataFrame, together: int) -> Task:
        # Verified here: workers may be other machines, without the files and the key.
        models[symbol] = PricePredictor()
        path = model_path(options.model_dir, symbol)
        models[symbol].load_model(str(path), key_file=options.key_file)
        return evaluated, (models[symbol], df, together)

    def complete(symbol: str, scores: dict[str, Any]) -> dict[str, Any]:
        predictor = models[symbol]
        by_source = scores.pop("by_source")
        return scores | {
            "model": str(model_path(options.model_dir, symbol)),
            "model_skilled": predictor.skilled,
            "leak_tests": predictor.manifest.get("leak_tests", []),
            "train_range_ms": predictor.manifest["range_ms"],
            "by_source": by_source,
        }

    return _per_symbol(options, "evaluating", task, complete)


def trained(predictor: PricePredictor, df: pd.DataFrame, together: int) -> PricePredictor:
    """Train on a candle frame, as one of so many symbols; what a worker does."""
    predictor.train(df, tested_together=together)
    return predictor


def evaluated(predictor: PricePredictor, df: pd.DataFrame, together: int) -> dict[str, Any]:
    """Judge a model on a candle frame; what a worker does."""
    told = honest_predictions(predictor, df)
    result = told.evaluate(predictor.horizon, tested_together=together).as_dict()
    return result | {
        "by_source": {
            kind: told.evaluate(predictor.horizon, kind, tested_together=together).as_dict()
            for kind in (OUT_OF_FOLD, SAVED_MODEL)
            if kind in result["scored_by"]
        }
    }


def _per_symbol(
    options: LearningOptions,
    title: str,
    task: Callable[[str, pd.DataFrame, int], Task],
    finish: Callable[[str, Any], dict[str, Any]],
) -> dict[str, Any]:
    """Have a task a symbol done by workers; `finish` gets what comes, when it comes."""
    from actors.commands.reading import read_and_say

    workers = workers_of(options)
    # Wall time of a command that a person waits for; nothing is decided by it.
    started = time.perf_counter()
    frames = read_and_say(options.data, options.symbols, options.interval)
    symbols = tuple(frames)
    tasks = [task(symbol, frames[symbol], len(symbols)) for symbol in symbols]
    results: dict[str, dict[str, Any]] = {}
    with progress(title, len(tasks)) as advance, workers.pool() as pool:
        for index, result in pool.each(tasks):
            results[symbols[index]] = finish(symbols[index], result)
            advance()
    ordered = {symbol: results[symbol] for symbol in symbols}
    return {"symbols": ordered, "elapsed_s": round(time.perf_counter() - started, 3)}


def workers_of(options: LearningOptions) -> Workers:
    """Return who does the work; raises UsageError, naming the option, for what cannot be met."""
    if options.symbols is not None and not options.symbols:
        raise UsageError("--symbols is empty. Fix: name at least one symbol")
    return Workers(jobs=options.jobs, backend=options.backend, address=options.address)
