"""Drift: how far the market, and the model on it, have moved from what training saw.

The population stability index of a feature compares two histograms over ten bins that were equally
full in training: `PSI = sum((now - then) * ln(now / then))` over shares, each smoothed by half a
row.  Usual reading: below 0.1 the same, above 0.25 another population.  Neighbouring bars resemble
each other, so a short window shows 0.1 to 0.2 in an unchanged market: nothing is said of fewer than
`ROWS_MIN` bars, and the window is `WINDOW` bars.  Features of the clock are left out (they say what
time it is), and so are those that never moved in training (no tree can split on them).

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
WINDOW = 2_880
ROWS_MIN = 720
BRIER_ROWS_MIN = 500
BRIER_ERRORS_MAX = 3.0
CLOCK_FEATURES = frozenset({"hour", "minute", "is_weekend", "is_london_open", "is_ny_open"})
_BINS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftReference:
    """How training looked: what live bars are compared with."""

    names: tuple[str, ...]  # the watched features
    edges: tuple[tuple[float, ...], ...]  # a feature's bin edges, rising; at most nine
    shares: tuple[tuple[float, ...], ...]  # of training rows, one more than edges
    rows: int  # training rows
    brier: float | None  # of the model, out of sample; None where it was not measured

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            "names": list(self.names),
            "edges": [list(row) for row in self.edges],
            "shares": [list(row) for row in self.shares],
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
            rows=int(found["rows"]),
            brier=None if found["brier"] is None else float(found["brier"]),
        )
        same = len(reference.names) == len(reference.edges) == len(reference.shares)
        fitting = zip(reference.edges, reference.shares, strict=False)
        if not same or any(len(shares) != len(edges) + 1 for edges, shares in fitting):
            raise ValueError("a drift reference must have one share more than edges, by feature")
        return reference


def reference_of(
    features: FloatArray, names: Sequence[str], brier: float | None = None
) -> DriftReference:
    """Describe training rows (n, k) without NaN by the deciles of each feature."""
    kept, edges, shares = [], [], []
    for column, name in enumerate(names):
        values = features[:, column]
        if name in CLOCK_FEATURES or len(values) == 0 or values.min() == values.max():
            continue
        cuts = np.unique(np.quantile(values, np.arange(1, _BINS) / _BINS))
        filled = np.bincount(np.searchsorted(cuts, values), minlength=len(cuts) + 1)
        kept.append(name)
        edges.append(tuple(cuts.tolist()))
        shares.append(tuple((filled / len(values)).tolist()))
    return DriftReference(
        names=tuple(kept),
        edges=tuple(edges),
        shares=tuple(shares),
        rows=len(features),
        brier=brier,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftReport:
    """How far the newest bars are from training."""

    rows: int  # bars in the window
    psi: tuple[tuple[str, float], ...]  # by feature, largest first; empty below `ROWS_MIN` bars
    psi_max: float  # the limit it is judged by
    brier_rows: int  # live predictions whose outcome is known
    brier: float | None  # of them
    brier_card: float | None  # out of sample, when it was trained
    brier_drifted: bool

    @property
    def drifted(self) -> tuple[tuple[str, float], ...]:
        """Return the features above the limit."""
        return tuple(row for row in self.psi if row[1] > self.psi_max)

    @property
    def in_words(self) -> str:
        """Return what has drifted, with its numbers; empty where nothing has."""
        parts = []
        if self.drifted:
            worst = ", ".join(f"{name} {value:.2f}" for name, value in self.drifted[:3])
            parts.append(
                f"{len(self.drifted)} of {len(self.psi)} features have PSI > {self.psi_max:g} "
                f"over {self.rows} bars ({worst})"
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
            "drifted": len(self.drifted),
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
        rows_min: int = ROWS_MIN,
    ) -> None:
        self.reference = reference
        self._horizon = horizon
        self._psi_max = psi_max
        self._window = window
        self._rows_min = rows_min
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
        return DriftReport(
            rows=rows,
            psi=self._psi(rows) if rows >= self._rows_min else (),
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


def shift_within(features: FloatArray, names: Sequence[str]) -> dict[str, float]:
    """Return the PSI of the newest fifth of training rows (n, k) against those before it.

    By feature, largest first: how much a market moves by itself in the time a model is made of.
    """
    last = len(features) - len(features) // 5
    earlier, later = reference_of(features[:last], names), features[last:]
    found = {}
    for name, cuts, shares in zip(earlier.names, earlier.edges, earlier.shares, strict=True):
        bins = np.searchsorted(cuts, later[:, names.index(name)])
        counts = np.bincount(bins, minlength=len(shares))
        found[name] = stability_index(counts, shares, len(later), earlier.rows)
    return dict(sorted(found.items(), key=lambda item: -item[1]))


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
