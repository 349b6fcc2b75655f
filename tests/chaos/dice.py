"""A strategy that trades often and decides by a hash of the candle, so that a successor agrees.

It trades only while the file `go` lies in the state directory: the driver compares books in peace.
The file `bad` says how it fails (fault F55): a number that is none, an exception, no answer.
"""

import time
import zlib
from pathlib import Path
from typing import Any

import pandas as pd

_HANG_S = 10.0
# Only the dearer symbols raise: where all fail at once the process ends with 70, as it should.
_DEAR = 1_000.0
_WORDS = {0: "BUY", 1: "BUY", 2: "SELL", 3: "SELL", 4: "BUY", 5: "CLOSE", 6: "CLOSE"}


class DiceStrategy:
    """Opens on half of all bars, up or down, and closes on a fifth."""

    warmup = 5

    def __init__(self, config: dict[str, Any]) -> None:
        state = Path(str(config.get("STATE_DIR", "")))
        self._go, self._bad = state / "go", state / "bad"
        self._salt = str(config.get("VENUE_SEED", ""))

    def generate_signal(self, df: pd.DataFrame) -> tuple[str | None, float, dict[str, Any]]:
        if not self._go.exists():
            return None, 0.0, {}
        strength = self._spoiled(df["close"].iloc[-1]) if self._bad.exists() else 0.9
        drawn = zlib.crc32(f"{df.index[-1].value} {df['close'].iloc[-1]!r}".encode()) % 10
        word = _WORDS.get(drawn)
        return word, strength if word else 0.0, {}

    def _spoiled(self, price: float) -> float:
        match self._bad.read_text(encoding="ascii"):
            case "raise":
                if price > _DEAR:
                    raise RuntimeError("the model cannot be used")
                return 0.9
            case "hang":
                time.sleep(_HANG_S)
                return 0.9
            case number:
                return float(number)
