"""ExecutionActor."""

from collections.abc import Callable, Iterable
from typing import Any

from actors.trading_actor import ActorContext, TradingActor
from core.execution.machine import ExecutionMachine
from core.messages import FetchBook
from core.routes import Room


class ExecutionActor(TradingActor):
    """The only sender of orders.

    State:  one bracket per symbol at most, own holdings, trading states, where reconciliation
            stands, entries that may still execute late.
    In:     Approval, ExitApproval, StateChanged, IntentRecorded, the gateway's answers, order and
            algo events, MarkPrice, VenueSnapshot, Tick
    Out:    RecordIntent, IntentMoved, orders and cancels, FillBooked, PositionChanged, EntryEnded,
            ProtectionFailed, Halt, Pause, ActorEvent
    If it dies: it starts from the journal, compares with the venue, protects, then lets entries in.
    """

    def __init__(
        self,
        context: ActorContext,
        build: Callable[[], ExecutionMachine],
        publish: Callable[[ExecutionMachine], None],
    ) -> None:
        super().__init__(context)
        self.machine = build()
        publish(self.machine)

    def start_up(self) -> Iterable[Any]:
        """Ask for what the database knows."""
        return (FetchBook(room=Room.EXECUTION.value),)

    def handle(self, message: Any) -> Iterable[Any]:
        """Let the machine decide."""
        return self.machine.handle(message, self.now())
