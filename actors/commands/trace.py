"""`trace`: the causal tree of a message or an order, with its times; text, Mermaid or JSON."""

import json
from collections.abc import Iterator
from typing import Any

from actors.causality import Hop, Tree, tree_of
from actors.edges.state_directory import StateDirectory
from actors.edges.trace_search import find
from config import Config

_NS_PER_MS = 1e6
_TELLING = (
    *("symbol", "signal", "side", "strength", "confidence", "approved", "reason_code", "purpose"),
    *("client_id", "status", "state", "quantity", "price", "trigger_price", "last_quantity"),
    *("last_price", "realized_pnl", "outcome", "event", "error", "reason"),
)
_TOLD_MAX = 6
_TEXT_MAX = 60


def show_trace(config: Config, asked: str, *, form: str = "text", as_json: bool = False) -> int:
    """Print what followed from what around an id; raises UnknownIdError if there is nothing."""
    tree = tree_of(find(StateDirectory.of(config).traces, asked))
    if as_json:
        print(json.dumps(document(tree, asked)))  # noqa: T201
        return 0
    for line in mermaid_lines(tree) if form == "mermaid" else text_lines(tree, asked):
        print(line)  # noqa: T201
    return 0


def text_lines(tree: Tree, asked: str) -> Iterator[str]:
    """Yield one line a message, below its cause; times in ms, `+` since the first was sent."""
    start_ns = next(iter(tree.hops.values())).sent_ns
    for hop, path in tree.walk():
        bars = "".join("   " if last else "│  " for last in path[:-1])
        bars += ("└─ " if path[-1] else "├─ ") if path else ""
        here = "  ◀" if str(hop.id) == asked else ""
        yield (
            f"{bars}{hop.kind}  {hop.sender} → {hop.recipient}"
            f"  +{(hop.sent_ns - start_ns) / _NS_PER_MS:.2f}  {_fate(hop)}"
            f"  #{hop.id}{_gist(hop.body)}{here}"
        )
    yield "times in ms: + after the first was sent; waited in the inbox; handled by the actor"


def mermaid_lines(tree: Tree) -> Iterator[str]:
    """Yield a Mermaid sequence diagram, messages in order of sending."""
    yield "sequenceDiagram"
    names = dict.fromkeys(n for hop in tree.hops.values() for n in (hop.sender, hop.recipient))
    for name in names:
        yield f"    participant {_word(name)} as {name}"
    start_ns = next(iter(tree.hops.values())).sent_ns
    for hop in tree.hops.values():
        arrow = "--x" if hop.dead else "->>"
        after = (hop.sent_ns - start_ns) / _NS_PER_MS
        yield (
            f"    {_word(hop.sender)}{arrow}{_word(hop.recipient)}:"
            f" {hop.kind} +{after:.2f} ms, {_fate(hop)}"
        )


def document(tree: Tree, asked: str) -> dict[str, Any]:
    """Return the tree as one JSON document: messages in order of sending, causes by id."""
    return {
        "id": asked,
        "roots": [hop.id for hop in tree.roots],
        "messages": [
            {
                "id": hop.id,
                "cause": hop.cause,
                "link": hop.link,
                "trace": hop.trace,
                "sender": hop.sender,
                "recipient": hop.recipient,
                "kind": hop.kind,
                "lane": hop.lane,
                "at": hop.sent_ns,
                "ms": hop.total_ms,
                "waited_ms": hop.waited_ms,
                "handled_ms": hop.handled_ms,
                "outcome": hop.outcome,
                "dead": hop.dead,
                "body": hop.body,
            }
            for hop in tree.hops.values()
        ],
    }


def _fate(hop: Hop) -> str:
    """Say what became of a message."""
    if hop.dead:
        return f"DEAD: {hop.dead}"
    if hop.waited_ms is None or hop.handled_ms is None:
        return "under way, or lost with its process"
    raised = "" if hop.outcome == "ok" else f"  RAISED {hop.outcome}"
    return f"waited {hop.waited_ms:.2f}  handled {hop.handled_ms:.2f}{raised}"


def _gist(body: Any) -> str:
    """Return the few fields that tell most, as `name=value`."""
    if not isinstance(body, dict):
        return ""
    inner = body.get("intent") or body.get("decision") or body.get("candle")
    fields = {**inner, **body} if isinstance(inner, dict) else body
    told = [(name, fields[name]) for name in _TELLING if fields.get(name) not in (None, "")]
    if "candle" in body:
        told += [("close", body["candle"]["close"]), ("closed", body.get("closed", True))]
    return "".join(f"  {name}={value!s:.{_TEXT_MAX}}" for name, value in told[:_TOLD_MAX])


def _word(name: str) -> str:
    return name.replace("/", "_")
