"""`PricePredictor`: gradient boosting on the features of a bar, with a confidence that is earned.

Training runs walk-forward first.  The out-of-fold predictions of that run give the scores and the
calibration of the confidence; the model that is kept is then fitted on all rows.  Nothing is ever
scored on rows it was fitted on, and the leak tests (`models.leak_tests`) see to it each time.
"""

import hashlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from core.errors import ConfigurationError, DataError, ModelRefusedError
from core.symbol.drift import DriftReference, reference_of
from core.symbol.features import (
    FEATURE_NAMES,
    RollingFeatures,
    bars_of,
    compute_features,
    feature_matrix,
)
from core.symbol.indicators import FloatArray
from core.symbol.trees import TreeEnsemble
from models.calibration import CONFIDENCE_MIN, FLAT, Calibration, fit_calibration
from models.evaluation import Evaluation, evaluate_predictions
from models.importances import permutation_importances
from models.labels import future_returns, interval_ms
from models.leak_tests import as_rows, leaks_found, run_leak_tests
from models.model_files import default_key_file, read_model, write_model
from models.tree_arrays import tree_ensemble
from models.walk_forward import Fold, walk_forward

MODEL_TYPES: dict[str, type[Any]] = {
    "histogram": HistGradientBoostingRegressor,
    "exact": GradientBoostingRegressor,
}
TREES = 100
DEPTH = 5
LEARNING_RATE = 0.1
FOLDS_MAX = 5
FOLDS_MIN = 2
TRAIN_ROWS_MIN = 50


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OutOfFold:
    """Predictions of a walk-forward run; NaN on rows that no fold judged."""

    predictions: FloatArray  # (rows,)
    confidences: FloatArray  # (rows,): calibrated on earlier folds alone, NaN in the first
    calibration: Calibration  # fitted on all of them, for rows after these
    last_model: Any  # the last fold's
    last_judged: slice  # the rows that it judged, and had not seen


class PricePredictor:
    """Predicts the return of the next bar, and how likely its sign is right.

    `model_type`: "histogram" (default) or "exact" (`GradientBoostingRegressor`, about 100 times
    slower to train); `horizon`: bars ahead; `seed`: of the learner.  Raises ConfigurationError for
    values outside these.  One instance serves one symbol.
    """

    def __init__(self, *, model_type: str = "histogram", horizon: int = 1, seed: int = 42) -> None:
        if model_type not in MODEL_TYPES:
            known = ", ".join(MODEL_TYPES)
            raise ConfigurationError(f"MODEL_TYPE is {model_type}. Fix: use one of {known}")
        if horizon < 1:
            raise ConfigurationError(f"horizon is {horizon}. Fix: set it to 1 bar or more")
        self.model_type = model_type
        self.horizon = horizon
        self.seed = seed
        self.evaluation: Evaluation | None = None  # of the last `train`
        self.manifest: dict[str, Any] = {}  # as saved or loaded
        self._model: Any = None
        self._trees: TreeEnsemble | None = None
        self._calibration = FLAT
        self._rolling = RollingFeatures()

    @property
    def skilled(self) -> bool:
        """Whether it proved skill out of fold (see `models.evaluation`); else it is not used."""
        return bool(self.manifest.get("skilled", False))

    @property
    def train_range_ms(self) -> tuple[int, int] | None:
        """First and last open time (UTC ms) whose candle was seen in training; None untrained."""
        seen = self.manifest.get("range_ms")
        return None if seen is None else (int(seen[0]), int(seen[1]))

    def create_features(self, df: pd.DataFrame) -> pd.DataFrame:
        """Return the features of every bar (index of `df`, columns `FEATURE_NAMES`, float64).

        NaN in the warm-up and on damaged bars.  Raises DataError if `df` is no candle frame.
        """
        return compute_features(df)

    def prepare_features(self, df: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
        """Return (X, y): the rows with all features and a known outcome, and that outcome.

        y is the simple return over the next `horizon` bars.
        """
        features = self.create_features(df)
        bars = bars_of(df)
        labels = future_returns(bars.close, bars.open_ms, self.horizon)
        known = np.isfinite(labels) & np.isfinite(features.to_numpy()).all(axis=1)
        return features[known], pd.Series(labels[known], index=df.index[known], name="return")

    @property
    def drift_reference(self) -> DriftReference | None:
        """How its training data looked, for `core.symbol.drift`; None if it was not written."""
        found = self.manifest.get("drift_reference")
        return None if found is None else DriftReference.from_dict(found)

    def train(self, df: pd.DataFrame, *, tested_together: int = 1) -> dict[str, float]:
        """Fit on a candle frame; return the out-of-fold scores.

        `tested_together` counts the symbols trained at once: of many, one passes by luck, so skill
        is asked for accordingly.  A model that fails a leak test is never skilled.

        Keys: direction_accuracy, ci_low, ci_high, rmse, brier, coverage (share of bars with a
        confidence above 0.5), accuracy_at_confidence (NaN if there are none) and its bounds,
        baseline_always_up, baseline_last_direction, rmse_zero_return, skilled (0 or 1), rows.
        All of `evaluation` has more.  Raises DataError if there are too few rows.
        """
        features, labels = self.prepare_features(df)
        x, y = features.to_numpy(dtype=np.float64), labels.to_numpy(dtype=np.float64)
        out_of_fold = self.out_of_fold(x, y)
        model = self._fit(x, y)
        scored = np.isfinite(out_of_fold.confidences)
        evaluation = evaluate_predictions(
            out_of_fold.predictions[scored],
            out_of_fold.confidences[scored],
            y[scored],
            x[scored, FEATURE_NAMES.index("price_change")],
            horizon=self.horizon,
            tested_together=tested_together,
            scored_by={"out_of_fold": int(scored.sum())},
        )
        leaks = run_leak_tests(self, df)
        if leaks_found(leaks):
            verdict = f"a leak is suspected ({leaks_found(leaks)}), so it is not used"
            evaluation = replace(evaluation, skilled=False, meets_targets=False, verdict=verdict)
        judged = out_of_fold.last_judged
        with threadpool_limits(limits=1):
            importances = permutation_importances(
                out_of_fold.last_model.predict, x[judged], y[judged], FEATURE_NAMES, seed=self.seed
            )
        self._adopt(model, out_of_fold.calibration)
        self.evaluation = evaluation
        bars = bars_of(df)
        self.manifest = {
            "model_type": self.model_type,
            "horizon": self.horizon,
            "seed": self.seed,
            "features": list(FEATURE_NAMES),
            "data_sha256": _data_hash(df),
            "range_ms": [int(bars.open_ms[0]), int(bars.open_ms[-1])],
            "interval_ms": interval_ms(bars.open_ms),
            "train_rows": len(y),
            "calibration": asdict(out_of_fold.calibration),
            "skilled": evaluation.skilled,
            "scores": evaluation.as_dict(),
            "leak_tests": as_rows(leaks),
            "importances": [importance.as_dict() for importance in importances],
            "drift_reference": reference_of(x, FEATURE_NAMES, evaluation.brier).as_dict(),
        }
        return _metrics(evaluation)

    def predict(self, df: pd.DataFrame) -> tuple[float, float]:
        """Return (predicted return over the next `horizon` bars, confidence) for the last bar.

        The confidence is the calibrated probability that the sign is right, 0.1..1; (0.0, 0.1) in
        the warm-up or after a damaged bar.  Raises ModelRefusedError before a model is there.
        """
        trees = self._fitted()
        row = self._rolling.latest(df) if len(df) else np.full(len(FEATURE_NAMES), np.nan)
        if np.isnan(row[0]):
            return 0.0, CONFIDENCE_MIN
        prediction = trees.predict_row(row)
        return prediction, self._calibration.confidence(prediction)

    def predict_rows(self, df: pd.DataFrame) -> tuple[FloatArray, FloatArray]:
        """Return (predictions, confidences) of every row: `predict` on each prefix, in one go."""
        self._fitted()
        features = feature_matrix(df)
        known = ~np.isnan(features[:, 0])
        predictions = np.zeros(len(df), dtype=np.float64)
        if known.any():
            predictions[known] = _predict(self._model, features[known])
        return predictions, self._calibration.confidences(predictions)

    def save_model(self, filepath: str, *, key_file: str | Path | None = None) -> None:
        """Write the model and its signed manifest beside it.

        `key_file` signs; by default it lies beside the folder (`models.key` for `models/`) and is
        made, mode 0600, if it is not there.  Raises ModelRefusedError before `train`, OSError.
        """
        self._fitted()
        path = Path(filepath)
        key = default_key_file(path) if key_file is None else Path(key_file)
        self.manifest = write_model(path, self._model, self.manifest, key)

    def load_model(self, filepath: str, *, key_file: str | Path | None = None) -> None:
        """Verify and load a saved model; nothing changes unless all of it is sound.

        Raises ModelRefusedError, one line, for a file that is missing, changed, signed with
        another key, or made for other features or another scikit-learn.
        """
        path = Path(filepath)
        key = default_key_file(path) if key_file is None else Path(key_file)
        model, manifest = read_model(path, key)
        if tuple(manifest["features"]) != FEATURE_NAMES:
            raise ModelRefusedError(f"model {path} has other features. Fix: run train again")
        self._adopt(model, Calibration(**manifest["calibration"]))
        self.model_type = str(manifest["model_type"])
        self.horizon = int(manifest["horizon"])
        self.seed = int(manifest["seed"])
        self.manifest = manifest
        self.evaluation = None

    def out_of_fold(self, x: FloatArray, y: FloatArray) -> OutOfFold:
        """Run walk-forward over rows in time order and predict each block from its past alone."""
        predictions = np.full(len(y), np.nan)
        confidences = np.full(len(y), np.nan)
        model, judged = None, slice(0, 0)
        for fold in self.folds(len(y)):
            judged = slice(fold.test_start, fold.test_end)
            model = self._fit(x[: fold.train_end], y[: fold.train_end])
            predictions[judged] = _predict(model, x[judged])
            if fold.number > 1:
                # Outcomes up to `train_end` only: those of the purged rows are not known yet.
                earlier = slice(0, fold.train_end)
                calibration = fit_calibration(predictions[earlier], y[earlier])
                confidences[judged] = calibration.confidences(predictions[judged])
        return OutOfFold(
            predictions=predictions,
            confidences=confidences,
            calibration=fit_calibration(predictions, y),
            last_model=model,
            last_judged=judged,
        )

    def folds(self, rows: int) -> list[Fold]:
        """Return the walk-forward splits over `rows` rows: as many as there is data for.

        Raises DataError if there are too few for two.
        """
        for folds in range(FOLDS_MAX, FOLDS_MIN - 1, -1):
            try:
                return walk_forward(
                    rows, folds=folds, horizon=self.horizon, train_rows_min=TRAIN_ROWS_MIN
                )
            except ValueError as error:
                reason = str(error)
        raise DataError(f"training: {reason}. Fix: give more candles")

    def _fit(self, x: FloatArray, y: FloatArray) -> Any:
        # One thread: symbols run side by side, and waiting threads cost more than they give.
        with threadpool_limits(limits=1):
            return self._new_model().fit(x, y)

    def _new_model(self) -> Any:
        common = {"learning_rate": LEARNING_RATE, "max_depth": DEPTH, "random_state": self.seed}
        if self.model_type == "exact":
            return GradientBoostingRegressor(n_estimators=TREES, **common)
        # Early stopping would split at random, and by default stops at ten trees.
        return HistGradientBoostingRegressor(
            max_iter=TREES, early_stopping=False, max_leaf_nodes=None, **common
        )

    def _adopt(self, model: Any, calibration: Calibration) -> None:
        trees = tree_ensemble(model)
        if trees.features != len(FEATURE_NAMES):
            raise ModelRefusedError(
                f"the model reads {trees.features} features, not {len(FEATURE_NAMES)}"
            )
        self._model, self._trees, self._calibration = model, trees, calibration
        self._rolling = RollingFeatures()

    def _fitted(self) -> TreeEnsemble:
        if self._trees is None:
            raise ModelRefusedError(
                "PricePredictor has no model yet. Fix: call train(df) or load_model(filepath)"
            )
        return self._trees


def _predict(model: Any, x: FloatArray) -> FloatArray:
    with threadpool_limits(limits=1):
        predictions: FloatArray = model.predict(x)
    return predictions


def _data_hash(df: pd.DataFrame) -> str:
    bars = bars_of(df)
    digest = hashlib.sha256(bars.open_ms.tobytes())
    digest.update(bars.table.tobytes())
    return digest.hexdigest()


def _metrics(evaluation: Evaluation) -> dict[str, float]:
    """Flatten the scores: numbers only."""
    nan = float("nan")

    def number(value: float | None) -> float:
        return nan if value is None else float(value)

    always_up = evaluation.baselines["always_up"]["direction_accuracy"]
    last_direction = evaluation.baselines["last_direction"]["direction_accuracy"]
    return {
        "direction_accuracy": evaluation.direction_accuracy,
        "ci_low": evaluation.ci_low,
        "ci_high": evaluation.ci_high,
        "rmse": evaluation.rmse,
        "brier": evaluation.brier,
        "coverage": evaluation.coverage,
        "accuracy_at_confidence": number(evaluation.accuracy_at_confidence),
        "accuracy_at_confidence_low": number(evaluation.accuracy_at_confidence_low),
        "accuracy_at_confidence_high": number(evaluation.accuracy_at_confidence_high),
        "baseline_always_up": number(always_up),
        "baseline_last_direction": number(last_direction),
        "rmse_zero_return": number(evaluation.baselines["zero_return"]["rmse"]),
        "skilled": float(evaluation.skilled),
        "rows": float(evaluation.rows),
    }
