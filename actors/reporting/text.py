"""How a page writes numbers, times and tables; whatever comes from outside is escaped."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final

NOTHING: Final = "–"  # what there is no figure for
Cell = str | tuple[str, str]  # text, or text and CSS class


def percent(share: float | None, digits: int = 2) -> str:
    """Write a share.

    >>> percent(-0.0312), percent(None)
    ('−3.12 %', '–')
    """
    return NOTHING if share is None else _minus(f"{share * 100:,.{digits}f} %")


def number(value: float | None, digits: int = 2) -> str:
    """Write a number with thousands separated.

    >>> number(1234.5), number(-0.001)
    ('1,234.50', '0.00')
    """
    return NOTHING if value is None else _minus(f"{value:,.{digits}f}")


def count(value: float | None) -> str:
    """Write a whole number."""
    return number(value, 0)


def signed(value: float | None, digits: int = 2) -> str:
    """Write a number that is never without its sign.

    >>> signed(3.0), signed(-3.0), signed(0.0)
    ('+3.00', '−3.00', '0.00')
    """
    text = number(value, digits)
    return f"+{text}" if value is not None and float(f"{value:.{digits}f}") > 0 else text


def tone(value: float | None) -> str:
    """Return the CSS class of a gain or loss."""
    if value is None or value == 0:
        return ""
    return "gain" if value > 0 else "loss"


def moment(ms: int) -> str:
    """Write UTC ms to the minute."""
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M}"


def lasting(ms: float) -> str:
    """Write a span in the unit that suits it.

    >>> lasting(90_000), lasting(5_400_000), lasting(172_800_000)
    ('1.5 min', '1.5 h', '2 d')
    """
    for limit, unit, word in ((3_600_000, 60_000, "min"), (86_400_000, 3_600_000, "h")):
        if ms < limit:
            return f"{round(ms / unit, 1):g} {word}"
    return f"{round(ms / 86_400_000, 1):,.10g} d"


def table(head: Sequence[str], rows: Iterable[Sequence[Cell]], kind: str = "") -> str:
    """Return an HTML table in a box that scrolls sideways; the first column are names."""
    heads = "".join(f"<th>{escape(name)}</th>" for name in head)
    lines = "".join(f"<tr>{''.join(_cell(cell) for cell in row)}</tr>" for row in rows)
    return (
        f'<div class="scroll"><table class="{kind}"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{lines}</tbody></table></div>"
    )


def _cell(cell: Cell) -> str:
    if isinstance(cell, str):
        return f"<td>{escape(cell)}</td>"
    text, kind = cell
    return f'<td class="{kind}">{escape(text)}</td>'


def _minus(text: str) -> str:
    if not text.startswith("-"):
        return text
    bare = text[1:]
    return f"−{bare}" if any(digit in bare for digit in "123456789") else bare
