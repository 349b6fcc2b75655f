"""The command that fetches history: its words and options; the work is in `download.py`."""

from pathlib import Path
from typing import Annotated

import typer

from actors.commands.options import AsJson, ConfigFile, names, settings_of


def add_fetching_commands(app: typer.Typer) -> None:
    """Add `download`."""
    app.command(
        epilog="Example: python run.py download --symbols BTCUSDT,ETHUSDT --from 2025-01-01"
        " --to 2025-07-01 --out candles"
    )(download)


def download(
    *,
    symbols: Annotated[str, typer.Option(metavar="A,B", help="Symbols, separated by commas.")],
    since: Annotated[str, typer.Option("--from", metavar="D", help="First day, UTC.")],
    until: Annotated[str, typer.Option("--to", metavar="D", help="Day after the last, UTC.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the files.")],
    base: Annotated[
        str | None, typer.Option(metavar="URL", help="Archive. [https://data.binance.vision]")
    ] = None,
    interval: Annotated[str, typer.Option(metavar="I", help="Kline interval.")] = "1m",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> int:
    """Fetch klines and funding from the public archive; checksums verified, resumable."""
    settings = settings_of(config)
    from actors.commands.download import BASE, DownloadOptions, day
    from actors.commands.download import download as fetch

    options = DownloadOptions(
        symbols=tuple(dict.fromkeys(names(symbols))),
        first=day(since, "--from"),
        until=day(until, "--to"),
        out=out,
        base=BASE if base is None else base,
        interval=interval,
        retries=settings.MAX_RETRIES,
        retry_delay_s=settings.RETRY_DELAY,
    )
    return fetch(options, as_json=as_json)
