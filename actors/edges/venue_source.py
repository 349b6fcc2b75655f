"""Where the simulated venue's prices come from: a seed, or recorded klines in a folder."""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path

from actors.edges.history_files import read_funding, read_history
from actors.edges.history_report import HistoryReport
from core.errors import ConfigurationError
from core.venue.simulated.market import PriceSource
from core.venue.simulated.replayed import ReplayedPrices
from core.venue.simulated.seeded import SeededPrices

SYMBOLS_DEFAULT = ("BTCUSDT", "ETHUSDT", "BNBUSDT", "ADAUSDT", "SOLUSDT")


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueSettings:
    """All that a ledger depends on besides its requests.  `start_ms` is venue time, UTC."""

    symbols: tuple[str, ...]
    seed: int
    balance: str
    history: int
    data: str  # folder, or empty for seeded prices
    funding: str  # folder, or empty
    start_ms: int

    def __post_init__(self) -> None:
        """Refuse what no venue can be made of.  Raises ConfigurationError."""
        try:
            usable = Decimal(self.balance) > 0
        except InvalidOperation:
            usable = False
        if not usable:
            raise ConfigurationError(
                f"--balance must be an amount of USDT above 0, was {self.balance!r}."
                " Fix: give e.g. --balance 10000."
            )
        if self.history < 0:
            raise ConfigurationError(
                f"--history must be 0 or more bars, was {self.history}. Fix: give e.g. 1500."
            )


def open_source(settings: VenueSettings) -> tuple[PriceSource, tuple[str, ...]]:
    """Return the price source and what is to be said about it, a line each.

    Raises ConfigurationError for an unlisted symbol, DataError for unusable files.
    """
    if not settings.data:
        symbols = settings.symbols or SYMBOLS_DEFAULT
        source = SeededPrices(symbols, settings.seed, settings.start_ms, settings.history)
        return source, ()
    folder = _folder("--data", settings.data)
    report = HistoryReport()
    frames = read_history(folder, settings.symbols or None, report=report)
    rates = _folder("--funding", settings.funding) if settings.funding else folder
    funding = read_funding(rates, list(frames), report=report)
    replayed = ReplayedPrices(frames, settings.start_ms, settings.history, settings.seed, funding)
    notices = [*report.lines(), f"replays {replayed.minutes_to_play} minutes of {folder}"]
    filled = sum(replayed.filled_minutes.values())
    if filled:
        notices.append(f"{filled} missing minutes are played flat at the last close")
    without = [symbol for symbol in frames if symbol not in funding]
    if without:
        notices.append(
            f"no funding rates in {rates} for {', '.join(without)}:"
            " they are made from the venue's own premium"
        )
    return replayed, tuple(notices)


def _folder(option: str, text: str) -> Path:
    folder = Path(text)
    if not folder.is_dir():
        raise ConfigurationError(
            f"{option} {text} is not a folder. Fix: name the folder that holds the files."
        )
    return folder
