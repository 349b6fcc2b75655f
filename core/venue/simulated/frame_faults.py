"""What faults do to stream frames: held back, repeated, swapped, spoiled.

Works on payloads before they are encoded.  A listener is whatever the server knows its client by;
frames of one listener keep their order except where a fault says otherwise.
"""

import json
from collections.abc import Hashable
from copy import deepcopy
from typing import Any, NamedTuple

from core.venue.simulated.faults import Armed, FaultTable, Group, Occasion
from core.venue.simulated.stream_names import parse

HELD_MAX = 10_000  # frames held back in all; the oldest are lost first
HUGE_BYTES = (1 << 20) + 1


class Raw(NamedTuple):
    """Bytes to send as they are, as a text or a binary frame."""

    data: bytes
    binary: bool = False


class Held(NamedTuple):
    """A frame that waits for the end of a stall."""

    due_ms: int
    listener: Hashable
    name: str
    payload: Any


def occasion_of(route: str, name: str, payload: Any) -> Occasion:
    """Return what a fault can know of a frame."""
    event, symbol, closed = "", "", None
    if isinstance(payload, dict):
        event = str(payload.get("e", ""))
        order = payload.get("o")
        inner = order if isinstance(order, dict) else payload
        symbol = str(inner.get("s", "") or payload.get("ps", ""))
        if event == "ACCOUNT_UPDATE":
            rows = payload.get("a", {}).get("P", [])
            symbol = str(rows[0]["s"]) if rows else ""
        if isinstance(payload.get("k"), dict):
            closed = bool(payload["k"].get("x"))
    if not symbol:
        stream = parse(name)
        symbol = stream.symbol if stream is not None else ""
    return Occasion(route=route, path=name, event=event, symbol=symbol, closed=closed)


class FrameFaults:
    """Applies the FRAME faults of a table; holds what they hold back."""

    def __init__(self, table: FaultTable) -> None:
        self._table = table
        self._late: list[Held] = []
        self._swapping: dict[Hashable, tuple[Armed, list[Any]]] = {}

    @property
    def idle(self) -> bool:
        """Whether frames may pass without being looked at."""
        return not (self._swapping or self._table.waits(Group.FRAME))

    def drops(self, occasion: Occasion) -> Armed | None:
        """Return the fault that ends a connection at this frame, counted."""
        row = self._table.find("ws_drop", occasion)
        if row is None or not {"event", "symbol", "closed", "path"} & set(row.fault.match):
            return None  # those without a frame to wait for strike all connections at once
        return self._table.take("ws_drop", occasion)

    def frames(
        self, listener: Hashable, occasion: Occasion, payload: Any, wall_ms: int
    ) -> list[Any]:
        """Return what goes out instead of a frame: payloads and `Raw` bytes, in their order."""
        stall = self._table.take("ws_stall", occasion, wall_ms)
        if stall is not None:
            if stall.fault.args["late"]:
                due_ms = stall.until_ms or wall_ms
                self._late = self._late[-HELD_MAX + 1 :]
                self._late.append(Held(due_ms, listener, occasion.path, payload))
            return []
        out = [payload]
        spoiled = self._table.take("ws_garbage", occasion)
        if spoiled is not None:
            out = [garbage(payload, spoiled.fault.args)]
        again = self._table.take("ws_duplicate", occasion)
        if again is not None:
            out *= 1 + again.fault.args["copies"]
        return self._swapped(listener, occasion, out)

    def _swapped(self, listener: Hashable, occasion: Occasion, out: list[Any]) -> list[Any]:
        row, waiting = self._swapping.get(listener, (None, []))
        if row is None:
            row = self._table.take("ws_reorder", occasion)
        elif not row.fault.meets(occasion):
            return out
        if row is None:
            return out
        waiting = [*waiting, *out]
        if len(waiting) < row.fault.args["depth"]:
            self._swapping[listener] = (row, waiting)
            return []
        self._swapping.pop(listener, None)
        return waiting[::-1]

    def released(self, wall_ms: int) -> list[Held]:
        """Return the late frames whose stall is over."""
        due = [held for held in self._late if held.due_ms <= wall_ms]
        self._late = [held for held in self._late if held.due_ms > wall_ms]
        return due

    def forget(self, listener: Hashable) -> None:
        """Drop what is held for a listener that has gone."""
        self._swapping.pop(listener, None)
        self._late = [held for held in self._late if held.listener != listener]

    def clear(self) -> None:
        """Drop all that is held."""
        self._swapping, self._late = {}, []


def garbage(payload: Any, args: Any) -> Any:
    """Return a spoiled frame: `Raw` bytes, or another payload."""
    text = json.dumps(payload, separators=(",", ":")).encode()
    match args["mode"]:
        case "truncated":
            return Raw(text[: len(text) // 2])
        case "text":
            return Raw(args["text"].encode())
        case "binary":
            return Raw(b"\x00\xff\xfe" + text, binary=True)
        case "huge":
            return Raw(b" " * HUGE_BYTES + text)
        case "unknown":
            return {"e": "SOMETHING_NEW", "E": 0, "x": payload}
        case "types":
            return _other_types(payload)
        case _:
            changed = deepcopy(payload)
            for path, value in args["set"].items():
                _put(changed, path.split("."), value)
            return changed


def _other_types(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: inner if name == "e" else _other_types(inner) for name, inner in value.items()
        }
    if isinstance(value, str):
        return [value]
    return str(value)


def _put(value: Any, path: list[str], wanted: Any) -> None:
    for name in path[:-1]:
        value = value.get(name) if isinstance(value, dict) else None
    if isinstance(value, dict):
        value[path[-1]] = wanted
