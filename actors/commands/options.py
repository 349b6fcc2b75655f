"""Options that several commands share, and the settings that they name."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from core.errors import UsageError

if TYPE_CHECKING:
    from config import Config

PAPER: Final = Path(__file__).parents[2] / "config" / "paper.yaml"

ConfigFile = Annotated[
    str | None,
    typer.Option("--config", metavar="FILE", help="Settings, as given or in config/. [paper.yaml]"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
SymbolName = Annotated[str, typer.Argument(metavar="SYMBOL", help="For example BTCUSDT.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the record.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]

DataDir = Annotated[
    Path, typer.Option("--data", metavar="DIR", help="Folder of SYMBOL-INTERVAL kline files.")
]
SymbolList = Annotated[
    str | None, typer.Option("--symbols", metavar="A,B", help="Some symbols. [all in the folder]")
]
Jobs = Annotated[
    int | None, typer.Option("--jobs", metavar="N", help="Processes at once. [one per core]")
]
Backend = Annotated[
    str, typer.Option("--backend", metavar="local|ray", help="Where the work runs.")
]
Address = Annotated[
    str | None,
    typer.Option("--address", metavar="A", help="Of a running Ray cluster. [one of this machine]"),
]
FundingDir = Annotated[
    Path | None, typer.Option("--funding", metavar="DIR", help="Funding rates. [those in --data]")
]
FirstDay = Annotated[str | None, typer.Option("--from", metavar="D", help="First day, UTC. [all]")]
DayAfter = Annotated[str | None, typer.Option("--to", metavar="D", help="Day after the last, UTC.")]


def settings_of(config: str | None, **flags: Any) -> "Config":
    """Read the settings; from now on their secrets are kept out of logs and errors."""
    from actors.edges.log import scrubber
    from config import load_config

    settings = load_config(PAPER if config is None else config, **flags)
    scrubber.register(*settings.secrets())
    return settings


def names(text: str) -> tuple[str, ...]:
    """Return the symbols of a comma-separated list; raises UsageError for an empty one."""
    found = tuple(part.strip().upper() for part in text.split(",") if part.strip())
    if not found:
        raise UsageError(f"--symbols must name at least 1 symbol, was {text!r}. Fix: name one.")
    return found
