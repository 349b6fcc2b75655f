"""The verified models by symbol: which is in use, and older ones by their hash."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.errors import ModelRefusedError
from core.symbol.machine import SymbolMachine
from models.model_files import default_key_file, model_path, version_path
from models.price_predictor import PricePredictor


class ModelShelf:
    """Holds what was verified, in memory, so that nobody who decides ever waits for a file.

    Reads are safe from any thread: a symbol's model is replaced as a whole.  With `replaying` older
    versions are read from disk when they are asked for.
    """

    def __init__(self, folder: Path, *, replaying: bool = False) -> None:
        self._folder = folder
        self._replaying = replaying
        self._current: dict[str, PricePredictor] = {}

    def __len__(self) -> int:
        return len(self._current)

    def current(self, symbol: str) -> PricePredictor | None:
        """Return the model to use from the next start of the symbol on; None without one."""
        return self._current.get(symbol)

    def load(self, symbol: str) -> PricePredictor:
        """Verify and load a symbol's model file; it is current from now on.

        Raises ModelRefusedError.
        """
        return self._take(symbol, model_path(self._folder, symbol))

    def load_version(self, symbol: str, sha256: str) -> PricePredictor:
        """Load the version of this hash, wherever it lies; raises ModelRefusedError."""
        kept = version_path(model_path(self._folder, symbol), sha256)
        try:
            return self._take(symbol, kept)
        except ModelRefusedError:
            found = self.load(symbol)
            if found.manifest["sha256"] == sha256:
                return found
            del self._current[symbol]
            raise

    def of_hash(self, symbol: str, sha256: str) -> PricePredictor | None:
        """Return the current model if it is this one; a replay looks among the versions too."""
        found = self.current(symbol)
        if found is not None and found.manifest["sha256"] == sha256:
            return found
        if not self._replaying:
            return None
        try:
            return self.load_version(symbol, sha256)
        except ModelRefusedError:
            return None

    def hashes(self) -> dict[str, str]:
        """Return the hash of each symbol's current model."""
        return {symbol: model.manifest["sha256"] for symbol, model in self._current.items()}

    def files(self) -> list[Path]:
        """Return the files of the current models."""
        return [model_path(self._folder, symbol) for symbol in sorted(self._current)]

    def _take(self, symbol: str, path: Path) -> PricePredictor:
        predictor = PricePredictor()
        key = default_key_file(model_path(self._folder, symbol))
        predictor.load_model(str(path), key_file=key)
        self._current[symbol] = predictor
        return predictor


def describe_model(machine: SymbolMachine) -> dict[str, Any] | None:
    """Return what `status` says of a symbol's model and its drift; None without a model."""
    model, report = machine.watch.model, machine.watch.report
    manifest: Mapping[str, Any] = getattr(model, "manifest", {})
    if model is None:
        return None
    scores = manifest.get("scores", {})
    return {
        "skilled": bool(getattr(model, "skilled", True)),
        "verdict": scores.get("verdict", ""),
        "sha256": manifest.get("sha256", ""),
        "trained_to_ms": manifest.get("range_ms", (0, 0))[1],
        "drift": None if report is None else report.as_dict(),
    }
