"""An execution machine and the messages of its venue, for the tests of the execution room.

The trade of these tests: 10 BTCUSDT bought or sold at market at 100, stop 2 %, target 4 %.
"""

from dataclasses import replace
from decimal import Decimal
from typing import Any, TypeVar

from core import messages as m
from core.clock import NS_PER_MS, NS_PER_S
from core.execution.client_id import client_id
from core.execution.machine import ExecutionMachine
from core.execution.order_life import ENDED, OrderState, may_become
from core.execution.settings import ExecutionSettings
from core.messages import Failure, Purpose, Side
from core.persistence.book import BookedFill, net_positions
from tests.builders import (
    NOON_NS,
    SYMBOL,
    a_book,
    a_moment,
    a_proposal,
    an_account,
    an_approval,
    an_instrument,
)

TAG = "afb"
SYMBOLS = (SYMBOL, "ETHUSDT")
T = TypeVar("T")


def name_of(purpose: Purpose, attempt: int = 0, proposal: m.Proposal | None = None) -> str:
    """The client id of an order of the usual trade."""
    return client_id(TAG, purpose, (proposal or a_proposal()).proposal_id, attempt)


ENTRY, STOP, TARGET, EXIT = (name_of(p) for p in Purpose)


def some(kind: type[T], out: tuple[object, ...]) -> list[T]:
    """The messages of one kind."""
    return [x for x in out if isinstance(x, kind)]


def one(kind: type[T], out: tuple[object, ...]) -> T:
    """The only message of a kind."""
    (found,) = some(kind, out)
    return found


class Desk:
    """A machine, the wall clock, and all that the machine said."""

    def __init__(self, symbols: tuple[str, ...] = SYMBOLS) -> None:
        settings = ExecutionSettings(
            tag=TAG,
            symbols=symbols,
            entry_age_max_ns=500 * NS_PER_MS,
            entry_window_ns=3 * NS_PER_S,
            naked_max_ns=5 * NS_PER_S,
            reconcile_every_ns=60 * NS_PER_S,
            percentages=lambda _: (Decimal("0.02"), Decimal("0.04")),
        )
        self.machine = ExecutionMachine(settings, {s: an_instrument(s) for s in symbols})
        self.at_s = 0.0
        self.said: list[Any] = []
        self.crashes = 0

    def tell(self, message: Any, after_s: float = 0.0) -> tuple[object, ...]:
        """Hand in a message `after_s` after the one before; return what follows."""
        self.at_s += after_s
        out = self.machine.handle(message, a_moment(self.at_s))
        self.said += out
        return out

    def tick(self, after_s: float = 0.1) -> tuple[object, ...]:
        return self.tell(m.Tick(), after_s)

    def wait(self, seconds: float) -> tuple[object, ...]:
        """Ten ticks a second; return all that followed."""
        return tuple(x for _ in range(round(seconds * 10)) for x in self.tick())

    def heard(self, kind: type[T]) -> list[T]:
        return some(kind, tuple(self.said))

    def crash(self) -> tuple[object, ...]:
        """Replace the machine by a successor that knows what the database does."""
        self.machine = type(self)(SYMBOLS).machine
        self.crashes += 1
        for symbol in SYMBOLS:
            self.tell(m.ActorStarted(name=f"symbol/{symbol}", symbol=symbol, generation=1))
        return self.tell(a_stored_book(self.said))

    @property
    def wall_ns(self) -> int:
        return a_moment(self.at_s).wall_ns


def a_desk(**book: Any) -> Desk:
    """A machine that has read the book and asked for a snapshot."""
    desk = Desk()
    for symbol in SYMBOLS:
        desk.tell(m.ActorStarted(name=f"symbol/{symbol}", symbol=symbol, generation=1))
    desk.tell(a_book(**book))
    return desk


def a_stored_book(said: list[Any]) -> m.RecoveredBook:
    """What the database holds after all that was said (`actors/edges/recovery.py`)."""
    rows: dict[str, tuple[m.Intent, OrderState]] = {}
    executed: set[str] = set()
    booked: set[str] = set()
    fills: dict[tuple[str, int], BookedFill] = {}
    for fact in said:
        match fact:
            case m.RecordIntent(intent=intent):
                rows.setdefault(intent.client_id, (intent, OrderState.SENDING))
            case m.IntentMoved(client_id=name) if name in rows:
                intent, state = rows[name]
                if may_become(state, OrderState(fact.state)):
                    rows[name] = (intent, OrderState(fact.state))
                if fact.executed and intent.purpose is Purpose.ENTRY:
                    executed.add(name)
            case m.FillBooked():
                booked.add(fact.client_id)
                fills[fact.symbol, fact.trade_id] = BookedFill(
                    symbol=fact.symbol,
                    trade_id=fact.trade_id,
                    ours=fact.purpose is not None,
                    side=fact.side,
                    quantity=fact.quantity,
                    price=fact.price,
                )
    net = net_positions(fills.values())
    held = {s: p for s, p in net.items() if p.quantity != 0}
    newest_trade = {
        s: max(n for t, n in fills if t == s) for s in dict.fromkeys(t for t, _ in fills)
    }
    newest = {(i.symbol, i.purpose): name for name, (i, _) in rows.items() if i.symbol in held}
    return a_book(
        intents=tuple(
            row
            for name, row in rows.items()
            if row[1] not in ENDED or name in newest.values() or name in executed - booked
        ),
        positions=tuple((s, p.quantity) for s, p in held.items()),
        entry_prices=tuple((s, p.entry_price) for s, p in held.items()),
        foreign=tuple((s, p.foreign) for s, p in net.items() if p.foreign != 0),
        last_trade_ids=tuple(newest_trade.items()),
        booked=tuple(n for n, (_, state) in rows.items() if n in booked and state not in ENDED),
    )


def ready() -> Desk:
    """A machine that has reconciled with an empty account."""
    desk = a_desk()
    desk.tell(a_snapshot(desk), 0.1)
    assert one(m.Reconciled, tuple(desk.said))
    return desk


# ---------------------------------------- the venue's words
def a_snapshot(desk: Desk, **changes: Any) -> m.VenueSnapshot:
    """A flat venue, asked right now."""
    snapshot = m.VenueSnapshot(
        reason="test",
        account=an_account(),
        positions=(),
        orders=(),
        trades=(),
        found=(),
        taken_at_wall_ns=desk.wall_ns + 1,
    )
    return replace(snapshot, **changes)


def a_venue_position(
    quantity: str = "10", symbol: str = SYMBOL, price: str = "100"
) -> m.VenuePosition:
    return m.VenuePosition(
        symbol=symbol,
        quantity=Decimal(quantity),
        entry_price=Decimal(price),
        mark_price=Decimal(price),
        unrealized_pnl=Decimal(0),
        margin=Decimal(200),
    )


def a_venue_order(purpose: Purpose, name: str, side: Side = Side.SELL, **changes: Any):
    """A conditional order as the venue lists it."""
    stop = purpose is Purpose.STOP
    order = m.VenueOrder(
        symbol=SYMBOL,
        client_id=name,
        venue_id=f"{SYMBOL}:algo:9",
        side=side,
        order_type="STOP_MARKET" if stop else "TAKE_PROFIT_MARKET",
        status="NEW",
        quantity=Decimal(0),
        trigger_price=Decimal(98) if stop else Decimal(104),
        close_position=True,
        algo=True,
    )
    return replace(order, **changes)


def a_trade(
    trade_id: int, name: str, side: Side, quantity: str = "10", price: str = "100", **changes: Any
) -> m.VenueTrade:
    trade = m.VenueTrade(
        symbol=SYMBOL,
        trade_id=trade_id,
        order_id=trade_id,
        client_id=name,
        side=side,
        quantity=Decimal(quantity),
        price=Decimal(price),
        commission=Decimal("0.5"),
        realized_pnl=Decimal(0),
        at_ns=NOON_NS,
    )
    return replace(trade, **changes)


def an_order_event(
    name: str,
    side: Side = Side.BUY,
    *,
    trade_id: int = 0,
    fills: str = "0",
    executed: str | None = None,
    status: str | None = None,
    price: str = "100",
    **changes: Any,
) -> m.OrderUpdate:
    """ORDER_TRADE_UPDATE; with a trade id a fill of `fills`, complete unless told otherwise."""
    filled = Decimal(executed if executed is not None else fills)
    update = m.OrderUpdate(
        symbol=SYMBOL,
        client_id=name,
        order_id=1,
        side=side,
        order_type="MARKET",
        status=status or ("FILLED" if trade_id else "NEW"),
        execution="TRADE" if trade_id else "NEW",
        quantity=Decimal(10),
        executed=filled,
        average_price=Decimal(price) if filled else Decimal(0),
        trade_id=trade_id,
        last_quantity=Decimal(fills),
        last_price=Decimal(price) if trade_id else Decimal(0),
        commission=Decimal("0.5"),
        realized_pnl=Decimal(0),
        reduce_only=False,
        event_ns=NOON_NS,
    )
    return replace(update, **changes)


def an_algo_event(name: str, status: str, side: Side = Side.SELL, reason: str = ""):
    return m.AlgoUpdate(
        symbol=SYMBOL,
        client_id=name,
        algo_id=9,
        status=status,
        side=side,
        order_type="STOP_MARKET",
        trigger_price=Decimal(98),
        reason=reason,
        event_ns=NOON_NS,
    )


def an_answer(
    name: str, purpose: Purpose, status: str = "NEW", executed: str = "0"
) -> m.OrderAnswered:
    return m.OrderAnswered(
        client_id=name,
        symbol=SYMBOL,
        purpose=purpose,
        venue_id=f"{SYMBOL}:1",
        status=status,
        executed=Decimal(executed),
    )


def a_failure(
    name: str, purpose: Purpose, failure: Failure = Failure.REFUSED, code: int = -1
) -> m.OrderFailed:
    return m.OrderFailed(
        client_id=name, symbol=SYMBOL, purpose=purpose, failure=failure, code=code, detail="no"
    )


def found(name: str = ENTRY, *, there: bool = True, **changes: Any) -> m.OrderFound:
    answer = m.OrderFound(client_id=name, symbol=SYMBOL, found=there)
    if there:
        answer = replace(
            answer,
            venue_id=f"{SYMBOL}:1",
            status="FILLED",
            executed=Decimal(10),
            average_price=Decimal(100),
        )
    return replace(answer, **changes)


# ---------------------------------------- stages of the usual trade
def approved(desk: Desk, **changes: Any) -> tuple[object, ...]:
    approval = an_approval(approved_at_wall_ns=desk.wall_ns)
    return desk.tell(replace(approval, **changes))


def sent(side: Side = Side.BUY) -> Desk:
    """The entry is on its way."""
    desk = ready()
    approved(desk, proposal=a_proposal(side=side))
    out = desk.tell(m.IntentRecorded(client_id=ENTRY, epoch=7), 0.001)
    assert one(m.PlaceOrder, out).purpose is Purpose.ENTRY
    return desk


def opened(side: Side = Side.BUY) -> Desk:
    """Filled and answered; stop and target are on their way."""
    desk = sent(side)
    desk.tell(an_order_event(ENTRY, side, trade_id=1, fills="10"), 0.01)
    desk.tell(an_answer(ENTRY, Purpose.ENTRY, "FILLED", "10"), 0.01)
    return desk


def protected(side: Side = Side.BUY) -> Desk:
    """Stop and target are live."""
    desk = opened(side)
    desk.tell(an_answer(STOP, Purpose.STOP), 0.01)
    desk.tell(an_answer(TARGET, Purpose.TARGET), 0.01)
    return desk


def is_free(desk: Desk, symbol: str = SYMBOL) -> bool:
    """Flat, nothing pending, and the others have been told so."""
    told = [p for p in desk.heard(m.PositionChanged) if p.symbol == symbol]
    said = not told or (told[-1].quantity == 0 and not told[-1].busy)
    flat = desk.machine.holdings.of(symbol).quantity == 0
    return symbol not in desk.machine.brackets and flat and said
