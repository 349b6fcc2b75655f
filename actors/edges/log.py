"""The human log: `2025-08-15 12:55:47,464 [INFO] module: message`, on stderr and in a file.

Times are UTC.  Nothing that a venue or a user sends can forge a line (control characters are
escaped) or carry a secret out (registered values and signed parameters are replaced by stars).
Per-message tracing is elsewhere: a line here costs tens of microseconds.
"""

import logging
import re
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from loguru import logger

if TYPE_CHECKING:
    from loguru import Logger, Record

_FORMAT: Final = "{time:YYYY-MM-DD HH:mm:ss,SSS!UTC} [{level}] {extra[module]}: {message}"
_STARS: Final = "***"
_LENGTH_MAX: Final = 4096
_SECRET_LENGTH_MIN: Final = 6  # shorter values would blank out innocent text
# C0 and C1 controls, line separators, and the marks that reverse the direction of text
_UNSAFE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
_SIGNED: Final = re.compile(
    r"""(?ix)(signature|x-mbx-apikey|api[-_]?key|api[-_]?secret|listen[-_]?key|secret|token
    |authorization|cookie)(["']?\s*[=:]\s*["']?)(?:bearer\s+)?[\w./+=%~-]+"""
)


class Scrubber:
    """Replaces secrets in text: exact values that were registered, and signed parameters."""

    def __init__(self) -> None:
        self._values: frozenset[str] = frozenset()
        self._pattern: re.Pattern[str] | None = None

    def register(self, *secrets: str) -> None:
        """Replace these values from now on; very short ones are left alone."""
        self._values |= {text for text in secrets if len(text) >= _SECRET_LENGTH_MIN}
        # longest first: a secret may begin with another one
        ordered = sorted(self._values, key=lambda text: (-len(text), text))
        self._pattern = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def scrub(self, text: str) -> str:
        """Return the text without secrets."""
        if self._pattern is not None:
            text = self._pattern.sub(_STARS, text)
        return _SIGNED.sub(rf"\1\2{_STARS}", text)


scrubber: Final = Scrubber()


def one_line(text: str) -> str:
    """Escape whatever could break a line or the terminal, and shorten what is too long."""
    text = _UNSAFE.sub(_escaped, text)
    return text if len(text) <= _LENGTH_MAX else f"{text[:_LENGTH_MAX]}..."


def get_logger(module: str) -> "Logger":
    """Return a logger whose lines carry this module's name."""
    return logger.bind(module=module)


def setup_log(
    level: str,
    folder: Path | None = None,
    *,
    retention_days: int = 14,
    secrets: Iterable[str] = (),
    debug: bool = False,
    to_stderr: bool = True,
) -> None:
    """Send the log to stderr and, with a folder, to a rotating file `bot.log` in it.

    `debug` adds tracebacks.  Lines of libraries' own loggers join from WARNING on.
    """
    scrubber.register(*secrets)
    logger.remove()
    logger.configure(patcher=_Patcher(debug=debug))
    shared: dict[str, Any] = {
        "level": level,
        "format": _FORMAT,
        "diagnose": False,
        "backtrace": False,
        "colorize": False,
    }
    if to_stderr:
        logger.add(sys.stderr, **shared)
    if folder is not None:
        logger.add(
            folder / "bot.log",
            rotation="10 MB",
            retention=f"{retention_days} days",
            encoding="utf-8",
            **shared,
        )
    logging.basicConfig(handlers=[_Intercept()], level=logging.WARNING, force=True)


class _Patcher:
    """Makes each record safe before any sink sees it."""

    def __init__(self, *, debug: bool) -> None:
        self._debug = debug

    def __call__(self, record: "Record") -> None:
        record["extra"].setdefault("module", record["module"])
        message = one_line(scrubber.scrub(record["message"]))
        error = record["exception"]
        if error is not None and error.value is not None:
            summary = f"{type(error.value).__name__}: {error.value}"
            message = f"{message} ({one_line(scrubber.scrub(summary))})"
            if self._debug:
                lines = "".join(traceback.format_exception(error.value)).splitlines()
                # indented, so that no line of it can pass for a record
                message += "".join(f"\n    | {one_line(scrubber.scrub(line))}" for line in lines)
        record["message"] = message
        record["exception"] = None


class _Intercept(logging.Handler):
    """Hands the records of libraries' loggers on to ours."""

    def emit(self, record: logging.LogRecord) -> None:
        level = record.levelname if record.levelname in _LEVELS else record.levelno
        logger.bind(module=record.name).opt(exception=record.exc_info).log(
            level, "{}", record.getMessage()
        )


_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape", "surrogatepass").decode("ascii")
