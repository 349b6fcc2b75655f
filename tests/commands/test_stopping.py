"""`halt`, `flatten`, `pause`, `resume` and their confirmation, with a bot's answers made up."""

import dataclasses
import io
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from actors.commands.cli import main
from actors.commands.stopping import (
    NotConfirmedError,
    flatten,
    halt,
    pause,
    resume,
    worst_case,
)
from actors.directory import Directory
from actors.edges.state_directory import StateDirectory
from actors.kill_switch import KillSwitch
from actors.latches import latches
from actors.steering import Steering
from config import Config
from core import messages as m
from core.clock import Moment
from core.errors import UnavailableError, UsageError
from core.messages import StateChanged, TradingState
from tests.commands.served import Served

POSITION = {
    "symbol": "BTCUSDT",
    "side": "SELL",
    "quantity": 0.1,
    "entry_price": 100.0,
    "mark_price": 100.0,
    "stop": 102.0,
    "unrealized_pnl": 1.5,
    "foreign": False,
}


_CODES = {
    TradingState.ACTIVE: "resumed",
    TradingState.HALTED: "halt",
    TradingState.FLATTEN: "flatten",
    TradingState.REDUCING: "pause",
}


def a_state(state: TradingState, *, symbol: str = "", day: int | None = None) -> StateChanged:
    return StateChanged(
        state=state,
        reason_code=_CODES[state] if day is None else "day_loss",
        reason="cli: a person asked",
        latched_until_day=day,
        at_ns=1_000_000,
        symbol=symbol,
    )


class Risk:
    """What a risk room shows to the outside; it obeys at once, and stores if the disk works."""

    def __init__(self, *, obeys: bool = True, disk: bool = True) -> None:
        self.state: StateChanged | None = None
        self.symbol_states: dict[str, StateChanged] = {}
        self._newest: dict[str, StateChanged] = {}
        self.recorded: dict[str, StateChanged] = {}
        self.told: list[Any] = []
        self._obeys, self._disk = obeys, disk

    def put(self, envelope: Any) -> None:
        self.told.append(envelope.message)
        if not self._obeys:
            return
        match envelope.message:
            case m.Halt():
                self._latch(a_state(TradingState.HALTED))
            case m.Flatten():
                self._latch(a_state(TradingState.FLATTEN))
            case m.Pause(symbol=symbol):
                self.symbol_states[symbol] = a_state(TradingState.REDUCING, symbol=symbol)
                self._store(self.symbol_states[symbol])
            case m.Resume(symbol=symbol):
                self.symbol_states.clear()
                self._store(a_state(TradingState.ACTIVE, symbol=symbol))
                if not symbol:
                    self.state = None

    def _latch(self, state: StateChanged) -> None:
        self.state = state
        self._store(state)

    def state_is_recorded(self, symbol: str = "") -> bool:
        return self._newest.get(symbol) == self.recorded.get(symbol)

    def _store(self, state: StateChanged) -> None:
        self._newest[state.symbol] = state
        if self._disk:
            self.recorded[state.symbol] = state


class Silence:
    """A trace that nobody reads."""

    def sent(self, envelope: Any) -> None: ...

    def dead(self, envelope: Any, at_ns: int, reason: str) -> None: ...


class StillClock:
    ns = 0

    def now(self) -> Moment:
        return Moment(venue_ns=self.ns, wall_ns=self.ns)

    def wall_ns(self) -> int:
        return self.ns


class Bot:
    """Control API, steering and a risk room, on a loop of its own thread."""

    def __init__(self, config: Config, risk: Risk) -> None:
        self.risk, self.state = risk, StateDirectory.of(config)
        self.positions: list[dict[str, Any]] = []
        directory = Directory(epoch=1, clock=StillClock(), tracer=Silence())  # type: ignore[arg-type]
        directory.open("risk", risk)
        standing = (directory, SimpleNamespace(children={}), risk)
        steering = Steering(config, self.state, lambda: standing, lambda: None)  # type: ignore[arg-type,return-value]
        self.stop = Served(config, self.snapshot, steering.commands()).stop

    def snapshot(self) -> dict[str, Any]:
        state = self.risk.state.state.value if self.risk.state else "ACTIVE"
        return {"state": state, "positions": self.positions, "latches": latches(self.risk)}


@pytest.fixture
def risk() -> Risk:
    return Risk()


@pytest.fixture
def bot(config, risk) -> Iterator[Bot]:
    bot = Bot(config, risk)
    yield bot
    bot.stop()


class Terminal(io.StringIO):
    """A stdin that a person types on."""

    def isatty(self) -> bool:
        return True


def test_halt_carries_source_and_reason_and_names_what_keeps_its_stop(bot, config, risk, capsys):
    bot.positions = [POSITION]
    assert halt(config, "news") == 0
    assert risk.told == [m.Halt(source="cli", reason="news")]
    assert "BTCUSDT SELL 0.1 keep their stops" in capsys.readouterr().out


def test_halt_names_a_position_that_has_no_stop_yet(bot, config, capsys):
    bot.positions = [POSITION | {"stop": None}]
    halt(config, "")
    assert "without a stop yet: BTCUSDT" in capsys.readouterr().out


def test_a_state_that_is_not_on_disk_is_not_acknowledged(config):
    bot = Bot(config, Risk(disk=False))
    try:
        with pytest.raises(UnavailableError, match=r"in memory \(HALTED\), but is not stored") as e:
            halt(config, "")
        assert str(bot.state.kill_file) in str(e.value)
    finally:
        bot.stop()


def test_a_risk_room_that_does_not_answer_is_told_apart_from_one_that_holds(config):
    bot = Bot(config, Risk(obeys=False))
    try:
        with pytest.raises(UnavailableError, match="has not taken it within 2 s"):
            halt(config, "")
    finally:
        bot.stop()


@pytest.mark.parametrize("word", ["flatten", "resume"])
def test_where_nobody_can_type_yes_must_be_given(bot, config, risk, word, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    command = flatten if word == "flatten" else lambda c, _, yes: resume(c, "", yes=yes)
    with pytest.raises(UsageError, match="--yes"):
        command(config, "", yes=False)
    assert risk.told == []


def test_flatten_shows_what_it_closes_and_waits_for_the_word(
    bot, config, risk, monkeypatch, capsys
):
    bot.positions = [POSITION, POSITION | {"symbol": "XRPUSDT", "foreign": True}]
    monkeypatch.setattr(sys, "stdin", Terminal("yes\n"))
    with pytest.raises(NotConfirmedError, match="nothing was done"):
        flatten(config, "", yes=False)
    assert risk.told == []
    shown = capsys.readouterr().err
    assert "closes 1 positions at market: BTCUSDT SELL 0.1" in shown
    assert "+1.50 USDT" in shown


def test_flatten_typed_out_is_sent_and_done_once_nothing_is_open(
    bot, config, risk, monkeypatch, capsys
):
    monkeypatch.setattr(sys, "stdin", Terminal("flatten\n"))
    assert flatten(config, "", yes=False) == 0
    assert risk.told == [m.Flatten(source="cli", reason="a person asked")]
    assert "flat; no entries until resume" in capsys.readouterr().out


def test_resume_shows_what_it_releases_and_what_that_may_cost(
    bot, config, risk, monkeypatch, capsys
):
    halt(config, "")
    bot.positions = [POSITION]
    monkeypatch.setattr(sys, "stdin", Terminal("resume\n"))
    assert resume(config, "", yes=False) == 0
    assert risk.state is None
    shown = capsys.readouterr().err
    assert "releases the account: cli: a person asked" in shown
    assert "worst case at their stops: 0.24 USDT" in shown


def test_resume_is_refused_while_the_kill_file_is_there(bot, config, risk):
    bot.state.kill_file.touch()
    with pytest.raises(Exception, match="must be gone before resume"):
        resume(config, "", yes=True)
    assert risk.told == []


def test_resume_that_leaves_the_days_loss_latched_says_so(bot, config, risk, capsys):
    risk.state = a_state(TradingState.HALTED, day=20_000)
    risk._obeys = False
    assert resume(config, "", yes=True) == 1
    assert "still HALTED" in capsys.readouterr().out


def test_pause_and_resume_of_one_symbol_in_either_case(bot, config, risk, capsys):
    assert pause(config, "btcusdt", "") == 0
    assert latches(risk)[0]["symbol"] == "BTCUSDT"
    assert resume(config, "btcusdt", yes=True) == 0
    assert "BTCUSDT: ACTIVE" in capsys.readouterr().out


def test_a_symbol_that_is_not_traded_is_refused(bot, config, risk):
    with pytest.raises(Exception, match="symbol must be one this bot trades"):
        pause(config, "XYZUSDT", "")
    assert risk.told == []


def test_worst_case_takes_the_margin_of_a_position_without_a_stop(config):
    assert worst_case(config, [POSITION | {"stop": None}]) == pytest.approx(2.0)
    assert worst_case(config, [POSITION]) == pytest.approx(0.2 + 10 * 0.004)


@pytest.mark.parametrize(
    ("codes", "until"),
    [
        ("day_loss", "next venue day"),
        ("correlated_failure", "revive"),
        ("day_loss,halt", "resume"),
        ("drawdown", "resume"),
    ],
)
def test_status_tells_who_ends_a_latch(risk, codes, until):
    state = a_state(TradingState.HALTED)
    risk.state = dataclasses.replace(state, reason_code=codes)
    assert latches(risk)[0]["until"] == until


def test_a_halt_beside_the_days_loss_is_a_latch_of_its_own(config, risk):
    switch, _, _ = a_switch(config, risk)
    risk.state = a_state(TradingState.HALTED, day=20_000)
    switch.signal()
    assert [type(message) for message in risk.told] == [m.Halt]


def test_usage_errors_exit_2_with_the_fix(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STATE_DIR", str(tmp_path / "none"))
    assert main(["panic"]) == 2
    assert "--config" in capsys.readouterr().err
    assert main(["halt"]) == 1
    assert "KILL" in capsys.readouterr().err


# ---------------------------------------- the kill switch alone
def a_switch(config: Config, risk: Risk) -> tuple[KillSwitch, StillClock, StateDirectory]:
    clock, state = StillClock(), StateDirectory.of(config)
    directory = Directory(epoch=1, clock=clock, tracer=Silence())  # type: ignore[arg-type]
    directory.open("risk", risk)
    return KillSwitch(state, lambda: (directory, None, risk)), clock, state


@pytest.mark.parametrize(
    ("text", "kind"),
    [("", m.Halt), ("anything", m.Halt), ("flatten", m.Flatten), (" FLATTEN\n", m.Flatten)],
)
def test_the_kill_files_text_says_halt_or_flatten(config, risk, text, kind):
    switch, _, state = a_switch(config, risk)
    switch.look()
    assert risk.told == []
    state.kill_file.write_text(text)
    switch.look()
    assert [type(message) for message in risk.told] == [kind]
    switch.look()
    assert len(risk.told) == 1, "what holds is not told again"


def test_a_kill_file_that_cannot_be_read_halts(config, risk):
    switch, _, state = a_switch(config, risk)
    state.kill_file.mkdir()
    switch.look()
    assert isinstance(risk.told[0], m.Halt)


def test_risk_is_told_again_each_second_until_it_holds(config):
    risk = Risk(obeys=False)
    switch, clock, state = a_switch(config, risk)
    state.kill_file.touch()
    for _ in range(4):
        switch.look()
    assert len(risk.told) == 1
    clock.ns += 1_000_000_000
    switch.look()
    assert len(risk.told) == 2


def test_a_halted_bot_still_flattens_for_the_file(config, risk):
    switch, _, state = a_switch(config, risk)
    switch.signal()
    state.kill_file.write_text("flatten")
    switch.look()
    assert [type(message) for message in risk.told] == [m.Halt, m.Flatten]


def test_a_signal_halts_once_and_does_not_fight_a_resume(config, risk):
    switch, clock, _ = a_switch(config, risk)
    switch.signal()
    switch.look()
    risk.state = None  # a person resumed
    clock.ns += 5_000_000_000
    switch.look()
    assert len(risk.told) == 1


def test_a_signal_before_there_is_anybody_to_tell_is_kept(config, risk):
    clock = StillClock()
    directory = Directory(epoch=1, clock=clock, tracer=Silence())  # type: ignore[arg-type]
    standing: list[Any] = [(None, None, None)]
    switch = KillSwitch(StateDirectory.of(config), lambda: standing[0])
    switch.signal()
    directory.open("risk", risk)
    standing[0] = (directory, None, risk)
    switch.look()
    assert [type(message) for message in risk.told] == [m.Halt]
