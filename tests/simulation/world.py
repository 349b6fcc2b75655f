"""One seed: a venue, a bot that may die and come back, faults, healing, and the verdict."""

import random
import tempfile
import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd

from actors.stepped import Timeline
from config import Config
from core.clock import NS_PER_MS, NS_PER_S
from core.errors import TradingError
from tests.simulation.acts import DAY_LOSS_PCT, Acts
from tests.simulation.checks import Watch
from tests.simulation.faults import Faults
from tests.simulation.liveness import UNLISTED, unsettled
from tests.simulation.process import AFTER_ITS_WISH, Process
from tests.simulation.record import Record
from tests.simulation.venue_side import START_MS, VenueSide

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
WALL_START_MS = START_MS - 3 * 3_600_000  # another day than the venue's
FAULTS_S = (3, 30)
HEALED_S = 31
QUIET_S = 45
END_S = 62  # a drop copy after the last entry, at the slowest
REST_S = 23
INCOME_REST_S = 80  # the bot reads the venue's list once a minute where no frame told of income
ROOMS = ("persistence", "risk", "execution", "feed")
# A disk in memory where there is one: the journal is committed for every entry.
_FOLDER = "/dev/shm" if Path("/dev/shm").is_dir() else None


class DiceStrategy:
    """Decides by a hash of the candle, so that a successor decides the same again."""

    warmup = 60
    quiet_from_ms = 0

    def __init__(self, config: dict[str, Any]) -> None:
        self._eager = 3

    def generate_signal(self, df: pd.DataFrame) -> tuple[str | None, float, dict[str, Any]]:
        opened_ms = df.index[-1].value // 1_000_000
        if opened_ms >= self.quiet_from_ms:
            return None, 0.0, {}
        drawn = zlib.crc32(f"{opened_ms} {df['close'].to_numpy()[-1]!r}".encode()) % 10
        word = {0: "BUY", 1: "BUY", 2: "SELL", 3: "SELL", 4: "CLOSE"}.get(drawn)
        return word, 0.9 if word else 0.0, {}


@dataclass
class Outcome:
    """What became of a seed."""

    seed: int
    violations: list[str]
    faults: dict[str, int]
    digest: str
    turns: int = 0
    entries: int = 0
    trades: int = 0
    processes: int = 0
    naked_max_s: float = 0.0
    kinds: dict[str, int] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    @property
    def rerun(self) -> str:
        """Return the one line that does it all again."""
        return f".venv/bin/python -m tests.simulation.chaos --seed {self.seed}"


class Simulation:
    """Runs one seed from start to verdict."""

    def __init__(self, seed: int, *, without: Collection[str] = (), whole: bool = False) -> None:
        random.seed(seed)  # the streams' back-off jitter
        self.seed = seed
        self.dice = Random(f"order {seed}")
        self.faults = Faults.drawn(seed, without)
        self.timeline = Timeline(WALL_START_MS * NS_PER_MS)
        self._whole = whole
        self.process: Process | None = None
        self.processes = 0
        self.turns = 0
        self._shift_ns = 0
        self._storage_down = False
        self._laziness = self.dice.choice((0.0, 0.1, 0.4, 0.7))
        self.speed = self.dice.choice((20.0, 40.0, 60.0))
        # In every third seed the venue's day ends on the way, while the wall's goes on.
        self.before_midnight_ms = self.dice.choice((0, 0, 15 * 60_000))

    def run(self) -> Outcome:
        with tempfile.TemporaryDirectory(prefix="simulation-", dir=_FOLDER) as folder:
            self.path = Path(folder) / "bot.db"
            return self._run(Path(folder))

    def _run(self, folder: Path) -> Outcome:
        self.config = self._config(folder)
        self.record = Record(whole=self._whole, config=self.config)
        side = VenueSide(
            self.timeline,
            self.faults,
            symbols=SYMBOLS,
            seed=self.seed,
            speed=self.speed,
            before_midnight_ms=self.before_midnight_ms,
        )
        self.side = side
        self.watch = Watch(self.config, side, self.faults, self.record)
        self._strategy = type("Strategy", (DiceStrategy,), {})
        self._strategy.quiet_from_ms = side.door.clock.venue_ms(WALL_START_MS + QUIET_S * 1000)
        self._plan()
        Acts(self).plan()
        self._start()
        began_ns = self.timeline.now_ns
        self._advance(began_ns + HEALED_S * NS_PER_S)
        self._heal()
        self._advance(began_ns + END_S * NS_PER_S)
        violations = list(dict.fromkeys(self.record.violations))
        if not violations:
            violations = self._come_to_rest()
        self._end()
        ledger = side.exchange.ledger
        return Outcome(
            seed=self.seed,
            violations=violations,
            faults=dict(self.faults.counts),
            digest=self.record.digest,
            turns=self.turns,
            entries=sum("-E-" in order.client_order_id for order in ledger.orders),
            trades=len(ledger.trades),
            processes=self.processes,
            naked_max_s=self.watch.naked_max_ns / NS_PER_S,
            kinds=dict(self.record.kinds),
            lines=self.record.lines,
        )

    def _come_to_rest(self) -> list[str]:
        """Return what is still wrong after a while: a stop may fire at the very end."""
        for waited_s in range(INCOME_REST_S):
            violations = unsettled(self.process, self.side, self.path)
            listed = all(violation.startswith(UNLISTED) for violation in violations)
            if not violations or self.record.violations or (waited_s >= REST_S and not listed):
                break
            self._advance(self.timeline.now_ns + NS_PER_S)
        return violations + self.record.violations

    def _config(self, folder: Path) -> Config:
        dice = self.dice
        return Config(
            _env_file=None,
            _environ={},
            VENUE="embedded",
            STATE_DIR=str(folder),
            SYMBOLS=list(SYMBOLS),
            ALLOW_TECHNICAL_ONLY=True,
            KLINE_HISTORY=60,
            STOPLOSS_PCT=dice.choice((0.002, 0.004)),
            TAKE_PROFIT_PCT=dice.choice((0.002, 0.004)),
            MAX_SYMBOL_NOTIONAL_X=dice.choice((0.25, 1.0)),
            MAX_OPEN_POSITIONS=dice.choice((1, 2, 3)),
            DAILY_MAX_LOSS_PCT=self._day_loss_pct(dice.choice((0.002, 0.03))),
            REST_TIMEOUT=3,
            RETRY_DELAY=0.3,
            WEBSOCKET_TIMEOUT=5,
            WS_SILENCE_S=4,
            RECONCILE_S=dice.choice((5.0, 15.0)),
            BACKOFF_MIN_S=0.05,
            BACKOFF_MAX_S=2.0,
            ROOT_MAX_RESTARTS=dice.choice((3, 6)),
            ENTRY_MAX_AGE_MS=dice.choice((700, 5_000)),
            # At this speed an hour passes in seconds: throttles must not end the show.
            MAX_ENTRIES_SYMBOL_1H=1_000,
            MAX_ENTRIES_DAY=10_000,
            LOSS_STREAK_LATCH=0,
            DUP_WINDOW_S=dice.choice((0.0, 10.0)),
            PROTECTION_COOLDOWN_S=5.0,
            ORDERS_PER_10S=100,
            ORDERS_PER_MIN=600,
        )

    def _day_loss_pct(self, drawn: float) -> float:
        return DAY_LOSS_PCT if "day_lost" in self.faults.kinds else drawn

    # ---------------------------------------- lives and deaths
    def _start(self) -> None:
        self.watch.excuse(self.timeline.now_ns)
        self.processes += 1
        try:
            process = Process(
                config=self.config,
                strategy_class=self._strategy,
                timeline=self.timeline,
                dice=self.dice,
                side=self.side,
                faults=self.faults,
                path=self.path,
                record=self.record,
                gave_up=self._gave_up,
                shift_ns=self._shift_ns,
                laziness=self._laziness,
            )
        except TradingError:
            self.timeline.after(1.0, self._start)
            return
        process.database.down = self._storage_down
        self.record.begin(process.epoch)
        self.process = process

    def _end(self) -> None:
        if self.process is not None:
            self.turns += self.process.runtime.turns
            self.process.kill()
            self.process = None
        for socket in self.side.sockets:
            socket.closed = True

    def _gave_up(self, why: str) -> None:
        """Exit, as the process would; what restarts services starts it again."""
        self.faults.counts["gave up"] += 1
        self.record.kinds[f"gave up: {why[:60]}"] += 1
        self.timeline.at(self.timeline.now_ns, lambda: self.die(1.0))

    def die(self, pause_s: float) -> None:
        """Kill the process, and start it again after a pause."""
        if self.process is None:
            return
        self._end()
        self.timeline.after(pause_s, self._start)

    def _advance(self, until_ns: int) -> None:
        while self.timeline.now_ns < until_ns and not self.record.violations:
            if self.process is not None:
                self.process.runtime.advance(until_ns, self._step)
                continue
            due_ns = self.timeline.next_ns()
            if due_ns is None or due_ns > until_ns:
                self.timeline.now_ns = until_ns
                return
            self.timeline.happen()
            self._step()

    def _step(self) -> None:
        if self.side.changed or self.watch.anxious:
            self.watch.look()
        if self.process is not None and self.process.loop.failures:
            self.record.violations += [f"L4 nobody caught {f}" for f in self.process.loop.failures]
            self.process.loop.failures.clear()
        if self.record.violations and self.process is not None:
            self._end()  # what follows a broken promise says nothing more

    # ---------------------------------------- faults at a moment
    def _plan(self) -> None:
        base = self.timeline.now_ns
        from_ns, to_ns = (base + s * NS_PER_S for s in FAULTS_S)
        strikes: dict[str, Callable[[], None]] = {
            "market_cut": lambda: self.side.cut(user=False),
            "market_stalled": lambda: self.side.stall(self._drawn(1, 8), user=False),
            "user_cut": lambda: self.side.cut(user=True),
            "user_stalled": lambda: self.side.stall(self._drawn(0.5, 6), user=True),
            "symbol_crash": lambda: self._trip(f"symbol/{self.faults.dice.choice(SYMBOLS)}"),
            "room_crash": lambda: self._trip(self.faults.dice.choice(ROOMS)),
            "killed": lambda: self.die(self._drawn(0.1, 4)),
            "storage_down": self._fail_storage,
            "clock_jump": self._jump,
            "burst": self._burst,
            "filled_in_part": lambda: self.side.fill_in_part(self.faults.dice.choice(SYMBOLS)),
            "trigger_refused": lambda: self.side.refuse_trigger(self.faults.dice.choice(SYMBOLS)),
        }
        for kind, strike in strikes.items():
            for at_ns in self.faults.moments(kind, from_ns, to_ns):
                self.timeline.at(at_ns, lambda k=kind, s=strike: self._strike(k, s))

    def _strike(self, kind: str, strike: Callable[[], None]) -> None:
        if self.process is None:
            return
        self.faults.note(kind, self.timeline.now_ns)
        strike()

    def _drawn(self, low: float, high: float) -> float:
        return self.faults.dice.uniform(low, high)

    def _trip(self, sender: str) -> None:
        assert self.process is not None
        left = self.faults.dice.randint(0, 6)
        if sender.startswith("symbol") and self.faults.dice.random() < 0.5:
            left = AFTER_ITS_WISH
        self.process.directory.trips[sender] = left

    def _burst(self) -> None:
        victim = f"symbol/{self.faults.dice.choice(SYMBOLS)}"
        for k in range(8):
            self.timeline.after(k * 1.0, lambda: self.process and self._trip(victim))

    def _fail_storage(self) -> None:
        self._set_storage(down=True)
        self.timeline.after(self._drawn(0.2, 6), lambda: self._set_storage(down=False))

    def _set_storage(self, *, down: bool) -> None:
        self._storage_down = down and self.faults.active
        if self.process is not None:
            self.process.database.down = self._storage_down

    def _jump(self) -> None:
        assert self.process is not None
        self._shift_ns += int(self._drawn(-3, 3) * NS_PER_S)
        self.process.clock.shift_ns = self._shift_ns

    def _heal(self) -> None:
        """No further fault; the clock is right again, the disk is back."""
        self.faults.active = False
        self.faults.hurt_ns = self.timeline.now_ns
        self._set_storage(down=False)
        self.side.heal()
        if self.process is not None:
            self.process.directory.trips.clear()
