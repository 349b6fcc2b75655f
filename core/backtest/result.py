"""What a backtest found: facts only; `metrics.py` judges them."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from core.symbol.indicators import FloatArray, IntArray
from core.words import Side


class ExitReason(StrEnum):
    """Why a position was closed."""

    STOP = "stop"
    TARGET = "target"
    SIGNAL = "signal"  # the strategy said CLOSE
    LIQUIDATION = "liquidation"
    END = "end"  # the tape ended
    EXIT = "exit"  # live: the bot closed it at market
    UNKNOWN = "unknown"  # live: what closed it is not stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """One round trip.  Prices in quote per base, money in quote, times UTC ms."""

    symbol: str
    side: Side
    quantity: Decimal
    entry_ms: int
    entry_price: Decimal
    exit_ms: int
    exit_price: Decimal
    pnl: Decimal  # net: price gain less fees and funding, what it added to the wallet
    fees: Decimal
    funding: Decimal  # received, negative where paid
    exit_reason: ExitReason
    entry_bar: int  # at whose open it was entered
    exit_bar: int  # in which it was closed
    proposal_id: str  # names the decision, and its orders
    stop_price: Decimal
    target_price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """A state that risk latched: of the account, or of one symbol."""

    at_ms: int
    symbol: str  # empty: the account
    state: str
    reason_code: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BacktestResult:
    """One run over one tape."""

    symbols: tuple[str, ...]
    interval_ms: int
    start_equity: Decimal
    trades: tuple[Trade, ...]  # in the order of their exits
    open_ms: IntArray  # (n,) of the bars judged
    equity: FloatArray  # (n,) marked at each close
    signals: Mapping[str, int]  # how many bars gave one, by symbol
    refusals: Mapping[str, int]  # how many proposals risk was asked about in vain, by reason code
    halts: tuple[Halt, ...]
    filled_bars: Mapping[str, int]  # bars that the data lacked, by symbol
    predicted_by: Mapping[str, Mapping[str, int]]  # symbol -> who predicted how many bars

    @property
    def end_equity(self) -> Decimal:
        """Return the wallet after the last trade: start plus all net results, exactly."""
        return self.start_equity + sum((trade.pnl for trade in self.trades), Decimal(0))
