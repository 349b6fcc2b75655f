"""A start goes by the venue's limits instead of failing at them: it waits for the next window.

A bot that is started again and again within a minute finds the minute's request weight used up,
by itself, or by others on the same address.  Nothing is wrong then, and whoever ended would only
be started once more, and ask for more.  So a start waits until the venue's limits leave room for
all of it (positions, open orders, then histories), and says so in one line.  A venue that does not
answer wants nothing: its error is raised as it is.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from actors.edges.demand import Demand, Lane
from actors.edges.governor import Governor
from core.errors import TradingError, UnavailableError

WAIT_MOST_S: Final = 180.0  # in all: a minute of weight, or the venue's first ban of two minutes
START_WEIGHT: Final = 180  # of a start with five symbols, and some; see docs/connectivity.md
_FIRST: Final = Demand(lane=Lane.READ)  # nothing is known of the limits before it is answered
_WHOLE: Final = Demand(lane=Lane.READ, weight=START_WEIGHT)
_LOOK_S = 0.25  # how soon `abandon`, which any thread may call, is seen

T = TypeVar("T")


class StartPatience:
    """Does the parts of one start, waiting where the venue's limits ask for it.

    `say` is told in one line what is waited for; `wait_most_s` bounds all waits together.  Used
    inside the loop whose governor it asks; only `abandon` may be called from anywhere.
    """

    def __init__(
        self, governor: Governor, say: Callable[[str], None], wait_most_s: float = WAIT_MOST_S
    ) -> None:
        self._governor = governor
        self._say = say
        self._left_s = wait_most_s
        self._abandoned = False

    def abandon(self) -> None:
        """Wait no longer: somebody wants the process to end."""
        self._abandoned = True

    async def connected(self, work: Callable[[], Awaitable[T]], *, within_s: float) -> T:
        """Return what `work` returns; it needs hardly any weight and goes out at once."""
        return await self._done(work, _FIRST, within_s)

    async def prepared(self, work: Callable[[], Awaitable[T]], *, within_s: float) -> T:
        """Return what `work` returns, begun once there is room for all of the start."""
        return await self._done(work, _WHOLE, within_s)

    async def _done(self, work: Callable[[], Awaitable[T]], needs: Demand, within_s: float) -> T:
        """Repeat `work` while what ends it are limits; each time it has `within_s`, seconds.

        Raises whatever else ends it, and UnavailableError when the limits ask for too long a wait.
        """
        while True:
            await self._room(needs)
            try:
                async with asyncio.timeout(within_s):
                    return await work()
            except Exception as error:
                wrong = isinstance(error, TradingError) and not isinstance(error, UnavailableError)
                if wrong or self._governor.wait_for(needs) is None:
                    raise

    async def _room(self, needs: Demand) -> None:
        """Wait until a request that weighs as much as the start could be sent."""
        while (wait := self._governor.wait_for(needs)) is not None:
            wait_s, why = max(wait[0], _LOOK_S), wait[1]
            if wait_s > self._left_s:
                raise UnavailableError(
                    f"The venue is unavailable: {why}, for {wait_s:.0f} s more, and a start waits"
                    f" for {self._left_s:.0f} s at most. Fix: start it again after that."
                )
            self._say(f"the start waits {wait_s:.0f} s: {why}")
            self._left_s -= wait_s
            await self._pause(wait_s)

    async def _pause(self, wait_s: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + wait_s
        while (left_s := end - loop.time()) > 0:
            if self._abandoned:
                raise UnavailableError("The start was abandoned while it waited for the venue.")
            await asyncio.sleep(min(left_s, _LOOK_S))
