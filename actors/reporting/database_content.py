"""From what the database holds to a result, and to what its page tells of."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import numpy as np

from actors.edges.performance_book import Performance
from actors.reporting.content import Content, Prices, Slippage, Source
from config import Config
from core.backtest.result import BacktestResult
from core.backtest.round_trips import ZERO, RoundTrips, round_trips
from core.clock import NS_PER_MS, interval_ns
from core.errors import TradingError
from core.symbol.indicators import FloatArray, IntArray
from core.words import Purpose

_COUNTED: Final = (
    "Round trips go from the first fill of an entry until the symbol is flat, net of commission and"
    " of the funding settled meanwhile. Return and profit are of closed round trips; the curve and"
    " the months are what the account was worth, open positions included."
)
_COARSE: Final = (
    "Old account snapshots are thinned to one an hour, so ratios of bars are coarser there; prices"
    " older than SIGNAL_RETENTION_DAYS are gone."
)
_BEFORE: Final = (
    "They close what no stored fill opened, held before this database began, and are in no round"
    " trip."
)


class NothingTradedError(TradingError):
    """The database holds neither a fill nor a balance: the command's own negative answer."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Past:
    """What came of trading: the result, and what no round trip tells of."""

    result: BacktestResult
    trips: RoundTrips
    start_known: bool  # whether a balance was stored to begin with


def past_of(book: Performance, config: Config) -> Past:
    """Return the result of what was traded, on a grid of KLINE_INTERVAL.

    Equity is what the newest account snapshot said, less transfers; without any snapshot it is
    VENUE_BALANCE and the results of the round trips.  Raises NothingTradedError.
    """
    step = interval_ns(config.KLINE_INTERVAL) // NS_PER_MS
    stamps = (
        [*(fill.at_ms for fill in book.fills), *book.account_ms[[0, -1]].tolist()]
        if len(book.account_ms)
        else [fill.at_ms for fill in book.fills]
    )
    if not stamps:
        raise NothingTradedError(
            "report: the database holds no trade and no balance yet. Fix: run the bot first."
        )
    first = min(stamps) // step * step
    opens = np.arange(first, max(stamps) + 1, step, dtype=np.int64)
    trips = round_trips(
        book.fills,
        book.funding,
        first_ms=first,
        interval_ms=step,
        brackets=book.brackets,
    )
    start, equity = _equity(book, trips, config, opens + step)
    traded = {fill.symbol for fill in book.fills}
    known = [symbol for symbol in config.SYMBOLS if symbol in traded | set(book.closes)]
    return Past(
        result=BacktestResult(
            symbols=(*known, *sorted(traded - set(known))),
            interval_ms=step,
            start_equity=start,
            trades=trips.trades,
            open_ms=opens,
            equity=equity,
            signals=book.signals,
            refusals=book.refusals,
            halts=book.halts,
            filled_bars={},
            predicted_by={},
        ),
        trips=trips,
        start_known=len(book.account_ms) > 0,
    )


def database_content(book: Performance, past: Past, config: Config) -> Content:
    """Return what the page of a past is made of."""
    return Content(
        source=Source.DATABASE,
        result=past.result,
        config=config,
        prices={
            symbol: _prices(*found, past.result.interval_ms)
            for symbol, found in book.closes.items()
        },
        slippage=_slippage(book),
        notes=tuple(_notes(book, past)),
    )


def _equity(
    book: Performance, trips: RoundTrips, config: Config, closes: IntArray
) -> tuple[Decimal, FloatArray]:
    """Return equity to begin with, and at each close."""
    if not len(book.account_ms):
        start = Decimal(str(config.VENUE_BALANCE))
        steps = np.zeros(len(closes))
        for trade in trips.trades:
            steps[closes.searchsorted(trade.exit_ms)] += float(trade.pnl)
        return start, float(start) + np.cumsum(steps)
    at = book.account_ms.searchsorted(closes, side="right") - 1
    equity = book.equity[np.maximum(at, 0)]
    for moved_ms, amount in _later(book):  # no gain: out again from where a snapshot shows it
        seen = int(book.account_ms.searchsorted(moved_ms))
        if seen < len(book.account_ms):
            equity = equity - np.where(closes >= book.account_ms[seen], float(amount), 0.0)
    return Decimal(str(float(book.equity[0]))), equity


def _prices(close_ms: IntArray, closes: FloatArray, step: int) -> Prices:
    return Prices(step_ms=step, open_ms=(close_ms - 1) // step * step, ohlc=closes[None, :])


def _slippage(book: Performance) -> Slippage:
    """Return by how much entries filled worse than decided; of exits no decided price is stored."""
    entries = [
        fill
        for fill in book.fills
        if fill.purpose is Purpose.ENTRY and book.wanted.get(fill.proposal_id)
    ]
    if not entries:
        return Slippage(amount=None, how="Slippage is not known: no decided price is stored.")
    worse = sum(
        (
            fill.side.sign * fill.quantity * (fill.price - book.wanted[fill.proposal_id])
            for fill in entries
        ),
        ZERO,
    )
    how = "Slippage is of entries alone, against the price at the decision; below zero it helped."
    return Slippage(amount=worse, how=how)


def _notes(book: Performance, past: Past) -> Iterator[tuple[str, str]]:
    trips = past.trips
    yield "What is counted", _COUNTED
    if past.start_known:
        yield "Coarse where old", _COARSE
    else:
        yield "No balance stored", "Equity begins with VENUE_BALANCE and moves at exits only."
    if trips.open_symbols:
        yield "Still open", f"{', '.join(trips.open_symbols)}: not among the trades."
    if trips.without_entry:
        yield "Fills without an entry", f"{trips.without_entry} of them. {_BEFORE}"
    if trips.without_exit:
        yield (
            "Closed by someone else",
            f"{trips.without_exit} positions, not by the bot; they are in no round trip.",
        )
    moved = sum((amount for _, amount in _later(book)), ZERO)
    if moved:
        yield "Transfers", f"{moved:+f} USDT came in or went out, and was taken out of the curve."


def _later(book: Performance) -> Iterator[tuple[int, Decimal]]:
    """Yield transfers after the first snapshot; those before are in it."""
    if len(book.account_ms):
        yield from (one for one in book.transfers if one[0] > book.account_ms[0])
