"""The model of one symbol as its machine sees it: which one is in use, and whether it drifts.

What the strategy assessed is all that is looked at, so a strategy of a user's own that keeps its
features to itself is not watched.  Drift never stops anything by itself: only with `blocks` are
proposals to open held back while it lasts.  A model that says the same of every bar is told of.
"""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from core import messages as m
from core.symbol.drift import PSI_MAX, DriftMonitor, DriftReport
from core.symbol.features import FEATURE_NAMES, feature_matrix
from core.symbol.strategy import Assessment, Predictor

REPORT_EVERY = 60
"""Bars between two comparisons with training."""
CONSTANT_BARS = 60
"""Bars in a row with one and the same output after which a model is said to be stuck."""


class ModelWatch:
    """Follows one symbol's model from bar to bar.

    `psi_max` is the limit of drift; `blocks`: drift above it holds back proposals to open.
    """

    def __init__(
        self, predictor: Predictor | None, *, psi_max: float = PSI_MAX, blocks: bool = False
    ) -> None:
        self._psi_max = psi_max
        self._blocks = blocks
        self._monitor: DriftMonitor | None = None
        self._names: tuple[str, ...] = ()
        self._bars = 0  # since the last comparison
        self._told = ""
        self._output: tuple[float, float] | None = None
        self._same = 0  # bars in a row with that output
        self.report: DriftReport | None = None
        self.model: Predictor | None = None
        self.take(predictor)

    @property
    def objection(self) -> str:
        """Return why nothing may be opened now; empty where nothing is against it."""
        drifted = self.report.in_words if self.report is not None else ""
        return f"model drift: {drifted} (DRIFT_BLOCKS)" if self._blocks and drifted else ""

    def take(self, predictor: Predictor | None) -> None:
        """Follow another model; what was counted against the one before is forgotten."""
        reference = getattr(predictor, "drift_reference", None)
        self.model = predictor
        self.report, self._told, self._bars = None, "", 0
        self._output, self._same = None, 0
        self._names = () if reference is None else reference.names
        self._monitor = (
            None
            if reference is None
            else DriftMonitor(
                reference,
                horizon=int(getattr(predictor, "horizon", 1)),
                psi_max=self._psi_max,
            )
        )

    def history(self, frame: pd.DataFrame) -> None:
        """Count the bars that were there before the first decision; a hole lies before them."""
        if self._monitor is None:
            return
        self._monitor.interrupt()
        if not self._monitor.rows and len(frame):
            places = [FEATURE_NAMES.index(name) for name in self._names]
            self._monitor.take_rows(feature_matrix(frame)[:, places])
            self.report = self._monitor.report()

    def bar(
        self, symbol: str, generation: int, close: float, assessment: Assessment | None
    ) -> Iterable[m.ActorEvent]:
        """Count one closed bar; say so once when drift or a constant output begins and ends."""
        if assessment is None:
            return ()
        said = {"constant_output": self._stuck(assessment), "drift": self._drift(close, assessment)}
        return tuple(
            m.ActorEvent(name=f"symbol/{symbol}", generation=generation, event=event, detail=detail)
            for event, detail in said.items()
            if detail
        )

    def _stuck(self, assessment: Assessment) -> str:
        """Return what is to be said of a model that says the same of every bar; mostly nothing."""
        if assessment.confidence is None:  # no model was asked
            return ""
        output = (assessment.prediction, assessment.confidence)
        was_stuck = self._same >= CONSTANT_BARS
        self._same = self._same + 1 if output == self._output else 1
        self._output = output
        if self._same == CONSTANT_BARS:
            return f"the model said {output[0]:.6g} of each of the last {CONSTANT_BARS} bars"
        return "the model's output moves again" if was_stuck and self._same == 1 else ""

    def _drift(self, close: float, assessment: Assessment) -> str:
        """Return what is to be said of drift."""
        monitor = self._monitor
        if monitor is None or not assessment.technical:
            return ""
        values: Any = assessment.technical
        monitor.take_row([values[name] for name in self._names])
        if assessment.confidence is not None:
            monitor.take_prediction(close, assessment.prediction, assessment.confidence)
        self._bars += 1
        if self.report is not None and self._bars < REPORT_EVERY:
            return ""
        self._bars = 0
        self.report = monitor.report()
        said = self.report.in_words
        before, self._told = self._told, said
        if bool(said) == bool(before):
            return ""
        return f"model drift: {said}" if said else "model drift is over"
