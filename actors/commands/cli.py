"""The command line: words and options to calls.  Each command imports its room when it runs.

Whatever is raised on purpose ends as one line on stderr and the exit code of its class; `--debug`
adds the traceback.
"""

import math
import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from actors.commands.options import AsJson, ConfigFile, SymbolName, names, settings_of
from actors.commands.research import add_research_commands
from actors.commands.safety import add_safety_commands
from core.errors import TradingError, UsageError

_INTERNAL_ERROR: Final = 70
_INTERRUPTED: Final = 130


class _RunByDefault(TyperGroup):
    """No word, or an option first, means `run`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] != "--help"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_RunByDefault,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Trade many Binance USDⓈ-M perpetuals at once. Without a command: run (see run --help).",
    epilog="Any command takes --debug, which adds a traceback to errors.",
    context_settings={"help_option_names": ["--help"]},
)


@app.callback()
def _root() -> None:
    """Hold the options of no command."""


@app.command(epilog="Example: python run.py run --config testnet.yaml --duration 600")
def run(
    config: ConfigFile = None,
    duration: Annotated[
        float | None,
        typer.Option(metavar="S", help="Stop cleanly after so many wall seconds."),
    ] = None,
    no_dashboard: Annotated[
        bool, typer.Option("--no-dashboard", help="Start without the dashboard.")
    ] = False,
    confirm_loosen: Annotated[
        bool,
        typer.Option("--confirm-loosen", help="Accept limits looser than at the last start."),
    ] = False,
) -> int:
    """Run the bot; on the embedded venue unless the settings say otherwise."""
    if duration is not None and not (math.isfinite(duration) and duration > 0):
        raise UsageError(
            f"--duration must be more than 0 seconds, was {duration:g}. Fix: raise it."
        )
    settings = settings_of(config, **({"DASHBOARD": False} if no_dashboard else {}))
    from actors.commands.run import run_bot

    return run_bot(settings, duration, confirm_loosen=confirm_loosen)


@app.command(epilog="Example: python run.py venue --port 8899 --symbols BTCUSDT --speed 60")
def venue(
    *,
    host: Annotated[str | None, typer.Option(metavar="H", help="Address. [127.0.0.1]")] = None,
    port: Annotated[
        int | None, typer.Option(metavar="P", min=0, max=65_535, help="Port; 0: any. [8899]")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Seed of the prices. [7]")
    ] = None,
    symbols: Annotated[
        str | None, typer.Option(metavar="A,B", help="Symbols. [five, or all in DIR]")
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(metavar="X", help="Venue seconds per wall second; 0 stands still. [1]"),
    ] = None,
    balance: Annotated[
        str | None, typer.Option(metavar="U", help="Opening balance, USDT. [10000]")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Replay these klines. [seeded prices]")
    ] = None,
    funding: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Funding rates. [those in --data]")
    ] = None,
    rate_limits: Annotated[
        str, typer.Option(metavar="on|off", help="Enforce request limits.")
    ] = "off",
    history: Annotated[
        int | None, typer.Option(metavar="BARS", min=0, help="Klines before the start. [1500]")
    ] = None,
    state: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep state here, and go on from it.")
    ] = None,
) -> int:
    """Run the simulated venue alone; it accepts the keys in API_KEY and API_SECRET."""
    if rate_limits not in ("on", "off"):
        raise UsageError(f"--rate-limits must be on or off, was {rate_limits!r}. Fix: use one.")
    _check_number("--speed", speed, 0)
    _check_number("--balance", balance, 0)
    from actors.commands.venue import VenueOptions, serve

    given = {
        "host": host,
        "port": port,
        "seed": seed,
        "symbols": None if symbols is None else names(symbols),
        "speed": speed,
        "balance": balance,
        "data": data,
        "funding": funding,
        "history": history,
        "state": state,
    }
    chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    return serve(VenueOptions(**chosen, rate_limits=rate_limits == "on"))


@app.command(epilog="Example: python run.py status --json")
def status(config: ConfigFile = None, as_json: AsJson = False) -> int:
    """Show the running bot: state, profit, positions, symbols."""
    from actors.commands.control import show_status

    return show_status(settings_of(config), as_json=as_json)


@app.command(epilog="Example: python run.py report --html report.html")
def report(
    config: ConfigFile = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write a page about it.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Show how the bot did: round trips, costs and ratios of what the database holds."""
    from actors.commands.report import report as show_report

    return show_report(settings_of(config), html, as_json=as_json)


@app.command(epilog="Example: python run.py crash BTCUSDT")
def crash(
    symbol: SymbolName,
    config: ConfigFile = None,
    hang: Annotated[bool, typer.Option("--hang", help="Hang instead of raising.")] = False,
) -> int:
    """Make a symbol's actor fail, to see that nothing else does (embedded venue only)."""
    from actors.commands.control import crash_symbol

    return crash_symbol(settings_of(config), symbol, hang=hang)


@app.command(epilog="Example: python run.py trace BTCUSDT:1870000001 --format mermaid")
def trace(
    asked: Annotated[
        str, typer.Argument(metavar="ID", help="Message, trace, client order or venue order id.")
    ],
    config: ConfigFile = None,
    form: Annotated[
        str, typer.Option("--format", metavar="text|mermaid", help="How to draw it.")
    ] = "text",
    as_json: AsJson = False,
) -> int:
    """Show what followed from what, from kline frame to fill, with the times of each hop."""
    if form not in ("text", "mermaid"):
        raise UsageError(f"--format must be text or mermaid, was {form!r:.40}. Fix: use one.")
    from actors.commands.trace import show_trace

    return show_trace(settings_of(config), asked, form=form, as_json=as_json)


@app.command(epilog="Example: python run.py explain BTCUSDT@2026-07-01T12:30")
def explain(
    asked: Annotated[
        str,
        typer.Argument(
            metavar="ORDER_ID|SYMBOL@TIME",
            help="Client id, venue order id, or a symbol at a UTC time of the venue, now or last.",
        ),
    ],
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> int:
    """Tell why it traded, or why it did not: every rule with its number and limit."""
    from actors.commands.explain import show_explanation

    return show_explanation(settings_of(config), asked, as_json=as_json)


@app.command(epilog="Example: python run.py replay --from 2026-07-01T12:00 --to 2026-07-01T13:00")
def replay(
    config: ConfigFile = None,
    since: Annotated[
        str | None,
        typer.Option("--from", metavar="T", help="Venue time, UTC, inclusive. [all recorded]"),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", metavar="T", help="Venue time, UTC, exclusive.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Re-run what was recorded; --config FILE: under those settings, with a diff of decisions."""
    from actors.commands.moments import venue_ns
    from actors.commands.replay import replay as run_replay

    settings = settings_of(config)
    return run_replay(
        settings,
        None if config is None else settings,
        from_ns=0 if since is None else venue_ns(since, "--from"),
        to_ns=sys.maxsize if until is None else venue_ns(until, "--to"),
        as_json=as_json,
    )


@app.command(epilog="Example: python run.py revive BTCUSDT")
def revive(symbol: SymbolName, config: ConfigFile = None) -> int:
    """Start a quarantined symbol again; its crashes so far are forgotten."""
    from actors.commands.control import revive_symbol

    return revive_symbol(settings_of(config), symbol)


@app.command(
    "replay-crash", epilog="Example: python run.py replay-crash state/crashes/crash-1.json"
)
def replay_crash(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="One of the folder crashes/.")],
    from_trace: Annotated[
        bool,
        typer.Option("--from-trace", help="Build its state up from the trace; exact, and slower."),
    ] = False,
    debugger: Annotated[
        bool, typer.Option("--debugger", help="Open pdb where it was raised.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Re-run the message that killed an actor on the state it met; 0 if it fails the same way."""
    from actors.commands.replay_crash import replay_crash as run_again

    return run_again(file, from_trace=from_trace, debugger=debugger, as_json=as_json)


add_research_commands(app)
add_safety_commands(app)


def main(arguments: list[str]) -> int:
    """Run one command and return the process's exit code."""
    debug = "--debug" in arguments
    words = [word for word in arguments if word != "--debug"]
    try:
        code = app(args=words, prog_name="run.py", standalone_mode=False)
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = _INTERRUPTED
    except BrokenPipeError:
        # the reader of a pipe left, as `| head` does; nothing more can be said to it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except TradingError as error:
        return _fail(str(error), error.exit_code, debug=debug)
    except typer.TyperException as error:
        text = error.format_message().rstrip(".")
        return _fail(f"{text}. Fix: see run.py --help.", UsageError.exit_code, debug=debug)
    except Exception as error:  # noqa: BLE001 the last line of defence names what it did not expect
        text = f"internal error, {type(error).__name__}: {error}. Fix: run with --debug, report it."
        return _fail(text, _INTERNAL_ERROR, debug=debug)
    if code == _INTERRUPTED:  # the library's own answer to Ctrl-C, too
        sys.stderr.write("stopped by Ctrl-C or SIGTERM\n")
    return code if isinstance(code, int) else 0


def _fail(text: str, code: int, *, debug: bool) -> int:
    from actors.edges.log import one_line, scrubber

    if debug:
        sys.stderr.write(scrubber.scrub(traceback.format_exc()))
    sys.stderr.write(f"error: {one_line(scrubber.scrub(text))}\n")
    return code


def _check_number(option: str, given: str | float | None, least: float) -> None:
    """Refuse text that is no finite number, and numbers below the least; None passes."""
    if given is None:
        return
    try:
        fits = math.isfinite(float(given)) and float(given) >= least
    except ValueError:
        fits = False
    if not fits:
        raise UsageError(
            f"{option} must be a number of at least {least:g}, was {given!s:.40}."
            f" Fix: set it to {least:g} or more."
        )
