"""Measures features and predictions: `python -m tests.benchmarks.learning_speed`.

Features of one closed bar and one prediction are what a decision costs beyond its machinery; the
features of a history are what backtest and training begin with.  The `ta` library and
scikit-learn's own `predict` are measured in the same run.  Each figure is the median of rounds,
with the worst beside it; what the drift monitor adds to a bar stands last.
"""

import statistics
import sys
import time
from collections.abc import Callable

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
from tests.symbol.seeded_candles import seeded_candles

ROUNDS = 7
BARS = 2_000
HISTORY = 500_000
BUFFER = 1_000
BAR_US, ROWS_PER_S, PREDICTION_US = 20.0, 5e6, 10.0


def each_us(act: Callable[[int], object], count: int) -> tuple[float, float]:
    """Return microseconds per call: median and worst of the rounds."""
    act(0)
    rounds = []
    for _ in range(ROUNDS):
        start = time.perf_counter_ns()
        for number in range(count):
            act(number)
        rounds.append((time.perf_counter_ns() - start) / count / 1e3)
    return statistics.median(rounds), max(rounds)


def say(what: str, value: str, target: str, *, met: bool) -> None:
    """Print one figure."""
    print(f"{what}: {value}; target {target}  {'met' if met else 'not met'}")  # noqa: T201


def main() -> int:
    """Measure and print; 0 once everything was measured."""
    compile_steps()
    df = seeded_candles(BARS + BUFFER)
    bars, state = bars_of(df), FeatureState()
    rows = [(int(t), *bar) for t, bar in zip(bars.open_ms, bars.table.T.tolist(), strict=True)]

    step, step_worst = each_us(lambda n: state.step(*rows[n % len(rows)]), BARS)
    naive, _ = each_us(lambda n: compute_features(df.iloc[:200], engine="ta"), 1)
    say(
        f"features of one closed bar ({len(FEATURE_NAMES)})",
        f"{step:.1f} us (worst round {step_worst:.1f}), ta on 200 rows {naive / 1e3:.1f} ms",
        f"{BAR_US:.0f} us",
        met=step <= BAR_US,
    )

    frames = [df.iloc[end - BUFFER : end] for end in range(BUFFER, BUFFER + BARS)]
    rolling = RollingFeatures()
    live, live_worst = each_us(lambda n: rolling.latest(frames[n]), BARS)
    print(  # noqa: T201
        f"  through a DataFrame of {BUFFER} bars, as the strategy gets it: {live:.0f} us"
        f" (worst round {live_worst:.0f})"
    )

    long = seeded_candles(HISTORY)
    taken = [each_us(lambda _: feature_matrix(long), 1)[0] for _ in range(3)]
    rate = HISTORY / min(taken) * 1e6
    say(
        "features of history",
        f"{rate / 1e6:.2f} M rows/s",
        f"{ROWS_PER_S / 1e6:.0f} M rows/s",
        met=rate >= ROWS_PER_S,
    )

    predictor = PricePredictor()
    predictor.train(seeded_candles(3_000))
    table = feature_matrix(df)[100:]
    trees, model = predictor._fitted(), predictor._model
    one, one_worst = each_us(lambda n: trees.predict_row(table[n]), BARS)
    with threadpool_limits(limits=1):
        theirs, _ = each_us(lambda n: model.predict(table[n : n + 1]), 100)
    say(
        "one prediction",
        f"{one:.1f} us (worst round {one_worst:.1f}), scikit-learn's own {theirs:.0f} us",
        f"{PREDICTION_US:.0f} us",
        met=one <= PREDICTION_US,
    )

    reference = predictor.drift_reference
    assert reference is not None
    monitor = DriftMonitor(reference)
    watched = np.ascontiguousarray(
        table[:, [FEATURE_NAMES.index(name) for name in reference.names]]
    )
    drift, _ = each_us(lambda n: monitor.take_row(watched[n]), BARS)
    report, _ = each_us(lambda _: monitor.report(), 20)
    print(f"  drift: {drift:.0f} us a bar, {report:.0f} us a comparison every 60 bars")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
