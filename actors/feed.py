"""FeedActor."""

from collections.abc import Iterable
from typing import Any

from actors.trading_actor import ActorContext, TradingActor
from core.feed.machine import FeedMachine
from core.messages import StreamUp


class FeedActor(TradingActor):
    """Judges what comes off the sockets and passes it on.

    State:  newest closed candle per symbol, counters.
    In:     KlineFrame, MarkPrice, OrderUpdate, AlgoUpdate, AccountUpdate, FrameRejected, stream ups
            and downs
    Out:    ClosedKline, Resync; the account's events as they came
    If it dies: symbols fetch their history again, execution reconciles; the venue keeps the stops.
    """

    def __init__(self, context: ActorContext, symbols: tuple[str, ...]) -> None:
        super().__init__(context)
        self.machine = FeedMachine(symbols)

    def start_up(self) -> Iterable[Any]:
        """After a crash, say that events were missed: execution asks the venue what happened."""
        generation = self.context.generation
        return (StreamUp(stream="private", connection=generation),) if generation > 1 else ()

    def handle(self, message: Any) -> Iterable[Any]:
        """Let the machine decide."""
        return self.machine.handle(message, self.context.directory.clock.now())
