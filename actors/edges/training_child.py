"""The process that trains beside a running bot: `python -m actors.edges.training_child`.

Reads one job (a JSON line) from standard input, answers one JSON line a symbol, and ends.  The
input stays open for as long as the bot lives: when it closes, this process leaves at once.
"""

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.errors import ModelRefusedError, TradingError
from core.symbol.features import CANDLE_COLUMNS
from core.symbol.indicators import FloatArray, IntArray
from models.model_card import write_card
from models.model_files import default_key_file, keep_version, model_path
from models.price_predictor import PricePredictor
from models.succession import judge_succession

_LOWEST_PRIORITY = 19
_LEFT_BEHIND = 3


def main() -> int:
    """Do the job; 0 when every symbol has its answer."""
    os.nice(_LOWEST_PRIORITY)
    os.umask(0o077)
    job = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_leave_with_the_bot, daemon=True).start()
    together = len(job["candles"])
    for symbol, file in job["candles"].items():
        try:
            answer = learn(
                symbol,
                read_candles(Path(file)),
                Path(job["model_dir"]),
                model_type=job["model_type"],
                tested_together=together,
            )
        except TradingError as error:
            answer = {"error": str(error)}
        sys.stdout.write(json.dumps({"symbol": symbol, **answer}) + "\n")
        sys.stdout.flush()
    return 0


def learn(
    symbol: str, df: pd.DataFrame, model_dir: Path, *, model_type: str, tested_together: int
) -> dict[str, Any]:
    """Train a model and put it in the old one's place if it is better there (`models.succession`).

    Raises DataError for too few candles, OSError if the folder cannot be written.
    """
    path = model_path(model_dir, symbol)
    old: PricePredictor | None = PricePredictor()
    try:
        assert old is not None
        old.load_model(str(path))
    except ModelRefusedError:
        old = None  # none, or one that nobody would load
    new = PricePredictor(model_type=model_type)
    new.train(df, tested_together=tested_together)
    succession = judge_succession(old, new, df)
    if succession.accepted:
        if old is not None:
            keep_version(path, old.manifest["sha256"])
        new.save_model(str(path), key_file=default_key_file(path))
        keep_version(path, new.manifest["sha256"])
        write_card(model_dir, symbol, new.manifest)
    assert new.evaluation is not None
    return {
        "accepted": succession.accepted,
        "reason": succession.reason,
        "skilled": new.skilled,
        "verdict": new.evaluation.verdict,
        "rows": new.manifest["train_rows"],
    }


def write_candles(path: Path, open_ms: IntArray, table: FloatArray) -> None:
    """Write candles for the child: open times (n,) in UTC ms, and (n, 6) of `CANDLE_COLUMNS`."""
    np.savez(path, open_ms=open_ms, table=table)


def read_candles(path: Path) -> pd.DataFrame:
    """Read what `write_candles` wrote as a candle frame."""
    with np.load(path, allow_pickle=False) as found:
        index = pd.DatetimeIndex(found["open_ms"].view("datetime64[ms]")).tz_localize("UTC")
        return pd.DataFrame(found["table"], index=index, columns=list(CANDLE_COLUMNS))


def _leave_with_the_bot() -> None:
    # Not by the buffered stream: its lock, held here, would be waited for at a normal end.
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(_LEFT_BEHIND)


if __name__ == "__main__":
    sys.exit(main())
