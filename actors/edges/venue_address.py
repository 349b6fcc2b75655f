"""Where a venue with a journal can be found: `venue.json` beside it, readable by the owner only."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

ADDRESS_FILE = "venue.json"
LOCAL_API_KEY = "embedded"  # accepted when the environment names no pair
LOCAL_API_SECRET = "embedded"  # noqa: S105 - a paper account's, on loopback


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedVenue:
    """A running venue: its address, whose ledger it is, and the token that may stop it."""

    url: str
    venue_id: str
    pid: int
    resumed: bool
    token: str = field(repr=False)


def address_file(state: Path) -> Path:
    """Return where a venue whose journal is `state` publishes its address."""
    return state.parent / ADDRESS_FILE


def publish(state: Path, venue: PublishedVenue) -> None:
    """Write the address in one step, so that no reader finds half of it."""
    path = address_file(state)
    draft = path.with_suffix(f".{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(asdict(venue)), encoding="utf-8")
    draft.replace(path)


def read(state: Path) -> PublishedVenue | None:
    """Return what is published, or None when nothing readable is."""
    try:
        return PublishedVenue(**json.loads(address_file(state).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def withdraw(state: Path) -> None:
    """Remove the address if it is this process's own."""
    published = read(state)
    if published is not None and published.pid == os.getpid():
        address_file(state).unlink(missing_ok=True)
