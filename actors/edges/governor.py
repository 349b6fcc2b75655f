"""One governor of all that is sent to the venue: who goes, who waits, who stays home.

Every request asks here for its turn (`VenueClient` sees to it, nothing can pass by) and every
answer reports back the venue's own counts.  Three limits bind:

- messages about orders, by ORDERS_PER_10S and ORDERS_PER_MIN in sliding windows.  Entries and
  targets may use half of them.  Stops and exits are the reason for the other half, and if even that
  is used up they go on to the venue's own limit: our number is no reason to stay naked.
- request weight, shared by everything on this address.  From WEIGHT_SOFT on history slows down,
  from WEIGHT_HARD on only protection, cancels and upkeep are sent.
- silence after 429 (only protection is sent) and after 418 (nothing is: each request prolongs it).

What is not worth waiting for is refused by `QuietError`; nothing of it was sent.  A stop and its
target are asked for together, and after a restart for many positions at once: a burst of stops
goes before all targets.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

from actors.edges.demand import Demand, Lane
from config import Config
from core.clock import NS_PER_S

TEN_S: Final = 10.0
MINUTE_S: Final = 60.0
_VENUE_WEIGHT = 2400
_VENUE_ORDERS = {TEN_S: 300, MINUTE_S: 1200}
_WEIGHT_MOST = 0.95  # of the limit: beyond it even cancels and upkeep wait
_READS_AT_ONCE = 8
_HISTORY_AT_ONCE = 4  # of those: a snapshot never waits until histories are through
_BURST_PART = 4  # from a quarter of the limit on, targets let stops go first
_BURST_S = 0.25
_SOFT_PAUSE_S = 1.0  # between two requests for history above WEIGHT_SOFT
# Seconds that a request may wait for its turn; a longer wait is refused at once.
_PATIENCE_S = {
    Lane.PROTECTION: 10.0,
    Lane.CANCEL: 2.0,  # asked for again by execution
    Lane.UPKEEP: 2.0,
    Lane.TARGET: 60.0,
    Lane.ENTRY: 0.0,
    Lane.READ: 60.0,
    Lane.HISTORY: 60.0,
}
_CLOCKS_APART_S = 1.0  # how far our wall clock and the venue's may be apart, for its windows
_SLOT_FREE_S: Final = 0.0  # a wait that ends when another request does


class QuietError(Exception):
    """The request may not be sent for longer than it may wait; nothing was sent."""

    def __init__(self, quiet_s: float, why: str = "the venue wants silence") -> None:
        super().__init__(f"{why} for {quiet_s:.0f} s more")


class _Sliding:
    """Amounts by time, of the last minute."""

    def __init__(self) -> None:
        self._items: deque[tuple[float, int]] = deque()

    def add(self, now: float, amount: int) -> None:
        if amount:
            self._items.append((now, amount))

    def used(self, now: float, span_s: float) -> int:
        while self._items and self._items[0][0] <= now - MINUTE_S:
            self._items.popleft()
        return sum(amount for at, amount in self._items if at > now - span_s)

    def frees_s(self, now: float, span_s: float, amount: int) -> float:
        """Return in how many seconds so much of what the span holds has left it."""
        for at, each in self._items:
            if at > now - span_s:
                amount -= each
                if amount <= 0:
                    return at + span_s - now
        return span_s


class _Heard:
    """A count told by the venue; it holds until its window, which begins on the minute, ends."""

    def __init__(self, span_s: float) -> None:
        self._span_s = span_s
        self._value = 0
        self._until = float("-inf")

    def hear(self, text: str, now: float, wall_s: float) -> None:
        if text.isdigit():
            left_s = self._span_s - wall_s % self._span_s
            self._value, self._until = int(text), now + left_s + _CLOCKS_APART_S

    def value(self, now: float) -> int:
        return self._value if now < self._until else 0

    def ends_s(self, now: float) -> float:
        return max(0.0, self._until - now)


class Governor:
    """Used inside one loop, whose clock it goes by; `wall_ns` tells only where windows end.

    The four numbers are the settings.
    """

    def __init__(
        self,
        *,
        orders_per_10s: int,
        orders_per_min: int,
        weight_soft: float,
        weight_hard: float,
        wall_ns: Callable[[], int],
    ) -> None:
        self._wall_ns = wall_ns
        self._ours = {TEN_S: orders_per_10s, MINUTE_S: orders_per_min}
        self._theirs = dict(_VENUE_ORDERS)
        self._weight_max = _VENUE_WEIGHT
        self._soft, self._hard = weight_soft, weight_hard
        self._orders, self._weights = _Sliding(), _Sliding()
        self._heard_weight = _Heard(MINUTE_S)
        self._heard_orders = {span_s: _Heard(span_s) for span_s in self._theirs}
        self._under_way_weight = 0
        self._under_way_orders = 0
        self._under_way = dict.fromkeys(Lane, 0)
        self._stop_asked_at = float("-inf")
        self._history_at = float("-inf")
        self._quiet_until = float("-inf")
        self._banned_until = float("-inf")
        self._waiting: list[tuple[Lane, int, Demand, asyncio.Future[None]]] = []
        self._number = 0
        self._timer: asyncio.TimerHandle | None = None

    # ---------------------------------------- how it stands
    @property
    def quiet_s(self) -> float:
        """Return how long the venue still wants silence, seconds."""
        return max(0.0, self._quiet_until - self._now())

    @property
    def banned_s(self) -> float:
        """Return how long nothing at all may be sent, seconds."""
        return max(0.0, self._banned_until - self._now())

    @property
    def weight_used(self) -> float:
        """Return the used part of the venue's request weight of this minute."""
        return self._weight(self._now()) / self._weight_max

    @property
    def orders_used(self) -> float:
        """Return the used part of the venue's order counts, the tighter one."""
        now = self._now()
        return max(self._venue_orders(span_s, now) / most for span_s, most in self._theirs.items())

    @property
    def busy(self) -> bool:
        """Whether what can wait should: silence, or weight above WEIGHT_SOFT."""
        return self.quiet_s > 0 or self.weight_used >= self._soft

    def wait_for(self, demand: Demand) -> tuple[float, str] | None:
        """Return how long silence and weight delay such a request (s), and why; None: they do not.

        One that weighs more than reads may use at all is taken for one that just fits.
        """
        now = self._now()
        most = max(1, int(self._weight_max * self._hard))
        fitting = replace(demand, weight=min(demand.weight, most))
        return self._wait_for_silence(fitting) or self._wait_for_weight(fitting, now)

    # ---------------------------------------- what it is told
    def learn_limits(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take the venue's limits from `rateLimits` of exchangeInfo."""
        seconds = {"SECOND": 1, "MINUTE": 60}
        for row in rows:
            span_s = seconds.get(str(row.get("interval")), 0) * float(row.get("intervalNum", 0))
            limit = int(row.get("limit", 0))
            if limit < 1:
                continue
            if row.get("rateLimitType") == "REQUEST_WEIGHT" and span_s == MINUTE_S:
                self._weight_max = limit
            elif row.get("rateLimitType") == "ORDERS" and span_s in self._theirs:
                self._theirs[span_s] = limit

    def hear(self, headers: Mapping[str, str]) -> None:
        """Take the venue's counts from the headers of an answer."""
        now, wall_s = self._now(), self._wall_ns() / NS_PER_S
        ten, minute = self._heard_orders[TEN_S], self._heard_orders[MINUTE_S]
        self._heard_weight.hear(headers.get("X-MBX-USED-WEIGHT-1M", ""), now, wall_s)
        ten.hear(headers.get("X-MBX-ORDER-COUNT-10S", ""), now, wall_s)
        minute.hear(headers.get("X-MBX-ORDER-COUNT-1M", ""), now, wall_s)

    def silence(self, seconds: float, *, banned: bool) -> None:
        """Note that the venue wants silence; `banned`: of everything."""
        self._quiet_until = max(self._quiet_until, self._now() + seconds)
        if banned:
            self._banned_until = self._quiet_until
        self._serve()

    # ---------------------------------------- turns
    @asynccontextmanager
    async def turn(self, demand: Demand) -> AsyncIterator[None]:
        """Wait for a turn and hold it while a request is under way; raises QuietError."""
        await self._admitted(demand)
        try:
            yield
        finally:
            self._let_out(demand)

    async def _admitted(self, demand: Demand) -> None:
        now = self._now()
        if demand.lane is Lane.PROTECTION:
            self._stop_asked_at = now
        self._number += 1
        admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((demand.lane, self._number, demand, admitted))
        self._waiting.sort(key=lambda item: item[:2])
        self._serve()
        try:
            await admitted
        except asyncio.CancelledError:
            if admitted.done() and not admitted.cancelled() and admitted.exception() is None:
                self._let_out(demand)  # let in, and gone before it could send
            raise
        finally:
            self._waiting = [item for item in self._waiting if item[3] is not admitted]

    def _serve(self) -> None:
        """Let in who may go, most urgent first; look again when the next one may."""
        now, again_s = self._now(), float("inf")
        for lane, _, demand, admitted in list(self._waiting):
            if admitted.done():
                continue
            wait = self._wait(demand, now)
            if wait is None:
                self._let_in(demand, now)
                admitted.set_result(None)
            elif wait[0] > _PATIENCE_S[lane]:
                admitted.set_exception(QuietError(*wait))
            elif wait[0] > _SLOT_FREE_S:
                again_s = min(again_s, wait[0])
        self._waiting = [item for item in self._waiting if not item[3].done()]
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if again_s < float("inf"):
            self._timer = asyncio.get_running_loop().call_later(again_s + 0.001, self._serve)

    def _let_in(self, demand: Demand, now: float) -> None:
        self._weights.add(now, demand.weight)
        self._orders.add(now, demand.orders)
        self._under_way[demand.lane] += 1
        self._under_way_weight += demand.weight
        self._under_way_orders += demand.orders
        if demand.lane is Lane.HISTORY:
            self._history_at = now

    def _let_out(self, demand: Demand) -> None:
        self._under_way[demand.lane] -= 1
        self._under_way_weight -= demand.weight
        self._under_way_orders -= demand.orders
        self._serve()

    # ---------------------------------------- limits
    def _wait(self, demand: Demand, now: float) -> tuple[float, str] | None:
        """Return how long a request must wait at least, and for what; None: it may go."""
        silence = self._wait_for_silence(demand)
        if silence is not None:
            return silence
        for check in (self._wait_for_orders, self._wait_for_weight, self._wait_for_slot):
            wait = check(demand, now)
            if wait is not None:
                return wait
        return None

    def _wait_for_silence(self, demand: Demand) -> tuple[float, str] | None:
        if self.banned_s:
            return self.banned_s, "the venue banned this address and wants silence"
        if self.quiet_s and demand.lane is not Lane.PROTECTION:
            return self.quiet_s, "the venue wants silence"
        return None

    def _wait_for_orders(self, demand: Demand, now: float) -> tuple[float, str] | None:
        if not demand.orders:
            return None
        for span_s, ours in self._ours.items():
            used = self._orders.used(now, span_s)
            if demand.lane is not Lane.PROTECTION:
                half = demand.lane in (Lane.ENTRY, Lane.TARGET)
                most = max(1, ours // 2) if half else ours
                if used + demand.orders > most:
                    excess = used + demand.orders - most
                    wait_s = self._orders.frees_s(now, span_s, excess)
                    return wait_s, "the limit of order messages (ORDERS_PER_10S, ORDERS_PER_MIN)"
            if self._venue_orders(span_s, now) + demand.orders > self._theirs[span_s]:
                excess = self._orders.used(now, span_s) + demand.orders - self._theirs[span_s]
                frees_s = self._orders.frees_s(now, span_s, excess) if excess > 0 else 0.0
                wait_s = max(self._heard_orders[span_s].ends_s(now), frees_s)
                return wait_s, "the venue's limit of orders"
        calm_at = self._stop_asked_at + _BURST_S
        burst = self._orders.used(now, TEN_S) * _BURST_PART >= self._ours[TEN_S]
        if demand.lane is Lane.TARGET and burst and now < calm_at:
            return calm_at - now, "stops to be sent first"
        return None

    def _wait_for_weight(self, demand: Demand, now: float) -> tuple[float, str] | None:
        used = self._weight(now)
        words = "the venue's limit of request weight"
        match demand.lane:
            case Lane.PROTECTION:
                return None
            case Lane.CANCEL | Lane.UPKEEP:
                most = int(self._weight_max * max(_WEIGHT_MOST, self._hard))
            case _:
                most = int(self._weight_max * self._hard)
        if used + demand.weight > most:
            excess = self._weights.used(now, MINUTE_S) + demand.weight - most
            frees_s = self._weights.frees_s(now, MINUTE_S, excess) if excess > 0 else 0.0
            over = self._heard_weight.value(now) + demand.weight > most
            heard_s = self._heard_weight.ends_s(now) if over else 0.0
            # Neither: what is under way is too much, and each of its ends is looked at.
            return max(frees_s, heard_s), words
        if demand.lane is Lane.HISTORY and used + demand.weight > self._weight_max * self._soft:
            pause_s = self._history_at + _SOFT_PAUSE_S - now
            if pause_s > 0:
                return pause_s, words
        return None

    def _wait_for_slot(self, demand: Demand, _now: float) -> tuple[float, str] | None:
        histories = self._under_way[Lane.HISTORY]
        match demand.lane:
            case Lane.READ:
                full = self._under_way[Lane.READ] + histories >= _READS_AT_ONCE
            case Lane.HISTORY:
                full = (
                    histories >= _HISTORY_AT_ONCE
                    or self._under_way[Lane.READ] + histories >= _READS_AT_ONCE
                )
            case _:
                full = False
        return (_SLOT_FREE_S, "other requests") if full else None

    def _weight(self, now: float) -> int:
        heard = self._heard_weight.value(now) + self._under_way_weight
        return max(self._weights.used(now, MINUTE_S), heard)

    def _venue_orders(self, span_s: float, now: float) -> int:
        heard = self._heard_orders[span_s].value(now) + self._under_way_orders
        return max(self._orders.used(now, span_s), heard)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def governor_of(config: Config, wall_ns: Callable[[], int]) -> Governor:
    """Return the governor that the settings ask for."""
    return Governor(
        orders_per_10s=config.ORDERS_PER_10S,
        orders_per_min=config.ORDERS_PER_MIN,
        weight_soft=config.WEIGHT_SOFT,
        weight_hard=config.WEIGHT_HARD,
        wall_ns=wall_ns,
    )
