"""`run.py report`: how the bot did, from what its database holds."""

import json
import time
from pathlib import Path

from actors.commands.backtest import document_of, show
from actors.edges.performance_book import read_performance
from actors.edges.report_files import assets, writable, write_page
from actors.edges.state_directory import StateDirectory
from actors.reporting.database_content import database_content, past_of
from actors.reporting.page import page_of
from config import Config


def report(config: Config, html: Path | None, *, as_json: bool) -> int:
    """Print the figures of the round trips so far, and write the page if asked for one.

    Raises UnavailableError without a database, NothingTradedError for an empty one.
    """
    if html is not None:
        writable("--html", html)
    # Wall time of a command that a person waits for; nothing is decided by it.
    started = time.perf_counter()
    book = read_performance(StateDirectory.of(config).database)
    past = past_of(book, config)
    document = document_of(past.result, time.perf_counter() - started)
    document |= {
        "open": list(past.trips.open_symbols),
        "fills_without_entry": past.trips.without_entry,
        "trips_without_exit": past.trips.without_exit,
    }
    if html is not None:
        write_page("--html", html, page_of(database_content(book, past, config), assets()))
        document["report"] = str(html)
    if as_json:
        print(json.dumps(document))  # noqa: T201
    else:
        show(document)
    return 0
