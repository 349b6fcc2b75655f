"""Why it traded, or why it did not: the chain of facts behind one decision.

The database alone is enough: it holds the signal with its features, the decision with every rule
and cap, the journal and the fills.  Where the trace still has the messages, each fact gets its
message's ids, sender, recipient and times, and the messages in between are added.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from actors.causality import Hop, Tree, client_id_of, tree_of
from actors.edges.evidence import Evidence, Row
from core.clock import NS_PER_MS
from core.execution.order_life import ENDED, OrderState
from core.messages import Purpose

_PURPOSE_KINDS = {"E": "order", "S": "stop", "T": "target", "X": "exit"}
_EXITS = {"S": "stop", "T": "target", "X": "exit"}
# How the strategy's reasons begin (core/symbol/strategy.py), and their codes.
_SIGNAL_CODES = (
    ("strength", "weak_signal"),
    ("confidence", "low_confidence"),
    ("signals cancel", "hold"),
    ("history", "short_history"),
    ("last bar damaged", "bad_bar"),
    ("no model", "no_model"),
    ("model without skill", "unskilled_model"),
    ("prediction", "bad_prediction"),
)


@dataclass(slots=True)
class Step:
    """One fact of the chain.  `facts` are its numbers by name."""

    kind: str
    sender: str
    recipient: str
    at_ns: int  # venue time
    parent: "Step | None" = None
    facts: dict[str, Any] = field(default_factory=dict)
    message: str = ""  # the class of its message, where the trace has it
    id: int = 0
    cause: int = 0
    ms: float | None = None  # from being sent to being done with; None without trace

    def row(self) -> dict[str, Any]:
        """Return the step as JSON; `at` is venue time in ms."""
        return {
            "id": self.id,
            "cause": self.cause,
            "sender": self.sender,
            "recipient": self.recipient,
            "kind": self.kind,
            "at": self.at_ns // NS_PER_MS,
            "ms": None if self.ms is None else round(self.ms, 3),
            "message": self.message,
            **self.facts,
        }


@dataclass(slots=True)
class Explanation:
    """What came of it, under a stable code, in words, and the chain that led there."""

    symbol: str
    outcome: str  # traded, not_filled, pending, closing, refused, no_signal, undecided, no_kline
    reason_code: str
    reason: str
    chain: list[Step]

    def document(self) -> dict[str, Any]:
        """Return the JSON shape of the command line's contract."""
        return {
            "outcome": self.outcome,
            "reason_code": self.reason_code,
            "reason": self.reason,
            "symbol": self.symbol,
            "chain": [step.row() for step in self.chain],
        }


def explain(evidence: Evidence, hops: Iterable[Hop]) -> Explanation:
    """Return the explanation of what the database holds, enriched by these messages."""
    chain = _chain(evidence)
    tree = tree_of(hops)
    outcome, code, reason = _verdict(evidence, tree)
    _number(chain, tree, evidence)
    return Explanation(
        symbol=evidence.symbol, outcome=outcome, reason_code=code, reason=reason, chain=chain
    )


# ---------------------------------------- the facts, from the database
def _chain(evidence: Evidence) -> list[Step]:
    symbol, signal, decision = f"symbol/{evidence.symbol}", evidence.signal, evidence.decision
    chain: list[Step] = []
    kline = None
    if evidence.kline_close_ns:
        price = signal["price"] if signal is not None else None
        facts = {"symbol": evidence.symbol, "close": None if price is None else float(price)}
        kline = Step("kline", "feed", symbol, evidence.kline_close_ns, facts=facts)
        chain.append(kline)
    if signal is not None:
        at_ns = evidence.kline_close_ns
        facts = _signal_facts(signal)
        chain.append(Step("signal", symbol, "persistence", at_ns, kline, facts=facts))
    proposal = None
    if decision is not None:
        at_ns = decision["decided_at_ns"]
        names = ("proposal_id", "side", "strength", "confidence", "price")
        facts = {name: decision[name] for name in names}
        proposal = Step("proposal", symbol, "risk", at_ns, kline, facts=facts)
        facts = {"approved": bool(decision["approved"])}
        names = ("reason_code", "reason", "quantity", "checks", "caps")
        facts |= {name: decision[name] for name in names}
        chain += [proposal, Step("decision", "risk", "persistence", at_ns, proposal, facts=facts)]
    return [*chain, *_orders(evidence, proposal)]


def _signal_facts(signal: Row) -> dict[str, Any]:
    technical = signal["technical"]
    return {
        "signal": signal["signal"],
        "strength": signal["strength"],
        "prediction": signal["prediction"],
        "confidence": signal["confidence"],
        "reason": signal["reason"],
        "technical": {n: v for n, v in technical.items() if n.endswith("_signal")},
        "features": {n: v for n, v in technical.items() if not n.endswith("_signal")},
    }


def _orders(evidence: Evidence, proposal: Step | None) -> list[Step]:
    """Return the orders of a proposal, each followed by its fills, and what they made."""
    steps: list[Step] = []
    cause = proposal
    for intent in evidence.intents:
        entry = intent["purpose"] == Purpose.ENTRY.value
        if entry:
            facts = {"client_id": intent["client_id"], "quantity": intent["quantity"]}
            at_ns = intent["created_at_ns"]
            cause = Step("intent", "execution", "persistence", at_ns, proposal, facts=facts)
            steps.append(cause)
        kind = _PURPOSE_KINDS.get(intent["purpose"], "order")
        at_ns = intent["recorded_at_venue_ns"] if entry else intent["created_at_ns"]
        order = Step(kind, "execution", "gateway", at_ns, cause, facts=_order_facts(intent))
        steps.append(order)
        for fill in evidence.fills:
            if fill["client_id"] == intent["client_id"]:
                names = ("trade_id", "side", "quantity", "price", "commission", "realized_pnl")
                facts = {name: fill[name] for name in names}
                booked = Step("fill", "execution", "persistence", fill["at_ns"], order, facts=facts)
                steps.append(booked)
                cause = booked if entry else cause
    if evidence.fills:
        last_ns = max(fill["at_ns"] for fill in evidence.fills)
        facts = result_of(evidence)
        steps.append(Step("result", "execution", "persistence", last_ns, steps[-1], facts=facts))
    return steps


def _order_facts(intent: Row) -> dict[str, Any]:
    names = ("client_id", "venue_id", "side", "quantity", "state", "executed", "average_price")
    facts = {name: intent[name] for name in names} | {"purpose": Purpose(intent["purpose"]).name}
    trigger = intent["stop_price"] if intent["purpose"] == "S" else intent["target_price"]
    if intent["purpose"] in ("S", "T"):
        facts["trigger_price"] = trigger
    if intent["reason"]:
        facts["reason"] = intent["reason"]
    return facts


def result_of(evidence: Evidence) -> dict[str, Any]:
    """Return what an entry made so far: exact decimals as text, in quote units.

    `net` is after all commissions, without funding; `exit_reason` is `open` until it is flat.
    """
    zero = Decimal(0)
    held = pnl = fees = zero
    exits: list[str] = []
    purposes = {row["client_id"]: row["purpose"] for row in evidence.intents}
    for fill in evidence.fills:
        sign = 1 if fill["side"] == "BUY" else -1
        held += sign * Decimal(fill["quantity"])
        pnl += Decimal(fill["realized_pnl"])
        fees += Decimal(fill["commission"])
        purpose = purposes[fill["client_id"]]
        exits += [_EXITS[purpose]] if purpose in _EXITS else []
    return {
        "pnl": format(pnl, "f"),
        "commission": format(fees, "f"),
        "net": format(pnl - fees, "f"),
        "open_quantity": format(held, "f"),
        "exit_reason": exits[-1] if exits and held == zero else "open",
    }


# ---------------------------------------- the verdict
def _verdict(evidence: Evidence, tree: Tree) -> tuple[str, str, str]:
    """Return outcome, reason code and reason."""
    decision, signal = evidence.decision, evidence.signal
    if evidence.intents:
        return _traded(evidence)
    if decision is not None and not decision["approved"]:
        return "refused", decision["reason_code"], decision["reason"]
    if decision is not None:
        return "undecided", "no_order", _lost(tree) or "approved, but no order was journalled"
    if signal is None:
        return _no_kline(evidence)
    if signal["signal"] == "HOLD":
        reason = signal["reason"]
        code = next((code for words, code in _SIGNAL_CODES if reason.startswith(words)), "hold")
        return "no_signal", code, reason
    if signal["signal"] == "CLOSE":
        return "closing", "close", "the strategy asked to close the position"
    return "undecided", "no_decision", _lost(tree) or "proposed, but no decision was stored"


def _traded(evidence: Evidence) -> tuple[str, str, str]:
    code = "approved" if evidence.decision is None else evidence.decision["reason_code"]
    if evidence.fills:
        made = result_of(evidence)
        if made["exit_reason"] == "open":
            return "traded", code, f"open, {made['open_quantity']} held"
        return "traded", code, f"closed by its {made['exit_reason']}, net {made['net']}"
    entry = evidence.intents[0]
    if OrderState(entry["state"]) in ENDED:
        reason = f"the entry ended {entry['state']} without a fill: {entry['reason'] or 'no words'}"
        return "not_filled", entry["state"].lower(), reason
    return "pending", entry["state"].lower(), f"the entry is {entry['state']}"


def _no_kline(evidence: Evidence) -> tuple[str, str, str]:
    """Say why a symbol decided on no kline at that time, as far as its actor's events tell."""
    newest = evidence.events[0] if evidence.events else {"event": "", "detail": ""}
    event, detail = newest["event"], newest["detail"]
    if event == "quarantined":
        return "no_kline", "quarantined", f"{evidence.symbol} was quarantined: {detail}"
    if event in ("crashed", "hung", "gave up", "stopped"):
        return "no_kline", "down", f"{evidence.symbol} was down, {event}: {detail}"
    since = f" (last event of its actor: {event})" if event else ""
    if evidence.others_decided:
        reason = f"no closed kline of {evidence.symbol} was decided on, of others it was{since}"
        return "no_kline", "no_kline_received", reason
    reason = "no symbol decided on any kline then: not running, no market stream, or warming up"
    return "no_kline", "not_running", reason + since


def _lost(tree: Tree) -> str:
    """Say what became of a proposal or approval that led to nothing, if the trace knows."""
    for hop in tree.hops.values():
        if hop.kind in ("Proposal", "Approval") and hop.dead:
            return f"{hop.kind} was not handled by {hop.recipient}: {hop.dead}"
        if hop.kind in ("Proposal", "Approval") and hop.outcome not in ("", "ok"):
            return f"{hop.recipient} crashed on {hop.kind}: {hop.outcome}"
    return ""


# ---------------------------------------- the messages, from the trace
def _number(chain: list[Step], tree: Tree, evidence: Evidence) -> None:
    """Give every step its message's ids and times; without one, its place in the chain."""
    found = _find(tree, evidence)
    steps = {id(step): found.get(_key(step, evidence)) for step in chain}
    known = {hop.id for hop in steps.values() if hop is not None}
    complete: list[Step] = []
    for place, step in enumerate(chain, 1):
        hop = steps[id(step)]
        if hop is None:
            step.id = place
            step.cause = step.parent.id if step.parent is not None else 0
        else:
            complete += _between(hop, tree, known)
            _tell(step, hop)
        complete.append(step)
    chain[:] = complete


def _find(tree: Tree, evidence: Evidence) -> dict[tuple[str, str], Hop]:
    """Return the messages that a step may be, by the step's kind and content."""
    found: dict[tuple[str, str], Hop] = {}
    bar = f"{evidence.symbol}|{evidence.kline_close_ns}"
    for hop in tree.hops.values():
        body: Mapping[str, Any] = hop.body if isinstance(hop.body, dict) else {}
        close = f"{body.get('symbol')}|{body.get('kline_close_ns')}"
        match hop.kind:
            case "SignalComputed" if close == bar:
                found.setdefault(("signal", bar), hop)
                if hop.cause in tree.hops:
                    found.setdefault(("kline", bar), tree.hops[hop.cause])
            case "Proposal" | "Decision":
                found.setdefault((hop.kind.lower(), close), hop)
            case "RecordIntent":
                found.setdefault(("intent", client_id_of(body)), hop)
            case "PlaceOrder" | "PlaceAlgoOrder":
                kind = _PURPOSE_KINDS.get(str(body.get("purpose")), "order")
                found.setdefault((kind, client_id_of(body)), hop)
            case "FillBooked" if hop.recipient == "persistence":
                found.setdefault(("fill", f"{body.get('symbol')}|{body.get('trade_id')}"), hop)
    return found


def _key(step: Step, evidence: Evidence) -> tuple[str, str]:
    if step.kind == "fill":
        return step.kind, f"{evidence.symbol}|{step.facts['trade_id']}"
    bar = f"{evidence.symbol}|{evidence.kline_close_ns}"
    return step.kind, step.facts.get("client_id", bar)


def _between(hop: Hop, tree: Tree, known: set[int]) -> list[Step]:
    """Return the causes of a message that the chain does not hold yet, first cause first."""
    steps: list[Step] = []
    parent = tree.hops.get(hop.cause or hop.link)
    while parent is not None and parent.id not in known:
        known.add(parent.id)
        step = Step(_snake(parent.kind), "", "", _venue_ns(parent, tree))
        _tell(step, parent)
        steps.append(step)
        parent = tree.hops.get(parent.cause or parent.link)
    return steps[::-1]


def _tell(step: Step, hop: Hop) -> None:
    step.id, step.cause = hop.id, hop.cause or hop.link
    step.sender, step.recipient = hop.sender, hop.recipient
    step.ms, step.message = hop.total_ms, hop.kind
    candle = hop.body.get("candle") if isinstance(hop.body, dict) else None
    if step.kind == "kline" and candle is not None:
        step.facts |= candle
    if hop.dead:
        step.facts["dead"] = hop.dead


def _venue_ns(hop: Hop, tree: Tree) -> int:
    """Return when a message was sent, venue time, by the nearest one whose handler was told."""
    told = [other for other in tree.hops.values() if other.venue_ns]
    if not told:
        return hop.sent_ns
    near = min(told, key=lambda other: abs(other.taken_ns - hop.sent_ns))
    return near.venue_ns + int((hop.sent_ns - near.taken_ns) * near.speed)


def _snake(kind: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in kind).lstrip("_")
