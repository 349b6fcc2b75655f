"""What followed from what: messages of the trace as a tree, from a kline frame to a fill.

A message names its cause, and all that follows from one thing from outside carries one trace id.
What the venue tells of an order starts a trace of its own; it is hung below the request that it
answers by the order's client id.  All orders of one entry share the hash in the middle of their
client ids (`core/execution/client_id.py`), so one bracket's whole life is one tree.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_NS_PER_MS = 1e6
_REQUESTS = ("PlaceOrder", "PlaceAlgoOrder")
_CLIENT_ID_PARTS = 4


@dataclass(slots=True)
class Hop:
    """One message on its way.  `_ns` is wall time, 0 while it has not happened."""

    id: int
    trace: int
    cause: int  # 0: from outside
    kind: str
    sender: str
    recipient: str
    lane: str
    sent_ns: int
    body: Any
    taken_ns: int = 0
    done_ns: int = 0
    venue_ns: int = 0  # what its handler was told the venue's time is; 0 if it did not ask
    speed: float = 1.0  # venue seconds per wall second, as its handler was told
    outcome: str = ""  # ok, the name of an error, or empty while under way
    dead: str = ""  # why it was never handled
    link: int = 0  # the request that made the venue say this

    @property
    def waited_ms(self) -> float | None:
        """Return how long it lay in the inbox, ms; None if it was not taken."""
        return (self.taken_ns - self.sent_ns) / _NS_PER_MS if self.taken_ns else None

    @property
    def handled_ms(self) -> float | None:
        """Return how long its handler took, ms; None if it has not ended."""
        return (self.done_ns - self.taken_ns) / _NS_PER_MS if self.done_ns else None

    @property
    def total_ms(self) -> float | None:
        """Return the time from being sent to being done with, ms."""
        return (self.done_ns - self.sent_ns) / _NS_PER_MS if self.done_ns else None


def hop_of(line: Mapping[str, Any]) -> Hop:
    """Return the hop that a `sent` line begins."""
    return Hop(
        id=line["id"],
        trace=line["trace"],
        cause=line["cause"],
        kind=line["kind"],
        sender=line["from"],
        recipient=line["to"],
        lane=line["lane"],
        sent_ns=line["at"],
        body=line["body"],
    )


def end(hop: Hop, line: Mapping[str, Any]) -> None:
    """Note what a `handled` or `dead` line says of a hop."""
    if line["event"] == "dead":
        hop.dead = line["reason"]
        return
    hop.taken_ns, hop.done_ns, hop.outcome = line["taken"], line["done"], line["outcome"]
    if line.get("now") is not None:
        hop.venue_ns, _, hop.speed = line["now"]


def client_id_of(body: Any) -> str:
    """Return the client id that a message speaks of; empty if none."""
    if not isinstance(body, dict):
        return ""
    found = body.get("client_id") or (body.get("intent") or {}).get("client_id")
    return found if isinstance(found, str) else ""


def bracket_of(client_id: str) -> str:
    """Return the part that all orders of one entry share; a foreign id stands for itself.

    >>> bracket_of("afb-S-2fexalbmj5qpjxt6-1")
    '-2fexalbmj5qpjxt6-'
    """
    parts = client_id.split("-")
    return f"-{parts[2]}-" if len(parts) == _CLIENT_ID_PARTS else client_id


@dataclass(slots=True)
class Tree:
    """Hops by id, in order of sending, and who follows whom."""

    hops: dict[int, Hop]
    roots: list[Hop] = field(default_factory=list)
    children: dict[int, list[Hop]] = field(default_factory=dict)

    def walk(self) -> Iterator[tuple[Hop, tuple[bool, ...]]]:
        """Yield every hop depth first, with whether it and each of its parents is a last child."""
        stack: list[tuple[Hop, tuple[bool, ...]]] = [(r, ()) for r in reversed(self.roots)]
        while stack:
            hop, path = stack.pop()
            yield hop, path
            below = self.children.get(hop.id, [])
            last = len(below) - 1
            stack += [(c, (*path, n == last)) for n, c in reversed(list(enumerate(below)))]


def tree_of(hops: Iterable[Hop]) -> Tree:
    """Arrange hops by cause, and what the venue told below what it was asked."""
    tree = Tree(hops={hop.id: hop for hop in sorted(hops, key=lambda hop: hop.id)})
    asked: dict[str, Hop] = {}  # by client id, the first request
    for hop in tree.hops.values():
        client_id = client_id_of(hop.body)
        parent = hop.cause
        if parent not in tree.hops and client_id:
            request = asked.get(client_id) or asked.get(bracket_of(client_id))
            parent = hop.link = request.id if request is not None else 0
        if hop.kind in _REQUESTS:
            asked.setdefault(client_id, hop)
            asked.setdefault(bracket_of(client_id), hop)
        if parent in tree.hops:
            tree.children.setdefault(parent, []).append(hop)
        else:
            tree.roots.append(hop)
    return tree
