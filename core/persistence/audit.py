"""The audit chain: each link's hash covers the link before it, so none can change unseen.

    hash = sha256(previous hash + canonical link), link = [seq, kind, subject, content, at_ns]

A link either carries its content (the moves of an order, a start of the bot, a checkpoint) or the
SHA-256 of a row that is never changed (`SEALED`): a decision, an intent, a trading state.  So one
changed byte, or one row less, in the chain or in a sealed row shows, and where.  The chain stands
in the same file as what it seals: it cannot convict somebody who rewrites both from there on.  A
head noted elsewhere (the log has it at every start and stop) does.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

GENESIS = "0" * 64

# The columns that never change once written, by table.  What moves on in `order_intent` has links.
SEALED: Mapping[str, tuple[str, ...]] = {
    "decisions": (
        "proposal_id",
        "symbol",
        "side",
        "approved",
        "reason_code",
        "reason",
        "checks",
        "caps",
        "quantity",
        "strength",
        "confidence",
        "price",
        "kline_close_ns",
        "decided_at_ns",
        "epoch",
    ),
    "order_intent": (
        "client_id",
        "proposal_id",
        "symbol",
        "purpose",
        "attempt",
        "side",
        "quantity",
        "reference_price",
        "stop_price",
        "target_price",
        "reservation",
        "decision",
        "generation",
        "created_at_ns",
        "epoch",
        "recorded_at_wall_ns",
        "recorded_at_venue_ns",
    ),
    "state_changes": (
        "symbol",
        "state",
        "reason_code",
        "reason",
        "latched_until_day",
        "at_ns",
        "epoch",
    ),
}
MOVE, EPOCH, CHECKPOINT = "move", "epoch", "checkpoint"


@dataclass(frozen=True, slots=True)
class Audit:
    """What a link says: its kind (a sealed table's name, or a word above), of what, and when."""

    kind: str
    subject: str
    content: str
    at_ns: int  # venue


@dataclass(frozen=True, slots=True)
class Link:
    """One row of the chain."""

    seq: int
    audit: Audit
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What verifying found: how many links, the newest hash, and each fault with its place."""

    links: int
    head: str
    faults: tuple[str, ...]


def subject_of(table: str, row: Mapping[str, Any]) -> str:
    """Return what a sealed row goes by in the chain: the words of its unique key."""
    match table:
        case "decisions":
            return f"{row['proposal_id']}@{row['decided_at_ns']}"
        case "order_intent":
            return str(row["client_id"])
        case _:
            return canonical(
                [row[name] for name in ("symbol", "at_ns", "state", "reason_code", "reason")]
            )


def sealed(table: str, row: Mapping[str, Any], at_ns: int) -> Audit:
    """Return the link that seals a row."""
    return Audit(table, subject_of(table, row), seal(table, row), at_ns)


def seal(table: str, row: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a row's unchangeable columns."""
    return _sha256(canonical([row[name] for name in SEALED[table]]))


def canonical(content: Any) -> str:
    """Write JSON in the one way that is hashed: no spaces, keys in order."""
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS).decode()


def link_hash(previous: str, seq: int, audit: Audit) -> str:
    """Return the hash of the link `seq` that follows one with the hash `previous`."""
    link = canonical([seq, audit.kind, audit.subject, audit.content, audit.at_ns])
    return _sha256(previous + link)


def broken_links(links: Iterable[Link], first: int, previous: str) -> tuple[str, ...]:
    """Return each place where the chain is broken, given its first number and what came before.

    After a fault the chain is followed from there on, so that every further one is found too.
    """
    faults: list[str] = []
    expected = first
    for link in links:
        if link.seq != expected:
            faults.append(f"audit link {expected} is missing (the next is {link.seq})")
        elif link.hash != link_hash(previous, link.seq, link.audit):
            faults.append(f"audit link {link.seq} ({link.audit.kind} {link.audit.subject}) changed")
        expected, previous = link.seq + 1, link.hash
    return tuple(faults)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
