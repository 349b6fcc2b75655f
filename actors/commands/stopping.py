"""`halt`, `flatten`, `pause` and `resume`: what a running bot may open, and what it must close.

A command counts as done once its state is on disk, so that no crash undoes it.  What brings risk
back or closes at the market is typed out by a person who was shown what follows.
"""

import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from actors.edges.control_client import ControlClient
from actors.edges.state_directory import NotRunningError, StateDirectory
from config import Config
from core.errors import TradingError, UnavailableError, UsageError

_FLAT_WITHIN_S: Final = 15.0
_LOOK_S: Final = 0.2
_NOT_DONE: Final = 1

Snapshot = dict[str, Any]
T = TypeVar("T")


class NotConfirmedError(TradingError):
    """The person did not type the word: nothing was done."""


def halt(config: Config, reason: str) -> int:
    """Stop entries and print what holds now."""
    bot = _RunningBot(config)
    answer = bot.command("halt", reason=reason)
    print(f"{answer['state']}: no entries until resume; {_kept(_ours(bot.snapshot()))}")  # noqa: T201
    return 0


def flatten(config: Config, reason: str, *, yes: bool) -> int:
    """Stop entries, close everything of ours, and wait until it is closed."""
    bot = _RunningBot(config)
    held = _ours(bot.snapshot())
    _confirm(
        "flatten",
        [f"closes {len(held)} positions at market: {_named(held) or 'none'}", _open_profit(held)],
        yes=yes,
    )
    answer = bot.command("flatten", reason=reason)
    deadline = time.monotonic() + _FLAT_WITHIN_S
    while left := _ours(bot.snapshot()):
        if time.monotonic() > deadline:
            print(f"{answer['state']}: still open: {_named(left)}; see the log, or panic")  # noqa: T201
            return _NOT_DONE
        threading.Event().wait(_LOOK_S)
    print(f"{answer['state']}: flat; no entries until resume")  # noqa: T201
    return 0


def pause(config: Config, symbol: str, reason: str) -> int:
    """Stop entries on one symbol."""
    answer = _RunningBot(config).command("pause", symbol=symbol.upper(), reason=reason)
    print(f"{answer['symbol']}: paused until run.py resume {answer['symbol']}")  # noqa: T201
    return 0


def resume(config: Config, symbol: str, *, yes: bool) -> int:
    """Let entries in again; 1 if something else, such as the day's loss, still holds them."""
    bot = _RunningBot(config)
    snapshot = bot.snapshot()
    latched = [row for row in snapshot.get("latches", ()) if symbol.upper() in ("", row["symbol"])]
    held = _ours(snapshot)
    _confirm(
        "resume",
        [
            *(f"releases {r['symbol'] or 'the account'}: {r['reason']}" for r in latched),
            f"open now: {_named(held) or 'nothing'}",
            f"worst case at their stops: {worst_case(config, held):,.2f} USDT",
            f"the day's limit: {snapshot.get('day_limit') or 0:,.2f} USDT",
            f"the day so far: {snapshot.get('day_pnl') or 0:+,.2f} USDT",
        ],
        yes=yes,
    )
    answer = bot.command("resume", symbol=symbol.upper())
    where = f"{answer['symbol']}: " if answer["symbol"] else ""
    if answer["state"] != "ACTIVE":
        print(f"{where}still {answer['state']}: {answer['reason']}")  # noqa: T201
        return _NOT_DONE
    print(f"{where}ACTIVE: entries may open")  # noqa: T201
    return 0


def worst_case(config: Config, positions: list[Snapshot]) -> float:
    """Return the loss, quote units, if every stop is hit, with fee and gap.

    A position without a stop may lose its whole isolated margin.
    """
    total = 0.0
    for p in positions:
        policy = config.for_symbol(p["symbol"])
        notional = p["quantity"] * (p.get("mark_price") or p["entry_price"])
        if p.get("stop") is None:
            total += notional / policy.LEVERAGE
            continue
        sign = 1 if p["side"] == "BUY" else -1
        lost = sign * (p["entry_price"] - p["stop"]) * p["quantity"]
        total += max(0.0, lost + notional * (2 * policy.TAKER_FEE + policy.GAP_ALLOWANCE))
    return total


class _RunningBot:
    """The bot on the state directory; what does not answer is told how to halt without it."""

    def __init__(self, config: Config) -> None:
        self._state = StateDirectory.of(config)
        self._client = self._asked(lambda: ControlClient(self._state))

    def snapshot(self) -> Snapshot:
        """Return what `status --json` prints."""
        return self._asked(self._client.snapshot)

    def command(self, name: str, **arguments: Any) -> Snapshot:
        """Have the bot do it; raises UnavailableError unless it would survive a crash."""
        answer = self._asked(lambda: self._client.command(name, source="cli", **arguments))
        if answer["ok"]:
            return answer
        keep = f"make the file {self._state.kill_file}, it holds across restarts"
        if answer["taken"]:
            raise UnavailableError(
                f"{name} holds in memory ({answer['state']}), but is not stored yet: the database"
                f" does not answer. Fix: mend it (see the log); meanwhile {keep}."
            )
        raise UnavailableError(
            f"{name} was sent, but the risk room has not taken it within 2 s ({answer['state']})."
            f" Fix: {keep}; or python run.py panic."
        )

    def _asked(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except (NotRunningError, UnavailableError) as error:
            raise type(error)(
                f"{error} A bot that does not answer halts at the file {self._state.kill_file}."
            ) from None


def _confirm(word: str, consequences: list[str], *, yes: bool) -> None:
    """Let a person type the word, having read what follows.  Raises NotConfirmedError."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(
            f"{word} must be confirmed, and stdin is no terminal. Fix: add --yes, as in"
            f" python run.py {word} --yes."
        )
    for line in consequences:
        sys.stderr.write(f"  {line}\n")
    sys.stderr.write(f"type {word} to go on: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != word:
        raise NotConfirmedError(f"{word} was not typed, nothing was done. Fix: run it again.")


def _ours(snapshot: Snapshot) -> list[Snapshot]:
    return [p for p in snapshot.get("positions", ()) if not p.get("foreign")]


def _named(positions: list[Snapshot]) -> str:
    return ", ".join(f"{p['symbol']} {p['side']} {p['quantity']:g}" for p in positions)


def _open_profit(positions: list[Snapshot]) -> str:
    total = sum(p.get("unrealized_pnl") or 0.0 for p in positions)
    return f"their open profit is {total:+,.2f} USDT before fees and slippage"


def _kept(held: list[Snapshot]) -> str:
    naked = [p for p in held if p.get("stop") is None]
    kept = f"{_named(held)} keep their stops" if held else "nothing is open"
    return f"{kept}; without a stop yet: {_named(naked)}" if naked else kept
