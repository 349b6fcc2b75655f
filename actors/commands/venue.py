"""`run.py venue`: the simulated venue alone, until it is stopped."""

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from actors.edges.venue_address import (
    LOCAL_API_KEY,
    LOCAL_API_SECRET,
    PublishedVenue,
    publish,
    withdraw,
)
from actors.edges.venue_http import VenueRunner
from actors.edges.venue_journal import Journal, World, new_world, open_journal
from actors.edges.venue_server import ServerSettings, VenueServer, wall_ms
from actors.edges.venue_source import SYMBOLS_DEFAULT, VenueSettings
from core.errors import ConfigurationError, TradingError
from core.venue.simulated.instruments import expanded

IDLE_S = 600.0
SHUTDOWN_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueOptions:
    """Options of `run.py venue`.

    `speed` is venue seconds per wall second (0: only POST /sim/clock moves the time).  `symbols`
    empty means the five defaults, or with `data` all that the folder holds; `SIM:500` stands for
    500 made-up ones.  With `state` the venue
    keeps its journal there, publishes its address beside it, goes on where it stopped, and stops by
    itself after ten wall minutes without a client.
    """

    host: str = "127.0.0.1"
    port: int = 8899
    seed: int = 7
    symbols: tuple[str, ...] = ()
    speed: float = 1.0
    balance: str = "10000"
    data: Path | None = None
    funding: Path | None = None
    rate_limits: bool = False
    history: int = 1500
    state: Path | None = None


def serve(options: VenueOptions) -> int:
    """Run the venue until SIGINT, SIGTERM, /sim/stop or, with `state`, ten idle minutes.

    Prints `venue ready on http://H:P` when it accepts connections; returns the exit code.  Raises
    ConfigurationError for an occupied port, unknown symbol, unusable data or foreign journal.
    """
    if options.speed < 0:
        raise ConfigurationError(
            f"--speed must be 0 or more, was {options.speed}. Fix: give e.g. --speed 60."
        )
    settings = VenueSettings(
        symbols=expanded(options.symbols) or (() if options.data else SYMBOLS_DEFAULT),
        seed=options.seed,
        balance=str(options.balance),
        history=options.history,
        data=str(options.data or ""),
        funding=str(options.funding or ""),
        start_ms=wall_ms(),
    )
    if options.state is None:
        asyncio.run(_run(options, new_world(settings), None))
    else:
        asyncio.run(_run(options, *open_journal(options.state, settings)))
    return 0


async def _run(options: VenueOptions, world: World, journal: Journal | None) -> None:
    server_settings = ServerSettings(
        speed=options.speed,
        api_key=os.environ.get("API_KEY") or LOCAL_API_KEY,
        api_secret=os.environ.get("API_SECRET") or LOCAL_API_SECRET,
        enforce_limits=options.rate_limits,
        idle_s=IDLE_S if options.state else 0.0,
        token=secrets.token_urlsafe(24) if options.state else "",
    )
    for notice in world.notices:
        _say(notice)
    server = VenueServer(world, journal, server_settings, _say)
    runner = VenueRunner(server.application(), access_log=None, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    try:
        port = await _listen(runner, options)
        url = f"http://{options.host}:{port}"
        if options.state is not None:
            venue = PublishedVenue(
                url=url,
                venue_id=world.venue_id,
                pid=os.getpid(),
                resumed=world.resumed,
                token=server_settings.token,
            )
            publish(options.state, venue)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, server.stopped.set)
        _say(f"venue ready on {url}")
        await server.stopped.wait()
    finally:
        await runner.cleanup()
        if options.state is not None:
            withdraw(options.state)


async def _listen(runner: web.AppRunner, options: VenueOptions) -> int:
    site = web.TCPSite(runner, options.host, options.port)
    try:
        await site.start()
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise ConfigurationError(
            f"--port {options.port} on {options.host} cannot be used ({reason})."
            " Fix: stop what listens there, or give another --port (0 takes a free one)."
        ) from None
    port: int = runner.addresses[0][1]
    return port


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def options_from(words: Sequence[str]) -> VenueOptions:
    """Read `--name value` words, for a venue started without the command line's `run.py`."""
    readers: dict[str, Callable[[str], object]] = {
        "port": int,
        "seed": int,
        "history": int,
        "speed": float,
        "symbols": lambda text: tuple(text.split(",")),
        "rate_limits": lambda text: text == "on",
        "data": Path,
        "funding": Path,
        "state": Path,
    }
    pairs = zip(words[::2], words[1::2], strict=True)
    given = {name.removeprefix("--").replace("-", "_"): text for name, text in pairs}
    return VenueOptions(
        **{name: readers.get(name, str)(text) for name, text in given.items()}  # type: ignore[arg-type]
    )


if __name__ == "__main__":
    try:
        sys.exit(serve(options_from(sys.argv[1:])))
    except TradingError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
