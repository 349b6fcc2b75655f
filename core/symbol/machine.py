"""One symbol's decisions: closed candle in, signal and perhaps a proposal out."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import assert_never

from core import messages as m
from core.clock import NS_PER_MS, NS_PER_S, Moment
from core.symbol.candles import Appended, CandleBuffer
from core.symbol.model_watch import ModelWatch
from core.symbol.strategy import Assessment, Predictor, Strategy
from core.venue.instrument import Instrument

SymbolInput = (
    m.ClosedKline | m.KlineHistory | m.Resync | m.CrashNow | m.InstrumentChanged | m.ModelReady
)
SymbolOutput = m.FetchHistory | m.SignalComputed | m.Proposal | m.ExitProposal | m.ActorEvent

# History is asked for again if it has not come after this long.
_HISTORY_PATIENCE_NS = 5 * NS_PER_S
_ACTIONS = ("BUY", "SELL", "CLOSE")


class CrashOnDemandError(Exception):
    """Raised by `CrashNow`, to show that a crash stays in its own room."""


class SymbolMachine:
    """Keeps the candles of one symbol and asks its strategy after every closed one.

    `bars` candles are kept and shown to the strategy; it is asked once `bars_min` are there.  A gap
    or a restart upstream means the history is fetched again; no decision falls on a holed buffer,
    and none falls twice on the same candle.  `watch` follows its model, and `model_of` gives the
    verified model of a hash, None if it is not on the shelf.
    """

    def __init__(
        self,
        *,
        symbol: str,
        strategy: Strategy,
        strategy_name: str,
        instrument: Instrument,
        interval_ns: int,
        bars: int,
        bars_min: int,
        generation: int,
        watch: ModelWatch | None = None,
        model_of: Callable[[str], Predictor | None] = lambda _: None,
    ) -> None:
        self.symbol = symbol
        self.watch = watch if watch is not None else ModelWatch(None)
        self._model_of = model_of
        self.strategy = strategy
        self._strategy_name = strategy_name
        self._instrument = instrument
        self._interval_ns = interval_ns
        self._bars = bars
        self._bars_min = bars_min
        self._generation = generation
        self._buffer = CandleBuffer(bars, interval_ns // NS_PER_MS)
        self._waiting_since_ns: int | None = None  # wall; None: the buffer is whole
        self._pending: tuple[m.Candle, ...] = ()  # closed while the history was on its way
        self._decided_ns = 0  # open time of the newest candle decided on
        self.last_reason = "warming up"  # why the newest candle led to nothing; empty if it did

    @property
    def last_close_ms(self) -> int:
        """Close time of the newest candle in the buffer, venue ms; 0 if none."""
        return self._buffer.last_close_ms

    def frame(self) -> object:
        """Return a copy of the candles as a DataFrame, for those who look from outside."""
        return self._buffer.frame()

    def start(self, now: Moment) -> tuple[SymbolOutput, ...]:
        """Return the first wish of a SymbolActor: its history."""
        self._waiting_since_ns = now.wall_ns
        return (m.FetchHistory(symbol=self.symbol, bars=self._bars),)

    def handle(self, message: SymbolInput, now: Moment) -> tuple[SymbolOutput, ...]:
        """Return what follows from a message."""
        match message:
            case m.ClosedKline():
                return self._close(message.candle, now)
            case m.KlineHistory():
                return self._warm(message, now)
            case m.Resync():
                return self.start(now)
            case m.InstrumentChanged():
                self._instrument = message.instrument or self._instrument  # risk refuses it then
                return ()
            case m.ModelReady():
                return self._take_model(message)
            case m.CrashNow():
                raise CrashOnDemandError(f"{self.symbol} was told to crash")
            case _:
                assert_never(message)

    def _take_model(self, ready: m.ModelReady) -> tuple[SymbolOutput, ...]:
        model = self._model_of(ready.sha256)
        take = getattr(self.strategy, "take_model", None)
        if model is None or take is None:
            why = "is not on the shelf" if model is None else "counts from the next start on"
            return (self._event("model", f"model {ready.sha256:.8} {why}"),)
        take(model)
        self.watch.take(model)
        self.watch.history(self._buffer.frame())
        standing = "proved its skill" if getattr(model, "skilled", True) else "has no proven skill"
        return (self._event("model", f"model {ready.sha256:.8} is in use: it {standing}"),)

    def _event(self, event: str, detail: str) -> m.ActorEvent:
        return m.ActorEvent(
            name=f"symbol/{self.symbol}", generation=self._generation, event=event, detail=detail
        )

    def _warm(self, history: m.KlineHistory, now: Moment) -> tuple[SymbolOutput, ...]:
        if not history.candles:
            return ()  # asked again with the next candle, once patience has run out
        self._buffer = CandleBuffer(self._bars, self._interval_ns // NS_PER_MS)
        for candle in history.candles:
            if self._append(candle) is Appended.GAP:  # what lies before a hole is of no use
                self._buffer = CandleBuffer(self._bars, self._interval_ns // NS_PER_MS)
                self._append(candle)
        self._waiting_since_ns = None
        self.watch.history(self._buffer.frame())
        pending, self._pending = self._pending, ()
        outs = [out for candle in pending for out in self._close(candle, now)]
        # A history that lags behind the stream is not asked for in a circle: patience first.
        return tuple(out for out in outs if not isinstance(out, m.FetchHistory))

    def _close(self, candle: m.Candle, now: Moment) -> tuple[SymbolOutput, ...]:
        if self._waiting_since_ns is not None:
            self._pending = (*self._pending[-self._bars :], candle)
            if now.wall_ns - self._waiting_since_ns > _HISTORY_PATIENCE_NS:
                return self.start(now)
            return ()
        match self._append(candle):
            case Appended.APPENDED:
                return self._decide(candle, now)
            case Appended.GAP:
                self._pending = (candle,)
                return self.start(now)
            case Appended.DUPLICATE:
                # The history already held it: still a new candle unless it was decided on.
                return self._decide(candle, now)
            case Appended.STALE:
                return ()

    def _append(self, candle: m.Candle) -> Appended:
        return self._buffer.append(
            candle.open_time_ns // NS_PER_MS,
            candle.open,
            candle.high,
            candle.low,
            candle.close,
            candle.volume,
            candle.taker_buy_volume,
        )

    def _decide(self, candle: m.Candle, now: Moment) -> tuple[SymbolOutput, ...]:
        if candle.open_time_ns <= self._decided_ns or len(self._buffer) < self._bars_min:
            return ()
        said, strength, _ = self.strategy.generate_signal(self._buffer.frame())
        signal = said if said in _ACTIONS else None
        self._decided_ns = candle.open_time_ns
        close_ns = candle.open_time_ns + self._interval_ns
        assessment: Assessment | None = getattr(self.strategy, "last_assessment", None)
        told = self.watch.bar(self.symbol, self._generation, candle.close, assessment)
        objection = self.watch.objection if signal in {"BUY", "SELL"} else ""
        signal = None if objection else signal
        computed = self._describe(candle, close_ns, signal, strength, assessment)
        computed = replace(computed, reason=objection) if objection else computed
        self.last_reason = computed.reason
        if signal is None:
            return (*told, computed)
        price = self._instrument.price_from_float(candle.close)
        name = proposal_id(self.symbol, self._strategy_name, close_ns, signal)
        if signal == "CLOSE":
            return (
                *told,
                computed,
                m.ExitProposal(
                    proposal_id=name,
                    symbol=self.symbol,
                    price=price,
                    kline_close_ns=close_ns,
                    decided_at_ns=now.venue_ns,
                    generation=self._generation,
                ),
            )
        return (
            *told,
            computed,
            m.Proposal(
                proposal_id=name,
                symbol=self.symbol,
                side=m.Side(signal),
                strength=float(strength),
                confidence=assessment.confidence if assessment is not None else None,
                price=price,
                kline_close_ns=close_ns,
                decided_at_ns=now.venue_ns,
                generation=self._generation,
            ),
        )

    def _describe(
        self,
        candle: m.Candle,
        close_ns: int,
        signal: str | None,
        strength: float,
        assessment: Assessment | None,
    ) -> m.SignalComputed:
        if assessment is None:  # a user's strategy that keeps its reasons to itself
            return m.SignalComputed(
                symbol=self.symbol,
                kline_close_ns=close_ns,
                price=candle.close,
                signal=signal or "HOLD",
                strength=float(strength),
                prediction=0.0,
                confidence=None,
                technical=(),
                reason="" if signal else "the strategy gave no signal",
            )
        return m.SignalComputed(
            symbol=self.symbol,
            kline_close_ns=close_ns,
            price=candle.close,
            signal=signal or "HOLD",
            strength=assessment.strength,
            prediction=assessment.prediction,
            confidence=assessment.confidence,
            technical=tuple(assessment.technical.items()),
            reason="" if signal else assessment.reason,
        )


def proposal_id(symbol: str, strategy_name: str, close_ns: int, action: str) -> str:
    """Hash the content: whoever decides the same again asks for the same thing."""
    content = f"{symbol}|{strategy_name}|{close_ns}|{action}"
    return hashlib.sha256(content.encode()).hexdigest()[:32]
