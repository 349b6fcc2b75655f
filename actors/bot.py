"""The composition root: one bot, from settings to a running tree of actors and back."""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from loguru import logger

from actors.assembly import Assembly, Machines, budget_of, load_predictors
from actors.control_api import ControlApi
from actors.crash_files import CrashFiles
from actors.directory import Directory
from actors.edges.database import DatabaseManager
from actors.edges.epoch import begin_epoch
from actors.edges.gateway import Gateway
from actors.edges.lease import RENEW_S, Holder, Lease
from actors.edges.provenance import described, provenance
from actors.edges.service_notify import ServiceNotify
from actors.edges.start_check import require_green_start
from actors.edges.state_directory import StateDirectory, StateLock
from actors.edges.strategy_loader import load_strategy_class
from actors.edges.system_clock import SystemClock
from actors.edges.venue_choice import ChosenVenue, reach, release
from actors.kill_switch import KillSwitch
from actors.mailbox import Mailbox
from actors.narration import Line, narrate_all_prepared
from actors.runtime import Threads
from actors.shutdown import LastResort, settle, stop_in_order, within
from actors.status import RejectedFrames, headline, snapshot
from actors.steering import Steering
from actors.supervisor import SupervisorActor
from actors.tracing import Tracer
from actors.trading_actor import ActorContext
from actors.training import Training
from actors.watchdog import Watchdog, Watched
from config import Config
from core import messages as m
from core.errors import SupervisorGaveUpError, UnavailableError
from core.execution.bracket import ZERO
from core.risk.machine import RiskMachine
from core.routes import Room

_TICK_S = 0.25
_STATUS_EVERY_S = 10.0
_READY_WITHIN_S = 30.0
_STOP_WITHIN_S = 2.0  # of the gateway, the database

log = logger.bind(module="__main__")


class MultiSymbolBot:
    """A multi-symbol futures bot: `initialize`, then `run`, then `cleanup`.

    Without a `config` the settings come from environment, `.env`, defaults.  Properties are copies.
    `confirm_loosen`: a person wants limits looser than those of the last start.
    """

    def __init__(self, config: Config | None = None, *, confirm_loosen: bool = False) -> None:
        self.config = config if config is not None else Config()
        self._confirm_loosen = confirm_loosen
        self.state = StateDirectory.of(self.config)
        self.machines = Machines()
        self.address: ChosenVenue | None = None
        self.exit_reason: SupervisorGaveUpError | None = None
        self.kill_switch = KillSwitch(self.state, self._standing)
        self._lock: StateLock | None = None
        self._runtime: Threads | None = None
        self._gateway: Gateway | None = None
        self._directory: Directory | None = None
        self._database: DatabaseManager | None = None
        self._tracer: Tracer | None = None
        self._supervisor: SupervisorActor | None = None
        self._supervisor_mailbox: Mailbox | None = None
        self._control: ControlApi | None = None
        self._rejected = RejectedFrames()
        self._crash_files: CrashFiles | None = None
        self._lease: Lease | None = None
        self._notify: ServiceNotify | None = None
        self._watchdog: Watchdog | None = None
        self._training: Training | None = None
        self._last_resort: LastResort | None = None
        self._stopping = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    # ------------------------------------------------------------------ what it holds
    @property
    def symbols(self) -> list[str]:
        """Return the traded symbols, in the settings' order."""
        return list(self.config.SYMBOLS)

    @property
    def symbol_data(self) -> dict[str, Any]:
        """Return the closed candles of each symbol as a DataFrame."""
        return {s: machine.frame() for s, machine in list(self.machines.symbols.items())}

    @property
    def symbol_strategies(self) -> dict[str, Any]:
        """Return the strategy of each symbol."""
        return {s: machine.strategy for s, machine in list(self.machines.symbols.items())}

    @property
    def symbol_positions(self) -> dict[str, m.PositionChanged | None]:
        """Return the open position of each symbol, None where it is flat."""
        risk = self.machines.risk
        held = dict(risk.book.positions) if risk is not None else {}
        return {
            s: held[s] if s in held and held[s].quantity != ZERO else None for s in self.symbols
        }

    # ------------------------------------------------------------------ life
    async def initialize(self) -> bool:
        """Connect, load models, configure symbols, start every actor.

        Returns True once all rooms are up; False if a stop was asked for meanwhile.  Raises
        `TradingError` in one line for whatever must be mended first; nothing is left half-started
        after `cleanup`.
        """
        self._loop = asyncio.get_running_loop()
        self.config.require_keys_and_consent()
        self.state.create()
        self._lock = self.state.lock()
        self._notify = ServiceNotify()
        steering = Steering(self.config, self.state, self._standing, self.stop)
        self._control = ControlApi(self.config, self.state, self.status, steering.commands())
        await self._control.listen()  # an occupied port must not be found once orders are out
        strategy_class = load_strategy_class(self.config.STRATEGY)
        models = load_predictors(self.config, self.state)
        assembly = Assembly(self.config, strategy_class, models.shelf, self.machines)
        await asyncio.to_thread(assembly.check_strategy)
        self.address = await asyncio.to_thread(reach, self.config, self.state)
        clock = SystemClock()
        if self.address.line is not None:
            venue_ns, wall_ns, speed = self.address.line
            clock.anchor(venue_ns=venue_ns, wall_ns=wall_ns, speed=speed)
        self._database = DatabaseManager(self.state.database, clock=clock.now)
        await asyncio.to_thread(self._database.initialize_database)
        await asyncio.to_thread(self._database.rehearse)
        self._lease = Lease(Holder.here(self.state.lock_file))
        settings = described(self.config)
        origin = provenance(settings, models.shelf.files(), strategy_class)
        books = (self._database, self.config, self.address.venue_id, self._lease, origin)
        confirm = self._confirm_loosen
        epoch = await asyncio.to_thread(begin_epoch, *books, confirm_loosen=confirm)
        traces = self.state.traces if self.config.TRACE else None
        self._tracer = Tracer(traces, epoch, days_max=self.config.TRACE_RETENTION_DAYS)
        self._crash_files = CrashFiles(self.state.crashes, settings)
        self._directory = Directory(
            epoch=epoch, clock=clock, tracer=self._tracer, crash_files=self._crash_files
        )
        if self.config.VENUE == "live":
            await self._require_green()
        try:
            lines = (*models.lines, *assembly.size_lines())
            await self._connect(assembly, clock, origin, lines)
        except UnavailableError:
            if not self._stopping.is_set():
                raise
            return self._asked_to_stop()
        self._start_tree(assembly, epoch)
        await self._until_up()
        if self._stopping.is_set():
            return self._asked_to_stop()
        self._control.publish()
        self._training = Training(
            config=self.config,
            shelf=models.shelf,
            clock=clock,
            fetch=self._gateway.klines,
            post=partial(self._directory.post, sender="training", cause=None),
            traded=lambda: any(self.symbol_positions.values()),
        )
        self._training.start()
        self._notify.ready(f"trading {len(self.symbols)} symbols on {self.config.VENUE}")
        log.info(f"control API on {self._control.url}, state in {self.state.root}")
        return True

    async def _require_green(self) -> None:
        """Trade real money only if the self-check finds nothing red; say what it warns of."""
        assert self.address is not None
        for finding in await require_green_start(self.config, self.state, self.address):
            if finding.fix:
                log.warning(f"check: {finding.name}: {finding.detail}. Fix: {finding.fix}.")

    def _asked_to_stop(self) -> bool:
        """Return False for a stop that a person asked for; raise what the supervisor gave up on."""
        if self.exit_reason is not None:
            raise self.exit_reason
        return False

    async def run(self) -> None:
        """Trade until `stop` is called or the supervisor gives up, with a status line now and then.

        Raises SupervisorGaveUpError in the latter case; call `cleanup` in any case.
        """
        while not self._stopping.is_set():
            try:
                await asyncio.wait_for(self._stopping.wait(), _STATUS_EVERY_S)
            except TimeoutError:
                log.info(headline(self.status()))
        self._asked_to_stop()

    def stop(self) -> None:
        """Ask `run` to return; safe from any thread.  A start that waits for the venue gives up."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
        if self._gateway is not None:  # last: what it raises then is known to be wanted
            self._gateway.abandon_start()

    async def cleanup(self) -> None:
        """Stop in order: control, supervisor, symbols, feed, execution, risk, persistence, venue.

        Before the feed stops, book and venue are compared and a missing stop is placed; stops
        stay.  What hangs is left behind.  Safe after a failed `initialize` and while `run` waits.
        """
        self._stopping.set()
        if self._notify is not None:
            self._notify.stopping()
        if self._watchdog is not None:
            self._watchdog.stop()
        if self._training is not None:
            await self._training.stop()
        if self._control is not None:
            await self._control.stop()
        await asyncio.to_thread(self._stop_tree)
        for what, limit_s, step in self._closings():
            await asyncio.to_thread(within, limit_s, what, step)
        if self._lock is not None:
            self._lock.release()
        held = [symbol for symbol, position in self.symbol_positions.items() if position]
        if self._directory is not None:
            kept = f"; {', '.join(held)} keep their stops on the venue" if held else ""
            log.info(f"stopped{kept}")
        if self._notify is not None:
            self._notify.close()

    def leave_by(self, last_resort: LastResort) -> None:
        """Let the process end by force if the stop after giving up takes too long."""
        self._last_resort = last_resort

    def _closings(self) -> Iterator[tuple[str, float, Callable[[], object]]]:
        """Yield what is to be closed after the actors, in order, each with its limit in s."""
        if (gateway := self._gateway) is not None:
            yield "the gateway", 2 * _STOP_WITHIN_S, lambda: gateway.stop(_STOP_WITHIN_S)
        if self._database is not None:
            yield "the database", 2 * _STOP_WITHIN_S, self._database.close
        if self._tracer is not None:
            yield "the trace", 6.0, self._tracer.close
        if (address := self.address) is not None:
            yield "the venue", 10.0, lambda: release(address, self.state)

    def status(self) -> dict[str, Any]:
        """Return the snapshot that `run.py status` shows."""
        if self._supervisor is None or self._directory is None:
            return {"state": "STARTING", "mode": self.config.VENUE, "symbols": {}, "actors": []}
        return snapshot(
            mode=self.config.VENUE,
            supervisor=self._supervisor,
            risk=self.machines.risk,
            symbols=self.machines.symbols,
            directory=self._directory,
            rejected=self._rejected,
        )

    async def _connect(
        self,
        assembly: Assembly,
        clock: SystemClock,
        origin: dict[str, str],
        lines: tuple[Line, ...],
    ) -> None:
        """Start the gateway, prepare the symbols, and say how models and symbols stand."""
        assert self._directory is not None
        assert self._tracer is not None
        assert self.address is not None
        self._gateway = Gateway(
            config=self.config,
            address=self.address.url,
            clock=clock,
            post=self._post_from_gateway,
            tracer=self._tracer,
            may_enter=self._lease.held if self._lease is not None else lambda: True,
        )
        self._directory.open(Room.GATEWAY.value, self._gateway)
        if self._stopping.is_set():  # asked while there was no gateway to tell
            self._gateway.abandon_start()
        await asyncio.to_thread(self._gateway.start)
        prepared = await asyncio.to_thread(self._gateway.prepare, tuple(self.config.SYMBOLS))
        assembly.instruments.update(prepared.instruments)
        if self._crash_files is not None:
            self._crash_files.instruments = prepared.instruments
        self._tracer.describe(
            settings=described(self.config),
            instruments=prepared.instruments,
            models=assembly.shelf.hashes(),
            origin=origin,
        )
        for level, module, text in (*lines, *narrate_all_prepared(*prepared)):
            logger.bind(module=module).log(level, text)

    # ------------------------------------------------------------------ the tree
    def _start_tree(self, assembly: Assembly, epoch: int) -> None:
        assert self._database is not None
        assert self._directory is not None
        directory = self._directory
        self._runtime = Threads()
        name = Room.SUPERVISOR.value
        self._supervisor_mailbox = Mailbox(name, directory.bury)
        directory.open(name, self._supervisor_mailbox)
        context = ActorContext(
            name=name, generation=1, mailbox=self._supervisor_mailbox, directory=directory
        )
        built: list[SupervisorActor] = []
        SupervisorActor.start(
            context,
            assembly.specs(self._database, epoch),
            budget_of(self.config),
            self._runtime,
            self._give_up,
            seed=epoch,
            publish=built.append,
        )
        self._supervisor = built[0]
        timed = (Room.RISK, Room.EXECUTION)

        def tick() -> None:
            names = [n for room in timed for n in directory.names(room)]
            directory.send(m.Tick(), names, sender="timer", cause=None)

        def renew() -> None:
            directory.send(m.Tick(), [Room.PERSISTENCE.value], sender="timer", cause=None)

        self._runtime.every(_TICK_S, tick)
        self._runtime.every(_TICK_S, self.kill_switch.look)
        self._runtime.every(RENEW_S, renew)
        notify = self._notify
        self._watchdog = Watchdog(
            self._supervisor.watched,
            self._hung,
            notify.alive if notify is not None else lambda _: None,
        )
        self._watchdog.start()

    async def _until_up(self) -> None:
        assert self._supervisor is not None
        deadline = asyncio.get_running_loop().time() + _READY_WITHIN_S
        while any(c.state != "up" for c in list(self._supervisor.children.values())):
            if self._stopping.is_set():
                return
            if asyncio.get_running_loop().time() > deadline:
                late = [c for c in self._supervisor.children.values() if c.state != "up"]
                raise UnavailableError(
                    f"{late[0].spec.name} was not up within {_READY_WITHIN_S:.0f} s "
                    f"({late[0].last_error or 'no error'}). Fix: see the log, then start again."
                )
            await asyncio.sleep(0.01)

    def _stop_tree(self) -> None:
        """Let each room finish what is queued, upstream first; a hung one is left behind."""
        if self._supervisor is not None:
            for name in stop_in_order(self._supervisor, last_look=self._last_look):
                log.warning(f"{name} did not stop in time and is left behind")
        if self._runtime is not None:
            self._runtime.stop()

    def _last_look(self) -> None:
        """See to it that all that is held has a live stop, while all that could place one works."""
        assert self._supervisor is not None
        assert self._directory is not None
        assert self._runtime is not None
        if self._supervisor.children[Room.EXECUTION.value].state == "up":
            for name in settle(self._directory, lambda: self.machines.execution):
                log.error(f"{name}: not confirmed when stopping. Fix: look at the venue.")
        self._runtime.stop()

    def _give_up(self, why: str) -> None:
        if "Fix: " not in why:
            why = f"{why}. Fix: see the log; positions keep their stops."
        self.exit_reason = SupervisorGaveUpError(f"the supervisor gave up: {why}")
        if self._last_resort is not None:
            self._last_resort.arm(SupervisorGaveUpError.exit_code)
        self.stop()

    def _hung(self, actor: Watched, stack: str) -> None:
        if actor.name == Room.SUPERVISOR.value:
            self._give_up(f"the supervisor hung at {stack}")
            return
        assert self._directory is not None
        hung = m.Hung(name=actor.name, generation=actor.generation, stack=stack)
        self._directory.post(hung, sender="watchdog", cause=None)

    def _standing(self) -> tuple[Directory | None, SupervisorActor | None, RiskMachine | None]:
        return self._directory, self._supervisor, self.machines.risk

    def _post_from_gateway(self, message: Any, cause: Any) -> None:
        assert self._directory is not None
        if isinstance(message, m.FrameRejected):
            self._rejected.note(message, self._directory.clock.wall_ns())
        self._directory.post(message, sender=Room.GATEWAY.value, cause=cause)
