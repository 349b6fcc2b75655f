"""A venue in a hundred lines that loses, delays and repeats what it says, by a seed.

It keeps its own truth: position, trades, open conditional orders, entries executed.  An answer may
be lost before or after the request was carried out; events may be lost, late, early or doubled.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any

from core import messages as m
from core.messages import Failure, Purpose, Side
from tests.execution.desk import (
    SYMBOL,
    Desk,
    a_failure,
    a_snapshot,
    a_trade,
    a_venue_order,
    a_venue_position,
    an_algo_event,
    an_answer,
    an_order_event,
    found,
)

FAULTS = 0.25
FIRST_TRADE = 1_000  # as on the venue, far above 1


@dataclass
class TinyVenue:
    """One symbol at 100; `desk` hears what gets through."""

    desk: Desk
    dice: Random
    faulty: bool = True
    position: Decimal = Decimal(0)
    trades: list[m.VenueTrade] = field(default_factory=list)
    algos: dict[str, m.PlaceAlgoOrder] = field(default_factory=dict)
    done: dict[str, Decimal] = field(default_factory=dict)  # executed by client id
    late: list[Any] = field(default_factory=list)
    positions_seen: set[Decimal] = field(default_factory=set)

    def _fault(self) -> bool:
        return self.faulty and self.dice.random() < FAULTS

    # ---------------------------------------- what it says
    def say(self, *events: Any) -> None:
        """Events of the user stream: now, later, twice or never."""
        for event in events:
            if not self._fault():
                self.late.append(event)
            elif self.dice.random() < 0.5:
                self.late += [event, event]

    def step(self, pause_s: float) -> None:
        """Let time pass; deliver what is due, in some order; carry out what is asked."""
        asked = list(self.desk.tick(pause_s))
        if self.faulty:
            self.dice.shuffle(self.late)
        due = len(self.late) if not self.faulty else self.dice.randint(0, len(self.late))
        told, self.late = self.late[:due], self.late[due:]
        for message in told:
            asked += self.desk.tell(message, 0.001)
        while asked:
            answer = self._answer(asked.pop(0))
            if answer is None:
                continue
            if self._fault():
                self.late.append(answer)
            else:
                asked += self.desk.tell(answer, 0.001)

    # ---------------------------------------- what it does
    def _answer(self, asked: Any) -> Any:
        if not isinstance(asked, m.PlaceOrder | m.PlaceAlgoOrder | m.CancelAlgoOrder):
            return self._read(asked)
        purpose = getattr(asked, "purpose", Purpose.STOP)
        lost = a_failure(asked.client_id, purpose, Failure.UNKNOWN, -1007)
        if self._fault() and self.dice.random() < 0.5:
            return lost
        answer = self._carry_out(asked)
        return lost if self._fault() else answer

    def _carry_out(self, asked: Any) -> Any:
        match asked:
            case m.PlaceOrder(client_id=name, purpose=purpose):
                if purpose is Purpose.EXIT and self.position * asked.side.sign >= 0:
                    return a_failure(name, purpose, Failure.REFUSED, -2022)
                quantity = asked.quantity
                if purpose is Purpose.EXIT:
                    quantity = min(quantity, abs(self.position))
                self._fill(name, asked.side, quantity)
                return an_answer(name, purpose, "FILLED", str(quantity))
            case m.PlaceAlgoOrder(client_id=name, purpose=purpose):
                if self.position == 0:
                    return a_failure(name, purpose, Failure.REFUSED, -4509)
                if any(o.purpose is purpose and n != name for n, o in self.algos.items()):
                    return a_failure(name, purpose, Failure.REFUSED, -4130)
                self.algos[name] = asked
                self.say(an_algo_event(name, "NEW", asked.side))
                return an_answer(name, purpose)
            case m.CancelAlgoOrder(client_id=name):
                gone = self.algos.pop(name, None)
                if gone is not None:
                    self.say(an_algo_event(name, "CANCELED", gone.side))
                return m.AlgoGone(client_id=name, symbol=SYMBOL, detail="")
            case _:
                raise AssertionError(asked)

    def _read(self, asked: Any) -> Any:
        match asked:
            case m.RecordIntent(intent=intent) if asked.awaited:
                return m.IntentRecorded(client_id=intent.client_id, epoch=7)
            case m.QueryOrder(client_id=name):
                return self._found(name)
            case m.FetchSnapshot():
                if self._fault():
                    return m.SnapshotFailed(reason="timeout")
                after = dict(asked.trades_after)[SYMBOL]
                held = (a_venue_position(str(self.position)),) if self.position else ()
                return a_snapshot(
                    self.desk,
                    positions=held,
                    orders=tuple(
                        a_venue_order(o.purpose, n, o.side, trigger_price=o.trigger_price)
                        for n, o in self.algos.items()
                    ),
                    trades=tuple(t for t in self.trades if t.trade_id > after),
                    found=tuple(self._found(name) for _, name in asked.unresolved),
                )
            case _:
                return None

    def _found(self, name: str) -> m.OrderFound:
        if name in self.done:
            return found(name, executed=self.done[name])
        return found(name, there=False)

    def fire(self, purpose: Purpose) -> None:
        """The price reaches a stop or target."""
        name = next((n for n, o in self.algos.items() if o.purpose is purpose), None)
        if name is None or self.position == 0:
            return
        order = self.algos.pop(name)
        self.say(an_algo_event(name, "TRIGGERED", order.side))
        self._fill(name, order.side, abs(self.position))
        self.say(an_algo_event(name, "FINISHED", order.side))

    def drop(self, purpose: Purpose) -> None:
        """The owner cancels a stop or target by hand."""
        for name, order in list(self.algos.items()):
            if order.purpose is purpose:
                del self.algos[name]
                self.say(an_algo_event(name, "CANCELED", order.side))

    def close_by_hand(self) -> None:
        """The owner closes the position."""
        if self.position:
            side = Side.SELL if self.position > 0 else Side.BUY
            self._fill(f"web_{len(self.trades)}", side, abs(self.position))

    def _fill(self, name: str, side: Side, quantity: Decimal) -> None:
        self.position += side.sign * quantity
        self.positions_seen.add(self.position)
        self.done[name] = self.done.get(name, Decimal(0)) + quantity
        number = FIRST_TRADE + len(self.trades)
        self.trades.append(a_trade(number, name, side, str(quantity)))
        self.say(an_order_event(name, side, trade_id=number, fills=str(quantity)))
        if self.position == 0:
            for other, order in list(self.algos.items()):
                del self.algos[other]
                self.say(an_algo_event(other, "EXPIRED", order.side))
