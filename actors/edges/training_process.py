"""Training in a process of its own: started, listened to, and ended with the bot.

The child (`actors/edges/training_child.py`) runs at the lowest priority and in a session of its
own.  It is told its job in one line on its standard input and leaves when that is closed, which the
kernel does however the bot ends.  It answers one JSON line a symbol.  Whatever else it does (crash,
hang, talk nonsense) becomes a TrainingFailedError here and harms nobody.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from core.errors import TradingError

_ROOT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-m", "actors.edges.training_child")
_LINE_MAX = 1 << 20
_KEPT_ENVIRONMENT = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH", "NUMBA_CACHE_DIR")


class TrainingFailedError(TradingError):
    """The training process ended, hung or talked nonsense; one line says what."""


class TrainingProcess:
    """One child at a time.  Used inside one event loop."""

    def __init__(
        self, log_file: Path, *, patience_s: float, command: Sequence[str] = COMMAND
    ) -> None:
        self._log_file = log_file
        self._patience_s = patience_s
        self._command = command
        self._child: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """Return the running child's process id; None without one."""
        return None if self._child is None else self._child.pid

    async def run(self, job: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """Start a child on a job and yield its answers as they come.

        Raises TrainingFailedError if it ends with a failure, says what is no answer, or takes
        longer than `patience_s` wall seconds.  It is gone when this ends, however it ends.
        """
        environment = {k: v for k, v in os.environ.items() if k in _KEPT_ENVIRONMENT}
        with self._log_file.open("ab") as log:
            child = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                cwd=_ROOT,
                env=environment,
                start_new_session=True,  # a Ctrl-C is the bot's; the closed input is the child's
                limit=_LINE_MAX,
            )
        self._child = child
        try:
            async with asyncio.timeout(self._patience_s):
                async for answer in self._answers(child, job):
                    yield answer
        except TimeoutError:
            raise TrainingFailedError(
                f"the training process was not done within {self._patience_s:.0f} s"
            ) from None
        finally:
            await self.end()

    async def _answers(
        self, child: asyncio.subprocess.Process, job: Mapping[str, Any]
    ) -> AsyncIterator[dict[str, Any]]:
        assert child.stdin is not None
        assert child.stdout is not None
        with suppress(OSError):  # it may have died already: its code tells
            child.stdin.write(json.dumps(job).encode() + b"\n")
            await child.stdin.drain()
        while line := await self._line(child.stdout):
            try:
                answer = json.loads(line)
                symbol = str(answer["symbol"])
            except (ValueError, KeyError, TypeError):
                raise TrainingFailedError(
                    f"the training process said {line[:80]!r}, which is no answer"
                ) from None
            yield answer | {"symbol": symbol}
        code = await child.wait()
        if code:
            raise TrainingFailedError(
                f"the training process ended with code {code}, see {self._log_file}"
            )

    @staticmethod
    async def _line(stream: asyncio.StreamReader) -> bytes:
        try:
            return await stream.readline()
        except ValueError:  # longer than any answer
            raise TrainingFailedError("the training process said too long a line") from None

    async def end(self) -> None:
        """Kill the child, if there is one, and wait until it is gone."""
        child, self._child = self._child, None
        if child is None:
            return
        if child.returncode is None:
            with suppress(ProcessLookupError):
                child.kill()
        if child.stdin is not None:
            child.stdin.close()
        await child.wait()
