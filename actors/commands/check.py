"""`check`: everything that must be right before the bot trades, without trading.

It may run beside a bot of one's own: it takes no lock, sets nothing and sends no order.  The
embedded venue is started for it where none runs, and stopped again.
"""

import asyncio
import json
import os
import sys
from dataclasses import asdict
from typing import Any

from actors.edges.local_check import (
    check_audit,
    check_database,
    check_disk,
    check_keys,
    check_models,
    check_owner,
    check_settings,
    check_state_directory,
    presumed_balance,
)
from actors.edges.state_directory import NotRunningError, StateDirectory
from actors.edges.venue_check import check_venue
from actors.edges.venue_choice import reach, release
from actors.self_check import Finding, green, refused
from config import Config
from core.errors import SelfCheckError, TradingError
from core.risk.worst_case import WorstCase, worst_case


def show_check(config: Config, *, as_json: bool) -> int:
    """Check everything and print it; 78 where something is red."""
    state = StateDirectory.of(config)
    findings, worst = self_check(config, state)
    ok = all(finding.ok for finding in findings)
    if as_json:
        print(json.dumps(_document(findings, worst, ok=ok)))  # noqa: T201
    elif sys.stdout.isatty():
        _print_table(findings)
    else:
        for finding in findings:
            fix = f"  Fix: {finding.fix}." if finding.fix else ""
            print(f"{finding.level:8}{finding.name}: {finding.detail}.{fix}")  # noqa: T201
    return 0 if ok else SelfCheckError.exit_code


def self_check(config: Config, state: StateDirectory) -> tuple[list[Finding], WorstCase]:
    """Return every finding and the worst case in money; starts and stops what it needs."""
    local = [check_keys(config), check_state_directory(state), check_disk(state)]
    found: list[Finding] = []
    balance, venue_id = presumed_balance(config), ""
    if all(finding.ok for finding in local):
        beside = _bot_runs(state)
        try:
            venue = reach(config, state)
        except TradingError as error:
            found.append(refused("venue", error))
        else:
            try:
                found.append(green("venue", venue.url or config.VENUE))
                balance = asyncio.run(check_venue(config, venue, found)) or balance
                venue_id = venue.venue_id
            finally:
                if not beside and not _bot_runs(state):
                    release(venue, state)
        found += [check_database(state, venue_id), check_audit(state), check_owner(state)]
    worst = worst_case(config, config.SYMBOLS, balance)
    return [
        *check_settings(config, worst),
        *local,
        *check_models(config, state),
        *found,
    ], worst


def _bot_runs(state: StateDirectory) -> bool:
    """Tell whether a bot of this state directory lives, or is starting."""
    try:
        os.kill(state.read_control().pid, 0)
    except NotRunningError:
        return _holder_lives(state)
    except (TradingError, OSError):
        return False
    return True


def _holder_lives(state: StateDirectory) -> bool:
    try:
        os.kill(int(state.lock_file.read_text(encoding="ascii")), 0)
    except (OSError, ValueError):
        return False
    return True


def _document(findings: list[Finding], worst: WorstCase, *, ok: bool) -> dict[str, Any]:
    return {
        "ok": ok,
        "checks": [asdict(finding) | {"level": finding.level} for finding in findings],
        "worst_case_loss": float(worst.at_stops),
        "worst_case": {
            "balance": float(worst.balance),
            "day_limit": float(worst.day_limit),
            "at_stops": float(worst.at_stops),
            "gap_slack": float(worst.gap_slack),
            "disaster_bound": float(worst.disaster),
            "sizes": {
                size.symbol: {
                    "formula": float(size.raw),
                    "effective": float(size.notional),
                    "cap": size.cap,
                }
                for size in worst.sizes
            },
        },
    }


def _print_table(findings: list[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    styles = {"ok": "green", "warning": "yellow", "red": "bold red"}
    table = Table("check", "", "detail", "fix")
    for finding in findings:
        level = Text(finding.level, style=styles[finding.level])
        table.add_row(Text(finding.name), level, Text(finding.detail), Text(finding.fix))
    Console().print(table)
