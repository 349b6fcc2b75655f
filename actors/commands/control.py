"""`status`, `crash` and `revive`: talk to the bot that runs on the state directory."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from actors.edges.control_client import ControlClient
from actors.edges.state_directory import StateDirectory
from config import Config

Row = tuple[str, ...]


def show_status(config: Config, *, as_json: bool = False) -> int:
    """Print the running bot's state: tables on a terminal, plain lines or JSON otherwise."""
    snapshot = ControlClient(StateDirectory.of(config)).snapshot()
    if as_json:
        print(json.dumps(snapshot))  # noqa: T201
    elif sys.stdout.isatty():
        _print_tables(snapshot)
    else:
        for line in status_lines(snapshot):
            print(line)  # noqa: T201
    return 0


def crash_symbol(config: Config, symbol: str, *, hang: bool = False) -> int:
    """Make a symbol's actor raise, or hang, on the embedded venue."""
    ControlClient(StateDirectory.of(config)).command("crash", symbol=symbol.upper(), hang=hang)
    print(f"{symbol.upper()}: told to {'hang' if hang else 'crash'}")  # noqa: T201
    return 0


def revive_symbol(config: Config, symbol: str) -> int:
    """Start a quarantined symbol again."""
    client = ControlClient(StateDirectory.of(config))
    answer = client.command("revive", symbol=symbol.upper())
    left = ", ".join(answer.get("quarantined", ())) or "none"
    print(f"{symbol.upper()}: told to start again; still quarantined: {left}")  # noqa: T201
    return 0


def status_lines(snapshot: Mapping[str, Any]) -> Iterator[str]:
    """Yield one plain line for the bot, then one a latch, a position, a symbol and a refusal."""
    yield _headline(snapshot)
    for titles, rows in _sections(snapshot):
        for row in rows:
            yield "  ".join(f"{t}={v}" for t, v in zip(titles, row, strict=True))


def _print_tables(snapshot: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    console.print(Text(_headline(snapshot), style="bold"))
    for titles, rows in _sections(snapshot):
        if not rows:
            continue
        table = Table(*titles)
        for row in rows:
            table.add_row(*map(Text, row))
        console.print(table)


def _headline(snapshot: Mapping[str, Any]) -> str:
    return (
        f"state={snapshot.get('state', '?')}  mode={snapshot.get('mode', '?')}"
        f"  equity={_amount(snapshot.get('equity'))}"
        f"  day_pnl={_amount(snapshot.get('day_pnl'))}"
        f"  day_limit={_amount(snapshot.get('day_limit'))}"
    )


def _sections(snapshot: Mapping[str, Any]) -> tuple[tuple[Row, Sequence[Row]], ...]:
    return (
        _latches(snapshot),
        _positions(snapshot),
        _symbols(snapshot),
        _models(snapshot),
        _refusals(snapshot),
    )


def _latches(snapshot: Mapping[str, Any]) -> tuple[Row, Sequence[Row]]:
    titles = ("latched", "scope", "until", "why")
    rows = [
        (row["state"], row["symbol"] or "account", row["until"], row["reason"])
        for row in snapshot.get("latches", ())
    ]
    return titles, rows


def _refusals(snapshot: Mapping[str, Any]) -> tuple[Row, Sequence[Row]]:
    titles = ("refused", "at", "why")
    rows = [
        (name, _moment(refusal.get("at_ms")), str(refusal.get("reason")))
        for name, symbol in snapshot.get("symbols", {}).items()
        if (refusal := symbol.get("last_refusal"))
    ]
    return titles, rows


def _positions(snapshot: Mapping[str, Any]) -> tuple[Row, Sequence[Row]]:
    titles = ("position", "side", "quantity", "entry_price", "stop", "target")
    rows = [
        (
            str(position.get("symbol", "?")),
            *(_cell(position.get(title)) for title in titles[1:]),
        )
        for position in snapshot.get("positions", ())
    ]
    return titles, rows


def _symbols(snapshot: Mapping[str, Any]) -> tuple[Row, Sequence[Row]]:
    titles = ("symbol", "state", "generation", "restarts", "mailbox", "last_kline_close")
    rows = [
        (
            name,
            *(_cell(symbol.get(title)) for title in titles[1:-1]),
            _moment(symbol.get(titles[-1])),
        )
        for name, symbol in snapshot.get("symbols", {}).items()
    ]
    return titles, rows


def _models(snapshot: Mapping[str, Any]) -> tuple[Row, Sequence[Row]]:
    titles = ("model", "sha256", "trained_to", "verdict", "drift")
    rows = [
        (
            name,
            model["sha256"][:8],
            _moment(model["trained_to_ms"]),
            model["verdict"],
            _drift(model["drift"]),
        )
        for name, symbol in snapshot.get("symbols", {}).items()
        if (model := symbol.get("model"))
    ]
    return titles, rows


def _drift(drift: Mapping[str, Any] | None) -> str:
    if drift is None:
        return "not watched"
    if not drift["psi"]:
        return drift["in_words"] or f"{drift['rows']} bars seen, too few"
    return drift["in_words"] or "none"


def _cell(value: Any) -> str:
    return "-" if value is None else str(value)


def _amount(value: Any) -> str:
    try:
        return f"{float(value):,.2f}"
    except (TypeError, ValueError):
        return "-"


def _moment(ms: Any) -> str:
    if not isinstance(ms, int) or not ms:
        return "-"
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
