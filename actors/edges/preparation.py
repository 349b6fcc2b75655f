"""What must hold on the venue before anything trades: symbols, position mode, margin, leverage.

Each violation is one line with its fix.  What the venue shows to be set is left as it is, and
setting it again would change nothing: a start with open positions passes with the same settings.
"""

import asyncio
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, NamedTuple, NoReturn

from actors.edges.binance_client import VenueClient, problem
from actors.edges.governor import QuietError
from actors.edges.listing import Listing
from actors.edges.retrying import Retrying
from config import Config
from core.errors import ConfigurationError, SelfCheckError, TradingError, UnavailableError
from core.venue.instrument import Instrument

_MARGIN_UNCHANGED = -4046
_MARGIN_HELD = (-4047, -4048)  # by open orders, by a position: the mode may be right all the same
_AT_ONCE = 8
_SET_WEIGHT, _CONFIG_WEIGHT = 2, 5  # to set margin and leverage of a symbol, to read those of all
_OF_LEVERAGE = ("symbol", "leverage", "maxNotionalValue")  # what setting it would answer


class Prepared(NamedTuple):
    """The instruments by symbol, and the venue's answers to setting the leverage."""

    instruments: dict[str, Instrument]
    leverage: dict[str, dict[str, Any]]


async def prepare(
    client: VenueClient,
    retrying: Retrying,
    config: Config,
    listing: Listing,
    symbols: tuple[str, ...],
) -> Prepared:
    """Check and set up everything; raises the errors of `Gateway.prepare`."""
    try:
        instruments = _instruments(await listing.rows(), symbols, config, listing)
        brackets = await listing.brackets(symbols)
        instruments = {s: replace(i, brackets=brackets[s]) for s, i in instruments.items()}
        listing.take(instruments)
        # `positionSide/dual` says no more and weighs six times as much.
        _require_one_way(await retrying.read(client.futures_account_config))
        answers = await _all_set_up(client, retrying, config, symbols)
    except TradingError:
        raise
    except QuietError as error:
        raise UnavailableError(f"The venue is unavailable: {error}. Fix: wait.") from error
    except Exception as error:
        raise UnavailableError(f"The venue is unavailable: {problem(error).detail}") from error
    return Prepared(instruments, answers)


async def _all_set_up(
    client: VenueClient, retrying: Retrying, config: Config, symbols: tuple[str, ...]
) -> dict[str, dict[str, Any]]:
    """Set margin and leverage where the venue does not show them as wanted; return its answers."""
    leverage = {symbol: config.for_symbol(symbol).LEVERAGE for symbol in symbols}
    right: dict[str, dict[str, Any]] = {}
    if len(symbols) * _SET_WEIGHT > _CONFIG_WEIGHT:
        for row in await retrying.read(client.futures_symbol_config):
            wanted = {"marginType": "ISOLATED", "leverage": leverage.get(row["symbol"])}
            if wanted.items() <= row.items():
                right[row["symbol"]] = {name: row[name] for name in _OF_LEVERAGE if name in row}
    gate = asyncio.Semaphore(_AT_ONCE)
    wrong = [symbol for symbol in symbols if symbol not in right]
    answers = await asyncio.gather(
        *(_set_up(client, retrying, gate, symbol, leverage[symbol]) for symbol in wrong)
    )
    found = right | dict(zip(wrong, answers, strict=True))
    return {symbol: found[symbol] for symbol in symbols}


def _require_one_way(mode: dict[str, Any]) -> None:
    if mode.get("dualSidePosition") is not False:
        raise SelfCheckError(
            "The position mode must be one-way, was hedge."
            " Fix: change it in the venue's futures preferences."
        )


def _instruments(
    rows: dict[str, dict[str, Any]], symbols: tuple[str, ...], config: Config, listing: Listing
) -> dict[str, Instrument]:
    found: dict[str, Instrument] = {}
    for symbol in symbols:
        if symbol not in rows:
            near = get_close_matches(symbol, list(rows), n=1, cutoff=0.5)
            hint = f"use {near[0]}" if near else "take it out"
            raise ConfigurationError(
                f"SYMBOLS has {symbol}, which the {config.VENUE} venue does not list. Fix: {hint}."
            )
        instrument = listing.instrument(symbol, rows[symbol])
        if instrument.status != "TRADING":
            raise ConfigurationError(
                f"SYMBOLS has {symbol}, whose status is {instrument.status or 'unknown'},"
                " not TRADING. Fix: take it out."
            )
        found[symbol] = instrument
    return found


async def _set_up(
    client: VenueClient, retrying: Retrying, gate: asyncio.Semaphore, symbol: str, leverage: int
) -> dict[str, Any]:
    async with gate:
        try:
            await retrying.read(
                lambda: client.futures_change_margin_type(symbol=symbol, marginType="ISOLATED")
            )
        except Exception as error:  # noqa: BLE001 - judged there
            if not await _is_isolated(client, retrying, symbol, error):
                _refuse(error, symbol, "isolated margin")
        try:
            answer: dict[str, Any] = await retrying.read(
                lambda: client.futures_change_leverage(symbol=symbol, leverage=leverage)
            )
        except Exception as error:  # noqa: BLE001 - judged there
            _refuse(error, symbol, f"LEVERAGE={leverage}")
        return answer


async def _is_isolated(
    client: VenueClient, retrying: Retrying, symbol: str, error: Exception
) -> bool:
    """Tell whether a refusal to set isolated margin means that it is set already."""
    code = 0 if isinstance(error, QuietError) else problem(error).code
    if code not in _MARGIN_HELD:
        return code == _MARGIN_UNCHANGED
    rows = await retrying.read(lambda: client.futures_symbol_config(symbol=symbol))
    return any(row.get("symbol") == symbol and row.get("marginType") == "ISOLATED" for row in rows)


def _refuse(error: Exception, symbol: str, wanted: str) -> NoReturn:
    """Raise what a refusal to set something means."""
    if isinstance(error, QuietError):
        raise error
    found = problem(error)
    if found.verdict.readable_again or found.code == 0:
        raise error
    raise SelfCheckError(f"{symbol} cannot have {wanted}: {found.detail}") from error
