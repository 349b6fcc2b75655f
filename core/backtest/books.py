"""The books of a backtest: what is held, and what came of it, to the last digit."""

from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
from numba import njit
from numpy.typing import NDArray

from core import messages as m
from core.backtest.result import ExitReason, Trade
from core.backtest.tape import CLOSE, Tape
from core.symbol.indicators import FloatArray
from core.words import Side

ZERO = Decimal(0)
WayOut = tuple[Decimal, ExitReason, bool]  # price before slippage, why, whether inside the bar


@dataclass(slots=True, kw_only=True)
class Held:
    """An open position.  Prices in quote per base, money in quote."""

    symbol: str
    side: Side
    quantity: Decimal
    entry_price: Decimal
    entry_bar: int
    entry_ms: int
    stop: Decimal
    target: Decimal
    liquidation: Decimal
    proposal_id: str
    fees: Decimal
    funding: Decimal = ZERO

    def way_out(
        self, opened: Decimal, high: Decimal, low: Decimal, *, at_open: bool
    ) -> WayOut | None:
        """Return how a bar closes it, None if it does not.

        `at_open`: it was held when the bar opened, so the bar may have opened beyond a trigger.
        """
        sign = self.side.sign
        worst, best = (low, high) if sign > 0 else (high, low)
        if at_open and sign * (opened - self.liquidation) <= 0:
            return opened, ExitReason.LIQUIDATION, False
        if at_open and sign * (opened - self.stop) <= 0:
            return opened, ExitReason.STOP, False
        if at_open and sign * (opened - self.target) >= 0:
            return opened, ExitReason.TARGET, False
        if sign * (worst - self.stop) <= 0:
            return self.stop, ExitReason.STOP, True
        if sign * (best - self.target) >= 0:
            return self.target, ExitReason.TARGET, True
        return None

    def bankruptcy(self, leverage: Decimal) -> Decimal:
        """Return the price at which the whole margin is lost."""
        return self.entry_price - self.side.sign * self.entry_price / leverage

    def told(self, at_ns: int) -> m.PositionChanged:
        """Return what execution would tell of it."""
        return m.PositionChanged(
            symbol=self.symbol,
            quantity=self.side.sign * self.quantity,
            entry_price=self.entry_price,
            stop_price=self.stop,
            target_price=self.target,
            foreign=False,
            busy=True,
            proposal_id=self.proposal_id,
            at_ns=at_ns,
        )

    def gone(self, at_ns: int) -> m.PositionChanged:
        """Return what execution would tell once it is closed."""
        return m.PositionChanged(
            symbol=self.symbol,
            quantity=ZERO,
            entry_price=ZERO,
            stop_price=None,
            target_price=None,
            foreign=False,
            busy=False,
            proposal_id=self.proposal_id,
            at_ns=at_ns,
        )


@dataclass(slots=True)
class Books:
    """Open positions by the place of their symbol, and closed trades in order."""

    held: dict[int, Held] = field(default_factory=dict)
    trades: list[Trade] = field(default_factory=list)

    def places(self) -> list[int]:
        """Return the places that hold something, ascending."""
        return sorted(self.held)

    def book(  # noqa: PLR0917 -- one closed trade
        self,
        held: Held,
        bar: int,
        at_ms: int,
        price: Decimal,
        gained: Decimal,
        reason: ExitReason,
    ) -> None:
        """Close a trade; `gained` is its price gain."""
        self.trades.append(
            Trade(
                symbol=held.symbol,
                side=held.side,
                quantity=held.quantity,
                entry_ms=held.entry_ms,
                entry_price=held.entry_price,
                exit_ms=at_ms,
                exit_price=price,
                pnl=gained - held.fees + held.funding,
                fees=held.fees,
                funding=held.funding,
                exit_reason=reason,
                entry_bar=held.entry_bar,
                exit_bar=bar,
                proposal_id=held.proposal_id,
                stop_price=held.stop,
                target_price=held.target,
            )
        )

    def equity(self, tape: Tape, start: int, wallet: Decimal) -> FloatArray:
        """Return equity at every close from `start` on: closed results, open ones at the close.

        The costs of a trade count from its entry, funding included: between its settlements the
        curve is that much early.
        """
        places = {symbol: place for place, symbol in enumerate(tape.symbols)}
        closes = np.stack([tape.bars[symbol][CLOSE] for symbol in tape.symbols])
        rows = self.trades
        return _equity(
            closes,
            np.array([places[t.symbol] for t in rows], dtype=np.int64),
            np.array([float(t.side.sign * t.quantity) for t in rows], dtype=np.float64),
            np.array([float(t.entry_price) for t in rows], dtype=np.float64),
            np.array([t.entry_bar for t in rows], dtype=np.int64),
            np.array([t.exit_bar for t in rows], dtype=np.int64),
            np.array([float(t.pnl) for t in rows], dtype=np.float64),
            np.array([float(t.fees - t.funding) for t in rows], dtype=np.float64),
            start,
            float(wallet),
        )


@njit(cache=True)
def _equity(  # noqa: PLR0917 -- compiled code takes plain arrays
    closes: FloatArray,
    places: NDArray[np.int64],
    quantities: FloatArray,
    entries: FloatArray,
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    results: FloatArray,
    costs: FloatArray,
    start: int,
    wallet: float,
) -> FloatArray:
    bars = closes.shape[1]
    steps, open_gain = np.zeros(bars + 1), np.zeros(bars)
    for i in range(len(places)):
        steps[last[i]] += results[i]
        for bar in range(first[i], last[i]):
            gain = quantities[i] * (closes[places[i], bar] - entries[i])
            open_gain[bar] += gain - costs[i]
    equity = np.empty(bars - start)
    total = wallet
    for bar in range(start, bars):
        total += steps[bar]
        equity[bar - start] = total + open_gain[bar]
    return equity
