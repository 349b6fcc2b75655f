"""The simulated venue's memory: an append-only file that rebuilds the whole exchange.

The exchange is deterministic, so its state is its settings, the requests that may change something
with their venue times, and how far the clock has come.  JSON lines: a header, then requests
(`"k": "r"`), and marks of the venue time (`"k": "t"`) with the wallet as a check.  Every line is
flushed to the system, so a kill -9 of the venue loses at most the half-written last line, and that
one is tolerated.  What no mark has reached has not been told to any client: a mark is written
before an event leaves.
"""

import fcntl
import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO

from actors.edges.venue_source import VenueSettings, open_source
from core.errors import ConfigurationError
from core.venue.simulated.endpoints import ENDPOINTS
from core.venue.simulated.errors import Rejection
from core.venue.simulated.exchange import RULES_VERSION, Exchange
from core.venue.simulated.market_faults import FAULTS_PATH, repeat
from core.venue.simulated.params import Params
from core.venue.simulated.rest import Entry

LOCK_WAIT_S = 5.0
LOCK_POLL_S = 0.05


@dataclass(slots=True)
class World:
    """An exchange and who it is."""

    venue_id: str
    settings: VenueSettings
    exchange: Exchange
    notices: tuple[str, ...]
    resumed: bool = False


class Journal:
    """Appends to one file; the only writer."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last_ms = 0

    def begin(self, world: World) -> None:
        """Write the header of a new ledger."""
        head = {"k": "h", "venue_id": world.venue_id, "rules": RULES_VERSION}
        self._write({**head, "settings": asdict(world.settings)})

    def request(self, entry: Entry) -> None:
        """Note a request that may have changed something, before its answer leaves."""
        row = {"k": "r", "t": entry.at_ms, "m": entry.method, "p": entry.path, "q": entry.params}
        self._write(row)
        self._last_ms = entry.at_ms

    def mark(self, exchange: Exchange) -> None:
        """Note how far the venue's time has come."""
        if exchange.now_ms > self._last_ms:
            self._last_ms = exchange.now_ms
            self._write({"k": "t", "t": exchange.now_ms, "w": str(exchange.account.wallet)})

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _write(self, row: dict[str, Any]) -> None:
        self._stream.write(json.dumps(row, separators=(",", ":")) + "\n")
        self._stream.flush()


def new_world(settings: VenueSettings) -> World:
    """Begin a ledger."""
    source, notices = open_source(settings)
    exchange = Exchange(source, balance=Decimal(settings.balance), start_ms=settings.start_ms)
    return World(secrets.token_hex(8), settings, exchange, notices)


def open_journal(path: Path, settings: VenueSettings) -> tuple[World, Journal]:
    """Rebuild the exchange that a journal holds, or begin one, and go on writing there.

    The journal decides about start, balance and history.  Raises ConfigurationError when it was
    made under other rules, seed, data or symbols, or cannot be read or written.
    """
    stream = _opened(path)  # locked first: a venue that is just stopping may still write
    try:
        rows = list(_rows(path))
        world = _rebuilt(path, rows, settings) if rows else new_world(settings)
    except BaseException:
        stream.close()
        raise
    journal = Journal(stream)
    if not rows:
        journal.begin(world)
    journal.mark(world.exchange)
    return world, journal


def _opened(path: Path) -> TextIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("a", encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"--state {path} cannot be written ({error.strerror}). Fix: name a writable file."
        ) from None
    path.chmod(0o600)
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() > deadline:
                stream.close()
                raise ConfigurationError(
                    f"--state {path} is in use by another venue. Fix: stop that one, or name"
                    " another file."
                ) from None
            time.sleep(LOCK_POLL_S)
        else:
            return stream


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines; a broken last one is cut off the file, a broken one inside is refused."""
    data = path.read_bytes()
    good = 0
    for number, line in enumerate(data.splitlines(keepends=True), start=1):
        try:
            row = json.loads(line) if line.endswith(b"\n") else None
        except ValueError:
            row = None
        if not isinstance(row, dict):
            if good + len(line) < len(data):
                raise ConfigurationError(
                    f"--state {path} is damaged at line {number}. Fix: restore the file, or remove"
                    " it to begin a new ledger."
                )
            with path.open("r+b") as stream:
                stream.truncate(good)
            return
        good += len(line)
        yield row


def _rebuilt(path: Path, rows: list[dict[str, Any]], settings: VenueSettings) -> World:
    head = rows[0]
    _check_header(path, head, settings)
    kept = VenueSettings(**{**head["settings"], "symbols": tuple(head["settings"]["symbols"])})
    source, notices = open_source(kept)
    exchange = Exchange(source, balance=Decimal(kept.balance), start_ms=kept.start_ms)
    for number, row in enumerate(rows[1:], start=2):
        if row["k"] == "t" and number < len(rows) and rows[number]["k"] == "t":
            continue  # how time is sliced changes nothing: pass it in one go, check at its end
        exchange.advance(row["t"])
        if row["k"] == "r":
            _repeat(exchange, row)
        elif row["w"] != str(exchange.account.wallet):
            raise ConfigurationError(
                f"--state {path} line {number}: the rebuilt wallet is {exchange.account.wallet},"
                f" the journal says {row['w']}. Fix: run the program version that wrote it, or"
                " remove the file to begin a new ledger."
            )
        exchange.take_events()
    return World(head["venue_id"], kept, exchange, notices, resumed=True)


def _repeat(exchange: Exchange, row: dict[str, Any]) -> None:
    try:
        if row["p"] == FAULTS_PATH:
            repeat(exchange, row["m"], row["q"])
            return
        endpoint = ENDPOINTS[row["m"], row["p"]]
        endpoint.handler(exchange, Params(row["q"]))
    except Rejection:
        return  # it was refused the first time too, and changed nothing


def _check_header(path: Path, head: dict[str, Any], settings: VenueSettings) -> None:
    kept = head.get("settings", {})
    missing = [symbol for symbol in settings.symbols if symbol not in kept.get("symbols", [])]
    reason = ""
    if head.get("k") != "h" or head.get("rules") != RULES_VERSION:
        reason = f"it was written under rules {head.get('rules')}, these are {RULES_VERSION}"
    elif kept["seed"] != settings.seed:
        reason = f"its seed is {kept['seed']}, asked for is {settings.seed}"
    elif (kept["data"], kept["funding"]) != (settings.data, settings.funding):
        reason = f"its data is {kept['data'] or 'seeded'}, asked for is {settings.data or 'seeded'}"
    elif missing:
        reason = f"it does not list {', '.join(missing)}"
    if reason:
        raise ConfigurationError(
            f"--state {path} holds another ledger: {reason}. Fix: name another file or STATE_DIR,"
            " or remove it to begin a new ledger."
        )
