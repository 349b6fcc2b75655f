"""Faults on demand: what kinds there are, whom one strikes, and how often it has.

A fault is armed with a count and strikes the occasions that match it: a request, a frame, an order,
a trigger.  Kinds of the group MARKET change prices, matching or listing and are carried out by the
exchange itself (`market_faults.py`), so that a journal can repeat them; the others belong to the
transport and are carried out by the server.  Times are wall milliseconds, durations wall seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from enum import Enum
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

Json = dict[str, Any]

COUNT_MAX = 10**9
SECONDS_MAX = 31 * 86_400.0
FAULTS_KEPT_MAX = 1_000  # spent ones are forgotten first


class InvalidFault(ValueError):  # noqa: N818 - one line for the caller of POST /sim/faults
    """A fault that cannot be armed; the text names the parameter, its value and the fix."""


class Group(Enum):
    """What a kind strikes."""

    REQUEST = "request"
    FRAME = "frame"
    KEY = "listen key"
    MARKET = "market"


class Arg(NamedTuple):
    """One argument: its default (`...`: mandatory) and the bounds or words it must keep to."""

    default: Any
    low: float | None = None
    high: float | None = None
    words: tuple[str, ...] = ()


class Kind(NamedTuple):
    """One row of the table of kinds; `lasting` ones strike for `s` seconds from their first."""

    group: Group
    args: Mapping[str, Arg]
    lasting: bool = False
    any_args: bool = False


_SECONDS = Arg(60.0, 0.0, SECONDS_MAX)
GARBAGE = ("truncated", "text", "binary", "types", "unknown", "huge", "set")

KINDS: Mapping[str, Kind] = {
    "rest_status": Kind(
        Group.REQUEST,
        {
            "status": Arg(503, 200, 599),
            "body": Arg(None),
            "headers": Arg({}),
            "executed": Arg(default=False),
        },
    ),
    "rest_reject": Kind(
        Group.REQUEST, {"code": Arg(..., -99_999, -1), "msg": Arg(""), "status": Arg(0, 0, 599)}
    ),
    "timeout_before": Kind(Group.REQUEST, {"s": _SECONDS}),
    "timeout_after": Kind(Group.REQUEST, {"s": _SECONDS}),
    "latency": Kind(Group.REQUEST, {"ms": Arg(1_000.0, 0.0, 3.6e6), "drip": Arg(default=False)}),
    "reset": Kind(Group.REQUEST, {"when": Arg("before", words=("before", "after", "body"))}),
    "query_lag": Kind(Group.REQUEST, {"s": _SECONDS}, lasting=True),
    "maintenance": Kind(Group.REQUEST, {"s": _SECONDS}, lasting=True),
    "ws_drop": Kind(Group.FRAME, {"code": Arg(0, 0, 4_999)}),
    "ws_stall": Kind(Group.FRAME, {"s": _SECONDS, "late": Arg(default=False)}, lasting=True),
    "ws_duplicate": Kind(Group.FRAME, {"copies": Arg(1, 1, 100)}),
    "ws_reorder": Kind(Group.FRAME, {"depth": Arg(2, 2, 1_000)}),
    "ws_garbage": Kind(
        Group.FRAME,
        {"mode": Arg("truncated", words=GARBAGE), "text": Arg(""), "set": Arg({})},
    ),
    "listen_key_expire": Kind(Group.KEY, {"silent": Arg(default=False)}),
    "price_jump": Kind(
        Group.MARKET, {"pct": Arg(..., -99.0, 10_000.0), "s": Arg(0.0, 0.0, SECONDS_MAX)}
    ),
    "price_freeze": Kind(Group.MARKET, {"s": _SECONDS}),
    "algo_reject_at_trigger": Kind(
        Group.MARKET, {"code": Arg(-2019, -99_999, -1), "msg": Arg(""), "stuck": Arg(default=False)}
    ),
    "partial_fill": Kind(
        Group.MARKET,
        {
            "fraction": Arg(0.5, 0.0, 1.0),
            "status": Arg("", words=("", "EXPIRED", "EXPIRED_IN_MATCH", "CANCELED")),
        },
    ),
    "foreign_order": Kind(Group.MARKET, {}, any_args=True),
    "delist": Kind(
        Group.MARKET,
        {
            "status": Arg(
                "SETTLING",
                words=(
                    *("PRE_SETTLE", "SETTLING", "CLOSE", "TRADING_HALT", "TRADING_CANCEL_ONLY"),
                    *("PENDING_TRADING", "TRADING"),
                ),
            ),
            "settle": Arg(default=True),
            "hidden": Arg(default=False),
        },
    ),
    "filter_change": Kind(
        Group.MARKET,
        dict.fromkeys(
            ("tickSize", "stepSize", "minQty", "maxQty", "marketMaxQty", "minNotional"), Arg("")
        ),
    ),
}
MATCH_KEYS = ("path", "method", "symbol", "route", "event", "closed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """Something a fault may strike; what it has not got is empty."""

    path: str = ""
    method: str = ""
    symbol: str = ""
    route: str = ""
    event: str = ""
    closed: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault as asked for, legal by the table; `count` None strikes until it is cleared."""

    kind: str
    count: int | None = 1
    match: Mapping[str, Any] = field(default_factory=dict)
    args: Mapping[str, Any] = field(default_factory=dict)

    @property
    def group(self) -> Group:
        """What it strikes."""
        return KINDS[self.kind].group

    def meets(self, occasion: Occasion) -> bool:
        """Tell whether an occasion has everything that `match` asks for.

        A path may be whole, a pattern with `*`, or its end (`order` means `/fapi/v1/order`).
        """
        for name, wanted in self.match.items():
            given = getattr(occasion, name)
            if name == "closed":
                if given is not wanted:
                    return False
            elif name == "path":
                end = f"/{wanted.strip('/')}"
                if not (fnmatchcase(given, wanted) or given.endswith(end)):
                    return False
            elif given.upper() != wanted.upper():
                return False
        return True

    def as_json(self) -> Json:
        """Return what POST /sim/faults takes."""
        row = {"kind": self.kind, "count": self.count}
        return {**row, "match": dict(self.match), "args": dict(self.args)}


def read_fault(wish: object) -> Fault:
    """Read a fault from decoded JSON.  Raises InvalidFault."""
    if not isinstance(wish, dict):
        raise InvalidFault('a fault is an object like {"kind": "latency", "count": 1}.')
    unknown = set(wish) - {"kind", "count", "match", "args"}
    if unknown:
        raise InvalidFault(f"{min(unknown)!r} is no part of a fault: kind count match args.")
    name = wish.get("kind")
    if not isinstance(name, str) or name not in KINDS:
        raise InvalidFault(f"kind must be one of {' '.join(KINDS)}, was {name!r}.")
    count = wish.get("count", 1)
    if count is not None and not (type(count) is int and 1 <= count <= COUNT_MAX):
        raise InvalidFault(f"count must be 1 or more, or null for always, was {count!r}.")
    match, args = wish.get("match") or {}, wish.get("args") or {}
    if not isinstance(match, dict) or not isinstance(args, dict):
        raise InvalidFault("match and args must be objects.")
    for key, value in match.items():
        if key not in MATCH_KEYS or type(value) is not (bool if key == "closed" else str):
            raise InvalidFault(f"match.{key} is not valid; match takes {' '.join(MATCH_KEYS)}.")
    return Fault(kind=name, count=count, match=match, args=_arguments(name, args))


def _arguments(name: str, given: Json) -> Json:
    kind = KINDS[name]
    if kind.any_args:
        return {key: _text(f"args.{key}", value) for key, value in given.items()}
    unknown = [key for key in given if key not in kind.args]
    if unknown:
        raise InvalidFault(
            f"{name} takes no {unknown[0]!r}; args: {' '.join(kind.args) or 'none'}."
        )
    read = {}
    for key, arg in kind.args.items():
        value = given.get(key, arg.default)
        if value is ...:
            raise InvalidFault(f"{name} needs args.{key}.")
        if name == "filter_change":
            if key in given:
                read[key] = _decimal(f"args.{key}", value)
        else:
            read[key] = _checked(f"args.{key}", arg, value)
    if name == "filter_change" and not read:
        raise InvalidFault(f"filter_change needs one of {' '.join(kind.args)}.")
    return read


def _checked(name: str, arg: Arg, value: Any) -> Any:
    if arg.low is not None and arg.high is not None:
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise InvalidFault(f"{name} must be a number, was {value!r}.")
        try:
            number = type(arg.default)(value) if arg.default is not ... else float(value)
        except (ValueError, OverflowError):
            raise InvalidFault(f"{name} must be a number, was {value!r}.") from None
        if not arg.low <= number <= arg.high:
            raise InvalidFault(f"{name} must be {arg.low} to {arg.high}, was {value!r}.")
        return int(number) if name == "args.code" else number
    if arg.words and value not in arg.words:
        raise InvalidFault(f"{name} must be one of {' '.join(arg.words)}, was {value!r}.")
    if arg.default is not None and type(value) is not type(arg.default):
        raise InvalidFault(f"{name} must be like {arg.default!r}, was {value!r}.")
    return value


def _text(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, (str, int, float)):
        raise InvalidFault(f"{name} must be a text or a number, was {value!r}.")
    return str(value)


def _decimal(name: str, value: object) -> str:
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        number = Decimal(0)
    if not (number.is_finite() and 0 < number < Decimal(10**12)):
        raise InvalidFault(f"{name} must be a decimal above 0, was {value!r}.")
    return f"{number:f}"


@dataclass(slots=True)
class Armed:
    """A fault in place: how often it has struck, and how often it still will."""

    fault: Fault
    left: int | None
    fired: int = 0
    until_ms: int | None = None  # of a lasting one that has begun

    @property
    def is_spent(self) -> bool:
        """Whether it can strike no more."""
        return self.left == 0

    def strike(self) -> None:
        """Count one stroke."""
        self.fired += 1
        if self.left:
            self.left -= 1

    def as_json(self) -> Json:
        """Return its row in /sim/health."""
        row = {**self.fault.as_json(), "left": self.left, "fired": self.fired}
        return {**row, "until_ms": self.until_ms}


class FaultTable:
    """The faults in place, in the order they were armed."""

    def __init__(self) -> None:
        self._rows: list[Armed] = []
        self.fired: dict[str, int] = {}

    def arm(self, fault: Fault) -> Armed:
        """Put a fault in place."""
        row = Armed(fault, fault.count)
        self._rows.append(row)
        if len(self._rows) > FAULTS_KEPT_MAX:
            self._rows.remove(next((old for old in self._rows if old.is_spent), self._rows[0]))
        return row

    def clear(self) -> int:
        """Remove all faults; return how many there were."""
        count, self._rows = len(self._rows), []
        return count

    def waits(self, group: Group) -> bool:
        """Tell whether any fault of a group can still strike."""
        return any(row.fault.group is group and not row.is_spent for row in self._rows)

    def find(self, kind: str, occasion: Occasion) -> Armed | None:
        """Return the oldest fault of a kind that an occasion meets, without a stroke."""
        for row in self._rows:
            if row.fault.kind == kind and not row.is_spent and row.fault.meets(occasion):
                return row
        return None

    def take(self, kind: str, occasion: Occasion, wall_ms: int = 0) -> Armed | None:
        """Let the oldest fault of a kind that an occasion meets strike it; return it.

        A lasting one strikes everything for its time, which begins now, and counts whole times.
        """
        row = self.find(kind, occasion)
        if row is None:
            return None
        if not KINDS[kind].lasting:
            row.strike()
        elif row.until_ms is None:
            row.until_ms = wall_ms + int(1000 * row.fault.args["s"])
            row.fired += 1
        elif wall_ms >= row.until_ms:
            row.until_ms = None
            row.left = None if row.left is None else row.left - 1
            return self.take(kind, occasion, wall_ms)
        else:
            row.fired += 1
        self.note(kind)
        return row

    def note(self, kind: str) -> None:
        """Count a stroke of a kind."""
        self.fired[kind] = self.fired.get(kind, 0) + 1

    def rows(self) -> list[Json]:
        """Return all faults in place, spent ones too."""
        return [row.as_json() for row in self._rows]
