"""Builds the rooms from the settings: which machine each actor gets, and the tree they stand in."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any

from actors.edges.database import DatabaseManager
from actors.edges.local_check import presumed_balance
from actors.edges.retention import Retention
from actors.edges.state_directory import StateDirectory
from actors.edges.strategy_loader import refuse_look_ahead
from actors.execution import ExecutionActor
from actors.feed import FeedActor
from actors.model_shelf import ModelShelf
from actors.narration import Line, narrate_sizes
from actors.persistence import PersistenceActor
from actors.risk import RiskActor
from actors.supervisor import Budget, ChildSpec
from actors.symbol import SymbolActor
from config import Config
from config.settings import secret_names
from core.clock import NS_PER_MS, NS_PER_S, interval_ns
from core.errors import ModelRefusedError, SelfCheckError, TradingError
from core.execution.machine import ExecutionMachine
from core.execution.settings import ExecutionSettings
from core.persistence.machine import PersistenceMachine
from core.risk.machine import RiskMachine
from core.risk.risk_manager import RiskManager
from core.risk.worst_case import size_lines, worst_case
from core.routes import Room
from core.symbol.machine import SymbolMachine
from core.symbol.model_watch import ModelWatch
from core.symbol.strategy import Strategy
from core.venue.instrument import Instrument
from models.model_files import model_path

# recvWindow of entries: none can start to exist later than this after it was sent.
ENTRY_WINDOW_NS = 3 * NS_PER_S
_MODELS = "prediction_models"  # the log's name for them


@dataclass(slots=True)
class Machines:
    """The live machines, for those who look from outside; replaced whole at a restart."""

    symbols: dict[str, SymbolMachine] = field(default_factory=dict)
    risk: RiskMachine | None = None
    execution: ExecutionMachine | None = None

    def take_symbol(self, machine: SymbolMachine) -> None:
        """Remember a symbol's current machine."""
        self.symbols[machine.symbol] = machine

    def take_risk(self, machine: RiskMachine) -> None:
        """Remember the current risk machine."""
        self.risk = machine

    def take_execution(self, machine: ExecutionMachine) -> None:
        """Remember the current execution machine."""
        self.execution = machine


def budget_of(config: Config) -> Budget:
    """Return the supervisor's patience."""
    return Budget(
        restarts_max=config.MAX_RESTARTS,
        period_s=config.RESTART_PERIOD_S,
        root_restarts_max=config.ROOT_MAX_RESTARTS,
        root_period_s=config.ROOT_RESTART_PERIOD_S,
        backoff_min_s=config.BACKOFF_MIN_S,
        backoff_max_s=config.BACKOFF_MAX_S,
        reset_after_s=config.BACKOFF_RESET_S,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """The usable models, and what is to be said of all of them."""

    shelf: ModelShelf
    lines: tuple[Line, ...]


def load_predictors(
    config: Config, state: StateDirectory, recorded: Mapping[str, str] | None = None
) -> Models:
    """Load the model of every symbol that has one; tell of the others what happens without.

    A file that fails verification is refused before anything in it is unpickled.  `recorded` are
    the hashes of the models to load instead, for a replay; a symbol that is not named had none.
    """
    shelf = ModelShelf(state.models, replaying=recorded is not None)
    lines: list[Line] = []
    without = (
        "trading on technical signals only (ALLOW_TECHNICAL_ONLY)"
        if config.ALLOW_TECHNICAL_ONLY
        else "not trading this symbol (ALLOW_TECHNICAL_ONLY is off)"
    )
    for symbol in config.SYMBOLS:
        if recorded is not None and symbol not in recorded:
            continue
        try:
            if recorded is None:
                predictor = shelf.load(symbol)
            else:
                predictor = shelf.load_version(symbol, recorded[symbol])
        except ModelRefusedError as error:
            lines.append(("WARNING", _MODELS, f"[{symbol}] {error}; {without}"))
            continue
        path = model_path(state.models, symbol)
        lines.append(("INFO", _MODELS, f"Model loaded from {path}"))
        if not predictor.skilled:
            unproved = "the model has not proved skill out of sample"
            lines.append(("WARNING", _MODELS, f"[{symbol}] {unproved}; {without}"))
    return Models(shelf=shelf, lines=tuple(lines))


class Assembly:
    """Knows how to build each room; every restart builds anew, from the same settings.

    `instruments` is filled once the venue has told them, before anything is built.
    """

    def __init__(
        self,
        config: Config,
        strategy_class: type[Strategy],
        shelf: ModelShelf,
        machines: Machines,
    ) -> None:
        self._config = config
        self._strategy_class = strategy_class
        self.shelf = shelf
        self._machines = machines
        self.instruments: dict[str, Instrument] = {}

    def specs(self, database: DatabaseManager, epoch: int) -> tuple[ChildSpec, ...]:
        """Return the tree: the row of singletons in order, then one child a symbol."""
        machines, symbols = self._machines, tuple(self._config.SYMBOLS)
        row = (
            ChildSpec(
                name=Room.PERSISTENCE.value,
                actor_class=PersistenceActor,
                arguments=(
                    database,
                    PersistenceMachine(epoch, self._leverage()),
                    Retention(
                        days=self._config.RETENTION_DAYS,
                        signal_days=self._config.SIGNAL_RETENTION_DAYS,
                        snapshot_days=self._config.SNAPSHOT_RETENTION_DAYS,
                    ),
                ),
                hung_after_s=15.0,
                shutdown_s=10.0,
            ),
            ChildSpec(
                name=Room.RISK.value,
                actor_class=RiskActor,
                arguments=(self.risk, machines.take_risk),
                hung_after_s=2.0,
            ),
            ChildSpec(
                name=Room.EXECUTION.value,
                actor_class=ExecutionActor,
                arguments=(self.execution, machines.take_execution),
                hung_after_s=30.0,
                shutdown_s=15.0,
            ),
            ChildSpec(name=Room.FEED.value, actor_class=FeedActor, arguments=(symbols,)),
        )
        children = (
            ChildSpec(
                name=f"{Room.SYMBOL.value}/{symbol}",
                actor_class=SymbolActor,
                arguments=(self.symbol_builder(symbol), machines.take_symbol),
                symbol=symbol,
                hung_after_s=self._config.HUNG_AFTER_S,
            )
            for symbol in symbols
        )
        return (*row, *children)

    def size_lines(self) -> Iterator[Line]:
        """Yield the effective sizes where the formula asks for far more."""
        config = self._config
        worst = worst_case(config, config.SYMBOLS, presumed_balance(config))
        return narrate_sizes(size_lines(worst))

    def check_strategy(self) -> None:
        """Raise in one line if the strategy cannot be built, cannot decide or looks ahead."""
        name = self._config.STRATEGY
        try:
            strategy = self.strategy(self._config.SYMBOLS[0])
        except TradingError:
            raise
        except Exception as error:
            raise SelfCheckError(
                f"STRATEGY {name} cannot be built ({type(error).__name__}: {error})."
                " Fix: take one dict of settings in __init__."
            ) from error
        refuse_look_ahead(strategy, name)

    def _leverage(self) -> dict[str, Decimal]:
        return {s: Decimal(self._config.for_symbol(s).LEVERAGE) for s in self._config.SYMBOLS}

    def strategy(self, symbol: str) -> Strategy:
        """Build a symbol's strategy from its effective settings and its model."""
        effective = self._config.for_symbol(symbol)
        given: dict[str, Any] = effective.model_dump(exclude=set(secret_names()))
        given["predictor"] = self.shelf.current(symbol)
        return self._strategy_class(given)

    def symbol_builder(self, symbol: str) -> Callable[[int], SymbolMachine]:
        """Return what builds a symbol's machine for a generation."""

        def build(generation: int) -> SymbolMachine:
            strategy = self.strategy(symbol)
            history = self._config.KLINE_HISTORY
            watch = ModelWatch(
                self.shelf.current(symbol),
                psi_max=self._config.DRIFT_PSI_MAX,
                blocks=self._config.DRIFT_BLOCKS,
            )
            return SymbolMachine(
                symbol=symbol,
                strategy=strategy,
                strategy_name=self._config.STRATEGY or type(strategy).__name__,
                instrument=self.instruments[symbol],
                interval_ns=interval_ns(self._config.KLINE_INTERVAL),
                bars=max(strategy.warmup, history),
                bars_min=min(history, max(strategy.warmup, 1)),
                generation=generation,
                watch=watch,
                model_of=partial(self.shelf.of_hash, symbol),
            )

        return build

    def risk(self) -> RiskMachine:
        """Build risk's machine."""
        return RiskMachine(
            policies=self._config,
            managers={
                s: RiskManager(self._config.for_symbol(s), None) for s in self._config.SYMBOLS
            },
            instruments=self.instruments,
            interval_ns=interval_ns(self._config.KLINE_INTERVAL),
        )

    def execution(self) -> ExecutionMachine:
        """Build execution's machine."""
        config = self._config

        def percentages(symbol: str) -> tuple[Decimal, Decimal]:
            effective = config.for_symbol(symbol)
            return Decimal(str(effective.STOPLOSS_PCT)), Decimal(str(effective.TAKE_PROFIT_PCT))

        def order_quantity_max(symbol: str) -> Decimal | None:
            largest = config.MAX_ORDER_QTY.get(symbol)
            return None if largest is None else Decimal(str(largest))

        def order_notional_max(symbol: str) -> Decimal:
            return Decimal(str(config.for_symbol(symbol).MAX_ORDER_NOTIONAL_X))

        settings = ExecutionSettings(
            tag=config.CLIENT_ID_TAG,
            symbols=tuple(config.SYMBOLS),
            entry_age_max_ns=config.ENTRY_MAX_AGE_MS * NS_PER_MS,
            entry_window_ns=ENTRY_WINDOW_NS,
            naked_max_ns=config.NAKED_MAX_MS * NS_PER_MS,
            reconcile_every_ns=int(config.RECONCILE_S * NS_PER_S),
            percentages=percentages,
            order_quantity_max=order_quantity_max,
            order_notional_max=order_notional_max,
            stop_seen_ns=int(config.STOP_SEEN_S * NS_PER_S),
            software_stop_pct=Decimal(str(config.SOFTWARE_STOP_PCT)),
            software_stop_ns=int(config.SOFTWARE_STOP_S * NS_PER_S),
        )
        return ExecutionMachine(settings, self.instruments)
