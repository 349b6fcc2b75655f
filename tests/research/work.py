"""Work that the tests hand to a pool; workers import it from here."""

import os
import signal
from pathlib import Path

from core.errors import DataError
from core.symbol.strategy import EnhancedStrategy


def square(number: int) -> int:
    return number * number


def die_once(number: int, folder: str) -> int:
    """Take the worker down the first time that number 1 comes."""
    mark = Path(folder) / "died"
    if number == 1 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return square(number)


def always_die(_: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def refuse(number: int) -> int:
    if number == 2:
        raise DataError("row 2 is no number. Fix: mend it")
    return square(number)


class Mortal(EnhancedStrategy):
    """Takes its process down, once, where a file `die` lies, but never under the given stop."""

    GIVEN_STOP = 0.004

    def __init__(self, config: dict) -> None:
        super().__init__(config)
        wish = Path(config["STATE_DIR"]) / "die"
        if config["STOPLOSS_PCT"] != self.GIVEN_STOP and wish.exists():
            wish.rename(wish.with_name("died"))
            os.kill(os.getpid(), signal.SIGKILL)
