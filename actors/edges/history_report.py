"""What was odd in history files and by which rule it was mended or left: a line per kind.

Nothing here refuses anything: what is refused raises where it is found (`history_files.py`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

_FILES_SHOWN_MAX: Final = 2


class Oddity(Enum):
    """A kind of damage that is repaired or left by rule: its words, and the rule."""

    MICROSECONDS = ("stamps in microseconds", "brought to milliseconds")
    NO_HEADER = ("files without a header row", "read in the archive's order of columns")
    UNKNOWN_COLUMN = ("columns of unknown name", "left aside")
    UNSHARED_COLUMN = ("columns that not all files of a symbol have", "left out")
    SIX_COLUMNS = ("symbols with six columns only", "no taker volume and no trade counts")
    OTHER_INTERVAL = ("files of other intervals", "not read")
    BLANK = ("blank lines", "skipped")
    CUT = ("last lines without a line end", "dropped, for a number in them may be cut off")
    DISORDER = ("rows out of order", "sorted by time")
    REPEATED = ("rows that repeat another exactly", "dropped")
    GAP = ("missing bars", "left missing")
    SHORT = ("bars missing at an end of the file's month or day", "left missing")
    FLAT = ("bars without a trade at the repeated last price", "kept, but stale")
    NO_VOLUME = ("other bars with zero volume", "kept")
    TWIN = ("symbols with the rows of another", "kept, but one file may bear a wrong name")
    CUT_BAR = ("bars whose close_time is before their end", "kept")
    NO_RATE = ("missing funding rates", "left missing")

    def __init__(self, words: str, rule: str) -> None:
        self.words = words
        self.rule = rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """How often one kind was met in one file, or in one symbol's files together."""

    oddity: Oddity
    file: str
    count: int
    where: str  # the first of them: a row or a UTC time; empty where there is no place


@dataclass(slots=True)
class HistoryReport:
    """Collects findings while files are read; hand one to `read_history` and `read_funding`."""

    findings: list[Finding] = field(default_factory=list)

    def note(self, oddity: Oddity, file: str, count: int, where: str = "") -> None:
        """Add a finding, unless there were none of it."""
        if count > 0:
            found = Finding(oddity=oddity, file=file, count=int(count), where=where)
            self.findings.append(found)

    def count(self, oddity: Oddity) -> int:
        """Return how many there were in all files."""
        return sum(finding.count for finding in self.findings if finding.oddity is oddity)

    def lines(self) -> tuple[str, ...]:
        """Return a line for each kind met, in the order of `Oddity`."""
        return tuple(self._lines())

    def as_dict(self) -> dict[str, dict[str, int]]:
        """Return counts by kind and file, for JSON."""
        counts: dict[str, dict[str, int]] = {}
        for finding in self.findings:
            by_file = counts.setdefault(finding.oddity.name.lower(), {})
            by_file[finding.file] = by_file.get(finding.file, 0) + finding.count
        return counts

    def _lines(self) -> Iterator[str]:
        for oddity in Oddity:
            mine = [finding for finding in self.findings if finding.oddity is oddity]
            if not mine:
                continue
            shown = ", ".join(
                f"{finding.file} ({finding.count}{finding.where and f', first {finding.where}'})"
                for finding in mine[:_FILES_SHOWN_MAX]
            )
            more = len(mine) - _FILES_SHOWN_MAX
            others = f" and {more} more" if more > 0 else ""
            yield f"history: {self.count(oddity)} {oddity.words}: {oddity.rule}; {shown}{others}"
