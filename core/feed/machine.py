"""What comes off the sockets: judged, counted, deduplicated, passed on."""

import math
from dataclasses import replace
from decimal import Decimal
from typing import assert_never

from core import messages as m
from core.clock import Moment

FeedInput = (
    m.KlineFrame
    | m.MarkPrice
    | m.OrderUpdate
    | m.AlgoUpdate
    | m.AccountUpdate
    | m.FrameRejected
    | m.StreamUp
    | m.StreamDown
)
FeedOutput = (
    m.ClosedKline
    | m.MarkPrice
    | m.OrderUpdate
    | m.AlgoUpdate
    | m.AccountUpdate
    | m.StreamUp
    | m.StreamDown
    | m.Resync
)


class FeedMachine:
    """Passes each closed candle on once, in order; money events untouched; garbage nowhere.

    State: open time of the newest closed candle and the last trade's price per symbol, and counters
    for the status command.
    """

    def __init__(self, symbols: tuple[str, ...]) -> None:
        self._symbols = symbols
        self._newest_ns: dict[str, int] = dict.fromkeys(symbols, 0)
        self._last_prices: dict[str, tuple[int, Decimal]] = {}  # event time, price
        self.rejected_frames = 0
        self.repeated_klines = 0
        self.down: dict[str, str] = {}  # stream -> why

    def handle(self, message: FeedInput, now: Moment) -> tuple[FeedOutput, ...]:  # noqa: ARG002
        """Return what follows from a message."""
        match message:
            case m.KlineFrame():
                return self._kline(message)
            case m.MarkPrice():
                last = self._last_prices.get(message.symbol)
                return (replace(message, last_price=last[1] if last is not None else None),)
            case m.OrderUpdate() | m.AlgoUpdate() | m.AccountUpdate():
                return (message,)
            case m.FrameRejected():
                self.rejected_frames += 1
                return ()
            case m.StreamUp():
                return self._up(message)
            case m.StreamDown():
                self.down[message.stream] = message.reason
                return (message,)
            case _:
                assert_never(message)

    def _kline(self, frame: m.KlineFrame) -> tuple[FeedOutput, ...]:
        newest_ns = self._newest_ns.get(frame.symbol)
        if newest_ns is None:
            return ()
        self._note_price(frame)
        if not frame.closed:
            return ()  # forming candles only show that the stream lives
        if frame.candle.open_time_ns <= newest_ns:
            self.repeated_klines += 1
            return ()
        self._newest_ns[frame.symbol] = frame.candle.open_time_ns
        return (m.ClosedKline(symbol=frame.symbol, candle=frame.candle, event_ns=frame.event_ns),)

    def _note_price(self, frame: m.KlineFrame) -> None:
        """Keep the newest last price, of forming candles too; a late frame takes nothing back."""
        known = self._last_prices.get(frame.symbol)
        close = frame.candle.close
        if (known is None or frame.event_ns >= known[0]) and math.isfinite(close):
            self._last_prices[frame.symbol] = (frame.event_ns, Decimal(repr(close)))

    def _up(self, up: m.StreamUp) -> tuple[FeedOutput, ...]:
        self.down.pop(up.stream, None)
        if up.stream != "market" or up.connection == 1:
            return (up,)
        resyncs = (
            m.Resync(symbol=s, reason="the market stream was interrupted") for s in self._symbols
        )
        return (up, *resyncs)
