"""Drift: how far the market, and the model on it, have moved from what training saw.

The population stability index of a feature compares two histograms over ten bins that were equally
full in training: `PSI = sum((now - then) * ln(now / then))` over shares, each smoothed by half a
row.  Usual reading: below 0.1 the same, above 0.25 another population.  That reading is made for
independent rows, and a day of minutes is not: volatility and trend stay for hours, and on recorded
futures minutes most days lie above 0.25 for some feature.  So a feature has drifted when its PSI
over the newest `WINDOW` bars is above 0.25 *and* above that of every such window within training.
Features of the clock are left out (they say what time it is), and so are those that never moved in
training (no tree can split on them).

Calibration drifts when the Brier score of live confidences, on what then came, lies more than three
standard errors above the one that the model had out of sample.
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.symbol.indicators import FloatArray

PSI_MAX = 0.25
WINDOW = 1_440
BRIER_ROWS_MIN = 500
BRIER_ERRORS_MAX = 3.0
CLOCK_FEATURES = frozenset({"hour", "minute", "is_weekend", "is_london_open", "is_ny_open"})
_BINS = 10
_WINDOWS_MIN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftReference:
    """How training looked: what live bars are compared with."""

    names: tuple[str, ...]  # the watched features
    edges: tuple[tuple[float, ...], ...]  # a feature's bin edges, rising; at most nine
    shares: tuple[tuple[float, ...], ...]  # of training rows, one more than edges
    usual: tuple[float, ...]  # a feature's largest PSI of one window within training, 0: too short
    rows: int  # training rows
    brier: float | None  # of the model, out of sample; None where it was not measured

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            "names": list(self.names),
            "edges": [list(row) for row in self.edges],
            "shares": [list(row) for row in self.shares],
            "usual": list(self.usual),
            "rows": self.rows,
            "brier": self.brier,
        }

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> "DriftReference":
        """Read back what `as_dict` wrote; raises KeyError, TypeError or ValueError for others."""
        reference = cls(
            names=tuple(map(str, found["names"])),
            edges=tuple(tuple(map(float, row)) for row in found["edges"]),
            shares=tuple(tuple(map(float, row)) for row in found["shares"]),
            usual=tuple(map(float, found["usual"])),
            rows=int(found["rows"]),
            brier=None if found["brier"] is None else float(found["brier"]),
        )
        watched = len(reference.names)
        columns = (reference.edges, reference.shares, reference.usual)
        same = all(len(column) == watched for column in columns)
        fitting = zip(reference.edges, reference.shares, strict=False)
        if not same or any(len(shares) != len(edges) + 1 for edges, shares in fitting):
            raise ValueError("a drift reference must have one share more than edges, by feature")
        return reference


def reference_of(
    features: FloatArray, names: Sequence[str], brier: float | None = None
) -> DriftReference:
    """Describe training rows (n, k) without NaN by the deciles of each feature."""
    kept, edges, shares, usual = [], [], [], []
    for column, name in enumerate(names):
        values = features[:, column]
        if name in CLOCK_FEATURES or len(values) == 0 or values.min() == values.max():
            continue
        cuts = np.unique(np.quantile(values, np.arange(1, _BINS) / _BINS))
        bins = np.searchsorted(cuts, values)
        filled = np.bincount(bins, minlength=len(cuts) + 1)
        kept.append(name)
        usual.append(_usual(bins, len(values)))
        edges.append(tuple(cuts.tolist()))
        shares.append(tuple((filled / len(values)).tolist()))
    return DriftReference(
        names=tuple(kept),
        edges=tuple(edges),
        shares=tuple(shares),
        usual=tuple(usual),
        rows=len(features),
        brier=brier,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftReport:
    """How far the newest bars are from training."""

    rows: int  # bars in the window
    psi: tuple[tuple[str, float], ...]  # by feature, largest first; empty before the window is full
    drifted: tuple[tuple[str, float], ...]  # of them, those beyond both limits
    psi_max: float
    brier_rows: int  # live predictions whose outcome is known
    brier: float | None  # of them
    brier_card: float | None  # out of sample, when it was trained
    brier_drifted: bool

    @property
    def in_words(self) -> str:
        """Return what has drifted, with its numbers; empty where nothing has."""
        parts = []
        if self.drifted:
            worst = ", ".join(f"{name} {value:.2f}" for name, value in self.drifted[:3])
            parts.append(
                f"{len(self.drifted)} of {len(self.psi)} features have PSI > {self.psi_max:g} over "
                f"{self.rows} bars, and more than ever in training ({worst})"
            )
        if self.brier_drifted:
            parts.append(
                f"Brier score {self.brier:.4f} over {self.brier_rows} live predictions, "
                f"{self.brier_card:.4f} out of sample"
            )
        return "; ".join(parts)

    def as_dict(self) -> dict[str, Any]:
        """Return the shape in `status`: the five largest PSI, and the Brier scores."""
        return {
            "rows": self.rows,
            "psi": {name: round(value, 4) for name, value in self.psi[:5]},
            "psi_max": self.psi_max,
            "drifted": [name for name, _ in self.drifted],
            "brier_rows": self.brier_rows,
            "brier": None if self.brier is None else round(self.brier, 5),
            "brier_card": None if self.brier_card is None else round(self.brier_card, 5),
            "brier_drifted": self.brier_drifted,
            "in_words": self.in_words,
        }


class DriftMonitor:
    """Watches one symbol's closed bars; a bar costs some microseconds, whatever the window."""

    def __init__(
        self,
        reference: DriftReference,
        *,
        horizon: int = 1,
        psi_max: float = PSI_MAX,
        window: int = WINDOW,
    ) -> None:
        self.reference = reference
        self._horizon = horizon
        self._psi_max = psi_max
        self._window = window
        watched = len(reference.names)
        self._edges: FloatArray = np.full((watched, _BINS - 1), np.inf)
        for place, cuts in enumerate(reference.edges):
            self._edges[place, : len(cuts)] = cuts
        self._columns = np.arange(watched)
        self._counts: NDArray[np.int64] = np.zeros((watched, _BINS), dtype=np.int64)
        self._ring: NDArray[np.int8] = np.zeros((window, watched), dtype=np.int8)
        self._rows = 0  # ever taken
        self._pending: deque[tuple[float, float, float]] = deque(maxlen=horizon)
        self._errors: deque[float] = deque(maxlen=window)  # squared, of known confidences

    @property
    def rows(self) -> int:
        """Bars counted so far, those that left the window included."""
        return self._rows

    def take_row(self, row: Sequence[float] | FloatArray) -> None:
        """Count one closed bar's watched features, in the order of `reference.names`."""
        values = np.asarray(row, dtype=np.float64)
        if not np.isfinite(values).all():
            return
        bins = (self._edges < values[:, None]).sum(axis=1)
        place = self._rows % self._window
        if self._rows >= self._window:
            self._counts[self._columns, self._ring[place]] -= 1
        self._counts[self._columns, bins] += 1
        self._ring[place] = bins
        self._rows += 1

    def take_rows(self, rows: FloatArray) -> None:
        """Count many bars' watched features at once, (n, watched), oldest first; NaN rows not."""
        kept = rows[np.isfinite(rows).all(axis=1)][-self._window :]
        if self._rows:
            for row in kept:
                self.take_row(row)
            return
        for place, cuts in enumerate(self.reference.edges):
            bins = np.searchsorted(cuts, kept[:, place])
            self._ring[: len(kept), place] = bins
            self._counts[place] = np.bincount(bins, minlength=_BINS)
        self._rows = len(kept)

    def take_prediction(self, close: float, prediction: float, confidence: float) -> None:
        """Remember what was said at a bar's close, and judge what was said a horizon before it."""
        if len(self._pending) == self._horizon:
            before, said, sure = self._pending[0]
            if said != 0.0 and close != before:
                right = (said > 0.0) == (close > before)
                self._errors.append((sure - right) ** 2)
        self._pending.append((close, prediction, confidence))

    def interrupt(self) -> None:
        """Forget what waits for its outcome: bars are missing before the next one."""
        self._pending.clear()

    def report(self) -> DriftReport:
        """Compare the window with training."""
        rows = min(self._rows, self._window)
        errors = np.array(list(self._errors))
        brier = float(errors.mean()) if len(errors) else None
        card, worse = self.reference.brier, False
        if brier is not None and card is not None and len(errors) >= BRIER_ROWS_MIN:
            error = float(errors.std()) / math.sqrt(len(errors) / self._horizon)
            worse = brier - card > BRIER_ERRORS_MAX * max(error, 1e-9)
        psi = self._psi(rows) if rows >= self._window else ()
        usual = dict(zip(self.reference.names, self.reference.usual, strict=True))
        return DriftReport(
            rows=rows,
            psi=psi,
            drifted=tuple((n, value) for n, value in psi if value > max(self._psi_max, usual[n])),
            psi_max=self._psi_max,
            brier_rows=len(errors),
            brier=brier,
            brier_card=card,
            brier_drifted=worse,
        )

    def _psi(self, rows: int) -> tuple[tuple[str, float], ...]:
        then = self.reference
        found = [
            (name, stability_index(counts[: len(shares)], shares, rows, then.rows))
            for name, counts, shares in zip(then.names, self._counts, then.shares, strict=True)
        ]
        return tuple(sorted(found, key=lambda row: -row[1]))


def _usual(bins: NDArray[np.int64], rows: int) -> float:
    """Return the largest PSI of one whole window of training rows against all the others."""
    windows = rows // WINDOW
    if windows < _WINDOWS_MIN:
        return 0.0
    used = bins[rows - windows * WINDOW :]
    number = np.repeat(np.arange(windows), WINDOW)
    counts = np.bincount(number * _BINS + used, minlength=windows * _BINS).reshape(windows, _BINS)
    filled = counts[:, : int(bins.max()) + 1]
    rest = filled.sum(axis=0) - filled
    others = rows - rows % WINDOW - WINDOW
    return max(
        stability_index(here, (there / others).tolist(), WINDOW, others)
        for here, there in zip(filled, rest, strict=True)
    )


def stability_index(
    counts: NDArray[np.int64], shares: Sequence[float], rows: int, rows_then: int
) -> float:
    """Return the PSI of `counts` (of `rows` bars) against `shares` (of `rows_then` rows).

    >>> import numpy as np
    >>> stability_index(np.array([50, 50]), (0.5, 0.5), 100, 1000)
    0.0
    >>> round(stability_index(np.array([90, 10]), (0.5, 0.5), 100, 1000), 2)
    0.86
    """
    bins = len(shares)
    now = (counts + 0.5) / (rows + 0.5 * bins)
    then = (np.asarray(shares) * rows_then + 0.5) / (rows_then + 0.5 * bins)
    return float(np.sum((now - then) * np.log(now / then)))
