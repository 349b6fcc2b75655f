"""What the account got and paid besides its trades, from the venue's own list, each once.

The stream tells income only while somebody listens, and never with a number to know it again by.
"""

from core import messages as m
from core.clock import NS_PER_DAY, NS_PER_S, Moment

LAG_NS = 600 * NS_PER_S  # a row may appear in the list so much later than its time says
KEPT_NS = 90 * NS_PER_DAY  # by the venue


class ListedIncome:
    """Knows up to when no income is missing, and what was told since."""

    def __init__(self) -> None:
        self._after_ns = 0
        self._told: set[m.VenueIncome] = set()  # of what is asked for again

    def begin(self, up_to_ns: int, now: Moment) -> None:
        """Go on from what the database knows; a new database begins with the day it is made on."""
        today_ns = now.venue_ns // NS_PER_DAY * NS_PER_DAY
        self._after_ns, self._told = up_to_ns or today_ns - 1, set()

    def after_ns(self, now: Moment) -> int:
        """Return the venue time since when to ask, within what the venue keeps."""
        return max(self._after_ns, now.venue_ns - KEPT_NS)

    def book(self, rows: tuple[m.VenueIncome, ...]) -> tuple[m.IncomeBooked, ...]:
        """Return what is new; of what was told only as much is remembered as may come again."""
        new = tuple(row for row in dict.fromkeys(rows) if row not in self._told)
        newest_ns = max((row.at_ns for row in rows), default=0)
        self._after_ns = max(self._after_ns, newest_ns - LAG_NS)
        self._told = {row for row in {*self._told, *new} if row.at_ns > self._after_ns}
        return tuple(m.IncomeBooked(income=row) for row in new)
