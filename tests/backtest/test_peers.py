"""The comparison with other engines works: its walk, its processes, its table."""

import json

import numpy as np
import pytest

from core.backtest.decisions import decide, frame_of
from tests.benchmarks.peers.__main__ import compare, lines_of
from tests.benchmarks.peers.contract import WARMUP, read_tape, write_tape
from tests.benchmarks.peers.ema_cross import EmaCross
from tests.benchmarks.peers.engines import ENGINES, HERE, OURS, Engine
from tests.benchmarks.peers.ours import studied
from tests.benchmarks.peers.tapes import tape_of


@pytest.fixture(scope="module")
def nowhere(tmp_path_factory):
    return tmp_path_factory.mktemp("no-data")


def test_without_recordings_the_bars_are_a_walk_that_repeats_itself(nowhere):
    (once, origin), (again, _) = (tape_of(5, 10_000, nowhere) for _ in range(2))
    assert origin == "a seeded walk"
    assert [len(bars["close"]) for bars in once.values()] == [2_000] * 5
    for symbol, bars in once.items():
        assert all((bars[name] == again[symbol][name]).all() for name in bars)
        assert (bars["high"] >= np.maximum(bars["open"], bars["close"])).all()
        assert (bars["low"] <= np.minimum(bars["open"], bars["close"])).all()


def test_an_engine_reads_what_was_written(nowhere, tmp_path):
    tape, _ = tape_of(5, 5_000, nowhere)
    write_tape(tmp_path, tape)
    read = read_tape(tmp_path)
    assert list(read) == list(tape)
    assert all(read[s][name].tolist() == list(tape[s][name]) for s in tape for name in tape[s])


def test_the_rule_decides_at_once_as_bar_by_bar(nowhere):
    tape, _ = tape_of(1, 1_300, nowhere)
    study, _ = studied(tape)
    strategy, frame = EmaCross({}), frame_of(study.recording.tape, "BTCUSDT")
    rows = decide(strategy, frame, bars_kept=WARMUP, bars_min=WARMUP)
    said = [strategy.generate_signal(frame.iloc[: row + 1])[0] for row in range(WARMUP - 1, 1_300)]
    assert [{1: "BUY", -1: "SELL", 0: None}[int(s)] for s in rows.sides[WARMUP - 1 :]] == said
    assert {"BUY", "SELL"} <= set(said)


def test_ours_runs_as_a_process_and_trades_and_an_absent_peer_is_said(nowhere, tmp_path, capfd):
    engines = [one for one in ENGINES if one.name == OURS]
    absent = Engine(name="no-such-engine", says="")
    rows, origin = compare(
        [*engines, absent], tmp_path, symbols=5, bars=15_000, runs=1, data=nowhere
    )
    assert "no-such-engine: not installed. Fix: make peers" in capfd.readouterr().err
    (row,) = rows
    assert (row["engine"], row["bars"], row["symbols"]) == (OURS, 15_000, 5)
    assert row["trades"] > 0
    assert row["equity"] != 1_000_000.0
    assert row["bars_per_s"] == pytest.approx(15_000 / row["cpu_s"])
    assert len(list(lines_of(json.loads(json.dumps(rows))))) == 3
    assert origin == "a seeded walk"


def test_every_peer_has_its_program_and_its_locked_versions():
    for one in ENGINES:
        if one.name != OURS:
            assert (HERE / f"peer_{one.name}.py").exists()
            locked = (HERE / "requirements" / f"{one.name}.txt").read_text()
            assert locked.startswith("--only-binary") or "--hash=sha256:" in locked
