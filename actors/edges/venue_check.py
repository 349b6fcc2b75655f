"""The part of the self-check that asks the venue: account, key, clock, symbols, streams.

Reads only; nothing is set and no order is sent.  Each check stands alone: one that cannot be
made is red with what went wrong, and the others still tell.
"""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from typing import Any

from actors.edges.binance_client import (
    RECV_WINDOW_MS,
    VenueClient,
    VenueSockets,
    close_socket,
    problem,
    quiet_library_log,
    redirected,
)
from actors.edges.governor import governor_of
from actors.edges.system_clock import SystemClock
from actors.edges.venue_address import LOCAL_API_KEY, LOCAL_API_SECRET
from actors.edges.venue_choice import ChosenVenue
from actors.self_check import Finding, green, red, refused, warning
from config import Config
from core.clock import NS_PER_MS
from core.errors import TradingError
from core.venue.instrument import Instrument

_CLOCK_SAMPLES = 5
_CLOCK_RED_MS = 5_000  # beyond it, stamps are refused before the offset is known
_FRAME_WITHIN_S = 10.0
_EXPIRES_SOON_MS = 14 * 86_400_000
_NEEDLESS = ("enableSpotAndMarginTrading", "enableMargin", "enableVanillaOptions")

Check = Callable[[], Awaitable[list[Finding]]]


class VenueCheck:
    """Asks one venue, by its own client; `balance` is the wallet it found, None until then."""

    def __init__(self, config: Config, venue: ChosenVenue) -> None:
        self._config = config
        self._venue = venue
        self.balance: Decimal | None = None
        client_type: type[VenueClient] = VenueClient
        self._sockets_type: type[VenueSockets] = VenueSockets
        if venue.url:
            client_type, self._sockets_type = redirected(venue.url)
        self._client = client_type(
            venue=config.VENUE,
            key=config.API_KEY.get_secret_value() or LOCAL_API_KEY,
            secret=config.API_SECRET.get_secret_value() or LOCAL_API_SECRET,
            recv_window_ms=RECV_WINDOW_MS,
            timeout_s=config.REST_TIMEOUT,
            governor=governor_of(config, SystemClock().wall_ns),
        )

    async def run(self) -> AsyncIterator[Finding]:
        """Yield what was found, in the order of a start."""
        quiet_library_log()
        checks: tuple[tuple[str, Check], ...] = (
            ("clock", self._clock),
            ("account", self._account),
            ("key rights", self._rights),
            ("position mode", self._position_mode),
            ("multi-assets mode", self._assets_mode),
            ("margin and leverage", self._margin),
            ("symbols", self._symbols),
            ("conditional orders", self._algo),
            ("market stream", self._market_stream),
            ("user stream", self._user_stream),
        )
        try:
            for name, check in checks:
                for finding in await self._guarded(name, check):
                    yield finding
        finally:
            await self._client.close_connection()

    async def _guarded(self, name: str, check: Check) -> list[Finding]:
        try:
            async with asyncio.timeout(2 * self._config.REST_TIMEOUT + _FRAME_WITHIN_S):
                return await check()
        except TradingError as error:
            return [refused(name, error)]
        except Exception as error:  # noqa: BLE001 - whatever it was, the check is not green
            detail, _, fix = problem(error).detail.partition(" Fix: ")
        return [red(name, detail, fix or "see the detail")]

    # ---------------------------------------- the checks
    async def _clock(self) -> list[Finding]:
        offsets = [await self._offset_ms() for _ in range(_CLOCK_SAMPLES)]
        offset_ms = statistics.median(offsets)
        if not self._venue.line:
            self._client.timestamp_offset = round(offset_ms)
        detail = f"offset {offset_ms:+.0f} ms, median of {_CLOCK_SAMPLES}"
        fix = "synchronise this machine's clock (NTP)"
        if abs(offset_ms) > _CLOCK_RED_MS:
            return [red("clock", f"{detail}, limit {_CLOCK_RED_MS} ms", fix)]
        if abs(offset_ms) > self._config.CLOCK_ERR_MS:
            limit = f"CLOCK_ERR_MS {self._config.CLOCK_ERR_MS}"
            return [warning("clock", f"{detail}, above {limit}", fix)]
        return [green("clock", detail)]

    async def _offset_ms(self) -> float:
        """Return how far the venue's clock is from where it should be, wall ms."""
        began_ns = time.time_ns()
        server_ms = int((await self._client.futures_time())["serverTime"])
        middle_ns = (began_ns + time.time_ns()) // 2
        if self._venue.line is None:
            return server_ms - middle_ns / NS_PER_MS
        venue_ns, wall_ns, speed = self._venue.line  # the embedded venue's own pace
        expected_ms = (venue_ns + (middle_ns - wall_ns) * speed) / NS_PER_MS
        return (server_ms - expected_ms) / max(speed, 1.0)

    async def _account(self) -> list[Finding]:
        account = await self._client.futures_account()
        self.balance = Decimal(account["totalWalletBalance"])
        least = self._config.MIN_BALANCE_THRESHOLD
        detail = f"{self.balance:,.2f} USDT"
        if self.balance < Decimal(str(least)):
            fix = "add funds, or lower MIN_BALANCE_THRESHOLD"
            return [red("account", f"{detail}, MIN_BALANCE_THRESHOLD {least:g}", fix)]
        return [green("account", f"{detail} in the wallet")]

    async def _rights(self) -> list[Finding]:
        if self._config.VENUE in ("testnet", "demo"):
            return [green("key rights", f"{self._config.VENUE} does not tell them: skipped")]
        return judge_rights(
            await self._client.get_account_api_permissions(),
            allow_transfer=self._config.ALLOW_TRANSFER,
            now_ms=time.time_ns() // NS_PER_MS,
        )

    async def _position_mode(self) -> list[Finding]:
        mode = await self._client.futures_get_position_mode()
        if mode.get("dualSidePosition") is not False:
            fix = "set one-way mode in the venue's futures preferences"
            return [red("position mode", "hedge, must be one-way", fix)]
        return [green("position mode", "one-way")]

    async def _assets_mode(self) -> list[Finding]:
        mode = await self._client.futures_get_multi_assets_mode()
        if mode.get("multiAssetsMargin") is not False:
            fix = "set single-asset mode in the venue's futures preferences"
            return [red("multi-assets mode", "on; isolated margin needs it off", fix)]
        return [green("multi-assets mode", "off")]

    async def _margin(self) -> list[Finding]:
        rows = {row["symbol"]: row for row in await self._client.futures_symbol_config()}
        missing = [s for s in self._config.SYMBOLS if s not in rows]
        if missing:
            fix = "take them out of SYMBOLS, or ask the venue for access"
            return [red("margin and leverage", f"not told for {', '.join(missing)}", fix)]
        other = [
            f"{s} {rows[s]['marginType']} x{rows[s]['leverage']}"
            for s in self._config.SYMBOLS
            if rows[s]["marginType"] != "ISOLATED"
            or int(rows[s]["leverage"]) != self._config.for_symbol(s).LEVERAGE
        ]
        detail = f"set at start: {', '.join(other)}" if other else "as configured"
        return [green("margin and leverage", detail)]

    async def _symbols(self) -> list[Finding]:
        rows = {r["symbol"]: r for r in (await self._client.futures_exchange_info())["symbols"]}
        found: list[Finding] = []
        for symbol in self._config.SYMBOLS:
            name, fix = f"symbol {symbol}", "take it out of SYMBOLS"
            row = rows.get(symbol)
            if row is None or row.get("status") != "TRADING":
                status = "not listed" if row is None else f"status {row.get('status')}"
                found.append(red(name, status, fix))
                continue
            fallback = Decimal(str(self._config.for_symbol(symbol).MIN_ORDER_USD_FALLBACK))
            try:
                rules = Instrument.from_exchange_info(row, min_notional_fallback=fallback)
            except TradingError as error:
                found.append(red(name, str(error), fix))
                continue
            found.append(
                green(
                    name,
                    f"tick {rules.tick:f}, step {rules.step:f}, least {rules.min_notional:f} USDT",
                )
            )
        return found

    async def _algo(self) -> list[Finding]:
        orders = await self._client.futures_get_open_algo_orders()
        return [green("conditional orders", f"{len(orders)} open")]

    async def _market_stream(self) -> list[Finding]:
        stream = f"{self._config.SYMBOLS[0].lower()}@markPrice@1s"
        sockets = self._sockets()
        socket = await sockets.market([stream])
        try:
            async with asyncio.timeout(_FRAME_WITHIN_S):
                frame = await socket.recv()
        except TimeoutError:
            fix = "check firewall and proxy: WebSockets to the venue must pass"
            return [red("market stream", f"no frame within {_FRAME_WITHIN_S:.0f} s", fix)]
        finally:
            await close_socket(socket)
        if not isinstance(frame, dict) or "data" not in frame:
            fix = "check for a proxy between here and the venue"
            return [red("market stream", f"not a stream frame: {frame!r:.80}", fix)]
        return [green("market stream", f"heard {stream}")]

    async def _user_stream(self) -> list[Finding]:
        # The key is the account's: closing it would silence a running bot.
        key = await self._client.futures_stream_get_listen_key()
        socket = await self._sockets().user(key)
        await close_socket(socket)
        return [green("user stream", "connected")]

    def _sockets(self) -> VenueSockets:
        return self._sockets_type(
            self._client, timeout_s=self._config.REST_TIMEOUT, compressed=not self._venue.url
        )


async def check_venue(config: Config, venue: ChosenVenue, found: list[Finding]) -> Decimal | None:
    """Add what the venue tells to `found`; returns the wallet's balance, None if unknown."""
    asked = VenueCheck(config, venue)
    found.extend([finding async for finding in asked.run()])
    return asked.balance


def judge_rights(rights: dict[str, Any], *, allow_transfer: bool, now_ms: int) -> list[Finding]:
    """Judge what a key may do: it needs futures, and must not move money out."""
    found: list[Finding] = []
    if rights.get("enableWithdrawals") is not False:
        found.append(red("key rights", "the key may withdraw", "make a key that cannot withdraw"))
    moving = ("permitsUniversalTransfer", "enableInternalTransfer")
    may = [name for name in moving if rights.get(name)]
    if may and not allow_transfer:
        fix = "take the right from the key, or set ALLOW_TRANSFER=true"
        found.append(red("key rights", f"the key may transfer ({', '.join(may)})", fix))
    if rights.get("enableFutures") is not True:
        fix = "allow futures for this key on the venue's API page"
        found.append(red("key rights", "the key may not trade futures", fix))
    if rights.get("ipRestrict") is not True:
        fix = "restrict the key to this machine's address"
        found.append(warning("key rights", "the key works from any address", fix))
    needless = [name for name in _NEEDLESS if rights.get(name)]
    if needless:
        text = f"the key may do more than this bot needs ({', '.join(needless)})"
        found.append(warning("key rights", text, "take these rights from the key"))
    ends_ms = rights.get("tradingAuthorityExpirationTime")
    if isinstance(ends_ms, int) and ends_ms - now_ms < _EXPIRES_SOON_MS:
        days = (ends_ms - now_ms) / 86_400_000
        text = f"the key's right to trade ends in {days:.0f} days"
        found.append(warning("key rights", text, "renew the key on the venue's API page"))
    return found or [green("key rights", "futures only, bound to an address")]
