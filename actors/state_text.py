"""Objects as JSON and back, without pickle: the state a machine was in, written down to be re-run.

A tree of tagged values.  Containers and objects are numbered, so that what two parts of a machine
share stays shared.  Only classes of `core` are ever built when reading; anything else (a fitted
model, a user's strategy, the settings) is noted by name and taken from a fresh machine instead,
which the reader hands in: it is built from the same settings.
"""

import base64
import importlib
import math
from collections import deque
from decimal import Decimal
from enum import Enum
from typing import Any

import numpy as np

_ROOM = "core."
_INT_MAX = 2**53
Tree = Any


class StateTextError(ValueError):
    """A text that no object of ours was ever written as."""


def encode(thing: object) -> Tree:
    """Return a JSON tree of any object; never raises for an odd one, which becomes opaque."""
    return _Writer().tree(thing)


def decode(tree: Tree, fresh: object = None) -> Any:
    """Return the object of a tree; opaque parts come from `fresh`, None where it has none.

    Raises StateTextError.
    """
    try:
        return _Reader().thing(tree, fresh)
    except StateTextError:
        raise
    except Exception as error:
        raise StateTextError(f"{type(error).__name__}: {error}") from error


class _Writer:
    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        self._kept: list[object] = []  # an id is a name only while its object lives

    def tree(self, thing: object) -> Tree:
        if thing is None or isinstance(thing, bool):
            return thing
        if type(thing) is str:
            return thing
        if type(thing) is int:
            return thing if abs(thing) < _INT_MAX else {"$int": str(thing)}
        if type(thing) is float:
            return thing if math.isfinite(thing) else {"$float": repr(thing)}
        if type(thing) is Decimal:
            return {"$decimal": str(thing)}
        if isinstance(thing, Enum):
            return {"$enum": _name(type(thing)), "value": thing.name}
        if isinstance(thing, np.ndarray | np.generic) and thing.dtype != object:
            data = base64.b64encode(np.ascontiguousarray(thing).tobytes()).decode()
            return {"$array": thing.dtype.str, "shape": list(thing.shape), "data": data}
        return self._numbered(thing)

    def _numbered(self, thing: object) -> Tree:
        number = self._numbers.get(id(thing))
        if number is not None:
            return {"$ref": number}
        number = self._numbers[id(thing)] = len(self._numbers)
        self._kept.append(thing)
        return {"$id": number, **self._compound(thing)}

    def _compound(self, thing: object) -> dict[str, Tree]:
        kind = type(thing)
        if kind in (list, tuple, set, frozenset):
            items = list(thing) if kind in (list, tuple) else sorted(thing, key=repr)  # type: ignore[call-overload]
            return {f"${kind.__name__}": [self.tree(item) for item in items]}
        if isinstance(thing, deque):
            return {"$deque": [self.tree(item) for item in thing], "maxlen": thing.maxlen}
        if isinstance(thing, dict):
            return {"$dict": [[self.tree(k), self.tree(v)] for k, v in thing.items()]}
        if kind.__module__.startswith(_ROOM) and not isinstance(thing, BaseException):
            names = _attributes(thing)
            return {
                "$object": _name(kind),
                "attributes": {name: self.tree(getattr(thing, name)) for name in names},
            }
        return {"$opaque": _name(kind)}


class _Reader:
    def __init__(self) -> None:
        self._built: dict[int, Any] = {}

    def thing(self, tree: Tree, fresh: object) -> Any:
        if not isinstance(tree, dict):
            return tree
        if "$ref" in tree:
            return self._built[tree["$ref"]]
        if "$id" in tree:
            return self._compound(tree, fresh)
        match next(iter(tree)):
            case "$int":
                return int(tree["$int"])
            case "$float":
                return float(tree["$float"])
            case "$decimal":
                return Decimal(tree["$decimal"])
            case "$enum":
                return _class(tree["$enum"])[tree["value"]]
            case "$array":
                data = base64.b64decode(tree["data"])
                array = np.frombuffer(data, np.dtype(tree["$array"])).reshape(tree["shape"])
                return array.copy() if tree["shape"] else array.copy()[()]
            case other:
                raise StateTextError(f"unknown tag {other!r}")

    def _compound(self, tree: dict[str, Tree], fresh: object) -> Any:
        number, tag = tree["$id"], next(key for key in tree if key != "$id")
        items = tree[tag]
        match tag:
            case "$opaque":
                self._built[number] = fresh
            case "$list":
                built = self._built[number] = []
                built.extend(self._each(items, fresh))
            case "$tuple" | "$set" | "$frozenset":
                kind = {"$tuple": tuple, "$set": set, "$frozenset": frozenset}[tag]
                self._built[number] = kind(self._each(items, fresh))
            case "$deque":
                queue: deque[Any] = deque(maxlen=tree["maxlen"])
                self._built[number] = queue
                queue.extend(self._each(items, fresh))
            case "$dict":
                self._fill(number, items, fresh)
            case "$object":
                self._revive(number, tree, fresh)
            case other:
                raise StateTextError(f"unknown tag {other!r}")
        return self._built[number]

    def _each(self, items: list[Tree], fresh: object) -> list[Any]:
        others = list(fresh) if isinstance(fresh, list | tuple | deque) else []
        others += [None] * (len(items) - len(others))
        return [self.thing(item, other) for item, other in zip(items, others, strict=False)]

    def _fill(self, number: int, items: list[Tree], fresh: object) -> None:
        filled: dict[Any, Any] = {}
        self._built[number] = filled
        others = fresh if isinstance(fresh, dict) else {}
        for key_tree, value_tree in items:
            key = self.thing(key_tree, None)
            filled[key] = self.thing(value_tree, others.get(key))

    def _revive(self, number: int, tree: dict[str, Tree], fresh: object) -> None:
        kind = _class(tree["$object"])
        revived = self._built[number] = kind.__new__(kind)
        for name, value in tree["attributes"].items():
            # also into frozen dataclasses: what is read back was true when it was written
            object.__setattr__(revived, name, self.thing(value, getattr(fresh, name, None)))


def _attributes(thing: object) -> list[str]:
    names: list[str] = []
    for kind in type(thing).__mro__:
        slots = vars(kind).get("__slots__", ())
        names += [slots] if isinstance(slots, str) else slots
    names += getattr(thing, "__dict__", {})
    return [name for name in names if name != "__weakref__" and hasattr(thing, name)]


def _name(kind: type[Any]) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def _class(name: str) -> Any:
    """Find a class of a room; no other module is ever imported for a text."""
    module, _, path = name.partition(":")
    if not module.startswith(_ROOM):
        raise StateTextError(f"{name} is no class of a room")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    if not isinstance(found, type):
        raise StateTextError(f"{name} is no class")
    return found
