"""Messages back from the JSON that the trace writes them as, typed by their own annotations.

The way there is orjson's (`actors/tracing.py`): tuples as lists, Decimals as text with every digit,
enums by their value, NaN as null.  The way back reads the field types of the message class, so that
what is handed to a machine again equals what it was handed first, bit for bit.
"""

import dataclasses
import math
from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import orjson

from core import messages as m
from core.venue.instrument import Instrument

Read = Callable[[Any], Any]

KINDS: dict[str, type[Any]] = {
    name: kind
    for name, kind in vars(m).items()
    if isinstance(kind, type) and dataclasses.is_dataclass(kind)
}


def plain(value: object) -> str:
    """Render what JSON has no word for; Decimals keep every digit."""
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def as_text(message: Any) -> bytes:
    """Return a message's body as the trace writes it; equal messages have equal text."""
    return orjson.dumps(message, default=plain)


def message_of(kind: str, body: Any) -> Any:
    """Return the message of this class name with this body.

    Raises ValueError, KeyError, TypeError or AttributeError for what was not written by `as_text`.
    """
    return _reader(KINDS[kind])(body)


def instrument_of(body: Any) -> Instrument:
    """Return an instrument as it was described to the trace; raises as `message_of`."""
    read: Instrument = _reader(Instrument)(body)
    return read


@cache
def _reader(kind: Any) -> Read:
    """Return what reads a value of this type."""
    if get_origin(kind) is tuple:
        return _tuple_reader(get_args(kind))
    if get_origin(kind) is UnionType:
        (kind,) = (option for option in get_args(kind) if option is not NoneType)
        inner = _reader(kind)
        return lambda value: None if value is None else inner(value)
    if dataclasses.is_dataclass(kind):
        return _record_reader(kind)
    if kind is float:
        return lambda value: math.nan if value is None else float(value)
    if issubclass(kind, Decimal | Enum):
        return kind  # type: ignore[no-any-return]
    return lambda value: value


def _tuple_reader(kinds: tuple[Any, ...]) -> Read:
    if kinds[-1] is Ellipsis:
        each = _reader(kinds[0])
        return lambda value: tuple(map(each, value))
    readers = tuple(map(_reader, kinds))
    return lambda value: tuple(read(item) for read, item in zip(readers, value, strict=True))


def _record_reader(kind: Any) -> Read:
    hints = get_type_hints(kind)
    readers = [(field.name, _reader(hints[field.name])) for field in dataclasses.fields(kind)]
    # What an older program did not write yet takes its default.
    return lambda value: kind(**{n: read(value[n]) for n, read in readers if n in value})
