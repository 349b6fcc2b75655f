"""One job: a venue, a database, and round after round of trading, dying, recovering, comparing.

A round is one life of the bot: it starts on what the last death left, recovers (timed), is compared
with the ledger in peace, then trades under faults until its kill point or a random moment.  A kill
in the recovery itself (K14, or a random early one) is followed by another start in the same round.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from http.client import HTTPException
from pathlib import Path
from random import Random
from typing import Any

import orjson

from actors.kill_points import POINTS
from core.execution.order_life import ENDED
from tests.chaos import swarm
from tests.chaos.driver_faults import DRIVER_FAULTS, Scene
from tests.chaos.evidence import Database, Evidence, Limits, Row, Window
from tests.chaos.invariants import violations
from tests.chaos.naked import intervals
from tests.chaos.processes import NOT_TRADED, SYMBOLS, Bot, GaveUpError, Venue, eventually, slowness

# A kill while it trades, or while it starts; the last round waits for every outcome.
RANDOM, EARLY, LAST = "random", "early", "last"
LIMITS = Limits(symbols=SYMBOLS)
_DEATH_S = 8.0
_RECOVERY_S = 30.0
_AGREE_S = 8.0
_OPEN_MAX = 1  # orders of unknown outcome that may be left to the next rounds
_RESOLVED_S = 15.0  # a deadline of 5 s, three denials, a snapshot
# Weight of the venue's minute: from 1,920 on the bot asks nothing but what protects until it ends.
# A start and the search for an entry of unknown outcome need some 700 together.
_WEIGHT_AT_DEATH_MAX, _WEIGHT_ASKING_MAX = 1_200, 1_800
_MINUTE_S = 60.0
_DAY_MS = 86_400_000
_BEFORE_MIDNIGHT_S = 20.0
_COUNTED_S = 10.0  # for a new life to have its first entry counted in the day's row
_STEPS = {"K14": 9, "K16": 9}
_HALTED_PART = 0.2  # of the random deaths: a person halted it just before
_TEMPTED_S = 1.0  # for which a life that began halted sees its strategy propose
_TRIES = 3
_TROUBLES_MAX = 6  # in a row: then it is the venue or the machine
# What a look at a live system may find in the middle of: looked at again until it holds, for so
# long.  Where a day began is looked up in the venue's income, once a minute while nothing moves.
_EVENTUAL = dict.fromkeys(("I3", "I7", "I9", "I12", "I15", "I15 funding"), _AGREE_S)
_EVENTUAL["I15 days"] = 130.0

BotFactory = Callable[[Path, Venue, dict[str, str]], Bot]


@dataclass
class Round:
    """What became of one round; times in wall seconds."""

    point: str
    times: int
    hit: bool = False
    faults: list[str] = field(default_factory=list)  # armed, by the catalogue's numbers
    took_hold: list[str] = field(default_factory=list)  # those of them that struck
    struck: dict[str, int] = field(default_factory=dict)  # strokes by the venue's kind
    active_s: float = 0.0  # process start to ACTIVE, or a stated halt
    protected_s: float = 0.0  # process start to every position protected
    took_s: float = 0.0
    state: str = ""
    halted: bool = False  # a person halted it, and then it died
    harness: str = ""  # trouble of the driver's own: the round tells nothing
    violations: dict[str, list[str]] = field(default_factory=dict)
    resolved: dict[str, int] = field(default_factory=dict)  # entries open at the death: then state
    naked: list[Row] = field(default_factory=list)


class Job:
    """Runs plans one after the other on one venue and one database."""

    def __init__(
        self,
        folder: Path,
        seed: int,
        *,
        make: BotFactory = Bot,
        database: str = "",
        rate_limits: bool = False,
        note: Callable[["Round"], object] = lambda _: None,
    ) -> None:
        self.folder, self._dice, self._make = folder, Random(seed), make
        folder.mkdir(parents=True, exist_ok=True)
        self.state = folder / "state"
        self.slow = slowness()
        self.venue = Venue(folder, seed, rate_limits=rate_limits)
        self._env = {"DB_FILE": database} if database else {}
        self.database = Database(database or str(self.state / "async_bot_state.db"))
        self.windows: list[Window] = []
        self._died_ms: float | None = None
        self._open: set[str] = set()
        self._told: set[str] = set()  # violations of the past that cannot be mended
        self._naked: set[tuple[str, float]] = set()
        self._known: tuple[frozenset[tuple[str, int]], frozenset[str]] = (frozenset(), frozenset())
        self._promised: set[str] = set()
        self._weights: list[int] = []
        self._foreign: dict[str, float] = {}
        self._hits = folder / "hits"
        self._scene: Scene | None = None
        self._note = note

    def run(self, points: Iterable[str], until: float = float("inf")) -> list[Round]:
        """Run a round for each point, and again where it was not met; `until` is monotonic."""
        rounds: list[Round] = []
        for point in points:
            for _ in range(_TRIES):
                if time.monotonic() > until:
                    return rounds
                done = self._round(point)
                rounds.append(done)
                self._note(done)
                if all(one.harness for one in rounds[-_TROUBLES_MAX:]) and len(rounds) > _TRIES:
                    raise GaveUpError(f"{_TROUBLES_MAX} rounds with trouble in a row")
                if done.hit:
                    break
        return rounds

    # ------------------------------------------------------------------ one round
    def _round(self, point: str) -> Round:
        once = point in POINTS and (
            POINTS[point].needs or point == "K15"
        )  # one fault, one midnight
        often = 2 if point in POINTS and not once else 1
        times = self._dice.randint(1, _STEPS.get(point, often))
        done = Round(point=point, times=times)
        began = time.monotonic()
        try:
            self._live(done)
        except GaveUpError as trouble:
            done.violations.setdefault("I12", []).append(str(trouble))
        except Exception as trouble:  # noqa: BLE001 - a long run goes on without this round
            done.harness = f"{trouble!r:.300}"
        with suppress(OSError, HTTPException, LookupError):
            self._heal(done)
        done.took_s = time.monotonic() - began
        if done.harness:
            print(f"{done.point}:{done.times} {done.faults} harness: {done.harness}", flush=True)  # noqa: T201 - as below
        for name, lines in done.violations.items():
            print(f"{done.point}:{done.times} {done.faults} {name}: {lines[0]}", flush=True)  # noqa: T201 - a long run says at once what it found
        return done

    def _live(self, done: Round) -> None:
        spec = f"{done.point}:{done.times}"
        if done.point == "K14":
            self._die_early(done, {"CHAOS_KILL_AT": spec})
        elif done.point == EARLY:
            self._die_early(done, {})
        armed = {"CHAOS_KILL_AT": f"{spec}@USR2"} if done.point in POINTS else {}
        bot = self._start(armed if done.point != "K14" else {})
        try:
            self._recover(bot, done)
            self._compare(bot, done)
            self._trade_to_death(bot, done)
        finally:
            self._bury(bot)

    def _start(self, env: dict[str, str]) -> Bot:
        return self._make(
            self.state, self.venue, {**self._env, "CHAOS_HITS": str(self._hits), **env}
        )

    def _die_early(self, done: Round, env: dict[str, str]) -> None:
        bot = self._start(env)
        try:
            if done.point == EARLY:
                bot.waited(self._dice.uniform(0.2, 4.0))
                done.hit = bot.alive()
            elif bot.waited(_DEATH_S * self.slow):
                done.hit = self._was_hit(bot, done.point)
        finally:
            self._bury(bot)

    def _was_hit(self, bot: Bot, point: str) -> bool:
        lines = self._hits.read_text().splitlines() if self._hits.exists() else []
        return any(line.split()[:2] == [point, str(bot.pid)] for line in lines)

    def _bury(self, bot: Bot) -> None:
        """Make sure that it is dead, and remember when and what it had under way."""
        bot.kill()
        bot.trade(go=False)
        if self._scene is not None:
            self._scene.heal()
        if self._died_ms is None:
            self._died_ms = self.venue.now_ms()
        self._promised |= _promises(bot)
        self._open |= {
            row["client_id"]
            for row in self.database.rows(
                "SELECT client_id, state FROM order_intent WHERE purpose = 'E'"
            )
            if row["state"] not in ENDED
        }

    # ------------------------------------------------------------------ recovery
    def _recover(self, bot: Bot, done: Round) -> None:
        def ready() -> Row | None:
            if not bot.alive():
                raise GaveUpError(f"the bot ended with {bot.code()}: {_tail(bot)}")
            status = bot.status()
            return status if status.get("state", "STARTING") not in _NOT_YET else None

        status = eventually("the bot is ACTIVE", ready, _RECOVERY_S * self.slow)
        done.active_s = time.monotonic() - bot.began
        done.state = status["state"]
        self._end_death()  # from here on it is there, and is judged
        eventually("every position is protected", self._protected, _RECOVERY_S * self.slow)
        done.protected_s = time.monotonic() - bot.began

    def _end_death(self) -> None:
        """Declare the time since the last death as one in which nobody was there."""
        if self._died_ms is not None:
            now = self.venue.now_ms()
            self.windows.append(Window(from_ms=self._died_ms, to_ms=now, why="dead"))
            self._died_ms = None

    def _count_resolved(self, found: Evidence, done: Round) -> None:
        """Note what became of the entries that were under way at the last deaths."""
        states = {row["client_id"]: row["state"] for row in found.intents}
        over = {name for name in self._open if states.get(name, "lost") in {*ENDED, "lost"}}
        done.resolved = dict(Counter(states.get(name, "lost") for name in over))
        self._open -= over

    def _protected(self) -> bool:
        ledger = self.venue.ledger()
        held = {p["symbol"] for p in ledger["positions"] if float(p["positionAmt"])}
        stops = {
            a["symbol"]
            for a in ledger["algo_orders"]
            if a["algoStatus"] == "NEW" and a["orderType"] == "STOP_MARKET"
        }
        return held & set(SYMBOLS) <= stops

    # ------------------------------------------------------------------ comparing
    def evidence(self, bot: Bot | None = None) -> Evidence:
        """Look at ledger and database now; the ledger first, so that the bot can only know more."""
        found = self.database.read(LIMITS, self.venue.ledger())
        found.windows = self.windows
        found.weights = tuple(self._weights)
        found.known_fills, found.known_intents = self._known
        found.promised = frozenset(self._promised)
        found.foreign_since_ms = self._foreign
        found.status = bot.status() if bot is not None else {}
        return found

    def _compare(self, bot: Bot, done: Round) -> None:
        began = time.monotonic()
        while True:
            found = self.evidence(bot)
            found.recovered_s = done.active_s / self.slow
            wrong, waiting = _without_open_orders(violations(found))
            waited_s = time.monotonic() - began
            patient = len(waiting) > _OPEN_MAX or done.point == LAST
            if waiting and patient and waited_s < self._patience_s():
                pass
            elif not any(waited_s <= _EVENTUAL.get(name, 0.0) * self.slow for name in wrong):
                break
            time.sleep(0.2)
        if waiting and patient:
            wrong.setdefault("I3", []).extend(waiting)
        self._count_resolved(found, done)
        self._weights.append(self.venue.weight_used())
        found.audit_faults = self.database.audit_faults()
        wrong.update(violations(found, ("I14 audit",)))
        self._note_new(wrong, done)
        self._note_naked(found, done)
        fills = frozenset((f["symbol"], int(f["trade_id"])) for f in found.fills)
        self._known = fills, frozenset(row["client_id"] for row in found.intents)

    def _patience_s(self) -> float:
        """Return how long an outcome may take: until a new minute, if the bot may not ask now."""
        asking = self.venue.weight_used() <= _WEIGHT_ASKING_MAX
        return _RESOLVED_S * self.slow + (0.0 if asking else _MINUTE_S)

    def _note_new(self, wrong: dict[str, list[str]], done: Round) -> None:
        """Blame this round for what was not wrong before."""
        for name, lines in wrong.items():
            for line in lines:
                key = (
                    f"{name} {line.partition(': ')[0] if name.startswith(('I2', 'I15')) else line}"
                )
                if key not in self._told:
                    self._told.add(key)
                    done.violations.setdefault(name, []).append(line)

    def _note_naked(self, found: Evidence, done: Round) -> None:
        """Keep the intervals without a stop that have ended since the last look."""
        for naked in intervals(found):
            key = (naked.symbol, naked.from_ms)
            if key not in self._naked and naked.to_ms < float(found.ledger["time"]):
                self._naked.add(key)
                done.naked.append(asdict(naked) | {"fault": _in_fault(found, naked)})

    # ------------------------------------------------------------------ trading and dying
    def _trade_to_death(self, bot: Bot, done: Round) -> None:
        # No real bot starts eight times a minute: its next life needs room to ask what it must.
        # It is waited for here, where all is protected: the time between lives is not the driver's.
        eventually("the minute has room for a start", self._has_room, 2 * _MINUTE_S, 0.5)
        chosen = swarm.drawn(self._dice)
        point = POINTS.get(done.point)
        bot.trade(go=True)
        if done.state != "ACTIVE":  # it stated why; a person would go on once that is over
            bot.waited(_TEMPTED_S)  # what it enters until then the next comparison finds
            bot.command(command="resume")
        if done.point in ("K15", "K16") or point is None:
            time.sleep(self._dice.uniform(0.5, 2.0))  # let it open something first
        if done.point == "K15":  # a new day is told from the one that was written while armed
            bot.arm()
            written = self._days_written()
            with suppress(GaveUpError):
                eventually("an entry counts", lambda: self._days_written() > written, _COUNTED_S)
        from_ms = self.venue.now_ms()
        self._inject(chosen, bot, done)
        if point is not None and point.needs and done.point != "K14":
            self.venue.inject([dict(point.needs)])
        if done.point == "K15":
            self._to_midnight()
        if point is not None and done.point != "K14":
            self._to_the_point(bot, done)
        else:
            bot.waited(self._dice.uniform(0.05, 2.5))
            if self._dice.random() < _HALTED_PART:
                bot.command(command="halt", reason="a person halts it")
                done.halted = True
            if not bot.alive():
                raise GaveUpError(f"the bot ended with {bot.code()}: {_tail(bot)}")
            bot.kill()
            done.hit = done.hit or done.point in (RANDOM, LAST)
        self._heal(done)
        now = self.venue.now_ms()
        self._died_ms = now
        if chosen or (point is not None and point.needs):
            self.windows.append(Window(from_ms=from_ms, to_ms=now, why="fault"))

    def _heal(self, done: Round) -> None:
        """End the venue's faults, and note which of them struck."""
        for number, row in self.venue.heal():
            if row["fired"]:
                done.struck[row["kind"]] = done.struck.get(row["kind"], 0) + row["fired"]
                if number and number not in done.took_hold:
                    done.took_hold.append(number)

    def _has_room(self) -> bool:
        return self.venue.weight_used() <= _WEIGHT_AT_DEATH_MAX

    def _to_the_point(self, bot: Bot, done: Round) -> None:
        bot.arm()
        if done.point == "K16":
            bot.signal(_TERMINATE)
        if bot.waited(_DEATH_S * self.slow):
            done.hit = self._was_hit(bot, done.point)
            if not done.hit and bot.code() not in (0, -9):
                raise GaveUpError(f"the bot ended with {bot.code()}: {_tail(bot)}")
        bot.kill()

    def _inject(self, chosen: list[tuple[str, Row]], bot: Bot, done: Round) -> None:
        scene = self._scene = Scene(
            bot=bot,
            venue=self.venue,
            dice=self._dice,
            windows=self.windows,
            postgres=self._env.get("DB_FILE", ""),
        )
        for number, fault in chosen:
            done.faults.append(number)
            if number not in DRIVER_FAULTS:
                self.venue.inject([fault], number)
            elif DRIVER_FAULTS[number](scene):
                done.took_hold.append(number)
            if number == "F21":
                self._foreign.setdefault(NOT_TRADED, self.venue.now_ms())

    def _days_written(self) -> int:
        rows = self.database.rows("SELECT updated_at_ns FROM day_ledger")
        return max((row["updated_at_ns"] for row in rows), default=0)

    def _to_midnight(self) -> None:
        now = self.venue.now_ms()
        left_s = (_DAY_MS - now % _DAY_MS) / 1000 - _BEFORE_MIDNIGHT_S
        if left_s > 0:
            self.venue.advance(left_s)
            self.windows.append(Window(from_ms=now, to_ms=self.venue.now_ms(), why="jump"))


def _without_open_orders(
    wrong: dict[str, list[str]],
) -> tuple[dict[str, list[str]], list[str]]:
    """Take out the orders whose outcome is still being looked for: that takes its deadline."""
    waiting = [line for line in wrong.get("I3", []) if " is still " in line]
    rest = [line for line in wrong.get("I3", []) if line not in waiting]
    others = {name: lines for name, lines in wrong.items() if name != "I3"}
    return (others | {"I3": rest} if rest else others), waiting


_NOT_YET = ("STARTING", "RECONCILING")
_TERMINATE = 15


def _in_fault(found: Evidence, naked: Any) -> bool:
    return any(
        w.why == "fault" and w.from_ms < naked.to_ms and w.to_ms > naked.from_ms
        for w in found.windows
    )


def _tail(bot: Bot) -> str:
    return " / ".join(bot.log.read_text(encoding="utf-8", errors="replace").splitlines()[-3:])


def _promises(bot: Bot) -> set[str]:
    """Return the client ids that this life said were recorded, as far as its trace was written."""
    found = set()
    for path in (bot.state / "traces").glob("*.jsonl"):
        if time.time() - path.stat().st_mtime > time.monotonic() - bot.began + 1:
            continue
        for line in path.read_bytes().splitlines():
            if b'"IntentRecorded"' in line and b'"sent"' in line:
                try:
                    found.add(orjson.loads(line)["body"]["client_id"])
                except (orjson.JSONDecodeError, KeyError, TypeError):
                    continue  # the last line of a killed process
    return found
