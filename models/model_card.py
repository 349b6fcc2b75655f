"""The model card: what a model was made of, what it can do and what not, in one JSON and one page.

Both are written beside the model by every training and say nothing that its signed manifest does
not.  The page (`models.card_page`) is one file that needs no network.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.symbol.drift import BRIER_ERRORS_MAX, BRIER_ROWS_MIN, PSI_MAX, WINDOW
from models.card_page import page_of
from models.evaluation import ACCURACY_TARGET, CONFIDENCE_LIMIT, RMSE_TARGET
from models.model_files import replace_file

_UNUSED = "the bot trades technical-only, or not at all where ALLOW_TECHNICAL_ONLY is off"


def card_path(model_dir: Path, symbol: str) -> Path:
    """Return where a symbol's card lies; its page has the same name and ends in .html."""
    return model_dir / f"{symbol}_model_card.json"


def write_card(model_dir: Path, symbol: str, manifest: Mapping[str, Any]) -> Path:
    """Write card and page of a trained model; return the card's path.  Raises OSError."""
    card = card_of(symbol, manifest)
    path = card_path(model_dir, symbol)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, json.dumps(card, indent=1).encode())
    replace_file(path.with_suffix(".html"), page_of(card).encode())
    return path


def card_of(symbol: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the card of a model trained by `PricePredictor.train`, as plain JSON."""
    scores, reference = dict(manifest["scores"]), manifest["drift_reference"]
    return {
        "symbol": symbol,
        "in_plain_words": in_plain_words(manifest),
        "verdict": scores["verdict"],
        "skilled": bool(manifest["skilled"]),
        "meets_targets": bool(scores["meets_targets"]),
        "targets": {"accuracy_at_confidence": ACCURACY_TARGET, "rmse": RMSE_TARGET},
        "model": {name: manifest[name] for name in ("model_type", "horizon", "seed", "features")},
        "data": {
            "from": _text(manifest["range_ms"][0]),
            "to": _text(manifest["range_ms"][1]),
            "interval_ms": manifest["interval_ms"],
            "rows": manifest["train_rows"],
            "sha256": manifest["data_sha256"],
        },
        "scored_on": "out-of-fold predictions of a purged and embargoed walk-forward run",
        "confidence_limit": CONFIDENCE_LIMIT,
        "scores": scores,
        "calibration_fit": dict(manifest["calibration"]),
        "importances": list(manifest["importances"]),
        "leak_tests": list(manifest["leak_tests"]),
        "drift": {
            "watched": list(reference["names"]),
            "within_training": dict(
                sorted(
                    zip(reference["names"], reference["usual"], strict=True),
                    key=lambda item: -item[1],
                )
            ),
            "rule": (
                f"PSI of a feature over the newest {WINDOW} bars above {PSI_MAX} and above that of "
                "every such window within training, or a Brier score of at least "
                f"{BRIER_ROWS_MIN} live predictions more than {BRIER_ERRORS_MAX:g} standard errors "
                f"above {scores['brier']:.4f}"
            ),
        },
    }


def in_plain_words(manifest: Mapping[str, Any]) -> str:
    """Return what the bot will do with this model, and why, for a person who reads one line."""
    scores = manifest["scores"]
    failed = [test["name"] for test in manifest["leak_tests"] if not test["passed"]]
    if failed:
        return f"A leak is suspected in this model (test {', '.join(failed)}): {_UNUSED}."
    if not manifest["skilled"]:
        return f"This model has no proven skill: {_UNUSED}."
    if scores["meets_targets"]:
        return "This model has proven skill and meets its targets: the bot uses it."
    return (
        "This model has proven skill, so the bot uses it, but it misses its targets: right in "
        f"{scores['accuracy_at_confidence']:.1%} of the bars it acts on (target above "
        f"{ACCURACY_TARGET:.0%}), RMSE {scores['rmse']:.4f} (target below {RMSE_TARGET})."
    )


def _text(open_ms: int) -> str:
    return datetime.fromtimestamp(open_ms / 1000, UTC).isoformat(timespec="minutes")
