import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest

from actors.edges.log import Scrubber, get_logger, one_line, setup_log

ROOT = Path(__file__).parents[2]
LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} \[(DEBUG|INFO|WARNING|ERROR)\] [\w.]+: .*")


@pytest.fixture
def log_file(tmp_path):
    """Log into a file of the test's own, and put the process's logging back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield tmp_path / "bot.log"
    setup_log("INFO", to_stderr=False)
    root.handlers[:] = handlers
    root.setLevel(level)


def written(log_file: Path) -> list[str]:
    return log_file.read_text(encoding="utf-8").splitlines()


def test_lines_have_the_specified_format(log_file):
    setup_log("INFO", log_file.parent, to_stderr=False)
    get_logger("prediction_models").info("Model loaded from {}", "models/BTCUSDT.joblib")
    get_logger("x").debug("below the level")
    (line,) = written(log_file)
    assert LINE.fullmatch(line)
    assert line.endswith(" [INFO] prediction_models: Model loaded from models/BTCUSDT.joblib")


def test_text_from_outside_cannot_forge_a_line(log_file):
    setup_log("INFO", log_file.parent, to_stderr=False)
    forged = "x\n2025-08-15 12:55:47,464 [INFO] __main__: all is well\r\x1b[2J\u202e{oops}"
    get_logger("feed").warning("rejected: {}", forged)
    (line,) = written(log_file)
    assert r"x\n2025" in line
    assert r"\x1b[2J\u202e{oops}" in line


def test_long_text_is_shortened():
    assert len(one_line("x" * 10_000)) < 5_000


def test_registered_secrets_and_signed_parameters_become_stars(log_file):
    canary = "canary-0a1b2c3d"
    setup_log("INFO", log_file.parent, secrets=(canary,), to_stderr=False)
    gateway = get_logger("gateway")
    gateway.info("key " + canary)
    gateway.info("GET /fapi/v1/order?symbol=BTCUSDT&timestamp=1&signature=deadbeef")
    gateway.info("headers {}", {"X-MBX-APIKEY": "abcdef", "Authorization": "Bearer tok-123"})
    text = "\n".join(written(log_file))
    for secret in (canary, "deadbeef", "abcdef", "tok-123"):
        assert secret not in text
    assert "symbol=BTCUSDT" in text


def test_secret_that_begins_with_another_is_scrubbed_whole():
    scrubber = Scrubber()
    scrubber.register("abcdef", "abcdef-and-more", "no")
    assert scrubber.scrub("abcdef-and-more abcdef no") == "*** *** no"


def test_exception_is_one_line_without_its_traceback_or_values(log_file):
    secret = "canary-4e5f6a7b"
    setup_log("INFO", log_file.parent, secrets=(secret,), to_stderr=False)
    get_logger("risk").opt(exception=ValueError(f"bad {secret}\nsecond line")).error("cannot size")
    (line,) = written(log_file)
    assert line.endswith(r"risk: cannot size (ValueError: bad ***\nsecond line)")


def test_debug_adds_a_traceback_whose_lines_cannot_pass_for_records(log_file):
    setup_log("INFO", log_file.parent, debug=True, to_stderr=False)
    get_logger("risk").opt(exception=ValueError("bad")).error("cannot size")
    first, *rest = written(log_file)
    assert LINE.fullmatch(first)
    assert rest
    assert all(line.startswith("    | ") for line in rest)


def test_libraries_join_from_warning_on(log_file):
    setup_log("INFO", log_file.parent, to_stderr=False)
    logging.getLogger("some_library.client").info("chatter")
    logging.getLogger("some_library.client").warning("lost %s", "it")
    (line,) = written(log_file)
    assert line.endswith("[WARNING] some_library.client: lost it")


def test_stderr_gets_the_lines_and_stdout_stays_clean():
    code = (
        "from actors.edges.log import get_logger, setup_log\n"
        "setup_log('INFO')\n"
        "get_logger('m').info('hello')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    assert LINE.fullmatch(done.stderr.strip())
