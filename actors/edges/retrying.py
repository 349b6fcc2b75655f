"""Which requests are repeated, how often, and when the venue wants silence.

Reads are repeated after anything that may pass, cancels too; protective orders only when they
certainly did not happen; entries and exits go out once.  Pauses double.  After 429 reads wait for
as long as the venue asked and entries stay home, so that the rest of the budget is protection's;
after 418 (a ban) nothing is sent at all, for each request prolongs it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import tenacity

from actors.edges.binance_client import Problem, problem
from config import Config
from core.execution.classify import Action, Verdict

_PAUSE_MAX_S = 30.0
_PATIENCE_S = 60.0  # a longer silence is reported at once instead of being sat out
_READS_AT_ONCE = 8
# A position may be without its stop for 5 s at most: what fails for longer goes back to execution,
# which then flattens.
_PROTECTIVE_ATTEMPTS = 4
_PROTECTIVE_DELAY_S = 0.2

Call = Callable[[], Awaitable[Any]]


class QuietError(Exception):
    """The venue wants silence for longer than this request may wait; nothing was sent."""

    def __init__(self, quiet_s: float) -> None:
        super().__init__(f"the venue wants silence for {quiet_s:.0f} s more")


class Retrying:
    """Repeats requests by the settings MAX_RETRIES and RETRY_DELAY; used inside one loop.

    `resync_clock` is awaited when the venue refuses a stamp.
    """

    def __init__(self, config: Config, resync_clock: Callable[[], Awaitable[None]]) -> None:
        self._attempts = 1 + config.MAX_RETRIES
        self._delay_s = config.RETRY_DELAY
        self._resync_clock = resync_clock
        self._reads = asyncio.Semaphore(_READS_AT_ONCE)
        self._quiet_until = 0.0  # loop time
        self._banned_until = 0.0

    @property
    def quiet_s(self) -> float:
        """Return how long the venue still wants silence, seconds."""
        return max(0.0, self._quiet_until - asyncio.get_running_loop().time())

    @property
    def banned_s(self) -> float:
        """Return how long nothing at all may be sent, seconds."""
        return max(0.0, self._banned_until - asyncio.get_running_loop().time())

    async def read(self, call: Call) -> Any:
        """Return the answer of a read, repeating it; raises the last error."""
        async with self._reads:
            return await self._repeated(
                self._after_quiet,
                call,
                lambda v: v.readable_again,
                attempts=self._attempts,
                delay_s=self._delay_s,
            )

    async def cancel(self, call: Call) -> Any:
        """Return the answer of a cancel, which never waits behind reads; raises the last error."""
        return await self._repeated(
            self.once,
            call,
            lambda v: v.readable_again,
            attempts=self._attempts,
            delay_s=min(self._delay_s, _PROTECTIVE_DELAY_S),
        )

    async def protect(self, call: Call) -> Any:
        """Return the answer of a protective order; raises the last error."""
        return await self._repeated(
            self.once,
            call,
            lambda v: v.repeatable,
            attempts=min(self._attempts, _PROTECTIVE_ATTEMPTS),
            delay_s=min(self._delay_s, _PROTECTIVE_DELAY_S),
        )

    async def once(self, call: Call) -> Any:
        """Return the answer of one single attempt; raises its error, QuietError in a ban."""
        if self.banned_s:
            raise QuietError(self.banned_s)
        try:
            return await call()
        except Exception as error:
            await self._learn(problem(error))
            raise

    async def _repeated(
        self,
        attempt: Callable[[Call], Awaitable[Any]],
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
        return await retrying(attempt, call)

    async def _after_quiet(self, call: Call) -> Any:
        if self.quiet_s > _PATIENCE_S:
            raise QuietError(self.quiet_s)
        await asyncio.sleep(self.quiet_s)
        return await self.once(call)

    async def _learn(self, found: Problem) -> None:
        if found.quiet_s:
            until = asyncio.get_running_loop().time() + found.quiet_s
            self._quiet_until = max(self._quiet_until, until)
            if found.banned:
                self._banned_until = self._quiet_until
        if found.verdict.action is Action.RESYNC_CLOCK:
            with suppress(Exception):  # what counts is the refusal, not why the clock stays wrong
                await self._resync_clock()
