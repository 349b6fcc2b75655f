"""Every error this program raises on purpose.

Callers choose by class: retry, refuse, reconcile or stop.  A message names the parameter, the value
and the fix, on one line; `run.py` prints it and exits with the class's code.
"""

from typing import ClassVar


class TradingError(Exception):
    """Root of all expected errors; carries the process's exit code."""

    exit_code: ClassVar[int] = 1


class UsageError(TradingError):
    """The command line cannot be understood."""

    exit_code = 2


class ConfigurationError(TradingError):
    """A setting, file, symbol, port or folder that cannot be used as given."""

    exit_code = 64


class SupervisorGaveUpError(TradingError):
    """A room that the bot cannot live without kept failing."""

    exit_code = 70


class UnavailableError(TradingError):
    """The venue or the database cannot be reached now; trying again later may help."""

    exit_code = 75


class SelfCheckError(TradingError):
    """The self-check found something that must not trade."""

    exit_code = 78


class DataError(ConfigurationError):
    """Market data that is missing, unreadable or contradicts itself; names file and row."""


class ModelRefusedError(TradingError):
    """A model file that failed verification; it was not unpickled."""


class InstrumentError(TradingError):
    """A number that cannot become a price or quantity of an instrument."""
