"""One tape gives the same orders through pykka's threads, on one thread, and through the backtest.

The market is the seeded one of the venue, and then the bars of a backtest's tape, in which fills
happen as `docs/backtest.md` says: served over real sockets, they fill the live bot's orders at the
same prices, so all that a bot can choose and all that becomes of it is equal to the last digit.
"""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from core.backtest.full_exchange import BarExchange
from core.backtest.full_market import BarPrices
from core.backtest.run import Costs
from core.backtest.tape import Funding, Tape
from core.venue.simulated.exchange import Exchange
from tests.backtest.parity import Weather, made
from tests.simulation.frozen_venue import FrozenVenue
from tests.simulation.lockstep import money_of, orders_of, settings
from tests.simulation.players import MINUTES, on_one_thread, on_threads, through_backtest
from tests.simulation.venue_side import BALANCE

HISTORY = 60
BAR_SETTINGS = {"WORKING_TYPE": "CONTRACT_PRICE", "SLIPPAGE_BPS": 2.0, "DUP_WINDOW_S": 0.0}


def folder_of(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir()
    return folder


def test_threads_and_one_thread_send_the_same_orders(tmp_path: Path) -> None:
    venue = FrozenVenue()
    venue.start()
    live = on_threads(settings(folder_of(tmp_path, "threads"), venue.url), venue)
    stepped = on_one_thread(settings(folder_of(tmp_path, "one")), seed=1)
    again = on_one_thread(settings(folder_of(tmp_path, "two")), seed=2)
    assert len(live.ledger.trades) >= 8, "the tape has trades"
    assert orders_of(stepped) == orders_of(live)
    assert money_of(stepped) == money_of(live)
    assert orders_of(again) == orders_of(live), "in whatever order the actors take their turns"


def a_tape(seed: int, folder: Path) -> Tape:
    """A tape with leaps over stops, and a settlement in the middle of it."""
    config = settings(folder, **BAR_SETTINGS)
    weather = Weather(leaps=0.1, leap=0.003, calm=0.0)
    bars = made(seed, HISTORY + MINUTES + 1, config, weather=weather, before_midnight=HISTORY)
    due = HISTORY + MINUTES // 2
    funding = {s: (Funding(bar=due, rate=Decimal("0.0003")),) for s in bars.symbols}
    return replace(bars, funding=funding)


def exchange_of(bars: Tape, folder: Path, first: int = HISTORY) -> Exchange:
    config = settings(folder, **BAR_SETTINGS)
    costs = {symbol: Costs.of(config.for_symbol(symbol)) for symbol in bars.symbols}
    prices = BarPrices(bars, first=first, fees={s: one.fee for s, one in costs.items()})
    return BarExchange(prices, balance=BALANCE, costs=costs)


def test_backtest_one_thread_and_threads_send_the_same_orders_on_the_same_bars(
    tmp_path: Path,
) -> None:
    bars = a_tape(3, tmp_path)
    config = settings(folder_of(tmp_path, "backtest"), **BAR_SETTINGS)
    tested = through_backtest(
        config, bars, exchange_of(bars, tmp_path, HISTORY - 1), start=HISTORY - 1
    )
    stepped = on_one_thread(
        settings(folder_of(tmp_path, "one"), **BAR_SETTINGS), 1, exchange_of(bars, tmp_path)
    )
    assert len(tested.ledger.trades) >= 8, "the tape has trades"
    assert orders_of(stepped) == orders_of(tested)
    assert money_of(stepped) == money_of(tested)
    venue = FrozenVenue(exchange_of(bars, tmp_path))
    venue.start()
    live = on_threads(settings(folder_of(tmp_path, "threads"), venue.url, **BAR_SETTINGS), venue)
    assert orders_of(live) == orders_of(tested)
    assert money_of(live) == money_of(tested)
