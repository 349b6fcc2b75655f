"""The supervisor's children as data: what they are to be, and how they are."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from actors.directory import Directory
from actors.mailbox import Mailbox
from actors.trading_actor import TradingActor
from actors.watchdog import Slot

ALIVE = ("starting", "up")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """One child: its name, its class, what its constructor gets after the context.

    `symbol` is set for SymbolActors, which are restarted one for one; the others stand in a row and
    a restart takes the later ones along (rest for one), because they build on the earlier.  Busy
    with one message for `hung_after_s` it is given up as hung, as it is when it has not told Ready
    `ready_within_s` after its start; at the end it gets `shutdown_s` for what is queued (wall).
    """

    name: str
    actor_class: type[TradingActor]
    arguments: tuple[Any, ...] = ()
    symbol: str = ""
    hung_after_s: float = 30.0
    ready_within_s: float = 30.0
    shutdown_s: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How often a child may be restarted, and how long to wait before; wall seconds.

    Symbols are counted one by one, the rooms together: each restart takes the later ones along.
    """

    restarts_max: int
    period_s: float
    root_restarts_max: int
    root_period_s: float
    backoff_min_s: float
    backoff_max_s: float
    reset_after_s: float


@dataclass(slots=True)
class Child:
    """What the supervisor knows of a child.  Read by the status command from other threads."""

    spec: ChildSpec
    state: str = "down"  # down, starting, up, backoff, quarantined, failed
    generation: int = 0
    restarts: int = 0  # one for each crash
    mailbox: Mailbox | None = None
    slot: Slot = field(default_factory=Slot)
    crashes_ns: deque[int] = field(default_factory=deque)  # a symbol's, wall, within the period
    up_ns: int = 0  # when it last came up, wall
    backoffs: int = 0  # in a row, without a healthy time between
    last_error: str = ""


def describe(children: Iterable[Child], directory: Directory) -> list[dict[str, Any]]:
    """Return one row a child for the status command."""
    return [
        {
            "name": child.spec.name,
            "state": child.state,
            "generation": child.generation,
            "restarts": child.restarts,
            "mailbox": directory.depth(child.spec.name),
            "mailbox_age_ms": directory.head_age_ms(child.spec.name),
            "handled": child.slot.taken,
            "last_error": child.last_error,
        }
        for child in list(children)
    ]
