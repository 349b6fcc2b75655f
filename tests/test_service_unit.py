"""The unit for systemd agrees with what the program does under it."""

import configparser
from pathlib import Path

from actors.shutdown import SHUTDOWN_WITHIN_S
from core.errors import ConfigurationError, SelfCheckError, SupervisorGaveUpError, UnavailableError

UNIT = Path(__file__).parents[1] / "docs" / "ops" / "futures-bot.service"


def service() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNIT, encoding="utf-8")
    return parser["Service"]


def test_what_a_person_must_mend_is_not_started_again_and_the_rest_is() -> None:
    kept_down = {int(code) for code in service()["RestartPreventExitStatus"].split()}
    assert kept_down == {ConfigurationError.exit_code, SelfCheckError.exit_code}
    assert not kept_down & {SupervisorGaveUpError.exit_code, UnavailableError.exit_code}
    assert service()["Restart"] == "on-failure"


def test_it_waits_for_readiness_and_longer_than_the_way_down() -> None:
    assert service()["Type"] == "notify"
    assert float(service()["TimeoutStopSec"]) > SHUTDOWN_WITHIN_S
    assert float(service()["WatchdogSec"]) > 0
