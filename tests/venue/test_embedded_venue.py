"""The embedded venue's life as a process: kill -9, adoption, clean stop, one-line refusals."""

import json
import os
import signal
import stat
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest

from actors.edges import embedded_venue
from actors.edges.embedded_venue import VenueAddress, ensure_running, stop_running
from actors.edges.venue_address import read
from core.errors import ConfigurationError
from core.venue.simulated.signing import sign

COMMAND = (sys.executable, "-m", "actors.commands.venue")
SYMBOLS = ("BTCUSDT", "ETHUSDT")

pytestmark = pytest.mark.process


@pytest.fixture
def folder(tmp_path):
    yield tmp_path
    published = read(tmp_path / embedded_venue.JOURNAL_FILE)
    if published is not None:
        os.kill(published.pid, signal.SIGKILL)


def start(folder: Path, **more: Any) -> VenueAddress:
    fields = {"symbols": SYMBOLS, "speed": 60, "history": 60, "command": COMMAND, **more}
    return ensure_running(folder, **fields)


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - loopback
        return json.load(answer)


def buy(venue: VenueAddress) -> Any:
    stamp = get(f"{venue.url}/fapi/v1/time")["serverTime"]
    text = f"symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.010&timestamp={stamp}"
    body = f"{text}&signature={sign(venue.api_secret, text)}".encode()
    headers = {"X-MBX-APIKEY": venue.api_key}
    url = f"{venue.url}/fapi/v1/order"
    request = urllib.request.Request(url, body, headers)  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - loopback
        return json.load(answer)


def facts(venue: VenueAddress) -> tuple[Any, ...]:
    ledger = get(f"{venue.url}/sim/ledger")
    return tuple(ledger[name] for name in ("orders", "trades", "income", "position_history"))


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.02)
    return False


def test_a_venue_outlives_kill_9_of_itself_with_the_same_ledger(folder):
    first = start(folder)
    buy(first)
    before = facts(first)
    pid = read(folder / embedded_venue.JOURNAL_FILE).pid
    os.kill(pid, signal.SIGKILL)
    assert gone(pid)
    second = start(folder)
    assert (second.venue_id, second.resumed) == (first.venue_id, True)
    assert facts(second) == before
    buy(second)
    ids = [row["orderId"] for row in facts(second)[0]]
    assert ids[1] == ids[0] + 1


def test_a_running_venue_is_adopted_and_a_clean_stop_pauses_its_time(folder):
    first = start(folder)
    again = start(folder)
    assert (again.url, again.venue_id, again.resumed) == (first.url, first.venue_id, True)
    stopped_at = get(f"{first.url}/sim/health")["venue_ms"]
    assert stop_running(folder)
    assert not stop_running(folder)
    last_line = (folder / embedded_venue.JOURNAL_FILE).read_text().splitlines()[-1]
    paused_at = json.loads(last_line)["t"]
    assert paused_at >= stopped_at
    third = start(folder)
    assert third.venue_id == first.venue_id
    assert get(f"{third.url}/sim/health")["anchor"]["venue_ms"] == paused_at


def test_the_venue_is_alone_in_its_session_and_its_address_is_private(folder):
    venue = start(folder, api_key="k1", api_secret="not-to-be-shown")
    buy(venue)
    published = read(folder / embedded_venue.JOURNAL_FILE)
    assert os.getsid(published.pid) == published.pid != os.getsid(0)
    for name in ("venue.json", "venue.jsonl"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    ours = {f.path for f in psutil.Process().open_files()}
    theirs = {f.path for f in psutil.Process(published.pid).open_files()}
    assert theirs & ours <= set()
    assert "not-to-be-shown" not in repr(venue)
    os.kill(published.pid, signal.SIGTERM)
    assert gone(published.pid)
    assert read(folder / embedded_venue.JOURNAL_FILE) is None


def test_what_cannot_be_served_is_refused_in_one_line(folder):
    with pytest.raises(ConfigurationError, match="BTCUSD"):
        start(folder, symbols=("BTCUSD",))
    venue = start(folder)
    with pytest.raises(ConfigurationError, match="XRPUSDT"):
        start(folder, symbols=("XRPUSDT",))
    port = int(venue.url.rsplit(":", 1)[1])
    with pytest.raises(ConfigurationError, match=f"--port {port}") as caught:
        start(folder / "other", port=port)
    assert "\n" not in str(caught.value)
