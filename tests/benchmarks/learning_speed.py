"""Measures features and predictions: `python -m tests.benchmarks.learning_speed`.

Features of one closed bar and one prediction are what a decision costs beyond its machinery; the
features of a history are what backtest and training begin with.  The `ta` library and
scikit-learn's own `predict` are measured in the same run.  Each figure is the median of rounds,
with the worst beside it; what the drift monitor adds to a bar stands last.
"""

import argparse
import sys
import time
from collections.abc import Iterator

import numpy as np
from threadpoolctl import threadpool_limits

from core.symbol.drift import DriftMonitor
from core.symbol.features import (
    FEATURE_NAMES,
    FeatureState,
    RollingFeatures,
    bars_of,
    compile_steps,
    compute_features,
    feature_matrix,
)
from models.price_predictor import PricePredictor
from tests.benchmarks.figures import Figure, each_us, run
from tests.symbol.seeded_candles import seeded_candles

BARS = 2_000
HISTORY = 500_000
NAIVE_HISTORY = 20_000
BUFFER = 1_000


def measure(given: argparse.Namespace) -> Iterator[Figure]:
    """Measure features of a bar and of a history, a prediction, and drift."""
    compile_steps()
    bars_measured = 200 if given.short else BARS
    df = seeded_candles(bars_measured + BUFFER)
    bars, state = bars_of(df), FeatureState()
    rows = [(int(t), *bar) for t, bar in zip(bars.open_ms, bars.table.T.tolist(), strict=True)]

    step, worst = each_us(lambda n: state.step(*rows[n % len(rows)]), bars_measured)
    naive, _ = each_us(lambda n: compute_features(df.iloc[:200], engine="ta"), 1)
    yield Figure(
        name=f"features of one closed bar ({len(FEATURE_NAMES)})",
        ours=step,
        unit="us",
        target=20.0,
        peer="ta on 200 rows",
        theirs=naive,
        note=f"worst round {worst:.1f}",
    )
    frames = [df.iloc[end - BUFFER : end] for end in range(BUFFER, BUFFER + bars_measured)]
    rolling = RollingFeatures()
    live, worst = each_us(lambda n: rolling.latest(frames[n]), bars_measured)
    yield Figure(
        name=f"the same through a DataFrame of {BUFFER} bars, as a strategy gets it",
        ours=live,
        unit="us",
        note=f"worst round {worst:.0f}",
    )
    yield _history(BUFFER * 5 if given.short else HISTORY)

    predictor = PricePredictor()
    predictor.train(seeded_candles(3_000))
    table = feature_matrix(df)[100:]
    trees, model = predictor._fitted(), predictor._model
    one, worst = each_us(lambda n: trees.predict_row(table[n]), bars_measured)
    with threadpool_limits(limits=1):
        theirs, _ = each_us(lambda n: model.predict(table[n : n + 1]), 100)
    yield Figure(
        name="one prediction",
        ours=one,
        unit="us",
        target=10.0,
        peer="scikit-learn's predict",
        theirs=theirs,
        note=f"worst round {worst:.1f}",
    )
    reference = predictor.drift_reference
    assert reference is not None
    monitor = DriftMonitor(reference)
    watched = np.ascontiguousarray(
        table[:, [FEATURE_NAMES.index(name) for name in reference.names]]
    )
    drift, _ = each_us(lambda n: monitor.take_row(watched[n]), bars_measured)
    report, _ = each_us(lambda _: monitor.report(), 20)
    note = f"and {report:.0f} for a comparison every 60 bars"
    yield Figure(name="drift of one bar", ours=drift, unit="us", note=note)


def _history(length: int) -> Figure:
    long, short = seeded_candles(length), seeded_candles(min(length, NAIVE_HISTORY))
    taken = [each_us(lambda _: feature_matrix(long), 1)[0] for _ in range(3)]
    began = time.perf_counter()
    compute_features(short, engine="ta")
    naive = len(short) / (time.perf_counter() - began)
    return Figure(
        name="features of history",
        ours=length / min(taken) * 1e6,
        unit="rows/s",
        target=5e6,
        wanted="at least",
        peer="ta",
        theirs=naive,
    )


if __name__ == "__main__":
    sys.exit(run(measure, __doc__))
