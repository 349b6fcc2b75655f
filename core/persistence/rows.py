"""Facts as rows and back: exact money, venue time as text, and the journal's JSON columns.

Money in our own tables is decimal text without exponent; the specification's tables hold REAL and
get the nearest float.  Every conversion lives here, so that what was written is read back equal.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from core.messages import (
    Decision,
    Intent,
    Purpose,
    Reservation,
    RuleCheck,
    Side,
    StateChanged,
    SymbolRest,
)
from core.messages import TradingState as State
from core.persistence.audit import Audit

Value = str | int | float | None

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STAMP = "%Y-%m-%d %H:%M:%S.%f"


class Operation(StrEnum):
    """What a write does to its table."""

    INSERT = "insert"
    INSERT_NEW = "insert_new"  # a row with the same unique key stands: nothing happens
    UPSERT = "upsert"  # update the row that `key` finds, else insert it
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One row of one table, ready for SQL.

    `key`: the columns of `values` that find the row (UPSERT, UPDATE, DELETE).  `unless`: a column
    and the contents of it that protect an existing row from UPSERT and UPDATE, because what
    stands there is later in that row's life.
    """

    table: str
    operation: Operation
    values: tuple[tuple[str, Value], ...]
    key: tuple[str, ...] = ()
    unless: tuple[str, tuple[str, ...]] | None = None
    audit: Audit | None = None  # joins the chain if the write changed something


def utc_text(venue_ns: int) -> str:
    """Write UTC nanoseconds as the tables' `YYYY-MM-DD HH:MM:SS.ffffff`; below 1 us is cut off.

    >>> utc_text(1_755_262_547_464_000_999)
    '2025-08-15 12:55:47.464000'
    """
    return (_EPOCH + timedelta(microseconds=venue_ns // 1_000)).strftime(_STAMP)


def exact(amount: Decimal) -> str:
    """Write an amount so that nothing is lost, without exponent.

    >>> exact(Decimal("1E-7"))
    '0.0000001'
    """
    return format(amount, "f")


def finite(number: float | None) -> float | None:
    """Return a number that every database can hold; NaN and infinity become unknown.

    They come from strategies, which are the user's: a bad one must not stop the storing of others.
    """
    return number if number is not None and math.isfinite(number) else None


def plain(text: str) -> str:
    """Return text that every database takes: no NUL, no half of a surrogate pair.

    Both can come from the venue or a strategy, and must not stop the storing of others.
    """
    if text.isascii() and "\x00" not in text:
        return text
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def intent_values(intent: Intent) -> tuple[tuple[str, Value], ...]:
    """Return every field of a journal intent by column name; see `intent_from_row`."""
    reservation, decision = intent.reservation, intent.decision
    return (
        ("client_id", intent.client_id),
        ("proposal_id", intent.proposal_id),
        ("symbol", intent.symbol),
        ("purpose", intent.purpose.value),
        ("attempt", intent.attempt),
        ("side", intent.side.value),
        ("quantity", exact(intent.quantity)),
        ("reference_price", exact(intent.reference_price)),
        ("stop_price", exact(intent.stop_price)),
        ("target_price", exact(intent.target_price)),
        ("reservation", None if reservation is None else _reservation_text(reservation)),
        ("decision", None if decision is None else _decision_text(decision)),
        ("generation", intent.generation),
        ("created_at_ns", intent.created_at_ns),
    )


def intent_from_row(row: Mapping[str, Any]) -> Intent:
    """Build the intent back from its journal row; equal to the one that was recorded."""
    return Intent(
        client_id=row["client_id"],
        proposal_id=row["proposal_id"],
        symbol=row["symbol"],
        purpose=Purpose(row["purpose"]),
        attempt=row["attempt"],
        side=Side(row["side"]),
        quantity=Decimal(row["quantity"]),
        reference_price=Decimal(row["reference_price"]),
        stop_price=Decimal(row["stop_price"]),
        target_price=Decimal(row["target_price"]),
        reservation=_reservation(row["reservation"]),
        decision=_decision(row["decision"]),
        generation=row["generation"],
        created_at_ns=row["created_at_ns"],
    )


def checks_text(checks: tuple[RuleCheck, ...]) -> str:
    """Write a decision's rules as JSON rows `[rule, value, limit, passed]`."""
    return json.dumps(_check_rows(checks))


def caps_text(caps: tuple[tuple[str, Decimal], ...]) -> str:
    """Write a decision's quantity caps as JSON rows `[name, exact quantity]`."""
    return json.dumps(_cap_rows(caps))


def state_key(symbol: str) -> str:
    """Return the key of `bot_state` that holds a symbol's state, or the account's (no symbol).

    >>> state_key(""), state_key("BTCUSDT")
    ('trading_state', 'trading_state:BTCUSDT')
    """
    return f"trading_state:{symbol}" if symbol else "trading_state"


def bases_text(bases: tuple[tuple[str, Decimal], ...]) -> str:
    """Write the marks that the day began with as JSON rows `[symbol, exact price]`."""
    return json.dumps(_cap_rows(bases))


def bases_from_text(text: str) -> tuple[tuple[str, Decimal], ...]:
    """Read back what `bases_text` wrote."""
    return tuple((symbol, Decimal(mark)) for symbol, mark in json.loads(text))


def state_text(message: StateChanged) -> str:
    """Write a trading state as the JSON kept under `state_key` in `bot_state`."""
    return json.dumps(
        {
            "state": message.state.value,
            "reason_code": message.reason_code,
            "reason": message.reason,
            "latched_until_day": message.latched_until_day,
            "at_ns": message.at_ns,
            "symbol": message.symbol,
        }
    )


def state_from_text(text: str) -> StateChanged:
    """Read back what `state_text` wrote."""
    fields = json.loads(text)
    return StateChanged(**{**fields, "state": State(fields["state"])})


def rest_key(symbol: str) -> str:
    """Return the key of `bot_state` that holds how a symbol rests.

    >>> rest_key("BTCUSDT")
    'rest:BTCUSDT'
    """
    return f"rest:{symbol}"


def rest_text(message: SymbolRest) -> str:
    """Write how a symbol rests as the JSON kept under `rest_key` in `bot_state`."""
    return json.dumps(
        {
            "symbol": message.symbol,
            "until_wall_ns": message.until_wall_ns,
            "reason": message.reason,
            "failures": message.failures,
            "at_ns": message.at_ns,
        }
    )


def rest_from_text(text: str) -> SymbolRest:
    """Read back what `rest_text` wrote."""
    fields = json.loads(text)
    return SymbolRest(**{**fields, "failures": tuple(fields["failures"])})


def _check_rows(checks: tuple[RuleCheck, ...]) -> list[list[str | bool]]:
    return [[check.rule, check.value, check.limit, check.passed] for check in checks]


def _cap_rows(caps: tuple[tuple[str, Decimal], ...]) -> list[list[str]]:
    return [[name, exact(cap)] for name, cap in caps]


def _reservation_text(reservation: Reservation) -> str:
    return json.dumps(
        {
            "notional": exact(reservation.notional),
            "margin": exact(reservation.margin),
            "risk": exact(reservation.risk),
        }
    )


def _reservation(text: str | None) -> Reservation | None:
    if text is None:
        return None
    return Reservation(**{name: Decimal(amount) for name, amount in json.loads(text).items()})


def _decision_text(decision: Decision) -> str:
    return json.dumps(
        {
            "proposal_id": decision.proposal_id,
            "symbol": decision.symbol,
            "side": str(decision.side),
            "approved": decision.approved,
            "reason_code": decision.reason_code,
            "reason": decision.reason,
            "checks": _check_rows(decision.checks),
            "caps": _cap_rows(decision.caps),
            "quantity": exact(decision.quantity),
            "strength": decision.strength,
            "confidence": decision.confidence,
            "price": exact(decision.price),
            "kline_close_ns": decision.kline_close_ns,
            "decided_at_ns": decision.decided_at_ns,
        }
    )


def _decision(text: str | None) -> Decision | None:
    if text is None:
        return None
    fields = json.loads(text)
    return Decision(
        **{
            **fields,
            "checks": tuple(
                RuleCheck(rule=rule, value=value, limit=limit, passed=passed)
                for rule, value, limit, passed in fields["checks"]
            ),
            "caps": tuple((name, Decimal(cap)) for name, cap in fields["caps"]),
            "quantity": Decimal(fields["quantity"]),
            "price": Decimal(fields["price"]),
        }
    )
