"""One tape, minute by minute, through the live bot on threads and through the stepped one.

The venue stands still (speed 0) and is moved by hand: 59 seconds, then, once the bot has seen the
marks of that moment and come to rest, the last second that closes the candle.  Nothing is then left
to the order of threads: symbols decide in different minutes.
"""

import zlib
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd

from actors.assembly import Machines
from config import Config
from core.backtest.full_result import END_ID
from core.execution.bracket import Phase
from core.venue.simulated.exchange import Exchange
from tests.simulation.venue_side import START_MS

SYMBOLS = ("BTCUSDT", "ETHUSDT")
STRATEGY = "tests.simulation.lockstep:TakingTurns"
SEED = 11
MINUTE_MS = 60_000
# Threads on a busy machine take their time; what is compared is decisions, not how fast they were.
PATIENT: dict[str, Any] = {
    "ACCOUNT_MAX_AGE_S": 3600.0,
    "CLOCK_ERR_MS": 60_000,
    "ENTRY_MAX_AGE_MS": 600_000,
    "HUNG_AFTER_S": 600.0,
    "MARK_MAX_AGE_S": 600.0,
    "WEBSOCKET_TIMEOUT": 600,
    "WS_SILENCE_S": 600.0,
}
_BITCOIN_COSTS_MORE = 20_000


class TakingTurns:
    """Decides by a hash of the candle; the dearer symbol in even minutes, the other in odd ones."""

    warmup = 60

    def __init__(self, config: dict[str, Any]) -> None:
        """Take the settings, of which none matters."""

    def generate_signal(self, df: pd.DataFrame) -> tuple[str | None, float, dict[str, Any]]:
        minute = int(df.index[-1].timestamp()) // 60
        close = float(df["close"].iloc[-1])
        if minute % 2 != int(close < _BITCOIN_COSTS_MORE):
            return None, 0.0, {}
        drawn = zlib.crc32(f"{minute} {close!r}".encode()) % 8
        word = {0: "BUY", 1: "BUY", 2: "SELL", 3: "SELL", 4: "CLOSE"}.get(drawn)
        return word, 0.9 if word else 0.0, {}


def settings(folder: Path, url: str = "", **changes: Any) -> Config:
    """Return the settings of all runs."""
    return Config(
        _env_file=None,
        _environ={},
        VENUE="embedded",
        **changes,
        VENUE_URL=url,
        STATE_DIR=str(folder),
        SYMBOLS=list(SYMBOLS),
        STRATEGY=STRATEGY,
        ALLOW_TECHNICAL_ONLY=True,
        KLINE_HISTORY=60,
        STOPLOSS_PCT=0.002,
        TAKE_PROFIT_PCT=0.002,
        MAX_SYMBOL_NOTIONAL_X=0.25,
        RECONCILE_S=3600.0,
        **PATIENT,
        DASHBOARD=False,
    )


def at_rest(machines: Machines, exchange: Exchange) -> bool:
    """Tell whether the bot has seen all that the venue has to tell, and has nothing under way."""
    risk, execution, now_ms = machines.risk, machines.execution, exchange.now_ms
    if risk is None or execution is None or not execution._recovery.reconciled:
        return False
    closed_ms = now_ms - now_ms % MINUTE_MS - 1
    symbols = machines.symbols
    seen = len(symbols) == len(SYMBOLS) and all(
        s.last_close_ms == closed_ms and s._waiting_since_ns is None for s in symbols.values()
    )
    marks = {s: mark.event_ns // 1_000_000 for s, mark in dict(risk.book.marks).items()}
    brackets = list(execution.brackets.values())
    held = {s: p.quantity for s, p in dict(risk.book.positions).items() if p.quantity}
    there = {p.symbol: p.amount for p in exchange.account.held()}
    return (
        seen
        and marks == dict.fromkeys(SYMBOLS, now_ms)
        and set(execution._orphans.open) == {a.client_algo_id for a in exchange.ledger.open_algos()}
        and all(b.phase is Phase.PROTECTED and len(b.legs) == 2 for b in brackets)
        and not risk.book.reserved
        and risk.book.wallet == exchange.account.wallet
        and held == there == {b.symbol: b.quantity for b in brackets}
    )


def tape(minutes: int, move_to: Callable[[int], None], rest: Callable[[str], None]) -> None:
    """Play minutes and most of one more; `rest` waits until the bot has come to rest."""
    rest("start")
    for minute in range(minutes):
        closes_ms = START_MS + (minute + 1) * MINUTE_MS
        move_to(closes_ms - 1_000)
        rest(f"minute {minute} before its close")
        move_to(closes_ms)
        rest(f"minute {minute} closed")
    move_to(START_MS + (minutes + 1) * MINUTE_MS - 1_000)
    rest("the last minute before its close")


def orders_of(exchange: Exchange) -> list[tuple[Any, ...]]:
    """Return every order with all that the bot chose and all that became of it."""
    ledger = exchange.ledger
    plain: list[tuple[Any, ...]] = [
        (o.time_ms, o.client_order_id, o.symbol, o.side, o.type, str(o.quantity), o.status,
         str(o.average_price), o.reduce_only)
        for o in ledger.orders
        if not o.client_order_id.startswith(END_ID)  # a backtest closes what is left at its end
    ]  # fmt: skip
    plain += [
        (a.create_ms, a.client_algo_id, a.symbol, a.side, a.order_type, str(a.trigger_price),
         a.status, str(a.close_position), a.reduce_only)
        for a in ledger.algo_orders
    ]  # fmt: skip
    return sorted(plain)


def money_of(exchange: Exchange) -> tuple[Decimal, list[tuple[Any, ...]]]:
    """Return the wallet and every fill."""
    fills = [
        (t.time_ms, t.symbol, t.side, str(t.quantity), str(t.price), str(t.realized))
        for t in exchange.ledger.trades
    ]
    return exchange.account.wallet, sorted(fills)
