"""Venue times on the command line: read from what a person types, written for reading."""

from datetime import UTC, date, datetime, time, timedelta

from core.errors import UsageError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def venue_ns(text: str, name: str) -> int:
    """Return an ISO date or time as UTC nanoseconds; without a zone it is UTC.

    `name` is what the text was given as.  Raises UsageError.

    >>> venue_ns("2025-08-15T12:55:47.464Z", "--from")
    1755262547464000000
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(
            f"{name} must be a UTC time such as 2026-07-01T12:30:00, was {text!r:.60}."
            " Fix: write it as date, T and time."
        ) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MICROSECOND * 1_000


def shown(ns: int, decimals: int = 3) -> str:
    """Write UTC nanoseconds for reading, at most to the microsecond.

    >>> shown(1755262547464000000)
    '2025-08-15 12:55:47.464'
    """
    text = (_EPOCH + timedelta(microseconds=ns // 1_000)).strftime("%Y-%m-%d %H:%M:%S.%f")
    return text[: -6 + decimals] if decimals else text[:-7]


def day(text: str, option: str) -> date:
    """Return a UTC day given as `YYYY-MM-DD`.  Raises UsageError."""
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(
            f"{option} must be a day such as 2025-05-01, was {text!r:.40}. Fix: write one."
        ) from None


def midnight(text: str, option: str) -> datetime:
    """Return 00:00 UTC of a day on the command line; raises UsageError."""
    return datetime.combine(day(text, option), time(), UTC)
