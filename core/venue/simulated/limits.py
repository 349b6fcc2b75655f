"""Request weight per address and order counts of the account, in windows of wall time.

The counts always go out in the answers' headers.  With enforcement on, passing the weight limit is
429 with `Retry-After`; going on after that is 418, a ban that begins at two minutes and grows with
every repetition, up to three days; so is having sockets closed again and again for too many
messages.  The funding endpoints have a pool of their own.
"""

from dataclasses import dataclass, field

MINUTE_MS = 60_000
TEN_SECONDS_MS = 10_000
POOL_MS = 300_000
WEIGHT_MAX = 2400
ORDERS_MINUTE_MAX = 1200
ORDERS_TEN_SECONDS_MAX = 300
POOL_MAX = 500
DEFIANT_MAX = 20  # requests after a 429 before the address is banned
BAN_MS = 120_000
BAN_GROWTH = 4
BAN_MAX_MS = 3 * 86_400_000
CUTS_MAX = 3  # sockets of an address that talked too much in five minutes: the last one bans it
CUTS_MS = 300_000
ADDRESSES_MAX = 10_000  # the oldest is forgotten first


@dataclass(slots=True)
class _Window:
    length_ms: int
    start_ms: int = 0
    used: int = 0

    def add(self, wall_ms: int, amount: int) -> int:
        start = wall_ms - wall_ms % self.length_ms
        if start != self.start_ms:
            self.start_ms, self.used = start, 0
        self.used += amount
        return self.used

    def left_s(self, wall_ms: int) -> int:
        return max(1, -(-(self.start_ms + self.length_ms - wall_ms) // 1000))


@dataclass(slots=True)
class _Address:
    weight: _Window = field(default_factory=lambda: _Window(MINUTE_MS))
    pool: _Window = field(default_factory=lambda: _Window(POOL_MS))
    defiant: int = 0
    bans: int = 0
    banned_until_ms: int = 0
    cuts: _Window = field(default_factory=lambda: _Window(CUTS_MS))


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a request is turned away."""

    status: int
    code: int
    message: str
    retry_after_s: int


class Limits:
    """Counts of one venue; refuses only when `enforced`."""

    def __init__(self, *, enforced: bool) -> None:
        self.enforced = enforced
        self._addresses: dict[str, _Address] = {}
        self._minute = _Window(MINUTE_MS)
        self._ten_seconds = _Window(TEN_SECONDS_MS)

    def charge_weight(
        self, address: str, wall_ms: int, weight: int, *, pooled: bool = False
    ) -> Verdict | None:
        """Count a request's weight; return why it is turned away, if it is.

        `pooled` requests count one in the pool of the funding endpoints (500 in five minutes).
        """
        caller = self._caller(address)
        used = caller.weight.add(wall_ms, weight)
        pool = caller.pool.add(wall_ms, 1) if pooled else 0
        if not self.enforced:
            return None
        if wall_ms < caller.banned_until_ms:
            return self._banned(caller, wall_ms)
        if used > WEIGHT_MAX:
            text = f"Too many requests; current limit of IP is {WEIGHT_MAX} requests per minute."
            return self._too_many(caller, wall_ms, text, caller.weight)
        if pool > POOL_MAX:
            text = f"Too many requests; current limit of IP is {POOL_MAX} requests per 5 minutes."
            return self._too_many(caller, wall_ms, text, caller.pool)
        if not pooled:
            caller.defiant = 0
        return None

    def _caller(self, address: str) -> _Address:
        if address not in self._addresses and len(self._addresses) >= ADDRESSES_MAX:
            del self._addresses[next(iter(self._addresses))]
        return self._addresses.setdefault(address, _Address())

    def _too_many(self, caller: _Address, wall_ms: int, text: str, window: _Window) -> Verdict:
        caller.defiant += 1
        if caller.defiant <= DEFIANT_MAX:
            return Verdict(429, -1003, text, window.left_s(wall_ms))
        self._ban(caller, wall_ms)
        return self._banned(caller, wall_ms)

    def charge_violation(self, address: str, wall_ms: int) -> None:
        """Count a socket that was closed for too many messages; repeating that is a ban."""
        caller = self._caller(address)
        if caller.cuts.add(wall_ms, 1) >= CUTS_MAX and self.enforced:
            self._ban(caller, wall_ms)

    def ban(self, address: str, wall_ms: int) -> Verdict | None:
        """Return the verdict on a banned address."""
        caller = self._addresses.get(address)
        if caller is None or wall_ms >= caller.banned_until_ms:
            return None
        return self._banned(caller, wall_ms)

    @staticmethod
    def _ban(caller: _Address, wall_ms: int) -> None:
        caller.banned_until_ms = wall_ms + min(BAN_MS * BAN_GROWTH**caller.bans, BAN_MAX_MS)
        caller.bans = min(caller.bans + 1, 10)
        caller.defiant = 0

    @staticmethod
    def _banned(caller: _Address, wall_ms: int) -> Verdict:
        until = caller.banned_until_ms
        text = (
            f"Way too many requests; IP banned until {until}."
            " Please use the websocket for live updates to avoid bans."
        )
        return Verdict(418, -1003, text, max(1, -(-(until - wall_ms) // 1000)))

    def charge_orders(self, wall_ms: int, ten_seconds: int, minute: int) -> Verdict | None:
        """Count orders of the account; return why they are turned away, if they are."""
        in_minute = self._minute.add(wall_ms, minute)
        in_ten = self._ten_seconds.add(wall_ms, ten_seconds)
        if not self.enforced:
            return None
        for used, most, span, window in (
            (in_ten, ORDERS_TEN_SECONDS_MAX, "10 SECOND", self._ten_seconds),
            (in_minute, ORDERS_MINUTE_MAX, "1 MINUTE", self._minute),
        ):
            if used > most:
                text = f"Too many new orders; current limit is {most} orders per {span}."
                return Verdict(429, -1015, text, window.left_s(wall_ms))
        return None

    def headers(self, address: str, wall_ms: int, *, orders: bool) -> dict[str, str]:
        """Return the counters as the venue's headers."""
        weight = self._caller(address).weight.add(wall_ms, 0)
        shown = {"X-MBX-USED-WEIGHT-1M": str(weight)}
        if orders:
            ten, minute = self.order_counts(wall_ms)
            shown["X-MBX-ORDER-COUNT-10S"] = str(ten)
            shown["X-MBX-ORDER-COUNT-1M"] = str(minute)
        return shown

    def order_counts(self, wall_ms: int) -> tuple[int, int]:
        """Return how many orders the present ten seconds and the present minute have seen."""
        return self._ten_seconds.add(wall_ms, 0), self._minute.add(wall_ms, 0)
