"""`run.py check`: green out of the box and beside a bot; each item broken once is red."""

import asyncio
import json
import shutil
import sqlite3
import time
import urllib.request
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from actors.commands.check import self_check
from actors.edges.database import DatabaseManager
from actors.edges.lease import Holder, Lease
from actors.edges.start_check import require_green_start
from actors.edges.state_directory import StateDirectory
from actors.edges.venue_choice import reach
from actors.self_check import Finding
from config import Config
from core.errors import SelfCheckError
from tests.process.conftest import World, eventually
from tests.process.leftovers import nothing_is_left

pytestmark = pytest.mark.process

RIGHTS = {
    "ipRestrict": True,
    "enableReading": True,
    "enableFutures": True,
    "enableWithdrawals": False,
    "enableInternalTransfer": False,
    "permitsUniversalTransfer": False,
}
SAPI = "/sapi/v1/account/apiRestrictions"


@pytest.fixture(scope="module")
def venue(tmp_path_factory) -> Iterator[World]:
    here = World(tmp_path_factory.mktemp("venue"))
    here.start_venue("--seed", "3", "--speed", "60")
    yield here
    here.end()


@pytest.fixture
def calm(venue: World) -> Iterator[World]:
    """Give a venue without faults, and leave it so."""
    yield venue
    call(venue, "DELETE")


def call(world: World, method: str, body: dict[str, Any] | None = None) -> None:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(  # noqa: S310
        f"{world.url}/sim/faults", data, headers, method=method
    )
    urllib.request.urlopen(request, timeout=10).close()  # noqa: S310


def answers(world: World, path: str, body: Any, count: int = 20) -> None:
    """Let the venue answer a path with this body."""
    args = {"status": 200, "body": body}
    fault = {"kind": "rest_status", "count": count, "match": {"path": path}, "args": args}
    call(world, "POST", fault)


def checked(world: World, folder: Any, **given: Any) -> dict[str, list[Finding]]:
    settings = {
        "STATE_DIR": str(folder / "state"),
        "VENUE_URL": world.url,
        "VENUE_SPEED": 60,
        "ALLOW_TECHNICAL_ONLY": True,
    }
    config = Config(_env_file=None, _environ={}, **settings | given)
    found, _ = self_check(config, StateDirectory.of(config))
    rows: dict[str, list[Finding]] = {}
    for finding in found:
        rows.setdefault(finding.name, []).append(finding)
    return rows


def reds(rows: dict[str, list[Finding]]) -> dict[str, Finding]:
    return {name: f for name, found in rows.items() for f in found if not f.ok}


def warnings(rows: dict[str, list[Finding]]) -> dict[str, Finding]:
    return {name: f for name, found in rows.items() for f in found if f.level == "warning"}


def test_all_is_green_on_a_calm_venue(calm, tmp_path):
    answers(calm, SAPI, RIGHTS)
    rows = checked(calm, tmp_path)
    assert not reds(rows)
    assert {"clock", "market stream", "user stream", "database", "owner", "disk"} <= set(rows)
    assert set(warnings(rows)) == {"settings"}


@pytest.mark.parametrize(
    ("changed", "level", "said"),
    [
        ({"enableWithdrawals": True}, "red", ("may withdraw", "cannot withdraw")),
        ({"permitsUniversalTransfer": True}, "red", ("may transfer", "ALLOW_TRANSFER")),
        ({"enableInternalTransfer": True}, "red", ("may transfer", "ALLOW_TRANSFER")),
        ({"enableFutures": False}, "red", ("may not trade futures", "allow futures")),
        ({"ipRestrict": False}, "warning", ("from any address", "restrict the key")),
        ({"enableMargin": True}, "warning", ("more than this bot needs", "take these rights")),
    ],
)
def test_a_keys_rights_are_judged(calm, tmp_path, changed, level, said):
    answers(calm, SAPI, RIGHTS | changed)
    (found,) = checked(calm, tmp_path)["key rights"]
    assert (found.level, said[0] in found.detail, said[1] in found.fix) == (level, True, True)


def test_a_key_that_ends_soon_is_a_warning(calm, tmp_path):
    soon = time.time_ns() // 1_000_000 + 10 * 86_400_000
    answers(calm, SAPI, RIGHTS | {"tradingAuthorityExpirationTime": soon})
    (found,) = checked(calm, tmp_path)["key rights"]
    assert found.level == "warning"
    assert "ends in 10 days" in found.detail


def test_a_key_that_may_transfer_passes_where_that_is_allowed(calm, tmp_path):
    answers(calm, SAPI, RIGHTS | {"enableInternalTransfer": True})
    (found,) = checked(calm, tmp_path, ALLOW_TRANSFER=True)["key rights"]
    assert found.level == "ok"


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/fapi/v1/time", {"serverTime": 0}, ("clock", "NTP")),
        ("/fapi/v1/positionSide/dual", {"dualSidePosition": True}, ("position mode", "one-way")),
        (
            "/fapi/v1/multiAssetsMargin",
            {"multiAssetsMargin": True},
            ("multi-assets mode", "single"),
        ),
        ("/fapi/v1/symbolConfig", [], ("margin and leverage", "SYMBOLS")),
        ("/fapi/v1/exchangeInfo", {"symbols": []}, ("symbol BTCUSDT", "SYMBOLS")),
    ],
)
def test_each_answer_that_must_not_be_is_red_with_its_fix(calm, tmp_path, path, body, said):
    answers(calm, path, body)
    found = reds(checked(calm, tmp_path))
    assert said[1] in found[said[0]].fix


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/fapi/v1/openAlgoOrders", "conditional orders"),
        ("/fapi/v1/listenKey", "user stream"),
        (SAPI, "key rights"),
    ],
)
def test_an_endpoint_that_refuses_is_red_and_the_others_still_tell(calm, tmp_path, path, name):
    args = {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}
    call(calm, "POST", {"kind": "rest_reject", "count": 5, "match": {"path": path}, "args": args})
    found = reds(checked(calm, tmp_path))
    assert set(found) == {name}
    assert "check API_KEY" in found[name].fix


def test_a_silent_market_stream_is_red(calm, tmp_path):
    call(calm, "POST", {"kind": "ws_stall", "count": 1, "match": {"route": "market"}, "args": {}})
    found = reds(checked(calm, tmp_path))
    assert "WebSockets" in found["market stream"].fix


def test_too_little_money_is_red(calm, tmp_path):
    found = reds(checked(calm, tmp_path, MIN_BALANCE_THRESHOLD=20_000))
    assert "MIN_BALANCE_THRESHOLD" in found["account"].fix


def test_contradicting_settings_are_red(calm, tmp_path):
    assert "LEVERAGE" in reds(checked(calm, tmp_path, LEVERAGE=50))["settings"].fix


def test_a_model_file_that_fails_verification_is_red(calm, tmp_path):
    folder = tmp_path / "state" / "models"
    folder.mkdir(parents=True)
    (folder / "BTCUSDT_gradient_boosting.joblib").write_bytes(b"not a model")
    assert "train" in reds(checked(calm, tmp_path))["model BTCUSDT"].fix


def test_a_damaged_database_is_red(calm, tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    (state / "async_bot_state.db").write_bytes(b"this is no database at all" * 100)
    assert reds(checked(calm, tmp_path))["database"].fix


def test_a_database_of_another_ledger_is_red(calm, tmp_path):
    checked(calm, tmp_path)
    manager = DatabaseManager(str(tmp_path / "state" / "async_bot_state.db"))
    manager.update_bot_state({"venue_identity": "binance-live"})
    manager.close()
    found = reds(checked(calm, tmp_path))["database"]
    assert "binance-live" in found.detail
    assert "STATE_DIR" in found.fix


def test_a_database_that_somebody_changed_is_red_with_the_place(calm, tmp_path):
    assert checked(calm, tmp_path)["audit chain"][0].ok
    manager = DatabaseManager(str(tmp_path / "state" / "async_bot_state.db"))
    manager.begin_epoch(str(calm.get("/sim/health")["venue_id"]))
    with manager._connection.session() as opened:
        opened.execute_sql("UPDATE audit_chain SET content = content || ' '")
    manager.close()
    found = reds(checked(calm, tmp_path))["audit chain"]
    assert "audit link 1" in found.detail
    assert "restore" in found.fix


def test_a_database_that_a_strangers_bot_uses_is_red(calm, tmp_path):
    checked(calm, tmp_path)
    manager = DatabaseManager(str(tmp_path / "state" / "async_bot_state.db"))
    stranger = Holder(host="elsewhere", lock_file="/there/bot.lock", pid=7)
    manager.begin_epoch(str(calm.get("/sim/health")["venue_id"]), Lease(stranger))
    found = reds(checked(calm, tmp_path))["owner"]
    manager.close()
    assert "pid 7 on elsewhere" in found.detail
    assert "stop that bot" in found.fix


def test_a_full_disk_is_red(calm, tmp_path, monkeypatch):
    usage = SimpleNamespace(total=1 << 40, used=1 << 40, free=1 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert "free space" in reds(checked(calm, tmp_path))["disk"].fix


def test_a_state_directory_that_cannot_be_is_red(calm, tmp_path):
    (tmp_path / "state").write_text("a file")
    assert "STATE_DIR" in reds(checked(calm, tmp_path))["state directory"].fix


def test_a_kill_file_is_told(calm, tmp_path):
    checked(calm, tmp_path)
    (tmp_path / "state" / "KILL").touch()
    assert "resume" in warnings(checked(calm, tmp_path))["state directory"].fix


def test_missing_keys_are_red_and_nothing_is_asked_of_a_venue(calm, tmp_path):
    rows = checked(calm, tmp_path, VENUE="live", VENUE_URL="")
    assert "API_KEY" in reds(rows)["keys"].detail
    assert "venue" not in rows


def test_a_venue_that_is_away_is_red(tmp_path, calm):
    found = reds(checked(calm, tmp_path, VENUE_URL="http://127.0.0.1:9"))
    assert set(found) == {"venue"}


def test_a_start_on_real_money_is_refused_while_anything_is_red(calm, tmp_path):
    config = Config(
        _env_file=None,
        _environ={},
        STATE_DIR=str(tmp_path / "state"),
        VENUE_URL=calm.url,
        ALLOW_TECHNICAL_ONLY=True,
    )
    state = StateDirectory.of(config)
    state.create()
    chosen = reach(config, state)
    assert asyncio.run(require_green_start(config, state, chosen))
    answers(calm, SAPI, RIGHTS | {"enableWithdrawals": True})
    with pytest.raises(SelfCheckError, match="key rights: the key may withdraw"):
        asyncio.run(require_green_start(config, state, chosen))


def test_out_of_the_box_it_is_green_and_leaves_nothing_running(world: World) -> None:
    done = world.start("check", "--json", name="check")
    assert done.wait(60) == 0, done.text()
    document = json.loads(done.text().splitlines()[-1])
    assert document["ok"] is True
    assert all(set(row) >= {"name", "ok", "detail", "fix"} for row in document["checks"])
    assert document["worst_case_loss"] == pytest.approx(60.0)
    assert document["worst_case"]["disaster_bound"] == pytest.approx(1_500.0)
    nothing_is_left(world.state)
    assert not (world.state / "bot.lock").exists(), "check never takes the lock"


def test_a_red_check_exits_78_and_says_the_fix(world: World) -> None:
    done = world.start("check", name="check", LEVERAGE="125", STOPLOSS_PCT="0.02")
    assert done.wait(60) == 78, done.text()
    line = next(x for x in done.text().splitlines() if x.startswith("red"))
    assert "settings: [BTCUSDT] STOPLOSS_PCT" in line
    assert "Fix: lower LEVERAGE" in line


def test_beside_a_running_bot_it_is_green_and_the_bot_goes_on(world: World) -> None:
    bot = world.start("--config", "paper.yaml", "--no-dashboard")
    eventually("it is up", lambda: "control API on" in bot.text(), 60)
    done = world.start("check", "--json", name="check")
    assert done.wait(60) == 0, done.text()
    rows = {row["name"]: row for row in json.loads(done.text().splitlines()[-1])["checks"]}
    assert rows["owner"]["detail"] == f"your bot runs, pid {bot.pid}"
    asked = sqlite3.connect(world.state / "async_bot_state.db")
    assert asked.execute("SELECT COUNT(*) FROM orders WHERE order_id = 'rehearsal'").fetchone() == (
        0,
    )
    asked.close()
    eventually("it still hears", lambda: "Signal: " in bot.text(), 60)
    assert bot.interrupt() == 0, bot.text()
    assert "stream down" not in bot.text()
    nothing_is_left(world.state)
