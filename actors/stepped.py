"""All actors on one thread, in an order that a seed picks, under a clock that only moves by itself.

The same actor classes, mailboxes, directory and supervisor as on `Threads`: pykka's own loop runs,
but each actor gets leave to handle one message at a time.  Whose turn it is, and whether time
passes before somebody is served, is drawn from the dice handed in: the same dice, the same run, bit
for bit.  A bot that dies (`stop`) leaves nothing behind but what it has told others.

Five underscore names of pykka 4.5 carry this; `tests/simulation/test_stepped.py` guards them.
"""

import heapq
import itertools
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any, Protocol

import pykka
from loguru import logger

from actors.mailbox import Mailbox
from core.clock import NS_PER_MS, NS_PER_S, Moment

# Nobody with work to do waits longer for a turn: a busy machine, not a hung one.
_LAG_MAX_NS = 300 * NS_PER_MS


class Timeline:
    """Virtual time in UTC nanoseconds, and what happens when; ties in the order of asking."""

    def __init__(self, start_ns: int) -> None:
        self.now_ns = start_ns
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def at(self, due_ns: int, action: Callable[[], None]) -> None:
        """Call `action` when time gets there; what is past happens next."""
        heapq.heappush(self._due, (max(due_ns, self.now_ns), next(self._order), action))

    def after(self, delay_s: float, action: Callable[[], None]) -> None:
        """Call `action` once, `delay_s` from now."""
        self.at(self.now_ns + round(delay_s * NS_PER_S), action)

    def next_ns(self) -> int | None:
        """Return when the next thing happens; None if nothing will."""
        return self._due[0][0] if self._due else None

    def happen(self) -> None:
        """Pass to the next thing and let it happen."""
        self.now_ns, _, action = heapq.heappop(self._due)
        action()


class SteppedClock:
    """The bot's clocks on a timeline: what `SystemClock` is to real time.

    `shift_ns` is how wrong the wall clock is; venue time is a line through the newest anchor.
    """

    def __init__(self, timeline: Timeline) -> None:
        self.shift_ns = 0
        self._timeline = timeline
        self._line = (timeline.now_ns, timeline.now_ns, 1.0)

    def now(self) -> Moment:
        """Return this instant on both clocks."""
        wall_ns = self.wall_ns()
        venue_ns, anchor_ns, speed = self._line
        passed_ns = int((wall_ns - anchor_ns) * speed)
        return Moment(venue_ns=venue_ns + passed_ns, wall_ns=wall_ns, speed=speed)

    def wall_ns(self) -> int:
        """Return wall time as this process sees it, UTC nanoseconds."""
        return self._timeline.now_ns + self.shift_ns

    def monotonic_ns(self) -> int:
        """Return the time that nobody can set."""
        return self._timeline.now_ns

    def anchor(self, *, venue_ns: int, wall_ns: int, speed: float = 1.0) -> None:
        """Draw the venue's line through this pair of times."""
        self._line = (venue_ns, wall_ns, speed)


class Participant(Protocol):
    """Whoever takes turns: an actor, or the gateway's loop."""

    def busy(self) -> bool:
        """Tell whether it has something to do now."""
        ...

    def turn(self) -> None:
        """Do one thing."""
        ...


class _Parked(BaseException):
    """The actor has handled the one message it had leave to handle."""


class _Turnstile:
    """Stands between pykka's loop and a mailbox: one message for each leave given."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox = mailbox
        self.open = False

    def put(self, envelope: Any, /) -> None:
        """Queue an envelope."""
        self.mailbox.put(envelope)

    def get(self) -> Any:
        """Return the next envelope, once; leads out of the loop the second time."""
        if not self.open:
            raise _Parked
        self.open = False
        return self.mailbox.get()

    def empty(self) -> bool:
        """Close the mailbox, as pykka's teardown expects."""
        return self.mailbox.empty()


class _Seat:
    """One actor's place: born at its first turn, gone when it has stopped."""

    def __init__(self, actor: Any, turnstile: _Turnstile) -> None:
        self._actor = actor
        self._turnstile = turnstile
        self._mailbox = turnstile.mailbox
        self._born = False
        self.gone = False

    def busy(self) -> bool:
        """Tell whether it waits to be born, to handle a message or to be told to stop."""
        return not (self._born and self._mailbox.idle)

    def turn(self) -> None:
        """Run pykka's own loop for one message."""
        if self._born:
            self._turnstile.open = True
            with suppress(_Parked):
                self._actor._actor_loop_running()  # noqa: SLF001
        else:
            self._born = True
            self._actor._actor_loop_setup()  # noqa: SLF001
        if self._actor.actor_stopped.is_set():
            self.gone = True
            self._actor._actor_loop_teardown()  # noqa: SLF001

    def leave(self) -> None:
        """Vanish as a killed process does: nothing is handled, nobody is told."""
        pykka.ActorRegistry.unregister(self._actor.actor_ref)


class Stepped:
    """The runtime of one process on a timeline that outlives it.

    `laziness` is the chance that time passes although somebody has work to do.
    """

    def __init__(self, timeline: Timeline, dice: Random, *, laziness: float = 0.0) -> None:
        self._timeline = timeline
        self._dice = dice
        self._laziness = laziness
        self._seats: list[_Seat] = []
        self._others: list[Participant] = []
        self._classes: dict[type[Any], type[Any]] = {}
        self._stopped = False
        self._idle_ns = timeline.now_ns
        self.turns = 0

    # ---------------------------------------- the seam
    def spawn(self, actor_class: type[pykka.ThreadingActor], *arguments: Any, **named: Any) -> None:
        """Give an actor a seat; it starts at its first turn."""
        self._seated(actor_class).start(*arguments, **named)

    def later(self, delay_s: float, action: Callable[[], None]) -> None:
        """Call `action` once, after `delay_s` of virtual time."""
        self._timeline.after(delay_s, lambda: self._keep(action))

    def every(self, period_s: float, action: Callable[[], None]) -> None:
        """Call `action` every `period_s` of virtual time."""

        def again() -> None:
            self._keep(action)
            if not self._stopped:
                self._timeline.after(period_s, again)

        self._timeline.after(period_s, again)

    # ---------------------------------------- running
    def join(self, participant: Participant) -> None:
        """Let another one take turns among the actors."""
        self._others.append(participant)

    def stop(self) -> None:
        """End as kill -9 does: no further turn, no further appointment."""
        self._stopped = True
        for seat in self._seats:
            seat.leave()
        self._seats.clear()
        self._others.clear()

    def advance(self, until_ns: int, after_each: Callable[[], None] = lambda: None) -> None:
        """Let all happen up to a time; `after_each` is called after every step.

        Ends early when the process is stopped from within.
        """
        timeline = self._timeline
        while not self._stopped:
            ready: list[Participant] = [seat for seat in self._seats if seat.busy()]
            ready += [other for other in self._others if other.busy()]
            due_ns = timeline.next_ns()
            if not ready:
                self._idle_ns = timeline.now_ns
            if ready and not self._dawdles(due_ns, until_ns):
                self._turn(self._dice.choice(ready))
            elif due_ns is not None and due_ns <= until_ns:
                timeline.happen()
            else:
                timeline.now_ns = until_ns
                return
            after_each()

    def _dawdles(self, due_ns: int | None, until_ns: int) -> bool:
        if not self._laziness or due_ns is None:
            return False
        possible = due_ns <= min(until_ns, self._idle_ns + _LAG_MAX_NS)
        return possible and self._dice.random() < self._laziness

    def _turn(self, participant: Participant) -> None:
        self.turns += 1
        participant.turn()
        if isinstance(participant, _Seat) and participant.gone and participant in self._seats:
            self._seats.remove(participant)

    def _keep(self, action: Callable[[], None]) -> None:
        if self._stopped:
            return
        try:
            action()
        except BaseException as error:  # noqa: BLE001 - as on Threads
            logger.bind(module="runtime").error(f"a timed action failed: {error!r}")

    def _seated(self, actor_class: type[Any]) -> type[Any]:
        """Return the class with a turnstile for an inbox and a seat for a thread."""
        found = self._classes.get(actor_class)
        if found is not None:
            return found
        seats = self._seats

        class Seated(actor_class):  # type: ignore[misc]
            def _create_actor_inbox(self) -> _Turnstile:
                return _Turnstile(super()._create_actor_inbox())

            def _start_actor_loop(self) -> None:
                seats.append(_Seat(self, self.actor_inbox))

        Seated.__name__ = Seated.__qualname__ = actor_class.__name__
        self._classes[actor_class] = Seated
        return Seated
