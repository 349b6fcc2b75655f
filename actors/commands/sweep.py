"""`run.py sweep`: search settings on recorded history, and say how much of the find is luck."""

import dataclasses
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from actors.commands.backtest import BacktestOptions, read_study
from actors.commands.options import PAPER
from actors.edges.sweep_files import write_page, write_settings
from actors.edges.sweep_storage import SweepStorage, open_storage
from actors.edges.work_pool import Workers, progress
from actors.sweeping import FIXED, Plan, Verdict, blocks_of, judge, search
from config import Config, load_config
from config.space import Space, read_space
from core.backtest.blocks import Block
from core.backtest.tries import Score
from core.errors import ConfigurationError, UsageError

_NO_TRY: Final = 1
_INTERRUPTED: Final = 130
_TRADES_FEW: Final = 30
_SURE: Final = 0.95
_REASONS_MAX: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepOptions:
    """What `sweep` is asked to do."""

    data: BacktestOptions
    space: Path
    trials: int  # in all, those of an earlier run included
    storage: Path
    workers: Workers
    changed: Callable[[Mapping[str, Any]], Config]  # the settings with some changed, no secrets
    resume: bool = False
    seed: int = 42
    blocks: int = 5  # the held-out one included
    embargo: int | None = None  # bars; None: of a day

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise UsageError(f"--trials must be at least 1, was {self.trials}. Fix: set it to 100.")
        if self.embargo is not None and self.embargo < 0:
            raise UsageError(f"--embargo must be 0 or more, was {self.embargo}. Fix: set it to 0.")


def settings_changed(config_file: str | None, changes: Mapping[str, Any]) -> Config:
    """Read the settings with some changed; secrets stay behind, for workers need none.

    Raises ConfigurationError for changes that contradict each other or the rest.
    """
    flags: dict[str, Any] = {"API_KEY": "", "API_SECRET": "", "CONTROL_TOKEN": ""}
    flags |= {"NOTIFY_URLS": [], **changes}
    return load_config(PAPER if config_file is None else config_file, **flags)


def run(config: Config, options: SweepOptions, *, as_json: bool) -> int:
    """Search, write the best settings and the page, and print what was found.

    Returns 1 if no try could be scored, 130 after Ctrl-C; what was tried until then is kept.
    """
    # Wall time of a command that a person waits for; nothing is decided by it.
    started = time.perf_counter()
    plan = _plan(options)
    _say(*_overridden(config, plan.space))
    storing = open_storage(
        options.storage,
        plan.space,
        seed=plan.seed,
        identity=plan.identity(),
        resume=options.resume,
    )
    with storing as storage:
        before = len(storage)
        try:
            with options.workers.pool() as pool, progress("sweep", plan.trials) as told:
                search(plan, storage, pool, told)
                verdict = judge(plan, storage, pool)
        except KeyboardInterrupt:
            _say(
                f"{len(storage)} of {plan.trials} tries are kept in {options.storage}."
                " Go on with the same words and --resume"
            )
            return _INTERRUPTED
        document = _document(plan, storage, verdict) | {"resumed_from": before}
        if verdict is not None:
            document |= _write(config, plan, storage, verdict, document)
    document["elapsed_s"] = round(time.perf_counter() - started, 3)
    if as_json:
        print(json.dumps(document))  # noqa: T201
    else:
        _show(document)
    return _NO_TRY if verdict is None else 0


def _plan(options: SweepOptions) -> Plan:
    space = read_space(options.space)
    for name in sorted(FIXED & set(space)):
        raise ConfigurationError(
            f"--space {options.space}: {name} cannot be searched, for history is read once."
            " Fix: leave it out"
        )
    given = options.changed({})
    study = read_study(given, options.data)
    blocks = blocks_of(
        study, given, blocks=options.blocks, embargo=options.embargo, since=options.data.since
    )
    return Plan(
        study=study,
        space=space,
        given=given,
        changed=options.changed,
        blocks=blocks,
        trials=options.trials,
        seed=options.seed,
    )


def _overridden(config: Config, space: Space) -> Iterator[str]:
    for symbol, overrides in config.SYMBOL_CONFIGS.items():
        for name in sorted(set(overrides) & set(space)):
            yield f"{symbol} keeps its own {name} (SYMBOL_CONFIGS), whatever is tried"


def _write(
    config: Config,
    plan: Plan,
    storage: SweepStorage,
    verdict: Verdict,
    document: Mapping[str, Any],
) -> dict[str, Any]:
    """Write settings and page beside the storage; return what to add to the document."""
    settings = verdict.outcomes[verdict.chosen].settings
    yaml_file = storage.path.with_suffix(".yaml")
    page = storage.path.with_suffix(".html")
    lines = tuple(_lines(document))
    stronger = write_settings(yaml_file, config, plan.changed(settings), settings, lines)
    write_page(page, storage, lines)
    files = {"settings": str(yaml_file), "page": str(page), "storage": str(storage.path)}
    beaten = [
        f"{name} is set in the environment or .env, which beats {yaml_file}" for name in stronger
    ]
    return {"files": files, "warnings": [*document["warnings"], *beaten]}


def _document(plan: Plan, storage: SweepStorage, verdict: Verdict | None) -> dict[str, Any]:
    outcomes = storage.outcomes()
    refusals = dict.fromkeys(one.refused for one in outcomes if one.score is None)
    document: dict[str, Any] = {
        "trials": len(outcomes),
        "scored": sum(one.score is not None for one in outcomes),
        "refused_because": list(refusals)[:_REASONS_MAX],
        "blocks": [_span(plan, block) for block in plan.blocks],
        "best": None,
        "warnings": ["no try could be scored"] if verdict is None else [],
    }
    if verdict is None:
        return document
    chosen = verdict.outcomes[verdict.chosen]
    assert chosen.score is not None
    document |= {
        "best": {
            "trial": verdict.chosen,
            "settings": dict(chosen.settings),
            "score": chosen.score.mean,
            "blocks": _rows(verdict.judged),
        },
        "as_given": {
            "score": verdict.as_given.mean_of(len(plan.choosing)),
            "blocks": _rows(verdict.as_given),
        },
        "walk_forward": {
            "score": verdict.walked,
            "steps": [dataclasses.asdict(step) for step in verdict.steps],
        },
        "held_out": dataclasses.asdict(verdict.held_out) | {"looks": verdict.looks},
        "deflated_sharpe": verdict.deflated,
        "sharpe_per_bar": chosen.score.sharpe_per_bar,
        "sharpe_per_bar_by_luck": verdict.by_luck,
        "importance": storage.importances(),
        "tries": [
            {"settings": dict(one.settings), "score": None if one.score is None else one.score.mean}
            for one in outcomes
        ],
    }
    document["warnings"] = list(_warnings(plan, verdict, document))
    return document


def _warnings(plan: Plan, verdict: Verdict, document: Mapping[str, Any]) -> Iterator[str]:
    best, given = document["best"]["score"], document["as_given"]["score"]
    choosing = verdict.judged.blocks[:-1]
    trades = sum(block.trades for block in choosing)
    if best <= 0.0:
        yield "no try earned anything: not trading is better than the settings written"
    elif trades < _TRADES_FEW:
        yield f"the best try has {trades} trades only: too few to tell skill from luck"
    if best <= given:
        yield "no try was better than the settings as given"
    if verdict.deflated is not None and verdict.deflated < _SURE:
        yield (
            f"of {document['scored']} tries one is this good by luck alone more often than one time"
            f" in twenty (deflated Sharpe {verdict.deflated:.2f}, wanted {_SURE})"
        )
    if verdict.held_out.sharpe <= 0.0 < best:
        yield "on the held-out block, which chose nothing, the best try earned nothing"
    if verdict.looks > 1:
        yield (
            f"the held-out block has been looked at {verdict.looks} times: it is the less"
            " held out the more is decided by it"
        )
    if any(block.halts for block in choosing):
        yield "limits stopped the best try within a block, and nobody resumes them in a backtest"
    if len(plan.study.told):
        yield "models were judged skilled on this history too, the held-out block included"


def _rows(score: Score) -> list[dict[str, Any]]:
    return [dataclasses.asdict(block) for block in score.blocks]


def _span(plan: Plan, block: Block) -> dict[str, int]:
    tape = plan.study.recording.tape
    last = int(tape.open_ms[block.end - 1]) + tape.interval_ms
    return {"from": int(tape.open_ms[block.start]), "to": last, "bars": block.end - block.start}


def _show(document: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    if document["best"] is not None and sys.stdout.isatty():
        table = Table("block", "as given", "best", "trades", "return", "drawdown")
        blocks = zip(document["as_given"]["blocks"], document["best"]["blocks"], strict=True)
        for span, (given, best) in zip(document["blocks"], blocks, strict=True):
            cells = (f"{given['sharpe']:.2f}", f"{best['sharpe']:.2f}", str(best["trades"]))
            shares = (f"{best['total_return']:.2%}", f"{best['max_drawdown']:.2%}")
            table.add_row(_days(span), *cells, *shares)
        Console().print(table)
    print("\n".join(_lines(document)))  # noqa: T201
    for name, file in document.get("files", {}).items():
        print(f"{name}: {file}")  # noqa: T201
    print(f"took {document['elapsed_s']:.1f} s")  # noqa: T201


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what was found in plain lines; Sharpe ratios are of a year."""
    tries, scored = document["trials"], document["scored"]
    yield f"{tries} tries, {scored} scored, {tries - scored} refused"
    for reason in document["refused_because"][:1]:
        yield f"refused, for example: {reason}"
    if document["best"] is not None:
        best, given, held = document["best"], document["as_given"], document["held_out"]
        settings = "  ".join(f"{name}={_value(v)}" for name, v in best["settings"].items())
        yield f"best: try {best['trial']}  {settings}"
        yield f"mean Sharpe of choosing blocks: {best['score']:.2f}, as given {given['score']:.2f}"
        walked = document["walk_forward"]["score"]
        yield f"walk forward, what choosing by the past would have had: {_number(walked)}"
        yield (
            f"held-out block: Sharpe {held['sharpe']:.2f} +- {_number(held['sharpe_error'])},"
            f" return {held['total_return']:.2%}, {held['trades']} trades;"
            f" as given {given['blocks'][-1]['sharpe']:.2f}"
        )
        yield f"deflated Sharpe, chance of more than luck: {_number(document['deflated_sharpe'])}"
        shares = "  ".join(f"{n}={share:.0%}" for n, share in document["importance"].items())
        yield f"importance: {shares or 'not known, it takes ten scored tries that differ'}"
    for warning in document["warnings"]:
        yield f"note: {warning}"


def _number(value: float | None) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:.2f}"


def _value(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _days(span: Mapping[str, int]) -> str:
    first, last = (datetime.fromtimestamp(span[end] / 1000, UTC) for end in ("from", "to"))
    return f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}"


def _say(*lines: str) -> None:
    for line in lines:
        sys.stderr.write(f"{line}\n")
