"""The shape all actors share: take a message, let the room's machine decide, send what it says.

The shell adds what a pure machine cannot have: a thread, the clock, the trace, the human log, and
an honest death.  pykka treats crashes differently by how the message came and lets one SystemExit
stop every actor (docs/decisions/0002-runtime-on-pykka.md); here any exception of any handler ends
this actor alone and reaches the supervisor exactly once.  pykka's loop is left by its stop flag,
not by raising, so that a crash is one line of the supervisor's and no second one of pykka's.
"""

import queue
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import current_thread
from typing import Any

import pykka
from loguru import logger

from actors.directory import Directory
from actors.mailbox import Envelope, Mailbox
from actors.narration import narrate
from actors.watchdog import Slot
from core.clock import Moment
from core.messages import Crashed, Ready
from core.routes import Room


class ActorCrashError(Exception):
    """The actor crashed while handling what was asked; the asker's answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorContext:
    """What an actor is given at birth: its name, its turn, its inbox and the post office.

    In its `slot` it notes what it has in hand, for the watchdog.
    """

    name: str
    generation: int
    mailbox: Mailbox
    directory: Directory
    slot: Slot = field(default_factory=Slot)


class TradingActor(pykka.ThreadingActor):
    """Base of every actor: subclasses fill in `handle`, and `start_up` or `shut_down` if needed."""

    use_daemon_thread = True
    keeps_queue = False  # True: what is queued at a crash waits for the successor

    def __init__(self, context: ActorContext) -> None:
        self.context = context
        self._moment: Moment | None = None  # what the message at hand was told the time is
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

    def now(self) -> Moment:
        """Read the clock for the message at hand; the trace keeps what was read, for a replay."""
        self._moment = self.context.directory.clock.now()
        return self._moment

    def shut_down(self) -> None:
        """Let go of what must be let go; runs after the last message of a clean stop."""

    def report_crash(self, error: str, cause: Envelope | None) -> None:
        """Tell whom it concerns that this actor has died."""
        crash = Crashed(name=self.context.name, generation=self.context.generation, error=error)
        self.context.directory.post(crash, sender=self.context.name, cause=cause)

    # What pykka calls -------------------------------------------------------------------------
    def on_start(self) -> None:
        """Begin, and say so to the supervisor."""
        slot = self.context.slot
        slot.thread, slot.ref = current_thread(), self.actor_ref
        slot.begin([])
        try:
            first = tuple(self.start_up())
            tracer = self.context.directory.tracer
            tracer.started(self.context.name, self.context.generation, self._moment)
            self.emit(first, None)
            if self.context.name != Room.SUPERVISOR.value:
                ready = Ready(name=self.context.name, generation=self.context.generation)
                self.emit((ready,), None)
        except BaseException as error:  # noqa: BLE001 - a SystemExit would leave a living corpse
            self._die(error, [])
        finally:
            slot.end()

    def on_receive(self, message: Any) -> None:
        """Handle one message inside the guard."""
        self.handle_guarded([self.context.mailbox.current], lambda: self.handle(message))

    def on_stop(self) -> None:
        """End in good order; a condemned actor's things are its successor's already."""
        try:
            if not self.context.slot.condemned.is_set():
                self.shut_down()
        except BaseException:  # noqa: BLE001 - a SystemExit would stop every actor
            logger.bind(module=self.context.name).exception("shutting down failed")
        finally:
            self.context.mailbox.reader_gone.set()

    # The guard ----------------------------------------------------------------------------------
    def handle_guarded(
        self, envelopes: list[Envelope], decide: Callable[[], Iterable[Any]]
    ) -> None:
        """Run `decide` for these envelopes (usually one), send its answer, write the trace.

        Whoever condemns the actor meanwhile ends these envelopes itself.
        """
        clock, tracer, slot = (
            self.context.directory.clock,
            self.context.directory.tracer,
            self.context.slot,
        )
        last = envelopes[-1]
        # What pykka's own `tell` and `ask` bring from outside is not traced: it has no id.
        cause = last if isinstance(last, Envelope) else None
        taken_ns, outcome = clock.wall_ns(), "ok"
        self._moment = None
        slot.begin(envelopes)
        try:
            self.context.mailbox.check()
            self.emit(decide(), cause)
        except BaseException as error:  # noqa: BLE001 - also SystemExit: see the module's docstring
            outcome = type(error).__name__
            self._die(error, envelopes)
        done_ns = clock.wall_ns()
        if not slot.end():
            return
        if cause is not None:
            for envelope in envelopes:
                tracer.handled(
                    envelope,
                    taken_ns,
                    done_ns,
                    outcome,
                    now=self._moment,
                    generation=self.context.generation,
                )
        elif outcome != "ok" and last.reply_to is not None:
            raise ActorCrashError(f"{self.context.name} crashed: {outcome}")

    def emit(self, messages: Iterable[Any], cause: Envelope | None) -> None:
        """Send messages by the routing table, then write the lines a person reads.

        A retired or condemned actor, whose mailbox was closed while it was busy, has no say any
        more.
        """
        sent = tuple(messages)
        if self.context.mailbox.closed or self.context.slot.condemned.is_set():
            return
        for message in sent:
            self.context.directory.post(message, sender=self.context.name, cause=cause)
        for message in sent:
            for level, module, line in narrate(message):
                logger.bind(module=module).log(level, line)

    def _die(self, error: BaseException, envelopes: list[Envelope]) -> None:
        mailbox = self.context.mailbox
        last = envelopes[-1] if envelopes else None
        if not self.keeps_queue:
            mailbox.close(f"{self.context.name} crashed")
        # pykka's teardown is to find nothing: what waits in a kept mailbox is the successor's.
        self.actor_inbox = queue.SimpleQueue()
        self.actor_stopped.set()
        pykka.ActorRegistry.unregister(self.actor_ref)
        mailbox.reader_gone.set()
        said, cause = in_one_line(error), last if isinstance(last, Envelope) else None
        try:
            self.report_crash(said, cause)
        except BaseException:  # noqa: BLE001 - memory was short, say; a corpse must be reported
            self.report_crash(said, cause)
        with suppress(Exception):  # the successor is on its way: this only helps who looks into it
            self._write_down(said, envelopes)
        with suppress(Exception):  # an error that cannot even be printed
            log = logger.bind(module=self.context.name)
            log.opt(exception=error).debug(f"generation {self.context.generation} crashed")

    def _write_down(self, error: str, envelopes: list[Envelope]) -> None:
        """Save what killed this actor, to be re-run."""
        directory = self.context.directory
        if directory.crash_files is None:
            return
        now = self._moment or directory.clock.now()
        directory.crash_files.save(
            name=self.context.name,
            generation=self.context.generation,
            error=error,
            at_wall_ns=directory.clock.wall_ns(),
            now=now,
            messages=[envelope.message for envelope in envelopes],
            machine=getattr(self, "machine", None),
        )


def in_one_line(error: BaseException) -> str:
    """Return what was raised and where."""
    try:
        text = repr(error)
    except BaseException:  # noqa: BLE001 - a broken __repr__ must not hide the death
        text = type(error).__name__
    place, frame = "", error.__traceback__
    while frame is not None:
        code = frame.tb_frame.f_code
        if code.co_name != "assert_never":  # the caller's line says more
            place = f" at {Path(code.co_filename).name}:{frame.tb_lineno}"
        frame = frame.tb_next
    return text + place
