"""`status` and `crash` against the real control API, with a bot's answers made up."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from actors.commands.control import crash_symbol, show_status, status_lines
from actors.edges.control_client import ControlClient, ControlRefusedError
from actors.edges.state_directory import ControlAddress, NotRunningError, StateDirectory
from config import Config
from core.errors import TradingError
from tests.commands.served import Served

SNAPSHOT: dict[str, Any] = {
    "state": "ACTIVE",
    "mode": "embedded",
    "equity": 10_000.5,
    "day_pnl": -1.25,
    "day_limit": None,
    "positions": [
        {
            "symbol": "BTCUSDT",
            "side": "SELL",
            "quantity": 0.01,
            "entry_price": 100.0,
            "stop": 102.0,
            "target": None,
        }
    ],
    "symbols": {
        "BTCUSDT": {
            "state": "up",
            "generation": 2,
            "restarts": 1,
            "mailbox": 0,
            "last_kline_close": 1_755_262_559_999,
        }
    },
    "actors": [],
}


class Bot:
    """A bot's control API, remembering what it was told."""

    def __init__(self, config: Config) -> None:
        self.told: list[dict[str, Any]] = []
        self.stop = Served(config, lambda: SNAPSHOT, {"crash": self._crash}).stop

    def _crash(self, body: dict[str, Any]) -> dict[str, Any]:
        if body["symbol"] != "BTCUSDT":
            raise TradingError(f"SYMBOL must be a traded one, was {body['symbol']}. Fix: BTCUSDT")
        self.told.append(body)
        return {"ok": True}


@pytest.fixture
def bot(config) -> Iterator[Bot]:
    bot = Bot(config)
    yield bot
    bot.stop()


def test_status_as_json_is_the_bots_own_snapshot(bot, config, capsys):
    assert show_status(config, as_json=True) == 0
    assert json.loads(capsys.readouterr().out) == SNAPSHOT


def test_status_is_plain_lines_where_there_is_no_terminal(bot, config, capsys):
    closed = "last_kline_close=2025-08-15 12:55:59"
    show_status(config)
    assert capsys.readouterr().out.splitlines() == [
        "state=ACTIVE  mode=embedded  equity=10,000.50  day_pnl=-1.25  day_limit=-",
        "position=BTCUSDT  side=SELL  quantity=0.01  entry_price=100.0  stop=102.0  target=-",
        f"symbol=BTCUSDT  state=up  generation=2  restarts=1  mailbox=0  {closed}",
    ]


def test_status_of_a_bot_that_is_still_starting_has_gaps():
    lines = list(status_lines({"state": "STARTING", "symbols": {}}))
    assert lines == ["state=STARTING  mode=?  equity=-  day_pnl=-  day_limit=-"]


def test_crash_reaches_the_symbol_named_in_either_case(bot, config, capsys):
    assert crash_symbol(config, "btcusdt", hang=True) == 0
    assert bot.told == [{"command": "crash", "symbol": "BTCUSDT", "hang": True}]
    assert "BTCUSDT" in capsys.readouterr().out


def test_refusal_is_the_bots_own_sentence(bot, config):
    with pytest.raises(ControlRefusedError, match="SYMBOL must be a traded one, was XUSDT"):
        crash_symbol(config, "XUSDT")


def test_unknown_command_is_refused_naming_the_known_ones(bot, config):
    with pytest.raises(ControlRefusedError, match="crash"):
        ControlClient(StateDirectory.of(config)).command("dance")


def test_wrong_token_is_refused(bot, config):
    directory = StateDirectory.of(config)
    found = directory.read_control()
    directory.write_control(
        ControlAddress(host=found.host, port=found.port, token="wrong", pid=found.pid)
    )
    with pytest.raises(ControlRefusedError, match="token"):
        ControlClient(directory).snapshot()


def test_address_left_behind_by_a_killed_bot_means_none_runs(config):
    bot = Bot(config)
    found = StateDirectory.of(config).read_control()
    bot.stop()
    StateDirectory.of(config).write_control(found)
    with pytest.raises(NotRunningError):
        ControlClient(StateDirectory.of(config)).snapshot()
