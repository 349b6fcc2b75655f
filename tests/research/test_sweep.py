"""A search over settings: the same result however it is run, and no look at what judges it."""

import dataclasses
from functools import partial

import numpy as np
import pytest
import yaml

from actors.backtesting import backtest
from actors.commands.backtest import BacktestOptions
from actors.commands.sweep import SweepOptions, run, settings_changed
from actors.edges.sweep_files import write_settings
from actors.edges.sweep_storage import BATCH, Outcome
from actors.edges.work_pool import Workers
from actors.sweeping import run_try
from config import load_config
from core.backtest.tape import Tape
from core.backtest.tries import BlockScore, Score
from core.errors import ConfigurationError, DataError, UnavailableError, UsageError
from tests.research.searched import GIVEN, SPACE_FILE, found, history, plan, settings, stored


def made_up(settings) -> Outcome:
    """A score that depends on the settings alone; some are refused."""
    if settings["SOFT_LOSS_AT"] > 0.9:
        return Outcome(settings=settings, score=None, refused="too late")
    value = settings["MIN_SIGNAL_STRENGTH"] - 10 * settings["STOPLOSS_PCT"]
    block = BlockScore(
        sharpe=value, sharpe_error=None, trades=3, total_return=0.0, max_drawdown=0.1, halts=0
    )
    return Outcome(settings=settings, score=Score(blocks=(block,), sharpe_per_bar=None))


@pytest.mark.parametrize("stops", [(), (3,), (8,), (5, 13, 14)])
def test_what_is_tried_does_not_depend_on_where_it_was_interrupted(tmp_path, stops):
    for until in (*stops, 20):
        with stored(tmp_path / "a.db", resume=True) as storage:
            while len(storage) < until:
                for wish in storage.next_settings(20)[: until - len(storage)]:
                    storage.add(made_up(wish))
    with stored(tmp_path / "b.db") as whole:
        while len(whole) < 20:
            wishes = whole.next_settings(20)
            assert len(wishes) == min(BATCH, 20 - len(whole))
            for wish in wishes:
                whole.add(made_up(wish))
        expected = whole.outcomes()
    with stored(tmp_path / "a.db", resume=True) as storage:
        assert storage.outcomes() == expected
    assert len({str(one.settings) for one in expected}) == 20
    assert any(one.refused for one in expected)


def test_every_wish_lies_in_the_space(tmp_path):
    with stored(tmp_path / "a.db") as storage:
        for _ in range(5):
            for wish in storage.next_settings(40):
                storage.add(made_up(wish))
                assert 0.002 <= wish["STOPLOSS_PCT"] <= 0.03
                assert wish["MIN_SIGNAL_STRENGTH"] in {k / 100 for k in range(30, 91, 5)}
                assert wish["MAX_OPEN_POSITIONS"] in (1, 2)
        shares = storage.importances()
    assert sum(shares.values()) == pytest.approx(1.0, abs=1e-4)
    assert max(shares, key=shares.get) in {"MIN_SIGNAL_STRENGTH", "STOPLOSS_PCT"}


def test_tries_of_another_search_are_not_mixed_in(tmp_path):
    path = tmp_path / "a.db"
    with stored(path, history="abc"):
        pass
    with pytest.raises(ConfigurationError, match="another seed"), stored(path, seed=1, resume=True):
        pass
    with (
        pytest.raises(ConfigurationError, match="another history"),
        stored(path, history="abd", resume=True),
    ):
        pass
    with (
        pytest.raises(UsageError, match=r"holds a sweep already\. Fix: add --resume"),
        stored(path),
    ):
        pass


def test_a_file_is_searched_by_one_process_at_a_time(tmp_path):
    path = tmp_path / "a.db"
    with (
        stored(path),
        pytest.raises(UnavailableError, match="in use by another sweep"),
        stored(path, resume=True),
    ):
        pass


def test_a_file_that_is_no_storage_is_refused_in_a_line(tmp_path):
    path = tmp_path / "a.db"
    path.write_text("no database at all, however long the text may be", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="cannot be used"), stored(path, resume=True):
        pass


def test_each_block_is_traded_as_a_backtest_of_its_own(tmp_path):
    wishes = plan(tmp_path)
    for block, result in zip(
        wishes.blocks, run_try(wishes.study, wishes.given, wishes.blocks), strict=True
    ):
        since = wishes.study.recording.tape.open_ms[block.start]
        alone = backtest(
            wishes.study,
            wishes.given,
            since=np.datetime64(int(since), "ms").astype(object).astimezone(),
            until_bar=block.end,
        )
        assert result.trades == alone.trades
        assert result.trades
        assert (result.equity == alone.equity).all()
        assert min(trade.entry_ms for trade in result.trades) >= since
        assert result.open_ms[-1] == wishes.study.recording.tape.open_ms[block.end - 1]


def test_the_held_out_block_has_no_part_in_the_choice(tmp_path):
    wishes = plan(tmp_path)
    first = wishes.blocks[-1].start
    tape = wishes.study.recording.tape
    bars = {symbol: table.copy() for symbol, table in tape.bars.items()}
    for table in bars.values():
        table[:4, first:] = table[:4, first:] * 1.5
    other = dataclasses.replace(
        wishes.study,
        recording=dataclasses.replace(
            wishes.study.recording,
            tape=Tape(
                interval_ms=tape.interval_ms,
                open_ms=tape.open_ms,
                bars=bars,
                instruments=tape.instruments,
                funding=tape.funding,
            ),
        ),
    )
    outcomes, verdict = found(wishes, tmp_path / "a.db")
    changed, other_verdict = found(dataclasses.replace(wishes, study=other), tmp_path / "b.db")
    assert changed == outcomes
    assert other_verdict.chosen == verdict.chosen
    assert other_verdict.judged.blocks[:-1] == verdict.judged.blocks[:-1]
    assert other_verdict.held_out != verdict.held_out


def test_settings_that_contradict_each_other_are_refused_and_the_search_goes_on(tmp_path):
    outcomes, verdict = found(plan(tmp_path), tmp_path / "a.db")
    refused = [one for one in outcomes if one.score is None]
    assert len(outcomes) == 20
    contradicting = [one for one in refused if one.settings["SOFT_LOSS_AT"] > 0.8]
    assert contradicting
    assert len(refused) < 20
    for one in contradicting:
        assert "SOFT_LOSS_AT must be at most HALT_AT" in one.refused
    best = max(one.score.mean for one in outcomes if one.score is not None)
    assert outcomes[verdict.chosen].score.mean == best
    assert verdict.judged.sharpes[:-1] == outcomes[verdict.chosen].score.sharpes
    assert [step.block for step in verdict.steps] == [1, 2]


def test_looks_at_the_held_out_block_are_counted(tmp_path):
    wishes = plan(tmp_path, trials=8)
    assert found(wishes, tmp_path / "a.db")[1].looks == 1
    again = found(dataclasses.replace(wishes, trials=10), tmp_path / "a.db", resume=True)
    assert again[1].looks == 2
    assert len(again[0]) == 10


def test_given_settings_that_cannot_run_end_the_search_before_it_begins(tmp_path):
    wishes = plan(tmp_path)
    late = dataclasses.replace(wishes, given=settings(tmp_path, KLINE_HISTORY=1_100))
    with pytest.raises(DataError, match="warm-up reach into the first block"):
        found(late, tmp_path / "a.db")


def test_a_search_in_which_nothing_trades_chooses_nothing(tmp_path):
    quiet = plan(tmp_path, trials=8, ALLOW_TECHNICAL_ONLY=False)
    outcomes, verdict = found(quiet, tmp_path / "a.db")
    assert verdict is None
    assert any("never trades" in one.refused for one in outcomes)


def test_the_best_settings_are_a_file_for_config_without_secrets(tmp_path):
    given = settings(tmp_path, API_KEY="hidden", NOTIFY_URLS=["json://hidden"])
    searched = {"STOPLOSS_PCT": 0.0123, "MAX_OPEN_POSITIONS": 2}
    best = settings(tmp_path, **searched)
    path = tmp_path / "best.yaml"
    lines = ["mean Sharpe 1.00"]
    assert write_settings(path, given, best, searched, lines, environ={}) == ()
    text = path.read_text(encoding="utf-8")
    assert "hidden" not in text
    assert "# mean Sharpe 1.00\n# not repeated here: API_KEY, NOTIFY_URLS\n" in text
    met = load_config(path, env_file=None, environ={})
    assert met.config_hash == best.config_hash
    around = {"STOPLOSS_PCT": "0.02"}
    assert write_settings(path, given, best, searched, [], environ=around) == ("STOPLOSS_PCT",)


def test_a_person_reads_what_was_found_and_how_much_of_it_is_luck(tmp_path, capsys):
    space, given = tmp_path / "space.yaml", tmp_path / "given.yaml"
    space.write_text(SPACE_FILE, encoding="utf-8")
    given.write_text(yaml.safe_dump(GIVEN | {"STATE_DIR": str(tmp_path)}), encoding="utf-8")
    options = SweepOptions(
        data=BacktestOptions(data=history(tmp_path)),
        space=space,
        trials=12,
        storage=tmp_path / "a.db",
        workers=Workers(jobs=1),
        changed=partial(settings_changed, str(given)),
        blocks=4,
        embargo=5,
    )
    assert run(options.changed({}), options, as_json=False) == 0
    said = capsys.readouterr().out
    for part in (
        *("12 tries, ", "refused, for example: ", "best: try ", "held-out block: Sharpe "),
        *("walk forward, what choosing by the past ", "deflated Sharpe, ", "importance: "),
        *("note: ", f"settings: {tmp_path / 'a.yaml'}", f"page: {tmp_path / 'a.html'}"),
    ):
        assert part in said
    best = load_config(tmp_path / "a.yaml", env_file=None, environ={})
    assert f"STOPLOSS_PCT={best.STOPLOSS_PCT:.6g}" in said
    assert (tmp_path / "a.yaml").read_text(encoding="utf-8").startswith("# 12 tries, ")
