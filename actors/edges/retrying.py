"""Which requests are repeated, and how often.

Reads are repeated after anything that may pass, cancels too; protective orders only when they
certainly did not happen; entries and exits go out once.  Pauses double.  Whether a request may be
sent now at all is the governor's word (`governor.py`): what it refuses is not repeated here.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import tenacity

from actors.edges.binance_client import problem
from actors.edges.governor import QuietError
from config import Config
from core.execution.classify import Action, Verdict

_PAUSE_MAX_S = 30.0
# A position may be without its stop for 5 s at most: what fails for longer goes back to execution,
# which then flattens.
_PROTECTIVE_ATTEMPTS = 4
_PROTECTIVE_DELAY_S = 0.2

Call = Callable[[], Awaitable[Any]]


class Retrying:
    """Repeats requests by the settings MAX_RETRIES and RETRY_DELAY; used inside one loop.

    `resync_clock` is awaited when the venue refuses a stamp.
    """

    def __init__(self, config: Config, resync_clock: Callable[[], Awaitable[None]]) -> None:
        self._attempts = 1 + config.MAX_RETRIES
        self._delay_s = config.RETRY_DELAY
        self._resync_clock = resync_clock

    async def read(self, call: Call) -> Any:
        """Return the answer of a read, repeating it; raises the last error."""
        return await self._repeated(
            call,
            lambda v: v.readable_again,
            attempts=self._attempts,
            delay_s=self._delay_s,
        )

    async def cancel(self, call: Call) -> Any:
        """Return the answer of a cancel, which never waits behind reads; raises the last error."""
        return await self._repeated(
            call,
            lambda v: v.readable_again,
            attempts=self._attempts,
            delay_s=min(self._delay_s, _PROTECTIVE_DELAY_S),
        )

    async def protect(self, call: Call) -> Any:
        """Return the answer of a protective order; raises the last error."""
        return await self._repeated(
            call,
            lambda v: v.repeatable,
            attempts=min(self._attempts, _PROTECTIVE_ATTEMPTS),
            delay_s=min(self._delay_s, _PROTECTIVE_DELAY_S),
        )

    async def once(self, call: Call) -> Any:
        """Return the answer of one single attempt; raises its error."""
        try:
            return await call()
        except Exception as error:
            if problem(error).verdict.action is Action.RESYNC_CLOCK:
                with suppress(Exception):  # what counts is the refusal, not the clock's trouble
                    await self._resync_clock()
            raise

    async def _repeated(
        self,
        call: Call,
        again: Callable[[Verdict], bool],
        *,
        attempts: int,
        delay_s: float,
    ) -> Any:
        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(attempts),
            wait=tenacity.wait_exponential(multiplier=delay_s, max=_PAUSE_MAX_S),
            retry=tenacity.retry_if_exception(
                lambda error: (
                    isinstance(error, Exception)
                    and not isinstance(error, QuietError)
                    and again(problem(error).verdict)
                )
            ),
            reraise=True,
        )
        return await retrying(self.once, call)
