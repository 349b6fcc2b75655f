"""The few words that messages, instruments and ids all speak; messages hand them on."""

from enum import StrEnum


class Side(StrEnum):
    """Direction of an order, in the venue's words."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def opposite(self) -> "Side":
        """Return the side that reduces a position opened by this one."""
        return Side.SELL if self is Side.BUY else Side.BUY

    @property
    def sign(self) -> int:
        """Return +1 for BUY and -1 for SELL."""
        return 1 if self is Side.BUY else -1


class Purpose(StrEnum):
    """Why an order exists; the letter stands in its client id."""

    ENTRY = "E"
    STOP = "S"
    TARGET = "T"
    EXIT = "X"


class Failure(StrEnum):
    """How a request failed, as far as that is known (`core/execution/classify.py`)."""

    NOT_SENT = "not_sent"  # no byte left: it cannot have happened
    REFUSED = "refused"  # the venue said no: it did not happen
    UNKNOWN = "unknown"  # it may have happened


class TradingState(StrEnum):
    """What risk lets through, from all to nothing; latched."""

    RECONCILING = "RECONCILING"
    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"
    FLATTEN = "FLATTEN"  # halted, and every position of ours is being closed
