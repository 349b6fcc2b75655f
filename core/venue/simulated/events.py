"""What happened, in order: the one queue from the exchange to its streams.

User events go to whoever holds a listen key; closed candles go to kline subscribers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.venue.simulated.market import Bar


@dataclass(frozen=True, slots=True)
class UserEvent:
    """One payload of the user stream."""

    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class MinuteClosed:
    """All symbols' candles of a minute that has just closed; `close_ms` is the next one's open."""

    close_ms: int
    bars: Mapping[str, Bar]


Event = UserEvent | MinuteClosed


class Outbox:
    """Events since the last `take`, oldest first."""

    def __init__(self) -> None:
        self._events: list[Event] = []

    def user(self, payload: dict[str, Any]) -> None:
        """Add a user-stream payload."""
        self._events.append(UserEvent(payload))

    def add(self, event: Event) -> None:
        """Add any event."""
        self._events.append(event)

    def __len__(self) -> int:
        return len(self._events)

    def take(self) -> list[Event]:
        """Return and forget what has gathered."""
        taken, self._events = self._events, []
        return taken
