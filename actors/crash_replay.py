"""Re-runs the message that killed an actor on the state it met, as often as one likes."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from actors.assembly import Assembly, Machines, load_predictors
from actors.crash_files import CrashFile
from actors.edges.state_directory import StateDirectory
from actors.edges.strategy_loader import load_strategy_class
from actors.replaying import EVENTS, machine_before
from actors.tracing import read_trace
from actors.trading_actor import in_one_line
from config import Config
from core.errors import DataError
from core.feed.machine import FeedMachine
from core.persistence.machine import PersistenceMachine
from core.routes import Room


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerun:
    """What came of it: the messages sent, or the error raised; `same` if it is the file's error."""

    out: tuple[Any, ...]
    raised: BaseException | None
    error: str
    same: bool


def rerun(crash: CrashFile, fresh: Any = None) -> Rerun:
    """Run the crash's messages through its machine, in the state that the file holds.

    Without `fresh` that room's machine is built from the file's settings.  Raises DataError for a
    crash that did not happen in a machine (of the supervisor, or at birth).
    """
    return _run(crash, crash.machine(fresh_machine(crash) if fresh is None else fresh))


def rerun_from_trace(crash: CrashFile) -> Rerun:
    """Run the crash's messages through its machine, built up anew from where the actor began.

    That is the state before the first message, whatever the raise left behind.  Raises DataError as
    `rerun`, and if the traces beside the file do not hold that life of the actor.
    """
    traces = crash.path.absolute().parent.parent / "traces"
    records = read_trace(traces, EVENTS) if traces.is_dir() else ()
    build = partial(fresh_machine, crash)
    machine = machine_before(records, crash.name, crash.generation, crash.now, build)
    if machine is None:
        raise DataError(
            f"--from-trace needs the life of {crash.name} generation {crash.generation} up to its"
            f" death, {traces} does not hold it. Fix: leave the option out."
        )
    return _run(crash, machine)


def _run(crash: CrashFile, machine: Any) -> Rerun:
    out: list[Any] = []
    for message in crash.messages:
        try:
            out += machine.handle(message, crash.now)
        except BaseException as error:  # noqa: BLE001 - whatever it was, it is what is looked for
            said = in_one_line(error)
            return Rerun(out=tuple(out), raised=error, error=said, same=said == crash.error)
    return Rerun(out=tuple(out), raised=None, error="", same=False)


def fresh_machine(crash: CrashFile) -> Any:
    """Build the room's machine as the bot did, from the settings and instruments of the file."""
    if not crash.messages:
        raise DataError(
            f"FILE must hold a message, {crash.path} is of a crash at birth ({crash.error})."
            " Fix: read its error; starting the bot runs it again."
        )
    # An empty name of a file is no setting: given, it would be looked for.
    given = {k: v for k, v in crash.settings.items() if v != "" or not k.endswith("_FILE")}
    config = Config(_env_file=None, _environ={}, **given)
    machines = Machines()
    models = load_predictors(config, StateDirectory.of(config))
    strategy_class = load_strategy_class(config.STRATEGY)
    assembly = Assembly(config, strategy_class, models.shelf, machines)
    assembly.instruments.update(crash.instruments)
    room, _, symbol = crash.name.partition("/")
    match room:
        case Room.SYMBOL:
            return assembly.symbol_builder(symbol)(crash.generation)
        case Room.RISK:
            return assembly.risk()
        case Room.EXECUTION:
            return assembly.execution()
        case Room.FEED:
            return FeedMachine(tuple(config.SYMBOLS))
        case Room.PERSISTENCE:
            return PersistenceMachine(0)
        case _:
            raise DataError(
                f"FILE must be of a room with a machine, {crash.path} is of {crash.name}."
                " Fix: name another file."
            )
