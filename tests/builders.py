"""Messages and rules with defaults, so that each value written in a test matters to it.

The world of these tests: BTCUSDT at 100, ETHUSDT and the others alike, tick 0.1, step 0.001, wallet
10,000, one minute candles.  Venue time and wall time lie far apart, so that mixing them up shows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from core import messages as m
from core.clock import NS_PER_DAY, NS_PER_S, Moment
from core.venue.instrument import Instrument

MINUTE_NS = 60 * NS_PER_S
DAY = 20_315
NOON_NS = DAY * NS_PER_DAY + NS_PER_DAY // 2  # venue time of the moment 0
WALL_NS = 1_000_000 * NS_PER_S
SYMBOL = "BTCUSDT"


def a_moment(after_s: float = 0.0, *, speed: float = 1.0, venue_s: float | None = None) -> Moment:
    """`after_s` wall seconds after the start; `venue_s` venue seconds after noon, else as many."""
    venue_s = after_s * speed if venue_s is None else venue_s
    return Moment(
        venue_ns=NOON_NS + round(venue_s * NS_PER_S),
        wall_ns=WALL_NS + round(after_s * NS_PER_S),
        speed=speed,
    )


def an_instrument(symbol: str = SYMBOL, **changes: Any) -> Instrument:
    """Rules of a symbol with round numbers."""
    instrument = Instrument(
        symbol=symbol,
        status="TRADING",
        tick=Decimal("0.1"),
        price_min=Decimal("0.1"),
        price_max=Decimal(1_000_000),
        step=Decimal("0.001"),
        quantity_min=Decimal("0.001"),
        quantity_max=Decimal(1_000),
        market_quantity_max=Decimal(500),
        min_notional=Decimal(5),
        price_decimals=1,
        quantity_decimals=3,
        trigger_protect=Decimal("0.05"),
        percent_up=Decimal("1.05"),
        percent_down=Decimal("0.95"),
        delivery_ms=0,
    )
    return replace(instrument, **changes)


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The settings risk reads, with the specification's defaults; the same for every symbol."""

    LEVERAGE: int = 5
    RISK_PER_TRADE: float = 0.10
    STOPLOSS_PCT: float = 0.02
    TAKE_PROFIT_PCT: float = 0.04
    DAILY_MAX_LOSS_PCT: float = 0.03
    MAX_OPEN_POSITIONS: int = 3
    MIN_BALANCE_THRESHOLD: float = 10.0
    MIN_SIGNAL_STRENGTH: float = 0.3
    MIN_ML_CONFIDENCE: float = 0.5
    TAKER_FEE: float = 0.0005
    GAP_ALLOWANCE: float = 0.003
    SIZING_MODE: str = "clip"
    MAX_MARGIN_USAGE: float = 0.8
    MAX_SYMBOL_NOTIONAL_X: float = 1.5
    MAX_ORDER_NOTIONAL_X: float = 1.5
    MAX_ORDER_QTY: Mapping[str, float] = field(default_factory=dict)
    MAX_GROSS_X: float = 3.0
    MAX_NET_X: float = 3.0
    MIN_NOTIONAL_MULT: float = 1.1
    COLLAR_PCT: float = 0.005
    MARK_MAX_AGE_S: float = 5.0
    SOFT_LOSS_AT: float = 0.8
    HALT_AT: float = 1.0
    COUNT_FOREIGN: bool = True
    BUDGET_USES_GAINS: bool = False
    MAX_DRAWDOWN: float = 0.15
    LIQ_DISTANCE_MIN: float = 2.0
    MARK_LAST_DIV_PCT: float = 0.01
    MARK_FROZEN_S: float = 30.0
    MAX_BAR_RET: float = 0.25
    MAX_ENTRIES_SYMBOL_1H: int = 6
    MAX_ENTRIES_DAY: int = 40
    LOSS_STREAK_LATCH: int = 6
    MAX_SIGNAL_RATIO: float = 10.0
    DUP_WINDOW_S: float = 10.0
    DELIST_GUARD_H: float = 48.0
    ACCOUNT_MAX_AGE_S: float = 30.0
    WS_SILENCE_S: float = 10.0
    CLOCK_ERR_MS: int = 1000
    MAX_CORRELATED_X: float = 0.25
    CORRELATION_BARS: int = 120
    CORRELATION_SHOCK: float = 3.0
    MARGIN_COOLDOWN_S: float = 30.0
    PROTECTION_COOLDOWN_S: float = 300.0
    PROTECTION_FAILURES_MAX: int = 3

    def for_symbol(self, symbol: str) -> "Policy":
        """No overrides here."""
        return self


# ---------------------------------------- market
def a_candle(minute: int = 0, close: float = 100.0, **changes: Any) -> m.Candle:
    """The candle that opened `minute` minutes after noon."""
    candle = m.Candle(
        open_time_ns=NOON_NS + minute * MINUTE_NS,
        open=100.0,
        high=max(100.0, close),
        low=min(100.0, close),
        close=close,
        volume=10.0,
        taker_buy_volume=5.0,
    )
    return replace(candle, **changes)


def a_mark(price: str = "100", symbol: str = SYMBOL, event_ns: int = NOON_NS) -> m.MarkPrice:
    """A mark price, by default of the moment 0."""
    return m.MarkPrice(symbol=symbol, price=Decimal(price), event_ns=event_ns)


# ---------------------------------------- wishes and leave
def a_proposal(
    number: int = 1,
    *,
    symbol: str = SYMBOL,
    side: m.Side = m.Side.BUY,
    price: str = "100",
    **changes: Any,
) -> m.Proposal:
    """A strong wish on a candle that closed at noon; `number` tells proposals apart."""
    proposal = m.Proposal(
        proposal_id=f"proposal-{symbol}-{number}",
        symbol=symbol,
        side=side,
        strength=0.8,
        confidence=0.7,
        price=Decimal(price),
        kline_close_ns=NOON_NS,
        decided_at_ns=NOON_NS,
        generation=1,
    )
    return replace(proposal, **changes)


def an_exit_proposal(**changes: Any) -> m.ExitProposal:
    """A wish to close."""
    proposal = m.ExitProposal(
        proposal_id="close-1",
        symbol=SYMBOL,
        price=Decimal(100),
        kline_close_ns=NOON_NS,
        decided_at_ns=NOON_NS,
        generation=1,
    )
    return replace(proposal, **changes)


def a_decision(proposal: m.Proposal, quantity: str = "10") -> m.Decision:
    """A yes to a proposal."""
    return m.Decision(
        proposal_id=proposal.proposal_id,
        symbol=proposal.symbol,
        side=proposal.side,
        approved=True,
        reason_code="approved",
        reason="",
        checks=(),
        caps=(),
        quantity=Decimal(quantity),
        strength=proposal.strength,
        confidence=proposal.confidence,
        price=proposal.price,
        kline_close_ns=proposal.kline_close_ns,
        decided_at_ns=proposal.decided_at_ns,
    )


def a_reservation(notional: str = "1000", risk: str = "24") -> m.Reservation:
    """What an entry of 10 at 100 holds."""
    return m.Reservation(notional=Decimal(notional), margin=Decimal(200), risk=Decimal(risk))


def an_approval(
    proposal: m.Proposal | None = None, quantity: str = "10", **changes: Any
) -> m.Approval:
    """Leave to open 10 at market, stop 2 %, target 4 %, given at the moment 0."""
    proposal = proposal or a_proposal()
    approval = m.Approval(
        proposal=proposal,
        decision=a_decision(proposal, quantity),
        quantity=Decimal(quantity),
        stop_pct=Decimal("0.02"),
        target_pct=Decimal("0.04"),
        reservation=a_reservation(),
        approved_at_wall_ns=WALL_NS,
    )
    return replace(approval, **changes)


# ---------------------------------------- account
def a_position(quantity: str = "10", symbol: str = SYMBOL, **changes: Any) -> m.PositionChanged:
    """An own position from 100, protected at 98 and 104."""
    position = m.PositionChanged(
        symbol=symbol,
        quantity=Decimal(quantity),
        entry_price=Decimal(100),
        stop_price=Decimal(98),
        target_price=Decimal(104),
        foreign=False,
        busy=True,
        proposal_id=f"proposal-{symbol}-1",
        at_ns=NOON_NS,
    )
    return replace(position, **changes)


def a_flat(symbol: str = SYMBOL, **changes: Any) -> m.PositionChanged:
    """Word that a symbol is flat and free."""
    nothing = {"entry_price": Decimal(0), "stop_price": None, "target_price": None, "busy": False}
    return a_position("0", symbol, **{**nothing, **changes})


def an_account(wallet: str = "10000", at_ns: int = NOON_NS) -> m.AccountSnapshot:
    """Totals of the account."""
    return m.AccountSnapshot(
        wallet_balance=Decimal(wallet),
        available_balance=Decimal(wallet),
        unrealized_pnl=Decimal(0),
        margin=Decimal(0),
        at_ns=at_ns,
    )


def an_account_update(
    wallet: str, reason: str = "ORDER", change: str = "0", event_ns: int = NOON_NS
) -> m.AccountUpdate:
    """A new wallet balance and why."""
    return m.AccountUpdate(
        reason=reason,
        wallet_balance=Decimal(wallet),
        balance_change=Decimal(change),
        event_ns=event_ns,
    )


def a_fill(pnl: str = "0", commission: str = "0", **changes: Any) -> m.FillBooked:
    """A booked fill of the trading day."""
    fill = m.FillBooked(
        symbol=SYMBOL,
        trade_id=1,
        order_id=1,
        client_id="afb-X-aaaa-0",
        purpose=m.Purpose.EXIT,
        side=m.Side.SELL,
        quantity=Decimal(10),
        price=Decimal(100),
        commission=Decimal(commission),
        realized_pnl=Decimal(pnl),
        at_ns=NOON_NS,
    )
    return replace(fill, **changes)


def a_day(equity_start: str = "10000", day: int = DAY, **changes: Any) -> m.DayLedger:
    """A trading day on which nothing happened yet."""
    ledger = m.DayLedger(
        day=day,
        equity_start=Decimal(equity_start),
        realized=Decimal(0),
        fees=Decimal(0),
        funding=Decimal(0),
        entries=0,
        halted=False,
    )
    return replace(ledger, **changes)


def a_book(**changes: Any) -> m.RecoveredBook:
    """What an empty database knows."""
    book = m.RecoveredBook(
        epoch=7,
        intents=(),
        positions=(),
        entry_prices=(),
        last_trade_ids=(),
        day=None,
        state=None,
        peak_equity=Decimal(0),
    )
    return replace(book, **changes)


def an_intent(**changes: Any) -> m.Intent:
    """A journal row of an entry."""
    proposal = a_proposal()
    intent = m.Intent(
        client_id="afb-E-aaaa-0",
        proposal_id=proposal.proposal_id,
        symbol=SYMBOL,
        purpose=m.Purpose.ENTRY,
        attempt=0,
        side=m.Side.BUY,
        quantity=Decimal(10),
        reference_price=Decimal(100),
        stop_price=Decimal(0),
        target_price=Decimal(0),
        reservation=a_reservation(),
        decision=a_decision(proposal),
        generation=1,
        created_at_ns=NOON_NS,
    )
    return replace(intent, **changes)
