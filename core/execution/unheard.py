"""Orders of ours of which something happened that nobody told us.

A process that is dead, or a user stream that is down, hears no end: a stop fires, its target
expires, and the journal goes on to call both open.  An answer that never came leaves even the
beginning unknown.  What the venue's lists lack is asked for until it says how it ended.  Nothing
waits for these answers: they set journal and orders right, no more.
"""

from collections import deque
from contextlib import suppress
from dataclasses import dataclass

from core import messages as m
from core.clock import NS_PER_S, Moment
from core.execution.client_id import purpose_of
from core.execution.order_life import ENDED, OrderState, from_venue
from core.execution.protection import Protection
from core.messages import Failure, Purpose

Out = tuple[object, ...]

_AT_ONCE = 10  # a snapshot; what is left waits for the next one
_HEARD_KEPT = 256  # answers come within seconds of events, before or after
_DENIALS_MIN = 3  # by as many snapshots: lists and queries lag
_DENIED_FOR_NS = 10 * NS_PER_S  # wall; and for so long, as snapshots may follow each other at once


@dataclass(slots=True)
class _Followed:
    """One order: its symbol, whether the venue is known to have taken it, and its denials."""

    symbol: str
    taken: bool
    denials: int = 0
    denied_wall_ns: int = 0  # when the first of them came

    def is_denied_again(self, now: Moment) -> bool:
        """Count a denial; tell whether that makes enough of them, over long enough."""
        self.denials += 1
        self.denied_wall_ns = self.denied_wall_ns or now.wall_ns
        lasted_ns = now.wall_ns - self.denied_wall_ns
        return self.denials >= _DENIALS_MIN and lasted_ns >= _DENIED_FOR_NS


class Unheard:
    """The orders that are asked for, by client id."""

    def __init__(self, tag: str, protection: Protection) -> None:
        self._tag = tag
        self._protection = protection
        self._orders: dict[str, _Followed] = {}
        self._rows: dict[str, _Followed] = {}  # by venue id: rows that a dead process left open
        self._heard: deque[str] = deque(maxlen=_HEARD_KEPT)  # ended, by their events
        self._listed: set[str] = set()  # names that a list had, since the book was read
        self._children: dict[str, _Followed] = {}  # triggered orders, in the market by name

    # ---------------------------------------- what is followed
    def begin(self, book: m.RecoveredBook) -> None:
        """Start from what the journal holds open, but for entries: those have their own ways."""
        self._orders.clear()
        self._heard.clear()
        self._children.clear()
        self._listed.clear()
        self._rows = {row: _Followed(symbol, taken=True) for symbol, row in book.open_rows}
        for intent, state in book.intents:
            if intent.purpose is not Purpose.ENTRY and state not in ENDED:
                taken = state in (OrderState.ACKED, OrderState.TRIGGERED)
                self._follow(intent.client_id, intent.symbol, taken=taken)
        for symbol, name in book.unlisted:
            self._follow(name, symbol, taken=True)

    def failed(self, failure: m.OrderFailed) -> None:
        """Follow an order that may have happened: now, or by a process that died since.

        A refused stop or target may be the repeat of one that this name had before, and whose end
        is the reason of the refusal.
        """
        unknown, refused = failure.failure is Failure.UNKNOWN, failure.failure is Failure.REFUSED
        of_leg = failure.purpose in (Purpose.STOP, Purpose.TARGET)
        if (unknown and failure.purpose is not Purpose.ENTRY) or (refused and of_leg):
            self._follow(failure.client_id, failure.symbol, taken=False)

    def refused(self, failure: m.OrderFailed, now: Moment) -> Out:
        """Close the row of an order that was refused when no position waits for it any more."""
        if failure.purpose is Purpose.ENTRY or failure.failure is Failure.UNKNOWN:
            return ()
        name, reason = failure.client_id, f"{failure.code} {failure.detail}".strip()
        return (self._protection.moved(name, OrderState.REJECTED, now, reason=reason),)

    def filled(self, booked: tuple[object, ...]) -> None:
        """Follow the orders of fills that a snapshot brought: their events were missed."""
        for fill in booked:
            if isinstance(fill, m.FillBooked):
                with suppress(ValueError):  # of a stop its end may be known, not what it became
                    self._heard.remove(fill.client_id)
                self._follow(fill.client_id, fill.symbol, taken=True)

    def gone(self, gone: m.AlgoGone, now: Moment, *, taken: bool) -> Out:
        """Close the row of an order that our cancel ended; how another one ended is asked for.

        `taken` tells whether it was open by what was heard.
        """
        self._follow(gone.client_id, gone.symbol, taken=taken or gone.cancelled)
        if not gone.cancelled:
            return ()
        name, reason = gone.client_id, gone.detail
        return (self._protection.moved(name, OrderState.CANCELED, now, reason=reason),)

    def answered(self, answer: m.OrderAnswered) -> None:
        """Follow an order that was over when it was answered, until its event comes."""
        if from_venue(answer.status) in ENDED:
            self._follow(answer.client_id, answer.symbol, taken=True)

    def _follow(self, name: str, symbol: str, *, taken: bool) -> None:
        if purpose_of(self._tag, name) is not None and name not in self._heard:
            order = self._orders.setdefault(name, _Followed(symbol, taken))
            order.taken = order.taken or taken

    # ---------------------------------------- what is heard of them after all
    def heard(self, client_id: str) -> None:
        """Follow an order no more: its end was told."""
        self._orders.pop(client_id, None)
        if client_id not in self._heard:
            self._heard.append(client_id)

    def born(self, client_id: str) -> None:
        """Forget that an order of this name has ended: the venue has another one."""
        with suppress(ValueError):
            self._heard.remove(client_id)

    def child(self, update: m.OrderUpdate) -> None:
        """Follow the order that a conditional one has become, until its own end is told."""
        if from_venue(update.status) in ENDED:
            self._children.pop(update.client_id, None)
        else:
            self._children[update.client_id] = _Followed(update.symbol, taken=True)

    def told(self, update: m.AlgoUpdate, now: Moment) -> Out:
        """Close the row of an order that no position of ours waits for any more."""
        state = from_venue(update.status)
        if purpose_of(self._tag, update.client_id) is None or state not in ENDED:
            return ()
        return (self._protection.moved(update.client_id, state, now, reason=update.reason),)

    def listed(self, snapshot: m.VenueSnapshot, believed: dict[str, str], now: Moment) -> Out:
        """Ask for what the venue's lists lack; what they have, lives.

        `believed` are the conditional orders (symbol by client id) that were open by what was heard
        before this snapshot: one that it lacks has ended without a word, or is younger than it.
        """
        out: list[object] = []
        there = {order.client_id: order for order in snapshot.orders}
        # What a dying process sent may have no row; and a list may lag, so each is looked at once.
        ours = {n: o for n, o in there.items() if purpose_of(self._tag, n) is not None}
        new = [n for n in ours if n not in self._listed and n not in self._orders]
        out += [_seen(ours[name], now) for name in new]
        self._listed = set(ours)
        for name in [name for name in self._orders if name in there]:
            del self._orders[name]
            order = there[name]
            state = from_venue(order.status)
            out.append(_seen(order, now))
            out.append(self._protection.moved(name, state, now, venue_id=order.venue_id))
        for name, symbol in believed.items():
            if name not in there:
                self._follow(name, symbol, taken=True)
        for order in snapshot.orders:  # lives, so its events will tell
            self._rows.pop(order.venue_id, None)
        unknown = (self._orders | self._children).items()
        asked = [m.QueryOrder(client_id=name, symbol=order.symbol) for name, order in unknown]
        # Not by name: what a process sent as it died may have no intent, or share its name.
        asked += [
            m.QueryOrder(client_id="", symbol=row.symbol, venue_id=venue_id)
            for venue_id, row in self._rows.items()
        ]
        return (*out, *asked[:_AT_ONCE])

    def found(self, found: m.OrderFound, now: Moment) -> Out:
        """Move the journal's row to where the venue says it is.

        An order that the venue denies time and again never came to be, or was forgotten by it.
        """
        for known, key in ((self._rows, found.venue_id), (self._children, found.client_id)):
            order = known.get(key)
            lives = _is_whole(found) and from_venue(found.status) not in ENDED
            if order is not None and not lives and _settles(found, order, now):
                del known[key]
        followed = self._orders.get(found.client_id)
        if followed is None or not _settles(found, followed, now):
            return ()
        state, reason = from_venue(found.status), ""
        if not found.found:
            state = OrderState.EXPIRED if followed.taken else OrderState.ABSENT
            reason = "the venue does not know it"
        if state in ENDED:
            del self._orders[found.client_id]
        if state is OrderState.UNKNOWN or purpose_of(self._tag, found.client_id) is Purpose.ENTRY:
            return ()
        return (
            self._protection.moved(
                found.client_id,
                state,
                now,
                venue_id=found.venue_id,
                executed=found.executed,
                average_price=found.average_price,
                reason=reason,
            ),
        )


def _settles(found: m.OrderFound, order: _Followed, now: Moment) -> bool:
    """Tell whether nothing more is to be learned of an order: it is known, or denied for long."""
    return _is_whole(found) or order.is_denied_again(now)


def _is_whole(found: m.OrderFound) -> bool:
    """Tell whether an answer knows the order, and the order that it became if it fired."""
    fired = ":algo:" in found.venue_id and from_venue(found.status) is OrderState.FILLED
    return found.found and not (fired and all(":algo:" in seen.venue_id for seen in found.seen))


def _seen(order: m.VenueOrder, now: Moment) -> m.OrderSeen:
    return m.OrderSeen(
        venue_id=order.venue_id,
        symbol=order.symbol,
        side=order.side,
        order_type=order.order_type,
        quantity=order.quantity,
        price=order.trigger_price,
        status=order.status,
        at_ns=now.venue_ns,
    )
