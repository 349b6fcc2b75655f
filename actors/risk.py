"""RiskActor."""

from collections.abc import Callable, Iterable
from typing import Any

from actors.trading_actor import ActorContext, TradingActor
from core.messages import FetchBook
from core.risk.machine import RiskMachine
from core.routes import Room


class RiskActor(TradingActor):
    """The only gate between a wish and an order.

    State:  positions, reservations, marks, returns, wallet, trading day, latches, generations.
    In:     Proposal, ExitProposal, fills, positions, account, marks, klines, refusals, states of
            others, Halt, Flatten, Pause, Resume, Tick
    Out:    Decision, Approval, ExitApproval, StateChanged, LossStreak, SymbolRest, DayLedger
    If it dies: nothing is approved until it has read the book again and execution has reconciled.
    """

    def __init__(
        self,
        context: ActorContext,
        build: Callable[[], RiskMachine],
        publish: Callable[[RiskMachine], None],
    ) -> None:
        super().__init__(context)
        self.machine = build()
        publish(self.machine)

    def start_up(self) -> Iterable[Any]:
        """Ask for what the database knows."""
        return (FetchBook(room=Room.RISK.value),)

    def handle(self, message: Any) -> Iterable[Any]:
        """Let the machine decide."""
        return self.machine.handle(message, self.now())
