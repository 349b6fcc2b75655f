"""The tries of a sweep on disk, and Optuna's word on which to make next; nobody else knows Optuna.

The file is an Optuna study in SQLite (`optuna-dashboard` opens it) that holds finished tries only,
in order.  What to try next is asked in batches of `BATCH`, of a sampler seeded by the number of the
try, with all earlier batches told and nothing else.  So it depends on the seed and on results
alone: not on how many workers there are, nor on where a sweep was interrupted.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from config.space import Choices, Range, Space
from core.backtest.tries import Score
from core.errors import ConfigurationError, UnavailableError, UsageError

BATCH: Final = 8
_NAME: Final = "sweep"
_IDENTITY: Final = "identity"
_IMPORTANCE_TRIES_MIN: Final = 10
_PLAIN: Final = (bool, int, float, str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One finished try: its settings, and its score or why it could not be scored."""

    settings: Mapping[str, Any]
    score: Score | None
    refused: str = ""


class SweepStorage:
    """The tries of one sweep, in order.  `path` is an SQLite file."""

    def __init__(self, path: Path, space: Space, seed: int, study: optuna.Study) -> None:
        self.path = path
        self._space = space
        self._seed = seed
        self._study = study

    @property
    def _trials(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def __len__(self) -> int:
        return len(self._trials)

    def next_settings(self, total: int) -> list[dict[str, Any]]:
        """Return the settings to try next: the rest of a batch, never beyond `total` tries."""
        begun = len(self) // BATCH * BATCH
        asked = _asked(
            self._space, self._trials[:begun], min(BATCH, total - begun), seed=self._seed
        )
        return asked[len(self) - begun :]

    def add(self, outcome: Outcome) -> None:
        """Keep the next finished try; it is on disk when this returns."""
        score = outcome.score
        self._study.add_trial(
            optuna.trial.create_trial(
                state=TrialState.PRUNED if score is None else TrialState.COMPLETE,
                value=None if score is None else score.mean,
                params=_labelled(self._space, outcome.settings),
                distributions=_distributions(self._space),
                user_attrs={"refused": outcome.refused}
                if score is None
                else {"score": score.as_dict()},
            )
        )

    def outcomes(self) -> list[Outcome]:
        """Return all finished tries in order."""
        return [
            Outcome(
                settings=_unlabelled(self._space, trial.params),
                score=Score.from_dict(trial.user_attrs["score"])
                if trial.state is TrialState.COMPLETE
                else None,
                refused=trial.user_attrs.get("refused", ""),
            )
            for trial in self._trials
        ]

    def importances(self) -> dict[str, float]:
        """Return which share of the scores' differences each setting explains, largest first.

        By fANOVA: Hutter, Hoos and Leyton-Brown, "An Efficient Approach for Assessing
        Hyperparameter Importance" (ICML 2014).  Empty for fewer than ten scored tries, or scores
        that do not differ.
        """
        values = [trial.value for trial in self._trials if trial.state is TrialState.COMPLETE]
        if len(values) < _IMPORTANCE_TRIES_MIN or len(set(values)) == 1:
            return {}
        if len(self._space) == 1:
            return dict.fromkeys(self._space, 1.0)
        found = optuna.importance.get_param_importances(self.copy(), evaluator=self.evaluator())
        return {name: round(float(share), 6) for name, share in found.items()}

    def evaluator(self) -> optuna.importance.FanovaImportanceEvaluator:
        """Return how importance is judged, seeded."""
        return optuna.importance.FanovaImportanceEvaluator(seed=self._seed)

    def copy(self) -> optuna.Study:
        """Return the study in memory."""
        return _in_memory(self._trials)

    def looked(self) -> int:
        """Count one more look at the held-out block; return how many there were."""
        looks = int(self._study.user_attrs.get("looks", 0)) + 1
        self._study.set_user_attr("looks", looks)
        return looks


@contextmanager
def open_storage(
    path: Path, space: Space, *, seed: int, identity: Mapping[str, Any], resume: bool
) -> Iterator[SweepStorage]:
    """Open a sweep's file for this process alone, new or to go on with.

    `identity`: what must be the same for tries to be compared.  Raises UsageError for a file that
    is there without `resume`, ConfigurationError for one of another sweep or none at all,
    UnavailableError while another process has it.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if path.exists() and not resume:
        raise UsageError(
            f"--storage {path} holds a sweep already. Fix: add --resume, or name another file"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path):
            storage = optuna.storages.RDBStorage(f"sqlite:///{path.absolute()}")
            try:
                study = optuna.create_study(
                    storage=storage, study_name=_NAME, direction="maximize", load_if_exists=True
                )
                _same_sweep(path, study, identity)
                yield SweepStorage(path, space, seed, study)
            finally:
                storage.remove_session()
                storage.engine.dispose()
    except (SQLAlchemyError, OSError, RuntimeError) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigurationError(
            f"--storage {path} cannot be used ({why:.200}). Fix: name another file"
        ) from error


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    lock = path.with_name(f"{path.name}.lock")
    handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise UnavailableError(
            f"--storage {path} is in use by another sweep. Fix: wait for it, or name another file"
        ) from None
    finally:
        os.close(handle)


def _same_sweep(path: Path, study: optuna.Study, identity: Mapping[str, Any]) -> None:
    kept = study.user_attrs.get(_IDENTITY)
    if kept is None:
        study.set_user_attr(_IDENTITY, dict(identity))
        return
    for name, value in identity.items():
        if kept.get(name) != value:
            raise ConfigurationError(
                f"--storage {path} is of a sweep with another {name}, whose tries cannot be"
                " compared. Fix: give the same again, or name another file"
            )


def _asked(
    space: Space, told: Sequence[FrozenTrial], count: int, *, seed: int
) -> list[dict[str, Any]]:
    study = _in_memory(told)
    distributions = _distributions(space)
    asked = []
    for number in range(len(told), len(told) + count):
        own = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
        study.sampler = optuna.samplers.TPESampler(seed=own)
        asked.append(_unlabelled(space, study.ask(distributions).params))
    return asked


def _in_memory(trials: Sequence[FrozenTrial]) -> optuna.Study:
    study = optuna.create_study(direction="maximize")
    study.add_trials(trials)
    return study


def _distributions(space: Space) -> dict[str, BaseDistribution]:
    return {name: _distribution(dimension) for name, dimension in space.items()}


def _distribution(dimension: Range | Choices) -> BaseDistribution:
    if isinstance(dimension, Choices):
        return CategoricalDistribution([_label(value) for value in dimension.values])
    low, high, step = dimension.low, dimension.high, dimension.step
    if step is not None:  # the last step that is within
        first, size = Decimal(str(low)), Decimal(str(step))
        last = first + (Decimal(str(high)) - first) // size * size
        high = int(last) if dimension.whole else float(last)
    if dimension.whole and (step is None or isinstance(step, int)):
        return IntDistribution(int(low), int(high), step=int(step or 1), log=dimension.log)
    return FloatDistribution(low, high, step=step, log=dimension.log)


def _label(value: Any) -> Any:
    """Return a value as Optuna keeps choices: plain ones themselves, others as JSON text."""
    return value if isinstance(value, _PLAIN) else json.dumps(value, sort_keys=True)


def _labelled(space: Space, settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _label(settings[name]) if isinstance(one, Choices) else settings[name]
        for name, one in space.items()
    }


def _unlabelled(space: Space, params: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for name, one in space.items():
        value = params[name]
        if isinstance(one, Choices):
            labels = [_label(choice) for choice in one.values]
            value = one.values[labels.index(value)]
        elif one.step is not None and isinstance(value, float):  # 0.35, not 0.35000000000000003
            first, size = Decimal(str(one.low)), Decimal(str(one.step))
            value = float(first + round((value - one.low) / one.step) * size)
        found[name] = value
    return found
