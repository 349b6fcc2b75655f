"""The trace: every message, from being sent to being done with, as JSON lines.

Three kinds of lines, in the order of events, one JSON object each:

    {"event": "sent", "id", "trace", "cause", "kind", "from", "to", "lane", "at", "body"}
    {"event": "handled", "id", "taken", "done", "outcome"}
    {"event": "dead", "id", "at", "reason"}

Ids are integers, unique over restarts (the process's epoch stands in front); `cause` is 0 for what
came from outside.  Times are wall-clock nanoseconds.  Each sent id ends in exactly one `handled` or
`dead` line, unless the process was killed.  The sender's thread only appends a tuple to a queue;
encoding and writing happen on the tracer's own thread.
"""

import queue
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson

from actors.mailbox import Envelope
from core.routes import Lane

_FLUSH_S = 0.05


class Tracer:
    """Writes trace lines to `folder`/trace-EPOCH-N.jsonl, rotating and keeping the newest files.

    `bytes_max` bounds one file, `files_max` the files kept over all epochs.
    """

    def __init__(
        self, folder: Path, epoch: int, *, bytes_max: int = 16_000_000, files_max: int = 16
    ) -> None:
        self._folder = folder
        self._epoch = epoch
        self._bytes_max = bytes_max
        self._files_max = files_max
        self._lines: queue.SimpleQueue[tuple[Any, ...] | None] = queue.SimpleQueue()
        self._file_number = 0
        self.sent_count = 0
        self.ended_count = 0
        self.failures = 0
        folder.mkdir(parents=True, exist_ok=True)
        self._thread = threading.Thread(target=self._run, name="tracer", daemon=True)
        self._thread.start()

    def sent(self, envelope: Envelope) -> None:
        """Note that a message is on its way."""
        self._lines.put(("sent", envelope))

    def handled(self, envelope: Envelope, taken_ns: int, done_ns: int, outcome: str) -> None:
        """Note that a message was taken, and how handling it ended: `ok` or the error's name."""
        self._lines.put(("handled", envelope, taken_ns, done_ns, outcome))

    def dead(self, envelope: Envelope, at_ns: int, reason: str) -> None:
        """Note that a message will not be handled, and why."""
        self._lines.put(("dead", envelope, at_ns, reason))

    def close(self, timeout_s: float = 5.0) -> None:
        """Write what is queued and stop."""
        self._lines.put(None)
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            try:
                ended = self._write_file()
            except OSError:
                # A full disk must not stop trading; the loss is counted and shown in the status.
                self.failures += 1
                ended = False
            if ended:
                return

    def _write_file(self) -> bool:
        self._file_number += 1
        path = self._folder / f"trace-{self._epoch:06d}-{self._file_number:04d}.jsonl"
        self._drop_oldest()
        with path.open("ab", buffering=1 << 16) as file:
            written, flushed_at = 0, time.monotonic()
            while written < self._bytes_max:
                try:
                    item = self._lines.get(timeout=_FLUSH_S)
                except queue.Empty:
                    file.flush()
                    item = self._lines.get()
                if item is None:
                    return True
                written += file.write(self._encode(item))
                if time.monotonic() - flushed_at > _FLUSH_S:
                    file.flush()  # what the kernel has survives a kill of this process
                    flushed_at = time.monotonic()
        return False

    def _drop_oldest(self) -> None:
        files = sorted(self._folder.glob("trace-*.jsonl"))
        for path in files[: max(0, len(files) - self._files_max + 1)]:
            path.unlink(missing_ok=True)

    def _encode(self, item: tuple[Any, ...]) -> bytes:
        event, envelope = item[0], item[1]
        line: dict[str, Any]
        if event == "sent":
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
        else:
            self.ended_count += 1
            line = {"event": "dead", "id": envelope.id, "at": item[2], "reason": item[3]}
        return orjson.dumps(line, default=_plain, option=orjson.OPT_APPEND_NEWLINE)


def _plain(value: object) -> str:
    """Render what JSON has no word for; Decimals keep every digit."""
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def read_trace(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield every trace line of a folder in order, skipping a last line cut off by a kill."""
    for path in sorted(folder.glob("trace-*.jsonl")):
        with path.open("rb") as file:
            for raw in file:
                if not raw.endswith(b"\n"):
                    break
                yield orjson.loads(raw)
