"""SymbolActor."""

from collections.abc import Callable, Iterable
from threading import Event
from typing import Any

from actors.trading_actor import ActorContext, TradingActor
from core.messages import CrashNow
from core.symbol.machine import SymbolMachine

_HANG_LINGERS_S = 600.0  # a hang on demand outlives its condemnation by this, as a zombie


class SymbolActor(TradingActor):
    """One symbol's data and strategy.

    State:  its closed candles, its strategy.
    In:     ClosedKline, KlineHistory, Resync, CrashNow
    Out:    FetchHistory, SignalComputed, Proposal, ExitProposal
    If it dies: a successor fetches the history again; other symbols do not notice, and its
    position keeps its stop on the venue.
    """

    def __init__(
        self,
        context: ActorContext,
        build: Callable[[int], SymbolMachine],
        publish: Callable[[SymbolMachine], None],
    ) -> None:
        super().__init__(context)
        self._build = build
        self._publish = publish
        self.machine: SymbolMachine

    def start_up(self) -> Iterable[Any]:
        """Build strategy and buffer in this thread, so that a failure is this actor's own."""
        self.machine = self._build(self.context.generation)
        self._publish(self.machine)
        return self.machine.start(self.now())

    def handle(self, message: Any) -> Iterable[Any]:
        """Let the machine decide; hang where a person wants to see it."""
        if isinstance(message, CrashNow) and message.hang:
            self.context.slot.condemned.wait()
            Event().wait(_HANG_LINGERS_S)
            return ()
        return self.machine.handle(message, self.now())
