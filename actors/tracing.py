"""The trace: every message, from being sent to being done with, as JSON lines.

Five kinds of lines, in the order of events, one JSON object each:

    {"event": "sent", "id", "trace", "cause", "kind", "from", "to", "lane", "at", "body"}
    {"event": "handled", "id", "taken", "done", "outcome", "now", "generation"}
    {"event": "dead", "id", "at", "reason"}
    {"event": "started", "actor", "generation", "now"}
    {"event": "described", "epoch", ...}

Ids are integers, unique over restarts (the process's epoch stands in front); `cause` is 0 for what
came from outside.  Times are wall-clock nanoseconds; `now` is `[venue, wall, speed]`, what the
handler was told the time is.  Each sent id ends in exactly one `handled` or `dead` line, unless the
process was killed.  `started` marks an actor with a fresh state, and `described`, on top of every
file, is what a replay must know besides the messages.

The sender's thread only appends a tuple to a queue and wakes nobody; the tracer's own thread looks
every 50 ms, encodes and writes what has gathered.  A killed process loses at most that.  Finished
files are compressed; files can be read while the bot runs.
"""

import gzip
import os
import shutil
import threading
import time
from collections import deque
from collections.abc import Collection, Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO, cast

import orjson

from actors.mailbox import Envelope
from actors.message_text import plain
from core.clock import Moment
from core.routes import Lane

MESSAGE_EVENTS = ("sent", "handled", "dead")
_WRITE_EVERY_S = 0.05
_FLUSH_PATIENCE_S = 0.02
_CHUNK = 1 << 18  # compressed at a time; between two others may run
_WAITING_MAX = 1_000_000  # lines; more gather only where writing hangs


class Tracer:
    """Writes trace lines to `folder`/trace-EPOCH-N.jsonl, rotating and keeping the newest files.

    `bytes_max` bounds one file before it is compressed (to about a tenth), `files_max` the files
    kept over all epochs, `days_max` their age in days of the wall clock.  Without a folder nothing
    is kept.  Nothing that goes wrong here is raised to an actor: `failures` counts the lines that
    could not be written.
    """

    def __init__(
        self,
        folder: Path | None,
        epoch: int,
        *,
        bytes_max: int = 16_000_000,
        files_max: int = 160,
        days_max: float = 7,
    ) -> None:
        self._epoch = epoch
        self._bytes_max = bytes_max
        self._files_max = files_max
        self._age_max_s = days_max * 86_400
        self._description = b""
        self._finished: deque[Path] = deque()  # to be compressed
        self._lines: deque[tuple[Any, ...]] = deque(maxlen=0 if folder is None else None)
        self._closing = threading.Event()
        self._writing = threading.Lock()
        self._file: FileIO | None = None
        self._file_number = 0
        self._written = 0  # bytes in the current file
        self.sent_count = 0
        self.ended_count = 0
        self.failures = 0
        self._thread = threading.Thread(target=self._run, name="tracer", daemon=True)
        if folder is not None:
            self._folder = folder
            folder.mkdir(parents=True, exist_ok=True)
            self._thread.start()

    def sent(self, envelope: Envelope) -> None:
        """Note that a message is on its way."""
        self._lines.append(("sent", envelope))

    def describe(self, **facts: Any) -> None:
        """Put what a replay must know besides the messages on top of this and every later file."""
        line = {"event": "described", "epoch": self._epoch, **facts}
        options = orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS
        self._description = orjson.dumps(line, default=plain, option=options)
        self._lines.append(("described", self._description))

    def started(self, name: str, generation: int, now: Moment | None) -> None:
        """Note that an actor begins with a fresh state, and what time it was told, if any."""
        self._lines.append(("started", name, generation, now))

    def handled(
        self,
        envelope: Envelope,
        taken_ns: int,
        done_ns: int,
        outcome: str,
        *,
        now: Moment | None = None,
        generation: int = 0,
    ) -> None:
        """Note that a message was taken, and how handling it ended: `ok` or the error's name.

        `now` is the time its handler was told, for a replay; None where none was asked for.
        """
        self._lines.append(("handled", envelope, taken_ns, done_ns, outcome, now, generation))

    def dead(self, envelope: Envelope, at_ns: int, reason: str) -> None:
        """Note that a message will not be handled, and why."""
        self._lines.append(("dead", envelope, at_ns, reason))

    def flush(self) -> None:
        """Write what is queued now, from the caller's thread; gives up if writing hangs."""
        if self._writing.acquire(timeout=_FLUSH_PATIENCE_S):
            try:
                self._write_queued()
            finally:
                self._writing.release()

    def close(self, timeout_s: float = 5.0) -> None:
        """Write what is queued and stop."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        closing = False
        while not closing:
            closing = self._closing.wait(_WRITE_EVERY_S)
            with self._writing:
                self._write_queued()
            if self._finished and not closing:
                self._compress(self._finished.popleft())
        self._close_file()

    def _write_queued(self) -> None:
        """Write what has gathered, file by file; the caller holds `_writing`."""
        lines = self._lines
        while len(lines) > _WAITING_MAX:
            lines.popleft()
            self.failures += 1
        left = len(lines)
        while left:
            batch: list[bytes] = []
            room = self._bytes_max - self._written
            while left and room > 0:
                line = self._line(lines.popleft())
                batch.append(line)
                room -= len(line)
                left -= 1
            try:
                self._write(b"".join(batch))
            except OSError:
                # A full disk must not stop trading: count the loss, try a new file next.
                self.failures += len(batch)
                self._close_file()
            if room <= 0:
                self._close_file()

    def _write(self, data: bytes) -> None:
        if self._file is None:
            self._file_number += 1
            path = self._folder / f"trace-{self._epoch:06d}-{self._file_number:06d}.jsonl"
            self._drop_oldest()
            self._file = path.open("ab", buffering=0)
            if self._file_number > 1:
                data = self._description + data
        # Unbuffered: what the kernel has survives a kill of this process.
        if self._file.write(data) != len(data):
            raise OSError("the disk took a part only")
        self._written += len(data)

    def _close_file(self) -> None:
        self._written = 0
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._finished.append(Path(self._file.name))
            self._file = None

    def _drop_oldest(self) -> None:
        """Keep the newest files, and none whose last line is too old."""
        files = trace_files(self._folder)
        oldest_s = time.time() - self._age_max_s
        for path in files[: max(0, len(files) - self._files_max + 1)]:
            path.unlink(missing_ok=True)
        for path in files[-self._files_max + 1 :] if self._files_max > 1 else ():
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < oldest_s:
                    path.unlink()

    def _compress(self, path: Path) -> None:
        """Replace a finished file by its compressed form; readers find one of the two."""
        scratch = path.with_suffix(".part")
        if not path.is_file():
            return
        try:
            age = path.stat()
            with path.open("rb") as plain, gzip.open(scratch, "wb", compresslevel=1) as small:
                shutil.copyfileobj(plain, small, _CHUNK)
            os.utime(scratch, ns=(age.st_atime_ns, age.st_mtime_ns))
            scratch.rename(path.with_suffix(".jsonl.gz"))
            path.unlink()
        except OSError:  # a full disk, or retention was faster: the plain file serves as well
            scratch.unlink(missing_ok=True)

    def _line(self, item: tuple[Any, ...]) -> bytes:
        try:
            return self._encode(item)
        except Exception:  # noqa: BLE001 - one odd message must not end the trace of all others
            self.failures += 1
            return b""

    def _encode(self, item: tuple[Any, ...]) -> bytes:
        event, envelope = item[0], item[1]
        if event == "described":
            return bytes(envelope)
        line: dict[str, Any]
        if event == "started":
            line = {
                "event": event,
                "actor": item[1],
                "generation": item[2],
                "now": _clocks(item[3]),
            }
        elif event == "sent":
            self.sent_count += 1
            line = {
                "event": "sent",
                "id": envelope.id,
                "trace": envelope.trace,
                "cause": envelope.cause,
                "kind": type(envelope.message).__name__,
                "from": envelope.sender,
                "to": envelope.recipient,
                "lane": Lane(envelope.lane).name.lower(),
                "at": envelope.sent_ns,
                "body": envelope.message,
            }
        elif event == "handled":
            self.ended_count += 1
            line = {
                "event": "handled",
                "id": envelope.id,
                "taken": item[2],
                "done": item[3],
                "outcome": item[4],
            }
            if item[5] is not None:
                line |= {"now": _clocks(item[5]), "generation": item[6]}
        else:
            self.ended_count += 1
            line = {"event": "dead", "id": envelope.id, "at": item[2], "reason": item[3]}
        try:
            return orjson.dumps(line, default=plain, option=orjson.OPT_APPEND_NEWLINE)
        except TypeError:  # what JSON cannot hold: a lone surrogate, an integer beyond 64 bits
            said = {key: ascii(value) if key == "body" else value for key, value in line.items()}
            return orjson.dumps(said, option=orjson.OPT_APPEND_NEWLINE)


def _clocks(now: Moment | None) -> tuple[int, int, float] | None:
    return None if now is None else (now.venue_ns, now.wall_ns, now.speed)


def trace_files(folder: Path) -> list[Path]:
    """Return a folder's trace files in order of writing, each once, compressed or not."""
    found = {path.name.split(".")[0]: path for path in sorted(folder.glob("trace-*.jsonl*"))}
    return [found[name] for name in sorted(found)]


def read_raw(folder: Path) -> Iterator[bytes]:
    """Yield every whole line of a folder in order, skipping a last line cut off by a kill.

    The folder may belong to a running bot: a file that rotation has removed meanwhile is skipped,
    one that was compressed meanwhile is read in its new form.
    """
    for path in trace_files(folder):
        try:
            file = _open(path)
        except FileNotFoundError:
            continue
        with file:
            for raw in file:
                if not raw.endswith(b"\n"):
                    break
                yield raw


def read_trace(folder: Path, events: Collection[str] = MESSAGE_EVENTS) -> Iterator[dict[str, Any]]:
    """Yield the trace lines of these events in order; see `read_raw`."""
    for raw in read_raw(folder):
        line = orjson.loads(raw)
        if line["event"] in events:
            yield line


def _open(path: Path) -> BinaryIO:
    if path.suffix != ".gz":
        try:
            return path.open("rb")
        except FileNotFoundError:
            path = path.with_suffix(".jsonl.gz")
    return cast("BinaryIO", gzip.open(path, "rb"))
