"""Request parameters, read strictly: each getter raises the venue's own refusal."""

import re
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

from core.venue.simulated.errors import Rejection

CLIENT_ID = re.compile(r"^[\.A-Z\:/a-z0-9_-]{1,36}$")
_DECIMAL = re.compile(r"^-?[0-9]{1,20}(\.[0-9]{1,20})?$")
_INTEGER = re.compile(r"^-?[0-9]{1,19}$")
_Choice = TypeVar("_Choice", bound=StrEnum)


class OrderSide(StrEnum):
    """Sides of an order."""

    BUY = "BUY"
    SELL = "SELL"


class OrderType(StrEnum):
    """All order types the venue knows by name."""

    LIMIT = "LIMIT"
    MARKET = "MARKET"
    STOP = "STOP"
    STOP_MARKET = "STOP_MARKET"
    TAKE_PROFIT = "TAKE_PROFIT"
    TAKE_PROFIT_MARKET = "TAKE_PROFIT_MARKET"
    TRAILING_STOP_MARKET = "TRAILING_STOP_MARKET"


class TimeInForce(StrEnum):
    """How long an order stands."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    GTX = "GTX"
    GTD = "GTD"
    GTE_GTC = "GTE_GTC"  # conditional orders only: no longer than the position


class WorkingType(StrEnum):
    """Which price a trigger looks at."""

    MARK_PRICE = "MARK_PRICE"
    CONTRACT_PRICE = "CONTRACT_PRICE"


class SelfTradePrevention(StrEnum):
    """Whose order ends when an account meets itself."""

    EXPIRE_TAKER = "EXPIRE_TAKER"
    EXPIRE_MAKER = "EXPIRE_MAKER"
    EXPIRE_BOTH = "EXPIRE_BOTH"
    NONE = "NONE"


class PriceMatch(StrEnum):
    """Prices that the venue sets from its book."""

    NONE = "NONE"
    OPPONENT = "OPPONENT"
    OPPONENT_5 = "OPPONENT_5"
    QUEUE = "QUEUE"
    QUEUE_5 = "QUEUE_5"
    QUEUE_10 = "QUEUE_10"
    QUEUE_20 = "QUEUE_20"


class Params:
    """Decoded parameters of one request; an empty value counts as not sent."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = {name: value for name, value in values.items() if value != ""}

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str) -> str:
        """Return a mandatory text; -1102 without it."""
        value = self._values.get(name)
        if value is None:
            raise Rejection(-1102, name)
        return value

    def maybe(self, name: str, default: str = "") -> str:
        """Return an optional text."""
        return self._values.get(name, default)

    def integer(self, name: str) -> int:
        """Return a mandatory integer; -1102 without it or malformed."""
        value = self.text(name)
        if not _INTEGER.match(value):
            raise Rejection(-1102, name)
        return int(value)

    def maybe_integer(self, name: str) -> int | None:
        """Return an optional integer; -1130 when it is none."""
        value = self._values.get(name)
        if value is None:
            return None
        if not _INTEGER.match(value):
            raise Rejection(-1130, name)
        return int(value)

    def limit(self, default: int, most: int) -> int:
        """Return `limit`: the default without it; -1130 outside 1 to the most."""
        value = self.maybe_integer("limit")
        if value is None:
            return default
        if not 1 <= value <= most:
            raise Rejection(-1130, "limit")
        return value

    def decimal(self, name: str) -> Decimal:
        """Return a mandatory plain decimal; -1102 without it, -1100 for exponents or NaN."""
        value = self.text(name)
        if not _DECIMAL.match(value):
            raise Rejection(-1100, name)
        return Decimal(value)

    def flag(self, name: str, default: bool = False, code: int = -1130) -> bool:
        """Return a boolean of any case; `code` for anything else."""
        value = self._values.get(name)
        if value is None:
            return default
        if value.lower() not in {"true", "false"}:
            raise Rejection(code, name) if code == -1130 else Rejection(code)
        return value.lower() == "true"

    def choice(self, name: str, kinds: type[_Choice], code: int = -1130) -> _Choice:
        """Return a mandatory word of a closed set; `code` for others."""
        value = self.text(name)
        try:
            return kinds(value.upper())
        except ValueError:
            raise Rejection(code, name) from None

    def client_id(self, name: str) -> str | None:
        """Return a client's own id; -4015 when its letters or length are not allowed."""
        value = self._values.get(name)
        if value is not None and not CLIENT_ID.match(value):
            raise Rejection(-4015)
        return value
