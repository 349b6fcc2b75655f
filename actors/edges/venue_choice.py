"""Which venue the settings mean, and what must be true before the bot talks to it."""

import asyncio
import json
import urllib.request
from dataclasses import dataclass

from actors.edges.binance_client import RECV_WINDOW_MS, VenueClient, problem
from actors.edges.embedded_venue import ensure_running, stop_running
from actors.edges.governor import governor_of
from actors.edges.state_directory import StateDirectory
from actors.edges.system_clock import SystemClock
from config import Config
from core.clock import NS_PER_MS, interval_ns
from core.errors import ConfigurationError, UnavailableError

_ANSWER_S = 5.0
_SPARE_BARS = 100  # beyond KLINE_HISTORY, for those that close while the bot starts
# What the venue's own command line calls its options, and what the settings call them.
_SAME = (("--port", "VENUE_PORT"), ("--balance", "VENUE_BALANCE"), ("--state", "STATE_DIR"))
_SAID_BY_VENUE = "embedded venue: error: "


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenVenue:
    """A venue the bot may talk to.

    `url` is empty for Binance's own addresses; `venue_id` names the ledger the database belongs to;
    `ours` marks an embedded venue that this bot keeps and stops; `line` is the clock of an embedded
    venue: venue ns, wall ns and speed.
    """

    url: str
    venue_id: str
    ours: bool
    line: tuple[int, int, float] | None = None


def reach(config: Config, state: StateDirectory) -> ChosenVenue:
    """Return the venue's address; starts or adopts the embedded one.

    Raises ConfigurationError for a missing key or consent, UnavailableError for a venue that does
    not answer.
    """
    if config.VENUE != "embedded":
        config.require_keys_and_consent()
        asyncio.run(_ping(config))  # before anything is bound to a venue that never answered
        return ChosenVenue(url="", venue_id=f"binance-{config.VENUE}", ours=False)
    if config.VENUE_URL:
        return _look_at(config.VENUE_URL, ours=False)
    try:
        venue = ensure_running(
            state.venue,
            symbols=tuple(config.SYMBOLS),
            seed=config.VENUE_SEED,
            speed=config.VENUE_SPEED,
            balance=config.VENUE_BALANCE,
            history=_history_minutes(config),
            port=config.VENUE_PORT,
            api_key=config.API_KEY.get_secret_value(),
            api_secret=config.API_SECRET.get_secret_value(),
        )
    except ConfigurationError as error:
        raise ConfigurationError(_in_settings(str(error))) from None
    return _look_at(venue.url, ours=True)


async def _ping(config: Config) -> None:
    client = VenueClient(
        venue=config.VENUE,
        key="",
        secret="",
        recv_window_ms=RECV_WINDOW_MS,
        timeout_s=config.REST_TIMEOUT,
        governor=governor_of(config, SystemClock().wall_ns),
    )
    try:
        async with asyncio.timeout(config.REST_TIMEOUT):
            await client.futures_ping()
    except Exception as error:
        if client.governor.quiet_s and not client.governor.banned_s:
            return  # it is there and wants silence: the gateway's start waits for that
        raise UnavailableError(
            f"The {config.VENUE} venue (Binance) is unavailable: {problem(error).detail}"
        ) from error
    finally:
        await client.close_connection()


def _history_minutes(config: Config) -> int:
    """Return enough minutes for the first decision, whatever the interval."""
    minutes = interval_ns(config.KLINE_INTERVAL) // interval_ns("1m")
    return max(config.VENUE_HISTORY, (config.KLINE_HISTORY + _SPARE_BARS) * minutes)


def release(address: ChosenVenue, state: StateDirectory) -> None:
    """Let the bot's own embedded venue save and stop; others go on."""
    if address.ours:
        stop_running(state.venue)


def _in_settings(text: str) -> str:
    """Say what the venue's process said in the names that this bot's user knows."""
    text = text.removeprefix(_SAID_BY_VENUE)
    for option, setting in _SAME:
        text = text.replace(option, setting)
    return text


def _look_at(url: str, *, ours: bool) -> ChosenVenue:
    """Ask a venue on loopback who it is and what time it has."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback: no proxy
    try:
        with opener.open(f"{url}/sim/health", timeout=_ANSWER_S) as answer:
            health = json.load(answer)
        anchor = health["anchor"]
        return ChosenVenue(
            url=url,
            venue_id=str(health["venue_id"]),
            ours=ours,
            line=(
                int(anchor["venue_ms"]) * NS_PER_MS,
                int(anchor["wall_ms"]) * NS_PER_MS,
                float(health["speed"]),
            ),
        )
    except (OSError, ValueError, KeyError) as error:
        raise UnavailableError(
            f"VENUE_URL must be the address of a running venue, {url} did not answer as one"
            f" ({type(error).__name__}). Fix: start run.py venue there, or remove VENUE_URL."
        ) from None
