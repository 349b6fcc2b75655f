"""Takes docs/images/report.png: a backtest on real minutes, its page, and a picture of its top.

`python docs/make_report_image.py` wants Chromium (Debian: `apt-get install chromium`) and the real
minutes of ../shared/data.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
IMAGE = ROOT / "docs/images/report.png"
MINUTES = ROOT / "../shared/data/um-1m/2025q1"
RATES = ROOT / "../shared/data/um-funding"

_SETTINGS = "ALLOW_TECHNICAL_ONLY: true\n"  # all else as it comes
_SIZE = (1180, 1315)


def missing() -> str | None:
    """Name what is missing to take the picture, None if nothing is."""
    if chromium() is None:
        return "Chromium is not installed (apt-get install chromium)"
    if not MINUTES.is_dir() or not RATES.is_dir():
        return "real minutes and funding rates (../shared/data) are not here"
    return None


def chromium() -> str | None:
    """Return the path of Chromium, None if there is none."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


def make_page(page: Path, *more: str) -> None:
    """Run the backtest that the picture shows; `more`: further words of the command line."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "settings.yaml"
        settings.write_text(_SETTINGS, encoding="utf-8")
        words = ["--data", str(MINUTES), "--funding", str(RATES), "--config", str(settings)]
        subprocess.run(  # noqa: S603 -- our own program
            [sys.executable, str(ROOT / "run.py"), "backtest", *words, "--report", page, *more],
            env={"PATH": os.environ["PATH"], "STATE_DIR": folder},
            cwd=folder,
            check=True,
            capture_output=True,
        )


def browse(page: Path, *words: str, scheme: str = "light") -> str:
    """Open a page in a headless Chromium that reaches no network; return what it printed."""
    browser = chromium()
    assert browser is not None, missing()
    with tempfile.TemporaryDirectory() as profile:
        done = subprocess.run(  # noqa: S603 -- the browser that was found
            [
                browser,
                *("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
                *("--proxy-server=127.0.0.1:9", f"--user-data-dir={profile}"),
                *("--virtual-time-budget=5000", "--enable-logging=stderr"),
                f"--window-size={_SIZE[0]},{_SIZE[1]}",
                *words,
                f"{page.absolute().as_uri()}#scheme={scheme}",
            ],
            check=True,
            capture_output=True,
            text=True,
            timeout=120,
        )
    return done.stdout + done.stderr


def take(image: Path, page: Path, scheme: str = "light") -> None:
    """Write a picture of the page's top."""
    browse(page, f"--screenshot={image}", scheme=scheme)


if __name__ == "__main__":
    wanting = missing()
    if wanting is not None:
        sys.exit(wanting)
    with tempfile.TemporaryDirectory() as made:
        made_page = Path(made) / "report.html"
        make_page(made_page)
        take(IMAGE, made_page)
