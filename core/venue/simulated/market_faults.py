"""Carries out faults that change the exchange itself: prices, matching, listing.

Everything here is a function of the exchange's state and the fault, in venue time; a journal that
repeats `inject` and `clear` at their times rebuilds the same ledger.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from core.venue.simulated.bent_prices import Bend, BentPrices
from core.venue.simulated.errors import Rejection
from core.venue.simulated.exchange import Exchange
from core.venue.simulated.faults import Armed, Fault, Group, read_fault
from core.venue.simulated.instruments import ListedInstrument
from core.venue.simulated.params import Params
from core.venue.simulated.rest_trade import place_algo, place_order
from core.venue.simulated.tickets import decimals

FAULTS_PATH = "/sim/faults"  # of the journal's entries too
_RULES = {
    "tickSize": "tick_size",
    "stepSize": "step_size",
    "minQty": "quantity_min",
    "maxQty": "quantity_max",
    "marketMaxQty": "market_quantity_max",
    "minNotional": "notional_min",
}


def inject(exchange: Exchange, fault: Fault, pace: float = 1.0) -> Armed:
    """Arm a MARKET fault, and carry out at once what waits for no occasion.

    `pace` is venue seconds per second of the fault's durations.  Raises Rejection for an unlisted
    symbol and for a foreign order that the venue refuses.
    """
    assert fault.group is Group.MARKET
    symbols = _symbols(exchange, fault)
    now_ms, faults = exchange.now_ms, exchange.orders.faults
    struck = 1
    match fault.kind:
        case "price_jump" | "price_freeze":
            span_ms = int(fault.args["s"] * 1000 * (pace or 1.0))
            for symbol in symbols:
                _bend(exchange, _bend_of(exchange, fault, symbol, span_ms))
        case "foreign_order":
            struck = _place_foreign(exchange, fault, symbols[0])
        case "delist":
            for symbol in symbols:
                _delist(exchange, symbol, fault)
        case "filter_change":
            for symbol in symbols:
                rules = _changed(exchange.quotes.instruments[symbol], fault)
                _bent(exchange).change(rules, now_ms)
                exchange.quotes.look_again(_bent(exchange))
        case _:
            struck = 0
    row = faults.table.arm(fault)
    for _ in range(struck):
        row.strike()
        faults.table.note(fault.kind)
    if struck:
        row.left = 0
    return row


def clear(exchange: Exchange) -> int:
    """Disarm the waiting faults; what has been carried out stays.  Returns how many there were."""
    return exchange.orders.faults.table.clear()


def repeat(exchange: Exchange, method: str, params: Mapping[str, str]) -> None:
    """Carry out a journal's entry again: what `inject` or `clear` did at this venue time."""
    if method == "DELETE":
        clear(exchange)
    else:
        inject(exchange, read_fault(json.loads(params["fault"])), float(params["pace"]))


def _changed(rules: ListedInstrument, fault: Fault) -> ListedInstrument:
    """Return the rules with the fault's filters, and digits enough to write them."""
    changes: dict[str, Any] = {_RULES[key]: Decimal(text) for key, text in fault.args.items()}
    if "tick_size" in changes:
        digits = max(rules.price_precision, decimals(changes["tick_size"]))
        changes["price_precision"] = digits
    if "step_size" in changes:
        digits = max(rules.quantity_precision, decimals(changes["step_size"]))
        changes["quantity_precision"] = digits
    return replace(rules, **changes)


def _symbols(exchange: Exchange, fault: Fault) -> list[str]:
    wanted = fault.match.get("symbol") or fault.args.get("symbol")
    if wanted is None:
        return list(exchange.quotes.symbols)
    symbol = str(wanted).upper()
    if symbol not in exchange.quotes.instruments:
        raise Rejection(-1121)
    return [symbol]


def _bent(exchange: Exchange) -> BentPrices:
    """Return the layer of bends, put over the price source the first time it is needed."""
    source = exchange.quotes.source
    if isinstance(source, BentPrices):
        return source
    layer = BentPrices(source)
    exchange.quotes.look_again(layer)
    return layer


def _bend_of(exchange: Exchange, fault: Fault, symbol: str, span_ms: int) -> Bend:
    now_ms = exchange.now_ms
    if fault.kind == "price_freeze":
        pinned = exchange.quotes.last(symbol)
        return Bend(symbol=symbol, from_ms=now_ms, to_ms=now_ms + span_ms, pinned=pinned)
    factor = 1 + Decimal(repr(float(fault.args["pct"]))) / 100
    until = now_ms + span_ms if span_ms else None
    return Bend(symbol=symbol, from_ms=now_ms, to_ms=until, factor=factor)


def _bend(exchange: Exchange, bend: Bend) -> None:
    _bent(exchange).bend(bend)
    if bend.pinned is not None and bend.to_ms is not None:
        exchange.quotes.stilled[bend.symbol] = (bend.from_ms, bend.to_ms)
    exchange.quotes.look_again(_bent(exchange))
    exchange.candles.forget(bend.symbol)
    exchange.react(bend.symbol)


def _place_foreign(exchange: Exchange, fault: Fault, symbol: str) -> int:
    """Place orders as if by hand: the account's own, of an id that no bot has chosen.

    Returns how many there were; raises the Rejection of the first one.
    """
    conditional = "triggerPrice" in fault.args
    name = "clientAlgoId" if conditional else "newClientOrderId"
    before = exchange.orders.faults.table.fired.get(fault.kind, 0)
    for number in range(fault.count or 1):
        own_id = f"ios_{exchange.now_ms}_{before + number}"
        wish = {"side": "BUY", "type": "MARKET", name: own_id, **fault.args, "symbol": symbol}
        try:
            if conditional:
                place_algo(exchange, Params({"algoType": "CONDITIONAL", **wish}))
            else:
                place_order(exchange, Params(wish))
        except Rejection:
            if not number:
                raise
            return number
    return fault.count or 1


def _delist(exchange: Exchange, symbol: str, fault: Fault) -> None:
    quotes, status = exchange.quotes, fault.args["status"]
    quotes.statuses[symbol] = status
    if fault.args["hidden"]:
        quotes.hidden[symbol] = None
    else:
        quotes.hidden.pop(symbol, None)
    if fault.args["settle"] and status in {"SETTLING", "CLOSE"}:
        exchange.algos.delist(symbol)
        exchange.orders.delist(symbol)
