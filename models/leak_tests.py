"""Leak tests that run with every training: what was scored must have been unknown beforehand.

Five questions, each of which a different leak answers wrongly:

- *prefix*: with the future cut off, do past features stay as they were, bit for bit?  A feature
  made of a later price, or a centred mean, changes.
- *purge*: does any label of a training part reach into the block that is judged with it?  Labels
  of several bars overlap; without the purge they tell the outcome.
- *shuffle*: with labels in random order, does the walk-forward run score as chance?  It would score
  above it where judged rows are trained on.  Chance is what independent guesses with the same
  shares of ups would score.
- *shift*: do the features of the bar before tell more than those of the bar itself?  They do where
  stamps are off and a row knows two bars ahead.  The two are compared on the same bars, so that
  only those count at which they differ: at `SAMPLE_ROWS` a lead right in 56 % is seen, in 54 % not.
- *plausible*: is it right more often than any market allows?  It is where a column of the candles
  was stamped one bar early: nothing in the features' making shows that, only the result does.  No
  honest model here was right in 60 % of all bars (`docs/models.md`); the column that alone tells
  most is named.

A model that fails one is not used, whatever it scores.  The last three are judged at four
deviations (a false alarm in 30,000 runs each) on the newest `SAMPLE_ROWS` bars, so that the cost is
bounded.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.symbol.features import bars_of
from core.symbol.indicators import FloatArray
from core.symbol.prefix import changed_rows
from models.labels import interval_ms
from models.walk_forward import Fold

SAMPLE_ROWS = 30_000
DEVIATIONS_MAX = 4.0
PLAUSIBLE_MAX = 0.60  # share right of all judged bars


class Predictions(Protocol):
    """What a walk-forward run returns, as far as it is read here."""

    @property
    def predictions(self) -> FloatArray:
        """Out-of-fold predictions (rows,), NaN where no fold judged."""
        ...


class Subject(Protocol):
    """What is tested: the parts of `PricePredictor` that could leak."""

    horizon: int
    seed: int

    def create_features(self, df: pd.DataFrame) -> pd.DataFrame:
        """Return the features of every bar."""
        ...

    def prepare_features(self, df: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
        """Return the rows that are trained on, and their labels."""
        ...

    def folds(self, rows: int) -> list[Fold]:
        """Return the splits that are used."""
        ...

    def out_of_fold(self, x: FloatArray, y: FloatArray) -> Predictions:
        """Predict each block from its past."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakTest:
    """One question, its number and the answer in words."""

    name: str
    passed: bool
    detail: str
    value: float  # what was measured: changed rows, rows that overlap, deviations, share right
    limit: float  # passed while not above

    def as_dict(self) -> dict[str, Any]:
        """Return the shape in manifest, card and JSON."""
        return asdict(self)


def run_leak_tests(
    subject: Subject, df: pd.DataFrame, *, sample_rows: int = SAMPLE_ROWS
) -> tuple[LeakTest, ...]:
    """Ask all five questions of the newest `sample_rows` bars of `df`.

    Raises what the subject raises, DataError for too few rows among others.
    """
    sample = df.iloc[-sample_rows:]
    features, labels = subject.prepare_features(sample)
    x, y = features.to_numpy(dtype=np.float64), labels.to_numpy(dtype=np.float64)
    return (
        _prefix(subject, sample),
        _purge(subject, sample, labels),
        _shuffle(subject, x, y),
        *_shift_and_share(subject, sample, labels),
    )


def leaks_found(tests: tuple[LeakTest, ...]) -> str:
    """Return the failed tests in words, empty where all passed."""
    return "; ".join(f"{test.name}: {test.detail}" for test in tests if not test.passed)


def _prefix(subject: Subject, df: pd.DataFrame) -> LeakTest:
    changed = changed_rows(subject.create_features, df)
    detail = "past features stay as they were when the future is cut off"
    if changed:
        detail = f"{len(changed)} past features change with the future, first {changed[0]}"
    return LeakTest(
        name="prefix", passed=not changed, detail=detail, value=float(len(changed)), limit=0.0
    )


def _purge(subject: Subject, df: pd.DataFrame, labels: pd.Series) -> LeakTest:
    """Compare times, not places: rows left out only widen the distance."""
    step = interval_ms(bars_of(df).open_ms)
    opened = pd.DatetimeIndex(labels.index).as_unit("ms").asi8
    told = opened + subject.horizon * step  # open time of the bar whose close is in the label
    reaching = 0
    for fold in subject.folds(len(labels)):
        judged_from = opened[fold.test_start]
        reaching += int((told[: fold.train_end] > judged_from).sum())
    detail = "no label of a training part is made of prices inside the block judged with it"
    if reaching:
        detail = f"{reaching} labels of training parts are made of prices inside judged blocks"
    return LeakTest(
        name="purge", passed=not reaching, detail=detail, value=float(reaching), limit=0.0
    )


def _shuffle(subject: Subject, x: FloatArray, y: FloatArray) -> LeakTest:
    shuffled = np.random.default_rng(subject.seed).permutation(y)
    ups, outcome = _signs(subject.out_of_fold(x, shuffled).predictions, shuffled)
    rows = len(ups)
    right = float((ups == outcome).mean()) if rows else 0.5
    said, came = (float(ups.mean()), float(outcome.mean())) if rows else (0.5, 0.5)
    chance = said * came + (1.0 - said) * (1.0 - came)
    spread = float(np.sqrt(max(chance * (1.0 - chance), 1e-9) / max(rows, 1)))
    deviations = (right - chance) / spread
    return LeakTest(
        name="shuffle",
        passed=deviations <= DEVIATIONS_MAX,
        detail=(
            f"with shuffled labels right in {right:.1%} of {rows} bars, chance is {chance:.1%} "
            f"({deviations:+.1f} deviations)"
        ),
        value=deviations,
        limit=DEVIATIONS_MAX,
    )


def _shift_and_share(
    subject: Subject, df: pd.DataFrame, labels: pd.Series
) -> tuple[LeakTest, LeakTest]:
    """Judge the same bars by their own features and by those of the bar before."""
    features = subject.create_features(df)
    before = features.shift(1)
    step = pd.Timedelta(milliseconds=interval_ms(bars_of(df).open_ms))
    follows = pd.Series(df.index, index=df.index).diff() == step
    rows = labels.index[
        follows.loc[labels.index].to_numpy()
        & np.isfinite(before.loc[labels.index].to_numpy(dtype=np.float64)).all(axis=1)
    ]
    y = labels.loc[rows].to_numpy(dtype=np.float64)
    right = {
        name: _right(subject.out_of_fold(table.loc[rows].to_numpy(np.float64), y).predictions, y)
        for name, table in (("now", features), ("before", before))
    }
    both = np.isfinite(right["now"]) & np.isfinite(right["before"])
    gains = right["before"][both] - right["now"][both]
    gain = float(gains.mean()) if len(gains) else 0.0
    differing = float(np.abs(gains).sum()) * subject.horizon  # overlapping labels repeat themselves
    deviations = float(gains.sum()) / float(np.sqrt(max(differing, 1.0)))
    shift = LeakTest(
        name="shift",
        passed=deviations <= DEVIATIONS_MAX,
        detail=(
            f"features of the bar before change the share right by {gain:+.1%} "
            f"({deviations:+.1f} deviations)"
        ),
        value=deviations,
        limit=DEVIATIONS_MAX,
    )
    return shift, _plausible(right["now"], features.loc[rows], y, subject.horizon)


def _plausible(right: FloatArray, features: pd.DataFrame, y: FloatArray, horizon: int) -> LeakTest:
    judged = right[np.isfinite(right)]
    share = float(judged.mean()) if len(judged) else 0.5
    spread = float(np.sqrt(0.25 * horizon / max(len(judged), 1)))  # overlapping labels repeat
    passed = share - DEVIATIONS_MAX * spread <= PLAUSIBLE_MAX
    detail = f"right in {share:.1%} of {len(judged)} bars, at most {PLAUSIBLE_MAX:.0%} is plausible"
    if not passed:
        column, alone = _most_telling(features, y)
        detail += f"; {column} alone tells {alone:.1%}"
    return LeakTest(
        name="plausible", passed=passed, detail=detail, value=share, limit=PLAUSIBLE_MAX
    )


def _most_telling(features: pd.DataFrame, y: FloatArray) -> tuple[str, float]:
    """Return the column whose side of its median tells the direction most often, and how often."""
    moved = y != 0.0
    above = (features > features.median()).to_numpy()[moved]
    agree = (above == (y[moved] > 0.0)[:, None]).mean(axis=0)
    told = np.maximum(agree, 1.0 - agree)
    best = int(told.argmax())
    return str(features.columns[best]), float(told[best])


def _signs(predictions: FloatArray, labels: FloatArray) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return (said up, went up) of the judged rows that have both directions."""
    told = np.isfinite(predictions) & (predictions != 0.0) & (labels != 0.0)
    return predictions[told] > 0.0, labels[told] > 0.0


def _right(predictions: FloatArray, labels: FloatArray) -> FloatArray:
    """Return 1 where the sign was right, 0 where wrong, NaN where there was none to judge."""
    right = (np.sign(predictions) == np.sign(labels)).astype(np.float64)
    right[~np.isfinite(predictions) | (predictions == 0.0) | (labels == 0.0)] = np.nan
    return right


def as_rows(tests: tuple[LeakTest, ...]) -> list[Mapping[str, Any]]:
    """Return the tests as JSON rows."""
    return [test.as_dict() for test in tests]
