"""The figures of a backtest.  Returns are simple, of equity marked at each close.

Ratios are annualised with the number of bars in 365 days: these markets never close.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from core.backtest.luck import drawdowns
from core.backtest.result import BacktestResult, Trade
from core.symbol.indicators import FloatArray

YEAR_MS = 365 * 86_400_000
Figures = dict[str, float | int | None]


@dataclass(frozen=True, slots=True)
class Ratio:
    """A Sharpe ratio and its standard error, both per period."""

    value: float
    error: float


def metrics_of(result: BacktestResult) -> Figures:
    """Return the figures of the whole portfolio; None where there is nothing to divide by."""
    equity = np.concatenate([[float(result.start_equity)], result.equity])
    returns = returns_of(equity)
    per_year = YEAR_MS / result.interval_ms
    sharpe = sharpe_ratio(returns)
    years = len(result.equity) / per_year
    total = float(result.end_equity / result.start_equity) - 1.0
    depth, length = drawdown(equity)
    yearly = yearly_return(total, years)
    return trade_figures(result.trades) | {
        "start_equity": float(result.start_equity),
        "end_equity": float(result.end_equity),
        "total_return": total,
        "yearly_return": yearly,
        "max_drawdown": depth,
        "max_drawdown_bars": length,
        "sharpe": None if sharpe is None else sharpe.value * math.sqrt(per_year),
        "sharpe_error": None if sharpe is None else sharpe.error * math.sqrt(per_year),
        "sharpe_per_bar": None if sharpe is None else sharpe.value,
        "sortino": annual(sortino_ratio(returns), per_year),
        "calmar": None if yearly is None or depth == 0.0 else yearly / depth,
        "exposure": exposure(result.trades, len(result.equity), len(result.symbols)),
    }


def symbol_figures(result: BacktestResult, symbol: str) -> Figures:
    """Return the figures of one symbol's trades."""
    trades = [trade for trade in result.trades if trade.symbol == symbol]
    return trade_figures(trades) | {
        "signals": result.signals.get(symbol, 0),
        "filled_bars": result.filled_bars.get(symbol, 0),
        "exposure": exposure(trades, len(result.equity), 1),
    }


def trade_figures(trades: Sequence[Trade]) -> Figures:
    """Return counts, sums and means of round trips; all results net of fees and funding."""
    results = [trade.pnl for trade in trades]
    gains = sum((pnl for pnl in results if pnl > 0), Decimal(0))
    losses = -sum((pnl for pnl in results if pnl < 0), Decimal(0))
    wins = sum(pnl > 0 for pnl in results)
    count = len(trades)
    return {
        "trades": count,
        "win_rate": wins / count if count else None,
        "profit_factor": float(gains / losses) if losses else None,
        "expectancy": float((gains - losses) / count) if count else None,
        "average_win": float(gains / wins) if wins else None,
        "average_loss": float(-losses / (count - wins)) if count > wins else None,
        "net_profit": float(gains - losses),
        "fees": float(sum((trade.fees for trade in trades), Decimal(0))),
        "funding": float(sum((trade.funding for trade in trades), Decimal(0))),
        "average_bars": sum(t.exit_bar - t.entry_bar for t in trades) / count if count else None,
    }


def returns_of(equity: FloatArray) -> FloatArray:
    """Return simple returns, one fewer than there are values.

    >>> returns_of(np.array([100.0, 110.0, 99.0])).round(3).tolist()
    [0.1, -0.1]
    """
    changes: FloatArray = equity[1:] / equity[:-1] - 1.0
    return changes


def sharpe_ratio(returns: FloatArray) -> Ratio | None:
    """Return mean over sample deviation per period, without a risk-free rate.

    Its standard error, with skew g and kurtosis k of the returns, is
    sqrt((1 - g SR + (k - 1) / 4 SR^2) / (n - 1)): Lo, "The Statistics of Sharpe Ratios" (2002), in
    the form of Mertens (2002).  None for fewer than three periods or returns that never differ.

    >>> sharpe_ratio(np.array([0.01, 0.03, 0.02, 0.02])).value.__round__(3)
    2.449
    """
    if len(returns) < 3:  # noqa: PLR2004 -- a deviation of a deviation needs them
        return None
    spread = float(returns.std(ddof=1))
    if not (math.isfinite(spread) and spread > 0.0):
        return None
    value = float(returns.mean()) / spread
    scaled = (returns - returns.mean()) / returns.std()
    skew, kurtosis = float((scaled**3).mean()), float((scaled**4).mean())
    variance = (1 - skew * value + (kurtosis - 1) / 4 * value**2) / (len(returns) - 1)
    return Ratio(value, math.sqrt(max(0.0, variance)))


def sortino_ratio(returns: FloatArray) -> float | None:
    """Return mean over downside deviation (root mean square of losses, target 0) per period.

    Sortino and van der Meer, "Downside Risk" (1991).  None without a loss.

    >>> round(sortino_ratio(np.array([0.02, -0.01, 0.02, -0.01])), 4)
    0.7071
    """
    if not len(returns):
        return None
    downside = math.sqrt(float((np.minimum(returns, 0.0) ** 2).mean()))
    return float(returns.mean()) / downside if downside > 0.0 else None


def annual(ratio: float | None, periods: float) -> float | None:
    """Return a ratio per period as one per year of so many periods."""
    return None if ratio is None else ratio * math.sqrt(periods)


def yearly_return(total: float, years: float) -> float | None:
    """Return the compound return of a year; None for a span of none, or if all was lost.

    >>> round(yearly_return(0.21, 2.0), 6)
    0.1
    """
    if years <= 0.0 or total <= -1.0:
        return None
    exponent = math.log1p(total) / years
    return math.expm1(exponent) if exponent < 700.0 else None  # noqa: PLR2004 -- e^710 overflows


def drawdown(equity: FloatArray) -> tuple[float, int]:
    """Return the deepest fall from a high (share of it), and the longest time below one (bars).

    >>> drawdown(np.array([100.0, 110.0, 99.0, 104.5, 120.0, 118.0]))
    (0.1, 2)
    """
    below = drawdowns(equity)
    longest = current = 0
    for under in (below > 0.0).tolist():
        current = current + 1 if under else 0
        longest = max(longest, current)
    return float(below.max(initial=0.0)), longest


def exposure(trades: Sequence[Trade], bars: int, symbols: int) -> float:
    """Return the share of bars times symbols in which something was held, 0..1."""
    held = sum(trade.exit_bar - trade.entry_bar + 1 for trade in trades)
    return min(1.0, held / (bars * symbols)) if bars and symbols else 0.0
