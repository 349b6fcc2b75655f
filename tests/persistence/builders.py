"""Facts with defaults, so that each value written in a test matters to it."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from actors.edges.retention import Retention
from core import messages as m
from core.clock import NS_PER_S, Moment

T0 = 1_755_262_547 * NS_PER_S  # 2025-08-15 12:55:47 UTC


def a_moment(after_s: float = 0.0) -> Moment:
    """Wall and venue time apart, so that mixing them up shows."""
    passed = int(after_s * NS_PER_S)
    return Moment(venue_ns=T0 + 60 * passed, wall_ns=T0 + 7_777 + passed, speed=60.0)


def kept(days: int) -> Retention:
    """The same for everything that is not kept for good."""
    return Retention(days=days, signal_days=days, snapshot_days=days)


def a_decision(**changes: Any) -> m.Decision:
    decision = m.Decision(
        proposal_id="p1",
        symbol="BTCUSDT",
        side="BUY",
        approved=True,
        reason_code="APPROVED",
        reason="",
        checks=(m.RuleCheck(rule="slots", value="1", limit="3", passed=True),),
        caps=(("day", Decimal("0.0150")), ("margin", Decimal("1E-7"))),
        quantity=Decimal("0.015"),
        strength=0.62,
        confidence=None,
        price=Decimal("117400.10"),
        kline_close_ns=T0,
        decided_at_ns=T0 + 5,
    )
    return replace(decision, **changes)


def an_intent(**changes: Any) -> m.Intent:
    intent = m.Intent(
        client_id="afb-E-aaaa-0",
        proposal_id="p1",
        symbol="BTCUSDT",
        purpose=m.Purpose.ENTRY,
        attempt=0,
        side=m.Side.BUY,
        quantity=Decimal("0.015"),
        reference_price=Decimal("117400.10"),
        stop_price=Decimal("115052.00"),
        target_price=Decimal("122096.10"),
        reservation=m.Reservation(
            notional=Decimal("1761.0015"), margin=Decimal("352.20030"), risk=Decimal("40.1")
        ),
        decision=a_decision(),
        generation=3,
        created_at_ns=T0 + 9,
    )
    return replace(intent, **changes)


def a_bracket(symbol: str = "BTCUSDT", proposal_id: str = "p1") -> tuple[m.Intent, ...]:
    """Entry, stop and target of one proposal."""
    return tuple(
        an_intent(
            client_id=f"{symbol}-{proposal_id}-{purpose}",
            proposal_id=proposal_id,
            symbol=symbol,
            purpose=purpose,
            reservation=None,
            decision=None,
        )
        for purpose in (m.Purpose.ENTRY, m.Purpose.STOP, m.Purpose.TARGET)
    )


def a_record(intent: m.Intent | None = None, *, awaited: bool = True) -> m.RecordIntent:
    return m.RecordIntent(intent=intent or an_intent(), awaited=awaited)


def a_move(state: str, client_id: str = "afb-E-aaaa-0", **changes: Any) -> m.IntentMoved:
    move = m.IntentMoved(
        client_id=client_id,
        state=state,
        venue_id="BTCUSDT:77",
        executed=Decimal("0.015"),
        average_price=Decimal("117401.2"),
        reason="",
        at_ns=T0 + 20,
    )
    return replace(move, **changes)


def a_fill(**changes: Any) -> m.FillBooked:
    fill = m.FillBooked(
        symbol="BTCUSDT",
        trade_id=501,
        order_id=77,
        client_id="afb-E-aaaa-0",
        purpose=m.Purpose.ENTRY,
        side=m.Side.BUY,
        quantity=Decimal("0.015"),
        price=Decimal("117401.2"),
        commission=Decimal("0.88050900"),
        realized_pnl=Decimal(0),
        at_ns=T0 + 15_000,
    )
    return replace(fill, **changes)


def an_income(**changes: Any) -> m.IncomeBooked:
    """Funding of the venue's list; changes are of the row."""
    row = m.VenueIncome(
        kind="FUNDING_FEE",
        transaction_id=1,
        symbol="BTCUSDT",
        asset="USDT",
        amount=Decimal("-1.23"),
        at_ns=T0,
    )
    return m.IncomeBooked(income=replace(row, **changes))


def an_order(status: str = "NEW", **changes: Any) -> m.OrderSeen:
    order = m.OrderSeen(
        venue_id="BTCUSDT:77",
        symbol="BTCUSDT",
        side=m.Side.BUY,
        order_type="MARKET",
        quantity=Decimal("0.015"),
        price=None,
        status=status,
        at_ns=T0 + 11_000,
    )
    return replace(order, **changes)


def a_position(quantity: str = "0.015", **changes: Any) -> m.PositionChanged:
    position = m.PositionChanged(
        symbol="BTCUSDT",
        quantity=Decimal(quantity),
        entry_price=Decimal(117400),
        stop_price=None,
        target_price=None,
        foreign=False,
        busy=False,
        proposal_id="p1",
        at_ns=T0 + 16_000,
    )
    return replace(position, **changes)


def a_mark(price: str, symbol: str = "BTCUSDT") -> m.MarkPrice:
    return m.MarkPrice(symbol=symbol, price=Decimal(price), event_ns=T0 + 17_000)


def an_account(wallet: str = "10000", unrealized: str = "0") -> m.AccountSnapshot:
    return m.AccountSnapshot(
        wallet_balance=Decimal(wallet),
        available_balance=Decimal(9000),
        unrealized_pnl=Decimal(unrealized),
        margin=Decimal(1000),
        at_ns=T0,
    )


def a_day(day: int = 20_315, **changes: Any) -> m.DayLedger:
    ledger = m.DayLedger(
        day=day,
        equity_start=Decimal("10000.10"),
        realized=Decimal("-12.34"),
        fees=Decimal("3.21"),
        funding=Decimal("0.01"),
        entries=4,
        halted=False,
    )
    return replace(ledger, **changes)


def a_state(state: m.TradingState = m.TradingState.HALTED, **changes: Any) -> m.StateChanged:
    changed = m.StateChanged(
        state=state,
        reason_code="DAY_LIMIT",
        reason="day loss 301.20 of 300.00",
        latched_until_day=20_316,
        at_ns=T0,
    )
    return replace(changed, **changes)


def a_streak(losses: int = 3, symbol: str = "BTCUSDT") -> m.LossStreak:
    return m.LossStreak(symbol=symbol, losses=losses, at_ns=T0)


def a_rest(symbol: str = "BTCUSDT", **changes: Any) -> m.SymbolRest:
    rest = m.SymbolRest(
        symbol=symbol,
        until_wall_ns=T0 + 300_000_000_000,
        reason="no stop to be had: -4045 too many",
        failures=(T0 - 5, T0),
        at_ns=T0,
    )
    return replace(rest, **changes)


def a_signal(**changes: Any) -> m.SignalComputed:
    signal = m.SignalComputed(
        symbol="BTCUSDT",
        kline_close_ns=T0,
        price=117400.1,
        signal="HOLD",
        strength=0.22,
        prediction=0.0004,
        confidence=0.51,
        technical=(("ema_signal", 1.0), ("rsi_signal", 0.0)),
        reason="strength 0.22 < 0.30",
    )
    return replace(signal, **changes)


def a_row(write: Any) -> dict[str, Any]:
    """What a write stores, by column."""
    return dict(write.values)
