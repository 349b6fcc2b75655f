"""What a person reads in the log, message by message: the specification's lines, and a few more.

From a message to its lines in one function, so that the whole narrative stands in one place.  Each
line is (level, module, text).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from core import messages as m
from core.messages import Purpose
from core.venue.instrument import Instrument

Line = tuple[str, str, str]

_CLOSINGS = {
    Purpose.STOP: "stop filled",
    Purpose.TARGET: "target filled",
    Purpose.EXIT: "closed at market",
}
_ALERTS = ("late_execution", "stop_unseen", "naked", "flat", "conditional_orders", "book_differs")
_BAD_STATES = ("REJECTED", "UNKNOWN", "ABSENT", "NOT_SENT")


def narrate_all_prepared(
    instruments: Mapping[str, Instrument], leverage: Mapping[str, dict[str, Any]]
) -> Iterator[Line]:
    """Yield what start-up says of all symbols."""
    for symbol, instrument in instruments.items():
        yield from narrate_prepared(instrument, leverage[symbol])


def narrate_prepared(instrument: Instrument, leverage: dict[str, Any]) -> Iterator[Line]:
    """Yield what start-up says of a symbol; `leverage` is the venue's answer to setting it."""
    answer = {"symbol": instrument.symbol} | leverage  # the symbol first, as specified
    yield (
        "INFO",
        "__main__",
        (
            f"Symbol {instrument.symbol} precision - Qty: {instrument.quantity_decimals}, "
            f"Price: {instrument.price_decimals}, Min notional: {instrument.min_notional:.1f}"
        ),
    )
    yield "INFO", "__main__", f"Leverage set for {instrument.symbol}: {answer}"


def narrate_sizes(lines: Iterable[str]) -> Iterator[Line]:
    """Yield what start-up says of sizes far below the formula's."""
    for line in lines:
        yield "WARNING", "risk", line


def narrate(message: Any) -> Iterator[Line]:
    """Yield the log lines of a message an actor sent; most messages have none."""
    match message:
        case m.SignalComputed():
            yield from _signal(message)
        case m.Decision(approved=True):
            yield "DEBUG", "risk", f"[{message.symbol}] approved {message.quantity:f}"
        case m.Decision():
            yield "DEBUG", "risk", f"[{message.symbol}] refused, {message.reason}"
        case m.FillBooked():
            yield from _fill(message)
        case m.PositionChanged(quantity=quantity, stop_price=stop, target_price=target) if (
            quantity and stop and target
        ):
            yield (
                "INFO",
                "execution",
                f"[{message.symbol}] Stop orders placed - SL: {stop:f}, TP: {target:f}",
            )
        case m.IntentMoved(state=state) if state in _BAD_STATES:
            yield "WARNING", "execution", f"{message.client_id} {state}: {message.reason}"
        case m.Reconciled():
            yield from _reconciled(message)
        case m.StateChanged():
            yield "WARNING", "risk", f"{message.state}: {message.reason}"
        case m.StreamDown():
            yield "WARNING", "feed", f"{message.stream} stream down: {message.reason}"
        case m.StreamUp(connection=connection) if connection > 1:
            yield "INFO", "feed", f"{message.stream} stream up again (connection {connection})"
        case m.ActorEvent(name="execution", event=event, detail=detail) if event in _ALERTS:
            yield "ERROR", "execution", f"{event}: {detail}"
        case m.ProtectionFailed():
            yield "ERROR", "execution", f"[{message.symbol}] closed: {message.reason}"
        case m.Halt():
            yield "ERROR", message.source, f"halt asked for: {message.reason}"
        case m.Pause():
            yield "ERROR", message.source, f"[{message.symbol}] paused: {message.reason}"
        case m.ActorEvent(event="model" | "drift" | "constant_output" as event):
            level = "INFO" if event == "model" else "WARNING"
            symbol = message.name.removeprefix("symbol/")
            yield level, "prediction_models", f"[{symbol}] {message.detail}"
        case m.ActorEvent(event="started", generation=1):
            yield "DEBUG", "supervisor", f"{message.name} started"
        case m.ActorEvent(event="started"):
            yield "INFO", "supervisor", f"{message.name} restarted, generation {message.generation}"
        case m.ActorEvent(event="revived"):
            yield "WARNING", "supervisor", f"{message.name} revived {message.detail}"
        case m.CorrelatedFailure():
            yield "ERROR", "supervisor", message.reason
        case m.ActorEvent():
            yield "ERROR", "supervisor", f"{message.name} {message.event}: {message.detail}"
        case m.StorageFailed():
            yield "ERROR", "persistence", message.reason
        case m.StorageHealed():
            yield "WARNING", "persistence", "storage works again, all that was held is written"
        case _:
            return


def _signal(signal: m.SignalComputed) -> Iterator[Line]:
    level = "DEBUG" if signal.signal == "HOLD" else "INFO"
    technical = dict(signal.technical)
    yield (
        level,
        "symbol",
        (
            f"[{signal.symbol}] Price: {signal.price:,.2f}, Signal: {signal.signal}, "
            f"Strength: {signal.strength:.2f}"
        ),
    )
    confidence = "none (technical-only)"
    if signal.confidence is not None:
        confidence = f"{signal.confidence:.2%}"
    yield (
        level,
        "symbol",
        f"[{signal.symbol}] ML Prediction: {signal.prediction:.4f}, Confidence: {confidence}",
    )
    if technical:
        yield (
            level,
            "symbol",
            (
                f"[{signal.symbol}] Technical signals - "
                f"EMA: {technical.get('ema_signal', 0.0):.2f}, "
                f"RSI: {technical.get('rsi_signal', 0.0):.2f}, "
                f"BB: {technical.get('bb_signal', 0.0):.2f}"
            ),
        )


def _fill(fill: m.FillBooked) -> Iterator[Line]:
    head = f"[{fill.symbol}]"
    if fill.purpose is Purpose.ENTRY:
        text = f"{head} {fill.side} order placed: {fill.quantity:f} @ {fill.price:f}"
    elif fill.purpose is not None:
        text = (
            f"{head} {_CLOSINGS[fill.purpose]}: {fill.quantity:f} @ {fill.price:f}, "
            f"P&L {fill.realized_pnl:+.2f} USDT before fees"
        )
    else:
        text = f"{head} foreign fill: {fill.side} {fill.quantity:f} @ {fill.price:f}"
    yield "INFO", "execution", text


def _reconciled(done: m.Reconciled) -> Iterator[Line]:
    for line in done.report:
        yield "INFO", "reconcile", line
    yield (
        "INFO",
        "reconcile",
        (
            f"book and venue agree ({done.reason}); foreign: {done.foreign_positions} positions, "
            f"{done.foreign_orders} orders"
        ),
    )
