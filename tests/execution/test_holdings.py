from decimal import Decimal

from core.execution.holdings import TRADES_KNOWN, Holdings
from tests.builders import a_book, an_intent

SYMBOL = "BTCUSDT"


def restored(newest: int, known: tuple[int, ...]) -> Holdings:
    holdings = Holdings()
    holdings.restore(SYMBOL, Decimal(0), Decimal(0), newest, known)
    return holdings


def test_a_trade_that_is_missing_among_the_known_is_fetched_again_and_counted_once() -> None:
    holdings = restored(12, (10, 12))  # the stream lost 11, then the process died
    assert holdings.fetched_up_to[SYMBOL] < 11
    assert [holdings.count(SYMBOL, trade) for trade in (10, 11, 12, 13)] == [
        False,
        True,
        False,
        True,
    ]
    assert not holdings.count(SYMBOL, 11)


def test_even_the_first_trade_may_be_missing() -> None:
    assert restored(12, (12,)).count(SYMBOL, 11)


def test_what_is_older_than_the_latest_known_is_not_fetched_again() -> None:
    known = tuple(range(1_000, 1_000 + TRADES_KNOWN))
    holdings = restored(known[-1], known)
    assert holdings.fetched_up_to[SYMBOL] == 1_000
    assert not holdings.count(SYMBOL, 999)


def test_with_few_known_trades_all_are_asked_for_not_those_of_the_last_day() -> None:
    # 0 asks for a day; a stop that fired three days ago, while nobody was there, is older.
    assert 0 < restored(600_000_001, (600_000_001,)).fetched_up_to[SYMBOL] < 600_000_001
    assert restored(0, ()).fetched_up_to[SYMBOL] == 0


def test_where_the_journal_has_an_entry_and_the_book_no_trade_all_trades_are_wanted() -> None:
    """Its fill was not booked when the process died; the last day's trades may not show it."""
    holdings = Holdings()
    holdings.begin(a_book(intents=((an_intent(symbol=SYMBOL), "SENDING"),)))
    assert holdings.fetched_up_to[SYMBOL] == 1
    assert holdings.count(SYMBOL, 2)
