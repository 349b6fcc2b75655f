"""Finds messages in the trace files: by their id, their trace, or the order they speak of.

Files may be large, so a line is decoded only when its bytes can matter.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from actors.causality import Hop, bracket_of, client_id_of, end, hop_of
from actors.tracing import read_raw
from core.errors import TradingError

_IDS = re.compile(rb'\{"event":"(?:sent|handled|dead)","id":(\d+)(?:,"trace":(\d+))?')
_SENT = b'{"event":"sent"'


class UnknownIdError(TradingError):
    """No message and no order goes by that id: the command's own negative answer."""


def find(folder: Path, asked: str) -> list[Hop]:
    """Return every message of the traces that have to do with an id, in no particular order.

    `asked` is a message or trace id, a client order id, or a venue order id (`SYMBOL:orderId`,
    `SYMBOL:algo:algoId`, or the number alone if one symbol only has it).  Raises UnknownIdError.
    """
    traces = _traces_of_message(folder, int(asked)) if asked.isdecimal() else set()
    if traces:
        brackets = _brackets(folder, traces)
    else:
        brackets = {bracket_of(name) for name in _client_ids(folder, asked)}
        if not brackets:
            raise UnknownIdError(
                f"ID must be of a message or order that the traces hold, {asked!r:.60} is not there"
                f" ({folder}). Fix: check it; run.py explain ORDER_ID asks the database."
            )
    return collect(folder, traces, brackets)


def collect(folder: Path, traces: set[int], brackets: set[str]) -> list[Hop]:
    """Return all messages of these traces and of those that speak of these brackets."""
    if brackets:
        words = [word.encode() for word in brackets]
        for raw in read_raw(folder):
            if raw.startswith(_SENT) and any(word in raw for word in words):
                line = orjson.loads(raw)
                if bracket_of(client_id_of(line["body"])) in brackets:
                    traces = traces | {line["trace"]}
    hops: dict[int, Hop] = {}
    for raw in read_raw(folder):
        match = _IDS.match(raw)
        if match is None:
            continue
        number, trace = match.groups()
        if trace is not None:
            if int(trace) in traces:
                hops[int(number)] = hop_of(orjson.loads(raw))
        elif int(number) in hops:
            end(hops[int(number)], orjson.loads(raw))
    return list(hops.values())


def select(folder: Path, wanted: Callable[[dict[str, Any]], bool], *words: str) -> list[int]:
    """Return the traces of the sent lines that hold all these words and are wanted."""
    needles = [word.encode() for word in words]
    found: dict[int, None] = {}
    for raw in read_raw(folder):
        if raw.startswith(_SENT) and all(needle in raw for needle in needles):
            line = orjson.loads(raw)
            if wanted(line):
                found[line["trace"]] = None
    return list(found)


def _traces_of_message(folder: Path, number: int) -> set[int]:
    start = b'{"event":"sent","id":%d,' % number
    for raw in read_raw(folder):
        if raw.startswith(start):
            return {int(orjson.loads(raw)["trace"])}
    return set()


def _brackets(folder: Path, traces: set[int]) -> set[str]:
    """Return the brackets of the orders that were asked for in these traces."""
    words = [b'"trace":%d,' % trace for trace in traces]
    found: set[str] = set()
    for raw in read_raw(folder):
        if raw.startswith(_SENT) and b'"client_id":' in raw and any(w in raw for w in words):
            found.add(bracket_of(client_id_of(orjson.loads(raw)["body"])))
    return found - {""}


def _client_ids(folder: Path, asked: str) -> set[str]:
    """Return the client ids that an order goes by; raises UnknownIdError if two symbols have it."""
    symbol, _, number = asked.rpartition(":")
    word = number.encode()
    found: dict[str, str] = {}
    for raw in read_raw(folder):
        if not raw.startswith(_SENT) or word not in raw:
            continue
        body = orjson.loads(raw)["body"]
        client_id = client_id_of(body)
        if client_id == asked or (client_id and asked in _venue_ids(body, with_symbol=symbol)):
            found[client_id] = str(body.get("symbol") or (body.get("intent") or {}).get("symbol"))
    symbols = sorted({s for s in found.values() if s != "None"})
    if len(symbols) > 1:
        raise UnknownIdError(
            f"ID must be of one symbol, {asked} is an order of {', '.join(symbols)}."
            f" Fix: write {symbols[0]}:{asked}."
        )
    return set(found)


def _venue_ids(body: dict[str, Any], *, with_symbol: str) -> set[str]:
    """Return every way to name the order a message speaks of by the venue's number."""
    symbol = body.get("symbol", "")
    names = {body.get("venue_id") or ""}
    names |= {f"{symbol}:{body['order_id']}"} if body.get("order_id") else set()
    names |= {f"{symbol}:algo:{body['algo_id']}"} if body.get("algo_id") else set()
    return names if with_symbol else {name.rpartition(":")[2] for name in names}
