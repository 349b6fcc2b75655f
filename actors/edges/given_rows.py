"""What callers of the DatabaseManager hand in, checked and turned into what the tables hold."""

import json
import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import peewee
from peewee import DateTimeField, DoubleField, Model

from actors.edges.tables import columns_of, required_of
from core.errors import ConfigurationError
from core.persistence.rows import Value

_UNIX_DAY_0 = date(1970, 1, 1)
_STAMP = "%Y-%m-%d %H:%M:%S.%f"


def given_row(
    method: str, model: type[Model], data: Mapping[str, Any], now_text: str
) -> tuple[tuple[str, Value], ...]:
    """Check and convert a caller's row; the database numbers it, `now_text` stamps it if need be.

    Raises ConfigurationError for an unknown or missing key, or a value of the wrong kind.
    """
    columns = columns_of(model)
    for key in data:
        if key not in columns:
            raise ConfigurationError(
                f"{method}: unknown column {key!r}. Fix: use only {', '.join(columns[1:])}."
            )
    missing = [name for name in required_of(model) if data.get(name) is None]
    if missing:
        raise ConfigurationError(f"{method}: {missing[0]} is missing. Fix: give it a value.")
    given = {name: data[name] for name in columns[1:] if data.get(name) is not None}
    given.setdefault("timestamp", now_text)
    fields = model._meta.fields  # noqa: SLF001
    return tuple(
        (name, _converted(method, fields[name], given[name]) if name in given else None)
        for name in columns[1:]
    )


def date_of(day: int | date | str) -> date:
    """Return a UTC day given as days since 1970, a date or `YYYY-MM-DD`."""
    if isinstance(day, datetime):
        return day.date()
    if isinstance(day, date):
        return day
    return _UNIX_DAY_0 + timedelta(days=day) if isinstance(day, int) else date.fromisoformat(day)


def stamp_text(value: datetime | str) -> str:
    """Return a time as the tables' UTC text; a time without zone is UTC already."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return (moment.astimezone(UTC) if moment.tzinfo else moment).strftime(_STAMP)


def encoded(key: object, value: Any) -> str:
    """Return a state value as text: a string as it is unless it reads as JSON, all else as JSON."""
    if isinstance(value, str) and isinstance(decoded(value), str) and not value.startswith('"'):
        return str(value)
    try:
        return json.dumps(value)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"update_bot_state: {key} is {value!r}. Fix: give text, a number, a list or a dict."
        ) from error


def decoded(text: str) -> Any:
    """Return a state value as it was given to `encoded`."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _converted(method: str, field: peewee.Field, value: Any) -> Value:
    name = field.column_name
    try:
        if isinstance(field, DateTimeField):
            return stamp_text(value)
        if not isinstance(field, DoubleField):
            return str(value)
        number = float(value)
    except (TypeError, ValueError, AttributeError) as error:
        raise ConfigurationError(
            f"{method}: {name} cannot be {value!r}. Fix: give a number, for timestamp a UTC time."
        ) from error
    if not math.isfinite(number):
        raise ConfigurationError(f"{method}: {name} is {value!r}. Fix: give a finite number.")
    return number
