"""What the bot says of itself when asked: the snapshot of `run.py status` and the control API."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from loguru import logger

from actors.children import describe
from actors.directory import Directory
from actors.latches import latches
from actors.model_shelf import describe_model
from actors.supervisor import SupervisorActor
from core.clock import NS_PER_DAY, NS_PER_MS, NS_PER_S
from core.messages import FrameRejected, PositionChanged
from core.risk.machine import RiskMachine
from core.symbol.machine import SymbolMachine

_SAY_AGAIN_NS = 10 * NS_PER_S


class RejectedFrames:
    """Counts the frames nobody can use, and says so; not for each, there may be thousands."""

    def __init__(self) -> None:
        self.count = 0
        self._said_wall_ns: int | None = None

    def note(self, frame: FrameRejected, wall_ns: int) -> None:
        """Count one; a line in the log at most every ten seconds."""
        self.count += 1
        said_ns = self._said_wall_ns
        if said_ns is not None and wall_ns - said_ns < _SAY_AGAIN_NS:
            return
        self._said_wall_ns = wall_ns
        logger.bind(module="feed").warning(
            f"{frame.stream} stream: a frame was dropped, {frame.reason}: {frame.sample}"
            f" ({self.count} so far)"
        )


def snapshot(
    *,
    mode: str,
    supervisor: SupervisorActor,
    risk: RiskMachine | None,
    symbols: Mapping[str, SymbolMachine],
    directory: Directory,
    rejected: RejectedFrames,
) -> dict[str, Any]:
    """Return the JSON shape of the design's section 3; amounts are floats in the quote asset.

    Reads the machines from another thread: single values are whole, but two of them may be a
    message apart.
    """
    actors = describe(list(supervisor.children.values()), directory)
    rows = {row["name"]: row for row in actors}
    answer: dict[str, Any] = {
        "state": "STARTING",
        "mode": mode,
        "equity": None,
        "day_pnl": None,
        "day_limit": None,
        "reason": "",
        "latches": [],
        "next_day_in_s": None,
        "positions": [],
        "symbols": {},
        "actors": actors,
        "zombies": supervisor.zombies,
        "dead_letters": directory.dead_letters(),
        "messages": {
            "sent": directory.tracer.sent_count,
            "ended": directory.tracer.ended_count,
            "trace_failures": directory.tracer.failures,
            "rejected_frames": rejected.count,
        },
    }
    for symbol, machine in list(symbols.items()):
        row = rows.get(f"symbol/{symbol}", {})
        answer["symbols"][symbol] = {
            "state": row.get("state", "down"),
            "generation": row.get("generation", 0),
            "restarts": row.get("restarts", 0),
            "mailbox": row.get("mailbox", 0),
            "last_kline_close": machine.last_close_ms,
            "last_signal": machine.last_reason,
            "model": describe_model(machine),
        }
    if risk is not None:
        _add_risk(answer, risk, directory)
    return answer


def _add_risk(answer: dict[str, Any], risk: RiskMachine, directory: Directory) -> None:
    book, now = risk.book, directory.clock.now()
    equity = book.equity()
    answer |= {
        "state": risk.trading_state.value,
        "equity": _number(equity),
        "day_pnl": _number(book.day_pnl()) if book.day is not None else None,
        "day_limit": _number(risk.day_limit()) if book.day is not None else None,
        "reason": risk.state.reason if risk.state is not None else "",
        "latches": latches(risk),
        "positions": [
            _position(p, book.mark_of(p.symbol, p.entry_price))
            for p in list(book.positions.values())
            if p.quantity
        ],
    }
    if now.speed > 0:
        left_ns = NS_PER_DAY - now.venue_ns % NS_PER_DAY
        answer["next_day_in_s"] = round(left_ns / NS_PER_S / now.speed, 1)
    for symbol, decision in list(risk.last_decision.items()):
        if symbol in answer["symbols"]:
            row = answer["symbols"][symbol]
            row["last_decision"] = decision.reason or decision.reason_code
            if not decision.approved:
                row["last_refusal"] = {
                    "reason_code": decision.reason_code,
                    "reason": decision.reason,
                    "at_ms": decision.decided_at_ns // NS_PER_MS,
                }


def _position(position: PositionChanged, mark: Decimal) -> dict[str, Any]:
    return {
        "symbol": position.symbol,
        "side": "BUY" if position.quantity > 0 else "SELL",
        "quantity": float(abs(position.quantity)),
        "entry_price": float(position.entry_price),
        "mark_price": float(mark),
        "unrealized_pnl": float(position.quantity * (mark - position.entry_price)),
        "stop": _number(position.stop_price),
        "target": _number(position.target_price),
        "foreign": position.foreign,
    }


def _number(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


def _released(status: dict[str, Any]) -> str:
    """Return what ends a halt: the next day, or a person."""
    if any(row["until"] == "resume" and not row["symbol"] for row in status["latches"]):
        return "; until run.py resume"
    wait_s = status["next_day_in_s"]
    return f"; next venue day in {wait_s:.0f} s" if wait_s is not None else ""


def headline(status: dict[str, Any]) -> str:
    """Return one line for the log: money, slots, and what each symbol waits for."""
    if status["equity"] is None:
        return f"{status['state']}: waiting for the account"
    head = f"{status['state']} equity {status['equity']:,.2f} USDT"
    head += f", day P&L {status['day_pnl'] or 0:+,.2f}"
    if status["day_limit"]:
        head += f" of -{status['day_limit']:,.2f}"
    if status["state"] in ("HALTED", "FLATTEN"):
        return f"{head}; {status['reason']}{_released(status)}"
    held = {p["symbol"]: p for p in status["positions"]}
    parts = []
    for symbol, row in status["symbols"].items():
        if symbol in held:
            p = held[symbol]
            parts.append(f"{symbol} {p['side']} {p['unrealized_pnl']:+.2f}")
        elif row["state"] != "up":
            parts.append(f"{symbol} {row['state']}")
        else:
            why = row.get("last_signal") or row.get("last_decision", "warming up")
            parts.append(f"{symbol} flat ({why})")
    return f"{head} | {', '.join(parts)}"
