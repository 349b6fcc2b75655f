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
        """After a crash, say that events were missed: execution asks the venue what happened.

        The market stream is told up as well: its own word may have come while nobody was here, and
        risk would wait for it for ever.  If it is down, old candles and marks keep entries out.
        """
        generation = self.context.generation
        if generation == 1:
            return ()
        return tuple(StreamUp(stream=s, connection=generation) for s in ("private", "market"))

    def handle(self, message: Any) -> Iterable[Any]:
        """Let the machine decide."""
        return self.machine.handle(message, self.context.directory.clock.now())
