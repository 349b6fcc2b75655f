"""Control frames of the stream sockets: SUBSCRIBE and its relatives (reference, 6.2).

Pure: text in, answer out.  Ids are echoed as they came, integer or text; a frame without one is
answered with `null`.  Errors are the documented objects: 0 unknown property, 1 bad value, 2 invalid
request, 3 invalid JSON.
"""

from collections.abc import Iterable
from typing import Any

import orjson

Json = dict[str, Any]

STREAMS_MAX = 1024
ID_LENGTH_MAX = 64
METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")
COMBINED = "combined"


class _RefusedError(Exception):
    """A control frame that is answered with an error."""

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        self.text = text
        super().__init__(text)


class Subscriptions:
    """What one connection listens to, in the order it asked, and the form it gets it in."""

    def __init__(self, names: Iterable[str] = (), *, combined: bool = False) -> None:
        self.names: dict[str, None] = dict.fromkeys(names)
        self.combined = combined

    def answer(self, text: str) -> Json:
        """Carry out a control frame and return what it is answered with; never raises."""
        try:
            frame = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            at = f"line {error.lineno} column {error.colno}"
            return {"code": 3, "msg": f"Invalid JSON: expected value at {at}"}
        number = frame.get("id") if isinstance(frame, dict) else None
        try:
            return {"result": self._carry_out(frame), "id": _checked_id(number)}
        except _RefusedError as refusal:
            answer: Json = {"code": refusal.code, "msg": refusal.text}
            if _is_id(number):
                answer["id"] = number
            return answer

    def _carry_out(self, frame: object) -> object:
        if not isinstance(frame, dict):
            raise _RefusedError(2, "Invalid request: expected an object")
        method = frame.get("method")
        if method is None:
            raise _RefusedError(2, "Invalid request: missing field `method`")
        if method not in METHODS:
            shown = method if isinstance(method, str) else type(method).__name__
            wanted = ", ".join(f"`{name}`" for name in METHODS)
            raise _RefusedError(
                2, f"Invalid request: unknown variant `{shown[:64]}`, expected one of {wanted}"
            )
        _checked_id(frame.get("id"))
        params = frame.get("params", [])
        if not isinstance(params, list):
            raise _RefusedError(2, "Invalid request: params must be an array")
        match method:
            case "SUBSCRIBE":
                self._subscribe(_stream_names(params))
            case "UNSUBSCRIBE":
                for name in _stream_names(params):
                    self.names.pop(name, None)
            case "LIST_SUBSCRIPTIONS":
                return list(self.names)
            case "SET_PROPERTY":
                self._set(params)
            case _:
                _check_property(params, 1)
                return self.combined
        return None

    def _subscribe(self, names: list[str]) -> None:
        wanted = self.names | dict.fromkeys(names)
        if len(wanted) > STREAMS_MAX:
            raise _RefusedError(2, f"Invalid request: more than {STREAMS_MAX} streams")
        self.names = wanted

    def _set(self, params: list[object]) -> None:
        _check_property(params, 2)
        if not isinstance(params[1], bool):
            raise _RefusedError(1, "Invalid value type: expected Boolean")
        self.combined = params[1]


def _is_id(value: object) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return 0 <= value < 1 << 63
    return isinstance(value, str) and len(value) <= ID_LENGTH_MAX


def _checked_id(value: object) -> object:
    if value is not None and not _is_id(value):
        raise _RefusedError(2, "Invalid request: request ID must be an unsigned integer")
    return value


def _stream_names(params: list[object]) -> list[str]:
    names = [name for name in params if isinstance(name, str)]
    if len(names) != len(params):
        raise _RefusedError(2, "Invalid request: stream name must be a string")
    return names


def _check_property(params: list[object], count: int) -> None:
    if len(params) > count:
        raise _RefusedError(2, "Invalid request: too many parameters")
    if not params or not isinstance(params[0], str):
        raise _RefusedError(2, "Invalid request: property name must be a string")
    if params[0] != COMBINED:
        raise _RefusedError(0, "Unknown property")
    if len(params) < count:
        raise _RefusedError(1, "Invalid value type: expected Boolean")
