"""What a person must hear of: a row in `actor_events`, an ERROR line, a notification."""

from core import messages as m
from core.clock import Moment


def alert(event: str, detail: str, now: Moment) -> m.ActorEvent:
    """Say that something happened that a person should look at."""
    return m.ActorEvent(
        name="execution", generation=0, event=event, detail=detail, at_ns=now.venue_ns
    )


def halt(reason: str) -> m.Halt:
    """Ask risk to open nothing more until a person resumes."""
    return m.Halt(source="execution", reason=reason)
