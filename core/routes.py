"""Who receives which message, on which lane: the one table that all runtimes deliver by."""

from enum import IntEnum, StrEnum
from typing import Any

from core import messages as m


class Room(StrEnum):
    """A room of the bot; an actor's address is the room, or `symbol/BTCUSDT` for a symbol's."""

    SUPERVISOR = "supervisor"
    FEED = "feed"
    SYMBOL = "symbol"
    RISK = "risk"
    EXECUTION = "execution"
    PERSISTENCE = "persistence"
    GATEWAY = "gateway"


class Lane(IntEnum):
    """Mailbox lanes, most urgent first.  Only market data may ever be conflated or dropped."""

    CONTROL = 0
    MONEY = 1
    MARKET = 2
    TELEMETRY = 3


_FEED = (Room.FEED,)
_SYMBOL = (Room.SYMBOL,)
_RISK = (Room.RISK,)
_EXECUTION = (Room.EXECUTION,)
_PERSISTENCE = (Room.PERSISTENCE,)
_GATEWAY = (Room.GATEWAY,)
_SUPERVISOR = (Room.SUPERVISOR,)
_BOOKS = (Room.RISK, Room.PERSISTENCE)

# What must not overtake money stays on its lane: a book read before the last fill is written, or a
# reconciliation that arrives before the positions it speaks of, would be a lie.
# Messages leave a room by this table.  What the gateway tells the feed is passed on by the feed
# under the same type, so the feed's own inbound types are in GATEWAY_ROUTES below.
ROUTES: dict[type[Any], tuple[Room, ...]] = {
    m.MarkPrice: (Room.RISK, Room.EXECUTION, Room.PERSISTENCE),
    m.OrderUpdate: _EXECUTION,
    m.AlgoUpdate: _EXECUTION,
    m.AccountUpdate: _RISK,
    m.StreamUp: (Room.EXECUTION, Room.RISK),
    m.StreamDown: (Room.EXECUTION, Room.RISK),
    m.ClosedKline: (Room.SYMBOL, Room.RISK),
    m.Resync: _SYMBOL,
    m.FetchHistory: _GATEWAY,
    m.ModelReady: _SYMBOL,
    m.SignalComputed: _PERSISTENCE,
    m.Proposal: _RISK,
    m.ExitProposal: _RISK,
    m.Decision: _PERSISTENCE,
    m.Approval: _EXECUTION,
    m.ExitApproval: _EXECUTION,
    m.StateChanged: (Room.PERSISTENCE, Room.EXECUTION),
    m.StateRecorded: _RISK,
    m.LossStreak: _PERSISTENCE,
    m.SymbolRest: _PERSISTENCE,
    m.DayLedger: _PERSISTENCE,
    m.RecordIntent: _PERSISTENCE,
    m.IntentRecorded: _EXECUTION,
    m.IntentMoved: _PERSISTENCE,
    m.StorageFailed: _RISK,
    m.StorageHealed: _RISK,
    m.PlaceOrder: _GATEWAY,
    m.PlaceAlgoOrder: _GATEWAY,
    m.CancelAlgoOrder: _GATEWAY,
    m.QueryOrder: _GATEWAY,
    m.FetchSnapshot: _GATEWAY,
    m.AccountSnapshot: _BOOKS,
    m.FillBooked: _BOOKS,
    m.IncomeBooked: _PERSISTENCE,
    m.OrderSeen: _PERSISTENCE,
    m.PositionChanged: _BOOKS,
    m.EntryEnded: _RISK,
    m.ProtectionFailed: _RISK,
    m.Reconciled: _BOOKS,
    m.ReconcilePending: _RISK,
    m.FetchBook: _PERSISTENCE,
    m.RecoveredBook: (Room.RISK, Room.EXECUTION),
    m.ActorStarted: (Room.RISK, Room.EXECUTION),
    m.Ready: _SUPERVISOR,
    m.Crashed: _SUPERVISOR,
    m.Hung: _SUPERVISOR,
    m.Restart: _SUPERVISOR,
    m.Revive: _SUPERVISOR,
    m.LeaseLost: _SUPERVISOR,
    m.SymbolQuarantined: _RISK,
    m.Halt: _RISK,
    m.Flatten: _RISK,
    m.Pause: _RISK,
    m.Resume: _RISK,
    m.CorrelatedFailure: _RISK,
    m.CorrelatedFailureCleared: _RISK,
    m.CrashNow: _SYMBOL,
    m.ActorEvent: _PERSISTENCE,
}

# What the gateway and its streams tell, and to whom.
GATEWAY_ROUTES: dict[type[Any], tuple[Room, ...]] = {
    m.KlineFrame: _FEED,
    m.MarkPrice: _FEED,
    m.OrderUpdate: _FEED,
    m.AlgoUpdate: _FEED,
    m.AccountUpdate: _FEED,
    m.FrameRejected: _FEED,
    m.StreamUp: _FEED,
    m.StreamDown: _FEED,
    m.AccountSnapshot: _BOOKS,
    m.KlineHistory: (Room.SYMBOL, Room.RISK),
    m.VenueHealth: _RISK,
    m.InstrumentChanged: (Room.SYMBOL, Room.RISK, Room.EXECUTION),
    m.OrderAnswered: _EXECUTION,
    m.OrderFailed: (Room.EXECUTION, Room.RISK),
    m.AlgoGone: _EXECUTION,
    m.OrderFound: _EXECUTION,
    m.VenueSnapshot: _EXECUTION,
    m.SnapshotFailed: _EXECUTION,
}

_CONTROL = (
    m.ActorStarted,
    m.Ready,
    m.Crashed,
    m.Hung,
    m.Restart,
    m.Revive,
    m.LeaseLost,
    m.SymbolQuarantined,
    m.CorrelatedFailure,
    m.CorrelatedFailureCleared,
    m.Halt,
    m.Flatten,
    m.Pause,
    m.Resume,
    m.StateRecorded,
    m.CrashNow,
    m.ModelReady,
    m.RecoveredBook,
    m.StorageFailed,
    m.StorageHealed,
    m.StreamUp,
    m.StreamDown,
)
_MARKET = (
    m.KlineFrame,
    m.MarkPrice,
    m.ClosedKline,
    m.KlineHistory,
    m.FetchHistory,
    m.Resync,
    m.Tick,
    m.VenueHealth,
)
_TELEMETRY = (m.SignalComputed, m.FrameRejected, m.ActorEvent)

LANES: dict[type[Any], Lane] = {
    **dict.fromkeys([*ROUTES, *GATEWAY_ROUTES], Lane.MONEY),
    **dict.fromkeys(_MARKET, Lane.MARKET),
    **dict.fromkeys(_TELEMETRY, Lane.TELEMETRY),
    **dict.fromkeys(_CONTROL, Lane.CONTROL),
}


def conflation_key(message: object) -> tuple[type[Any], str] | None:
    """Return the key under which only the newest message is kept, or None if each one counts.

    Forming klines, mark prices, ticks and health conflate; closed klines and money never do.
    """
    match message:
        case m.KlineFrame(closed=False, symbol=symbol):
            return m.KlineFrame, symbol
        case m.MarkPrice(symbol=symbol):
            return m.MarkPrice, symbol
        case m.Tick():
            return m.Tick, ""
        case m.VenueHealth():
            return m.VenueHealth, ""
        case _:
            return None


def address(room: Room, message: Any) -> str:
    """Return the inbox name of `room` for this message: symbols have one each."""
    return f"symbol/{message.symbol}" if room is Room.SYMBOL else room.value
