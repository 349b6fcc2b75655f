"""Runs an experiment: chooses among its trials on earlier bars, looks at the last bars once.

The time axis is cut in two.  On the first part every trial is run walk-forward, purged and
embargoed as in training, and the trial with the highest lower bound of its share right on the bars
it acts on is chosen.  That one is fitted on the whole first part and judged, once, on the rest,
after an embargo.  Thresholds and calibrations come from out-of-fold scores of the first part.

Of many experiments one passes by luck, so the bound that a verdict goes by holds for all of them
together (Sidak).  Leak tests are made with the chosen trial: its columns must not change when the
future is cut off, labels in random order must score as chance, and the features of the bar before
must not tell more than those of the bar.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.symbol.indicators import FloatArray
from models.calibration import fit_calibration
from models.evaluation import ACCURACY_TARGET, CONFIDENCE_LIMIT
from models.experiments.judging import Score, Told, deviations, score_of
from models.experiments.market import Market, lagged
from models.experiments.variant import SEED, Idea, Variant, learned_scores
from models.leak_tests import DEVIATIONS_MAX
from models.walk_forward import walk_forward

CHOICE_SHARE = 0.7
FOLDS = 3
# Over whole windows four deviations are tenths of a point, which an honest market may give.
_SHIFT_GAIN_MAX = 0.02
_PREFIXES = (0.4, 0.6, 0.8)
_PREFIX_BARS = 500  # compared before each cut: a later price shows in the bars next to it


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of an experiment."""

    name: str
    question: str
    trials: int
    chosen: str = ""
    choice: Score | None = None  # of the chosen trial, out of fold, at 95 %
    held_out: Score | None = None  # on the last bars, at 95 %
    bound: float | None = None  # the lower bound there that holds for all experiments together
    by_symbol: tuple[tuple[str, float, int], ...] = ()  # share right, bars acted on
    leaks: tuple[str, ...] = ()  # what the leak tests found
    skilled: bool = False
    verdict: str

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON shape."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Table:
    """A trial's numbers: what it learns from, and which bars can be used."""

    x: FloatArray  # (s, n, k)
    y: FloatArray  # (s, n) what is learned
    labels: FloatArray  # (s, n) the returns that direction is judged by
    usable: NDArray[np.bool_]  # (s, n)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Chosen:
    """The trial that did best on the first part."""

    variant: Variant
    score: Score
    known: FloatArray  # (s, cut): its out-of-fold scores


def cut_of(market: Market) -> int:
    """Return the number of bars to choose on; the others are looked at once."""
    return int(len(market.open_ms) * CHOICE_SHARE)


def run_idea(market: Market, idea: Idea, *, judged_together: int) -> Result:
    """Choose among the trials of `idea` and judge the chosen one; `judged_together` experiments."""
    trials = len(idea.variants)
    if idea.needs and idea.needs not in market.flow:
        words = f"not tried: these candles have no {idea.needs}"
        return Result(name=idea.name, question=idea.question, trials=0, verdict=words)
    first = market.until(cut_of(market))  # nothing below sees a later bar before `_judge`
    best: _Chosen | None = None
    known: dict[Variant, FloatArray] = {}
    for variant in idea.variants:
        same = replace(variant, name="", act_share=None)
        table = _table(first, variant)
        scores = known.setdefault(same, np.empty(0))
        if not scores.size:
            scores = known[same] = _out_of_fold(first, table, variant)
        told = _told_out_of_fold(first, table, variant, scores)
        found = score_of(told, horizon=variant.horizon)
        if found is not None and (best is None or found.low > best.score.low):
            best = _Chosen(variant=variant, score=found, known=scores)
    if best is None:
        words = "no trial acted often enough on the bars to choose on: it abstains"
        return Result(name=idea.name, question=idea.question, trials=trials, verdict=words)
    return _judge(market, idea, best, judged_together)


# ---------------------------------------- the first part
def _out_of_fold(first: Market, table: _Table, variant: Variant) -> FloatArray:
    scores = np.full(table.y.shape, np.nan)
    for fold in _folds(first, variant):
        judged = slice(fold.test_start, fold.test_end)
        scores[:, judged] = _scored(first, table, variant, fold.train_end, judged)
    return scores


def _folds(first: Market, variant: Variant) -> Iterator[Any]:
    yield from walk_forward(len(first.open_ms), folds=FOLDS, horizon=variant.horizon)


def _told_out_of_fold(first: Market, table: _Table, variant: Variant, scores: FloatArray) -> Told:
    """Decide on acting in each fold from the folds before it; the first one has none."""
    acted = np.zeros(scores.shape, dtype=np.bool_)
    for fold in _folds(first, variant):
        if fold.number > 1:
            known, judged = slice(0, fold.train_end), slice(fold.test_start, fold.test_end)
            acted[:, judged] = _acts(
                variant, scores[:, known], table.labels[:, known], scores[:, judged]
            )
    begin = next(fold.test_start for fold in _folds(first, variant) if fold.number > 1)
    return _told(first, table, scores, acted, slice(begin, None))


def _acts(
    variant: Variant, known: FloatArray, labels: FloatArray, scores: FloatArray
) -> NDArray[np.bool_]:
    """Decide, symbol by symbol, on which bars to act, from out-of-fold scores of before."""
    acted = np.zeros(scores.shape, dtype=np.bool_)
    for row, before in enumerate(known):
        if variant.act_share is None:
            calibration = fit_calibration(before, labels[row])
            acted[row] = calibration.confidences(scores[row]) > CONFIDENCE_LIMIT
        else:
            sizes = np.abs(before[np.isfinite(before)])
            if sizes.size:
                acted[row] = np.abs(scores[row]) > np.quantile(sizes, 1.0 - variant.act_share)
    return acted


def _told(
    market: Market, table: _Table, scores: FloatArray, acted: NDArray[np.bool_], rows: slice
) -> Told:
    return Told(
        scores=scores[:, rows],
        labels=table.labels[:, rows],
        acted=acted[:, rows],
        last_returns=market.feature("price_change")[:, rows],
    )


# ---------------------------------------- the last part
def _judge(market: Market, idea: Idea, chosen: _Chosen, together: int) -> Result:
    variant, known = chosen.variant, chosen.known
    cut, horizon = cut_of(market), variant.horizon
    table = _table(market, variant)
    judged = slice(cut + horizon, len(market.open_ms))
    scores = np.full(table.y.shape, np.nan)
    scores[:, judged] = _scored(market, table, variant, cut - horizon, judged)
    acted = np.zeros(scores.shape, dtype=np.bool_)
    # Labels of the last bars before the cut are made of prices behind it.
    seen = slice(0, cut - horizon)
    acted[:, judged] = _acts(variant, known[:, seen], table.labels[:, seen], scores[:, judged])
    told = _told(market, table, scores, acted, judged)
    at_95 = score_of(told, horizon=horizon)
    corrected = score_of(told, horizon=horizon, level=0.95 ** (1.0 / together))
    leaks = tuple(_leaks(market, table, variant, told))
    skilled, verdict = _verdict(at_95, corrected, leaks)
    return Result(
        name=idea.name,
        question=idea.question,
        trials=len(idea.variants),
        chosen=variant.name,
        choice=chosen.score,
        held_out=at_95,
        bound=None if corrected is None else corrected.low,
        by_symbol=tuple(_by_symbol(market, told)),
        leaks=leaks,
        skilled=skilled,
        verdict=verdict,
    )


def _verdict(
    found: Score | None, corrected: Score | None, leaks: tuple[str, ...]
) -> tuple[bool, str]:
    if found is None or corrected is None:
        return False, "no proven skill: it acts on too few of the last bars"
    if leaks:
        return False, f"a leak is suspected ({'; '.join(leaks)})"
    numbers = f"at least {corrected.low:.1%} counting all experiments"
    if corrected.low <= corrected.rival:
        return False, f"no proven skill: {numbers}, must be above {corrected.rival:.1%}"
    if found.accuracy <= ACCURACY_TARGET:
        return True, f"skilled, and misses the target of {ACCURACY_TARGET:.0%}: {numbers}"
    return True, f"skilled, and meets the target of {ACCURACY_TARGET:.0%}: {numbers}"


def _by_symbol(market: Market, told: Told) -> Iterator[tuple[str, float, int]]:
    chosen = told.directed & told.acted
    for row, symbol in enumerate(market.symbols):
        count = int(chosen[row].sum())
        yield symbol, float(told.right[row][chosen[row]].mean()) if count else 0.0, count


# ---------------------------------------- learning
def _table(market: Market, variant: Variant) -> _Table:
    parts = [] if variant.columns_only else [market.features]
    if variant.columns is not None:
        parts.append(variant.columns(market))
    x = np.concatenate(parts, axis=2)
    labels = market.labels(variant.horizon)
    y = labels
    if variant.scaled:
        volatility = market.feature("volatility_20")
        y = np.divide(labels, volatility, out=np.full(labels.shape, np.nan), where=volatility > 0.0)
    # The product's features count as well, so that each trial is judged on the same bars.
    whole = np.isfinite(market.features).all(axis=2) & np.isfinite(x).all(axis=2)
    return _Table(x=x, y=y, labels=labels, usable=whole & np.isfinite(y))


def _scored(
    market: Market, table: _Table, variant: Variant, train_end: int, judged: slice
) -> FloatArray:
    """Fit on the bars before `train_end`; return scores (s, judged), NaN where it cannot say."""
    rows = range(len(market.symbols))
    groups = [list(rows)] if variant.pooled else [[row] for row in rows]
    scores = np.full(table.y[:, judged].shape, np.nan)
    for group in groups:
        train = table.usable[group, :train_end]
        x, y = table.x[group, :train_end][train], table.y[group, :train_end][train]
        weights = None
        if variant.weighing is not None:
            times = np.broadcast_to(market.open_ms[:train_end], train.shape)[train]
            weights = variant.weighing(y, times)
        asked = table.usable[group, judged]
        if asked.any() and len(np.unique(np.sign(y))) > 1:
            told = np.full(asked.shape, np.nan)
            told[asked] = learned_scores(variant, x, y, weights, table.x[group, judged][asked])
            scores[group] = told
    return scores


# ---------------------------------------- leaks
def _leaks(market: Market, table: _Table, variant: Variant, told: Told) -> Iterator[str]:
    yield from _prefix(market, variant)
    cut, horizon = cut_of(market), variant.horizon
    judged = slice(cut + horizon, len(market.open_ms))
    said = _scored(market, _shuffled(table, cut), variant, cut - horizon, judged)
    shuffled = replace(told, scores=said)
    gains = _above_chance(shuffled)
    if (found := deviations(gains, horizon=horizon)) > DEVIATIONS_MAX:
        yield f"shuffled labels score {found:.1f} deviations above chance"
    before = np.stack([lagged(part.T, 1).T for part in table.x])
    usable = table.usable & np.isfinite(before).all(axis=2)
    earlier = replace(table, x=before, usable=usable)
    said = _scored(market, earlier, variant, cut - horizon, judged)
    shifted = replace(told, scores=said)
    both = shifted.directed & told.directed
    gains = np.where(both, shifted.right.astype(np.float64) - told.right, np.nan)
    gain = float(np.nanmean(gains)) if both.any() else 0.0
    if gain > _SHIFT_GAIN_MAX and deviations(gains, horizon=horizon) > DEVIATIONS_MAX:
        yield f"the bar before tells {gain:.1%} more"


def _prefix(market: Market, variant: Variant) -> Iterator[str]:
    if variant.columns is None:
        return
    whole = variant.columns(market)
    for share in _PREFIXES:
        bars = int(len(market.open_ms) * share)
        newest = slice(max(bars - _PREFIX_BARS, 0), bars)
        past = variant.columns(market.until(bars))
        if not np.array_equal(past[:, newest], whole[:, newest], equal_nan=True):
            yield "its columns change with the future"
            return


def _shuffled(table: _Table, cut: int) -> _Table:
    """Put the first part's labels of each symbol in random order."""
    y, order = table.y.copy(), np.random.default_rng(SEED)
    for row, usable in enumerate(table.usable[:, :cut]):
        places = np.flatnonzero(usable)
        y[row, places] = order.permutation(y[row, places])
    return replace(table, y=y)


def _above_chance(told: Told) -> FloatArray:
    """Return right (1 or 0) less what guesses with the same shares of ups would score, (s, n)."""
    gains = np.full(told.scores.shape, np.nan)
    for row, chosen in enumerate(told.directed):
        if chosen.any():
            ups, rises = told.scores[row][chosen] > 0.0, told.labels[row][chosen] > 0.0
            chance = ups.mean() * rises.mean() + (1.0 - ups.mean()) * (1.0 - rises.mean())
            gains[row, chosen] = told.right[row][chosen] - chance
    return gains
