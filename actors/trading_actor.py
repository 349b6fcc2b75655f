"""The shape all actors share: take a message, let the room's machine decide, send what it says.

The shell adds what a pure machine cannot have: a thread, the clock, the trace, the human log, and
an honest death.  pykka treats crashes differently by how the message came and lets one SystemExit
stop every actor (docs/decisions/0002-runtime-on-pykka.md); here any exception of any handler ends
this actor alone and reaches the supervisor exactly once.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pykka
from loguru import logger

from actors.directory import Directory
from actors.mailbox import Envelope, Mailbox
from actors.narration import narrate
from core.messages import Crashed, Ready
from core.routes import Room


class ActorCrashError(Exception):
    """Tells pykka to end the actor; its real error was reported before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorContext:
    """What an actor is given at birth: its name, its turn, its inbox and the post office."""

    name: str
    generation: int
    mailbox: Mailbox
    directory: Directory


class TradingActor(pykka.ThreadingActor):
    """Base of every actor.  Subclasses implement `handle`, and `start_up` or `shut_down` if needed."""

    use_daemon_thread = True
    keeps_queue = False  # True: what is queued at a crash waits for the successor

    def __init__(self, context: ActorContext) -> None:
        self.context = context
        super().__init__()

    def _create_actor_inbox(self) -> Mailbox:  # type: ignore[override]
        return self.context.mailbox

    # What a room fills in -------------------------------------------------------------------
    def start_up(self) -> Iterable[Any]:
        """Return the first messages of this actor's life."""
        return ()

    def handle(self, message: Any) -> Iterable[Any]:
        """Return what follows from a message."""
        raise NotImplementedError

    def shut_down(self) -> None:
        """Let go of what must be let go; runs after the last message of a clean stop."""

    # What pykka calls -------------------------------------------------------------------------
    def on_start(self) -> None:
        """Begin, and say so to the supervisor."""
        try:
            self.emit(self.start_up(), None)
        except BaseException as error:
            self._die(error)
            raise ActorCrashError from None
        if self.context.name != Room.SUPERVISOR.value:
            ready = Ready(name=self.context.name, generation=self.context.generation)
            self.emit((ready,), None)

    def on_receive(self, message: Any) -> None:
        """Handle one message inside the guard."""
        self.handle_guarded([self.context.mailbox.current], lambda: self.handle(message))

    def on_stop(self) -> None:
        """End in good order."""
        try:
            self.shut_down()
        finally:
            self.context.mailbox.reader_gone.set()

    # The guard ----------------------------------------------------------------------------------
    def handle_guarded(self, envelopes: list[Envelope], decide: Any) -> None:
        """Run `decide` for these envelopes (usually one), send its answer, write the trace."""
        clock, tracer = self.context.directory.clock, self.context.directory.tracer
        taken_ns = clock.wall_ns()
        try:
            self.emit(decide(), envelopes[-1])
        except BaseException as error:
            for envelope in envelopes:
                tracer.handled(envelope, taken_ns, clock.wall_ns(), type(error).__name__)
            self._die(error)
            raise ActorCrashError from None
        done_ns = clock.wall_ns()
        for envelope in envelopes:
            tracer.handled(envelope, taken_ns, done_ns, "ok")

    def emit(self, messages: Iterable[Any], cause: Envelope | None) -> None:
        """Send messages by the routing table, then write the lines a person reads."""
        sent = tuple(messages)
        for message in sent:
            self.context.directory.post(message, sender=self.context.name, cause=cause)
        for message in sent:
            for level, module, line in narrate(message):
                logger.bind(module=module).log(level, line)

    def _die(self, error: BaseException) -> None:
        if self.keeps_queue:
            self.context.mailbox.pause()
        else:
            self.context.mailbox.close(f"{self.context.name} crashed")
        crash = Crashed(
            name=self.context.name, generation=self.context.generation, error=repr(error)
        )
        self.context.directory.post(crash, sender=self.context.name, cause=None)
