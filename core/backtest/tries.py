"""What one try of a sweep scored, and how much of the chosen one's score is luck.

A block without a trade scores 0, what doing nothing earns.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from core.backtest.luck import deflated_sharpe, expected_best
from core.backtest.metrics import YEAR_MS, metrics_of, returns_of, sharpe_ratio
from core.backtest.result import BacktestResult
from core.symbol.indicators import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockScore:
    """One block, from flat and with fresh money."""

    sharpe: float  # of a year; 0 without a trade
    sharpe_error: float | None
    trades: int
    total_return: float  # share of the start
    max_drawdown: float  # share of the highest equity before
    halts: int  # states that risk latched


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One try over its blocks."""

    blocks: tuple[BlockScore, ...]
    sharpe_per_bar: float | None  # of the returns of all blocks in a row

    @property
    def sharpes(self) -> tuple[float, ...]:
        """Return the Sharpe ratio of each block, annualised."""
        return tuple(block.sharpe for block in self.blocks)

    @property
    def mean(self) -> float:
        """Return what is maximised: the mean over the blocks."""
        return self.mean_of(len(self.blocks))

    def mean_of(self, blocks: int) -> float:
        """Return the mean over the first so many blocks."""
        return float(np.mean(self.sharpes[:blocks]))

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON holds it; floats survive exactly."""
        return {"blocks": [asdict(one) for one in self.blocks], "per_bar": self.sharpe_per_bar}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> "Score":
        """Read what `as_dict` gave."""
        blocks = tuple(BlockScore(**one) for one in found["blocks"])
        return cls(blocks=blocks, sharpe_per_bar=found["per_bar"])


def score_of(results: Sequence[BacktestResult]) -> Score:
    """Score the results of a try, one a block."""
    ratio = sharpe_ratio(bar_returns(results))
    return Score(
        blocks=tuple(_block(result) for result in results),
        sharpe_per_bar=None if ratio is None else ratio.value,
    )


def bar_returns(results: Sequence[BacktestResult]) -> FloatArray:
    """Return the returns of each bar of all blocks in a row."""
    return np.concatenate([_returns(result) for result in results])


def luck_of(
    chosen: Sequence[BacktestResult], ratios: Sequence[float | None]
) -> tuple[float | None, float]:
    """Return the chosen try's deflated Sharpe ratio, and the per-bar ratio that luck would reach.

    `chosen`: its blocks; `ratios`: `sharpe_per_bar` of every try there was.
    """
    known = np.array([0.0 if ratio is None else ratio for ratio in ratios])
    deviation = float(known.std(ddof=1)) if len(known) > 1 else 0.0
    tries = len(known)
    probability = deflated_sharpe(bar_returns(chosen), tries=tries, deviation=deviation)
    return probability, expected_best(tries, deviation)


def _block(result: BacktestResult) -> BlockScore:
    sharpe = sharpe_ratio(_returns(result))
    per_year = math.sqrt(YEAR_MS / result.interval_ms)
    metrics = metrics_of(result)
    return BlockScore(
        sharpe=0.0 if sharpe is None else sharpe.value * per_year,
        sharpe_error=None if sharpe is None else sharpe.error * per_year,
        trades=len(result.trades),
        total_return=float(metrics["total_return"] or 0.0),
        max_drawdown=float(metrics["max_drawdown"] or 0.0),
        halts=len(result.halts),
    )


def _returns(result: BacktestResult) -> FloatArray:
    start = float(result.start_equity)
    # Where all is lost there is nothing to divide by: a last thousandth of a thousandth stays.
    return returns_of(np.maximum(np.concatenate([[start], result.equity]), start * 1e-6))
