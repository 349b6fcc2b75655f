"""The parts a report page is built with, and the file it is written to."""

from functools import cache
from pathlib import Path

from actors.reporting.page import Assets
from core.errors import UsageError


@cache
def assets() -> Assets:
    """Read style and script of the page, and the chart library as installed (5 MB)."""
    # Late: it takes half a second, and only a page needs it.
    from plotly.offline import get_plotlyjs

    folder = Path(__file__).parents[1] / "reporting"
    return Assets(
        style=(folder / "page.css").read_text(encoding="utf-8"),
        script=(folder / "page.js").read_text(encoding="utf-8"),
        plotly=get_plotlyjs(),
    )


def writable(option: str, path: Path) -> None:
    """Find out before long work whether the file can be written; raises UsageError."""
    if not path.parent.is_dir():
        raise UsageError(f"{option} {path}: there is no folder {path.parent}. Fix: make it.")
    if path.is_dir():
        raise UsageError(f"{option} {path} is a folder. Fix: name a file, such as report.html.")


def write_page(option: str, path: Path, text: str) -> None:
    """Write a page; what stood there before stays until the new one is whole."""
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise UsageError(
            f"{option} {path} cannot be written ({error.strerror}). Fix: choose another place."
        ) from None
