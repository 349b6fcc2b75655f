"""The words that stop, check and release the bot; what each does is in a file of its own."""

from typing import Annotated

import typer

from actors.commands.options import AsJson, ConfigFile, Reason, SymbolName, Yes, settings_of


def add_safety_commands(app: typer.Typer) -> None:
    """Add them to the command line."""

    @app.command(epilog="Example: python run.py halt --reason 'news at 14:00'")
    def halt(config: ConfigFile = None, reason: Reason = "") -> int:
        """Open nothing more until you resume; positions keep their stops."""
        from actors.commands.stopping import halt as stop_entries

        return stop_entries(settings_of(config), reason)

    @app.command(epilog="Example: python run.py flatten --yes")
    def flatten(config: ConfigFile = None, reason: Reason = "", yes: Yes = False) -> int:
        """Halt, and close all of the bot's positions at market; exit 1 if that takes too long."""
        from actors.commands.stopping import flatten as close_all

        return close_all(settings_of(config), reason, yes=yes)

    @app.command(epilog="Example: python run.py pause BTCUSDT")
    def pause(symbol: SymbolName, config: ConfigFile = None, reason: Reason = "") -> int:
        """Open nothing more on one symbol until you resume it; its position keeps its stop."""
        from actors.commands.stopping import pause as stop_one

        return stop_one(settings_of(config), symbol, reason)

    @app.command(epilog="Example: python run.py resume --yes; with a symbol, only that one")
    def resume(
        symbol: Annotated[
            str,
            typer.Argument(metavar="[SYMBOL]", help="One symbol. [the account and all symbols]"),
        ] = "",
        config: ConfigFile = None,
        yes: Yes = False,
    ) -> int:
        """Let entries in again after halt, flatten, pause or a latched limit."""
        from actors.commands.stopping import resume as let_in

        return let_in(settings_of(config), symbol, yes=yes)

    @app.command(epilog="Example: python run.py panic --config prod.yaml")
    def panic(
        *,
        config: Annotated[
            str, typer.Option("--config", metavar="FILE", help="Settings of the bot.")
        ],
        everything: Annotated[
            bool, typer.Option("--all", help="Close every position of the account.")
        ] = False,
    ) -> int:
        """Emergency stop without the bot: cancel entries, close positions, then cancel stops."""
        from actors.commands.panic import panic as emergency_stop

        return emergency_stop(config, everything=everything)

    @app.command(epilog="Example: python run.py check --config prod.yaml --json")
    def check(config: ConfigFile = None, as_json: AsJson = False) -> int:
        """Check settings, key, clock, streams, symbols, models and storage; 78 if one is red."""
        from actors.commands.check import show_check

        return show_check(settings_of(config), as_json=as_json)
