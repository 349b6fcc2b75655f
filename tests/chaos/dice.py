"""A strategy that trades often and decides by a hash of the candle, so that a successor agrees.

It trades only while the file `go` lies in the state directory: the driver compares books in peace.
"""

import zlib
from pathlib import Path
from typing import Any

import pandas as pd

_WORDS = {0: "BUY", 1: "BUY", 2: "SELL", 3: "SELL", 4: "BUY", 5: "CLOSE", 6: "CLOSE"}


class DiceStrategy:
    """Opens on half of all bars, up or down, and closes on a fifth."""

    warmup = 5

    def __init__(self, config: dict[str, Any]) -> None:
        self._go = Path(str(config.get("STATE_DIR", ""))) / "go"
        self._salt = str(config.get("VENUE_SEED", ""))

    def generate_signal(self, df: pd.DataFrame) -> tuple[str | None, float, dict[str, Any]]:
        if not self._go.exists():
            return None, 0.0, {}
        drawn = zlib.crc32(f"{df.index[-1].value} {df['close'].iloc[-1]!r}".encode()) % 10
        word = _WORDS.get(drawn)
        return word, 0.9 if word else 0.0, {}
