"""The client classes: each environment has its own addresses, and no other can be given."""

import asyncio
import time

import aiohttp
import pytest

from actors.edges.binance_client import VenueClient, VenueSockets, problem, redirected
from actors.edges.governor import governor_of
from actors.edges.system_clock import SystemClock
from config import Config
from core.execution.classify import Action
from core.messages import Failure

LOOPBACK = "http://127.0.0.1:8899"


async def _addresses(venue: str) -> tuple[str, str, str]:
    client_type, sockets_type = VenueClient, VenueSockets
    if venue == "embedded":
        client_type, sockets_type = redirected(LOOPBACK)
    governor = governor_of(Config(_env_file=None, _environ={}), time.time_ns)
    client = client_type(
        venue=venue, key="k", secret="s", recv_window_ms=3000, timeout_s=1, governor=governor
    )
    try:
        sockets = sockets_type(client, timeout_s=1, compressed=False)
        socket = sockets.futures_multiplex_socket(["btcusdt@kline_1m"], category="market")
        return client._create_futures_api_uri("time"), socket._url, client.API_URL
    finally:
        await client.close_connection()


@pytest.mark.parametrize(
    ("venue", "rest", "stream"),
    [
        ("live", "https://fapi.binance.com/fapi/v1/time", "wss://fstream.binance.com/market/"),
        (
            "testnet",
            "https://testnet.binancefuture.com/fapi/v1/time",
            "wss://fstream.binancefuture.com/market/",
        ),
        (
            "demo",
            "https://demo-fapi.binance.com/fapi/v1/time",
            "wss://fstream.binancefuture.com/market/",
        ),
        ("embedded", f"{LOOPBACK}/fapi/v1/time", "ws://127.0.0.1:8899/market/"),
    ],
)
def test_each_environment_has_its_own_addresses(venue, rest, stream):
    found_rest, found_stream, spot = asyncio.run(_addresses(venue))
    assert (found_rest, found_stream) == (rest, stream)
    if venue == "embedded":
        assert spot.startswith(LOOPBACK)  # nothing of it may leave the machine
    else:
        assert not found_rest.startswith(LOOPBACK)


def test_redirecting_one_client_leaves_the_library_s_addresses_alone():
    redirected(LOOPBACK)
    assert VenueClient.FUTURES_URL.startswith("https://fapi.binance")


@pytest.mark.parametrize(
    ("error", "failure", "action"),
    [
        (TimeoutError(), Failure.UNKNOWN, Action.RESOLVE),
        (aiohttp.ServerDisconnectedError(), Failure.UNKNOWN, Action.RESOLVE),
        (aiohttp.ConnectionTimeoutError("connect"), Failure.NOT_SENT, Action.RETRY),
        (ConnectionResetError("reset"), Failure.UNKNOWN, Action.RESOLVE),
        (KeyError("orderId"), Failure.UNKNOWN, Action.RESOLVE),
        (ValueError("two\nlines"), Failure.UNKNOWN, Action.RESOLVE),
    ],
)
def test_whatever_is_raised_is_judged_and_fits_one_line(error, failure, action):
    found = problem(error)
    assert (found.verdict.failure, found.verdict.action) == (failure, action)
    assert "\n" not in found.detail
    assert "Fix:" in found.detail


def test_a_clock_follows_its_anchor_at_its_speed():
    clock = SystemClock()
    wall_ns = clock.wall_ns()
    clock.anchor(venue_ns=wall_ns + 3_600_000_000_000, wall_ns=wall_ns, speed=0)
    assert clock.now().venue_ns == wall_ns + 3_600_000_000_000  # frozen
    clock.anchor(venue_ns=0, wall_ns=wall_ns - 1_000_000_000, speed=60)
    assert clock.now().venue_ns >= 60_000_000_000
    assert clock.now().speed == 60
