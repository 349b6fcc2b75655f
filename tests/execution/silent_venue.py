"""A venue whose user stream says nothing: what happens there is learned by snapshots alone.

It keeps its own truth of several symbols at a price of 100, and answers every request at once.
"""

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from core import messages as m
from core.execution.client_id import is_ours
from core.messages import Failure, Purpose, Side
from tests.execution.desk import (
    TAG,
    Desk,
    a_failure,
    a_snapshot,
    a_trade,
    a_venue_order,
    a_venue_position,
    an_answer,
    found,
)
from tests.execution.tiny_venue import FIRST_TRADE

ZERO = Decimal(0)
DAY_S = 86_400.0


@dataclass
class SilentVenue:
    """Signed positions, open conditional orders and trades; `desk` hears answers only."""

    desk: Desk
    positions: dict[str, Decimal] = field(default_factory=dict)
    orders: list[m.VenueOrder] = field(default_factory=list)
    trades: list[m.VenueTrade] = field(default_factory=list)
    executed: dict[str, Decimal] = field(default_factory=dict)  # by client id
    traded_at_s: list[float] = field(default_factory=list)
    asked: list[Any] = field(default_factory=list)  # all that was to be changed there
    expires: bool = True  # a closed position takes its conditional orders along

    # ---------------------------------------- what happens there
    def trade(self, symbol: str, name: str, signed: Decimal) -> None:
        """Let an order of this name move a position by so much."""
        self.positions[symbol] = self.held(symbol) + signed
        self.executed[name] = self.executed.get(name, ZERO) + abs(signed)
        side = Side.BUY if signed > ZERO else Side.SELL
        number = FIRST_TRADE + len(self.trades)
        self.trades.append(a_trade(number, name, side, str(abs(signed)), symbol=symbol))
        self.traded_at_s.append(self.desk.at_s)
        if self.expires and self.held(symbol) == ZERO:
            self.orders = [o for o in self.orders if o.symbol != symbol or not o.close_position]

    def place(self, symbol: str, purpose: Purpose, name: str, side: Side, **changes: Any) -> str:
        """Open a conditional order; return why not, empty if it is open."""
        order = a_venue_order(purpose, name, side, symbol=symbol, **changes)
        kind = (symbol, order.order_type, side, True)
        if any((o.symbol, o.order_type, o.side, o.close_position) == kind for o in self.orders):
            return "" if name in self.names() else "-4130"
        self.orders.append(order)
        return ""

    def drop(self, order: m.VenueOrder) -> None:
        """Let an order vanish."""
        self.orders.remove(order)

    # ---------------------------------------- what is there
    def held(self, symbol: str) -> Decimal:
        """Return a signed position."""
        return self.positions.get(symbol, ZERO)

    def names(self) -> set[str]:
        """Return the client ids of all open orders."""
        return {o.client_id for o in self.orders}

    def own(self, symbol: str) -> list[m.VenueOrder]:
        """Return the open orders of a symbol that carry our tag."""
        return [o for o in self.orders if o.symbol == symbol and is_ours(TAG, o.client_id)]

    def guarded(self, symbol: str) -> bool:
        """Tell whether a stop of ours would close what is held."""
        return any(
            o.order_type == "STOP_MARKET" and o.side.sign * self.held(symbol) < ZERO
            for o in self.own(symbol)
        )

    def foreign(self) -> list[m.VenueOrder]:
        """Return the open orders that do not."""
        return [o for o in self.orders if not is_ours(TAG, o.client_id)]

    # ---------------------------------------- what it answers
    def serve(self, out: tuple[object, ...]) -> tuple[object, ...]:
        """Answer what is asked until nothing more is; return all that was said."""
        said = list(out)
        todo = list(out)
        while todo:
            answer = self._answer(todo.pop(0))
            if answer is not None:
                follows = self.desk.tell(answer, 0.001)
                said += follows
                todo += follows
        return tuple(said)

    def _answer(self, asked: object) -> Any:
        match asked:
            case m.RecordIntent(intent=intent) if asked.awaited:
                return m.IntentRecorded(client_id=intent.client_id, epoch=7)
            case m.QueryOrder(client_id=name, symbol=symbol):
                return self._found(symbol, name)
            case m.FetchSnapshot():
                return self.snapshot(asked)
            case m.PlaceOrder() | m.PlaceAlgoOrder() | m.CancelAlgoOrder():
                self.asked.append(asked)
                return replace(self._carry_out(asked), symbol=asked.symbol)
            case _:
                return None

    def _carry_out(self, asked: m.PlaceOrder | m.PlaceAlgoOrder | m.CancelAlgoOrder) -> Any:
        name, held = asked.client_id, self.held(asked.symbol)
        match asked:
            case m.PlaceOrder(purpose=purpose, side=side, quantity=quantity):
                if asked.reduce_only and held * side.sign >= ZERO:
                    return a_failure(name, purpose, Failure.REFUSED, -2022)
                quantity = min(quantity, abs(held)) if asked.reduce_only else quantity
                self.trade(asked.symbol, name, side.sign * quantity)
                return an_answer(name, purpose, "FILLED", str(quantity))
            case m.PlaceAlgoOrder(purpose=purpose, side=side, trigger_price=price):
                if held == ZERO:
                    return a_failure(name, purpose, Failure.REFUSED, -4509)
                if self.place(asked.symbol, purpose, name, side, trigger_price=price):
                    return a_failure(name, purpose, Failure.REFUSED, -4130)
                return an_answer(name, purpose)
            case m.CancelAlgoOrder():
                self.orders = [o for o in self.orders if o.client_id != name]
                return m.AlgoGone(client_id=name, symbol=asked.symbol, detail="")

    def snapshot(self, asked: m.FetchSnapshot) -> m.VenueSnapshot:
        """Say what is there now."""
        after = dict(asked.trades_after)
        return a_snapshot(
            self.desk,
            asked_wall_ns=asked.asked_wall_ns,
            positions=tuple(
                a_venue_position(str(q), s) for s, q in sorted(self.positions.items()) if q != ZERO
            ),
            orders=tuple(self.orders),
            trades=tuple(t for t in self.trades if self._lists(t, after.get(t.symbol, 0))),
            found=tuple(self._found(symbol, name) for symbol, name in asked.unresolved),
        )

    def _lists(self, trade: m.VenueTrade, after: int) -> bool:
        """Tell whether a trade is asked for; without a known one so many days are, and no more."""
        if after:
            return trade.trade_id > after
        days = 7 if self.held(trade.symbol) else 1
        return self.traded_at_s[trade.trade_id - FIRST_TRADE] > self.desk.at_s - days * DAY_S

    def _found(self, symbol: str, name: str) -> m.OrderFound:
        if name not in self.executed:
            return found(name, there=False, symbol=symbol)
        return found(name, symbol=symbol, executed=self.executed[name])
