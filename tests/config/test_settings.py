import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from config import Config, load_config
from config.settings import per_symbol_names
from core.errors import ConfigurationError
from docs.make_settings import settings_page

ROOT = Path(__file__).parents[2]
SPECIFIED = {
    "TESTNET": False,
    "SYMBOLS": ["BTCUSDT", "ETHUSDT", "BNBUSDT", "ADAUSDT", "SOLUSDT"],
    "DEFAULT_SYMBOL": "BTCUSDT",
    "KLINE_INTERVAL": "1m",
    "LEVERAGE": 5,
    "RISK_PER_TRADE": 0.10,
    "STOPLOSS_PCT": 0.02,
    "TAKE_PROFIT_PCT": 0.04,
    "DAILY_MAX_LOSS_PCT": 0.03,
    "SYMBOL_CONFIGS": {},
    "DB_FILE": "async_bot_state.db",
    "KLINE_HISTORY": 200,
    "MIN_ORDER_USD_FALLBACK": 5.0,
    "MAX_OPEN_POSITIONS": 3,
    "MIN_BALANCE_THRESHOLD": 10.0,
    "WEBSOCKET_TIMEOUT": 30,
    "REST_TIMEOUT": 10,
    "MAX_RETRIES": 5,
    "RETRY_DELAY": 1.0,
    "LOG_LEVEL": "INFO",
    "MIN_SIGNAL_STRENGTH": 0.3,
    "MIN_ML_CONFIDENCE": 0.5,
}


def a_config(
    yaml: Path | None = None,
    dotenv: Path | None = None,
    environ: dict[str, str] | None = None,
    **flags: Any,
) -> Config:
    return load_config(yaml, env_file=dotenv, environ=environ or {}, **flags)


def a_file(folder: Path, text: str, name: str = "bot.yaml", mode: int = 0o600) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def refused(**given: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        a_config(**given)
    text = str(caught.value)
    assert "\n" not in text
    assert "Fix:" in text
    return text


def test_defaults_are_those_of_the_specification():
    config = a_config()
    assert {name: getattr(config, name) for name in SPECIFIED} == SPECIFIED
    assert config.API_KEY.get_secret_value() == config.API_SECRET.get_secret_value() == ""
    assert config.VENUE == "embedded"


def test_stronger_source_wins_flags_environment_dotenv_yaml_default(tmp_path):
    yaml = a_file(tmp_path, "leverage: 2\n")
    dotenv = a_file(tmp_path, "LEVERAGE=3\n", ".env")
    environ = {"LEVERAGE": "4"}
    assert a_config(yaml=yaml).LEVERAGE == 2
    assert a_config(yaml=yaml, dotenv=dotenv).LEVERAGE == 3
    assert a_config(yaml=yaml, dotenv=dotenv, environ=environ).LEVERAGE == 4
    assert a_config(yaml=yaml, dotenv=dotenv, environ=environ, LEVERAGE=6).LEVERAGE == 6


def test_empty_environment_variable_counts_as_not_given(tmp_path):
    yaml = a_file(tmp_path, "LEVERAGE: 2\n")
    assert a_config(yaml=yaml, environ={"LEVERAGE": ""}).LEVERAGE == 2


def test_other_programs_environment_variables_are_no_settings():
    a_config(environ={"LEVERAG": "9", "PATH": "/bin"})


def test_unknown_key_fails_with_nearest_name_file_and_line(tmp_path):
    yaml = a_file(tmp_path, "LEVERAGE: 2\n\nstoploss_pc: 0.1\n")
    text = refused(yaml=yaml)
    assert "'stoploss_pc' is not a setting" in text
    assert "bot.yaml line 3" in text
    assert "STOPLOSS_PCT?" in text
    assert "LEVERAGE?" in refused(dotenv=a_file(tmp_path, "\nLEVERGE=2\n", ".env"))
    assert "LEVERAGE?" in refused(LEVERGE=2)


def test_wrong_value_names_setting_value_file_line_and_fix(tmp_path):
    yaml = a_file(tmp_path, "LEVERAGE: 2\nMAX_OPEN_POSITIONS: -5\n")
    text = refused(yaml=yaml).replace(str(tmp_path), "config")
    assert text == (
        "MAX_OPEN_POSITIONS must be at least 1, was -5 (config/bot.yaml line 2)."
        " Fix: set it to 1 or more."
    )


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("LEVERAGE", 126, "at most 125, was 126"),
        ("LEVERAGE", "five", "a whole number, was 'five'"),
        ("LEVERAGE", 2.5, "a whole number, was 2.5"),
        ("LEVERAGE", True, "a number, was true"),
        ("STOPLOSS_PCT", 0, "more than 0, was 0"),
        ("STOPLOSS_PCT", "nan", "a finite number, was nan"),
        ("TAKE_PROFIT_PCT", float("inf"), "a finite number, was inf"),
        ("VENUE", "lve", "one of embedded, demo, testnet, live, was 'lve'"),
        ("KLINE_INTERVAL", "2m", "one of 1m, 3m"),
        ("SYMBOLS", "BTC/USDT", "symbols like BTCUSDT, was 'BTC/USDT'"),
        ("SYMBOLS", [], "at least 1 symbol"),
        ("SYMBOLS", "BTCUSDT,btcusdt", "BTCUSDT twice"),
        ("STRATEGY", "my_module", "module:Class, was 'my_module'"),
        ("VENUE_URL", "http://example.com:80", "on this machine"),
        ("VENUE_URL", "https://127.0.0.1:80", "on this machine"),
        ("VENUE_URL", "http://127.0.0.1", "on this machine"),
        ("VENUE_URL", "http://127.0.0.1@example.com:80", "on this machine"),
        ("TESTNET", "maybe", "true or false, was 'maybe'"),
        ("DEFAULT_SYMBOL", "XRPUSDT", "one of SYMBOLS, was XRPUSDT"),
        ("BACKOFF_MIN_S", 40, "at most BACKOFF_MAX_S (30), was 40"),
        ("MAX_ORDER_QTY", {"BTCUSDT": -1}, "more than 0, was -1"),
    ],
)
def test_refuses_value_out_of_its_range(name, value, said):
    text = refused(**{name: value})
    assert said in text
    assert text.startswith(name)


def test_several_wrong_settings_are_counted_on_the_one_line():
    assert "(1 more wrong setting.)" in refused(LEVERAGE=0, MAX_RETRIES=-1)


def test_lists_are_read_from_commas_and_from_json():
    assert a_config(environ={"SYMBOLS": "BTCUSDT, ethusdt"}).SYMBOLS == ["BTCUSDT", "ETHUSDT"]
    assert a_config(environ={"SYMBOLS": '["ADAUSDT"]'}).SYMBOLS == ["ADAUSDT"]


def test_one_symbol_means_a_list_of_it_and_moves_the_default_symbol(tmp_path):
    yaml = a_file(tmp_path, "SYMBOLS: [BTCUSDT, ETHUSDT]\nDEFAULT_SYMBOL: BTCUSDT\n")
    config = a_config(yaml=yaml, environ={"SYMBOL": "SOLUSDT"})
    assert config.SYMBOLS == ["SOLUSDT"]
    assert config.DEFAULT_SYMBOL == "SOLUSDT"
    assert "beside SYMBOLS" in refused(environ={"SYMBOL": "SOLUSDT", "SYMBOLS": "BTCUSDT"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("LEVERAGE: 2\nLEVERAGE: 3\n", "line 2 is not readable YAML: LEVERAGE is given twice"),
        ("LEVERAGE: 2\nleverage: 3\n", "LEVERAGE is given twice"),
        ("SYMBOL_CONFIGS:\n  BTCUSDT: {LEVERAGE: 2, LEVERAGE: 3}\n", "given twice"),
        ("LEVERAGE: [2\nX: 1\n", "line 2 is not readable YAML"),
        ("a: b: c\n", "line 1 is not readable YAML"),
        ("- LEVERAGE\n", "must hold settings as NAME: value"),
        ("LEVERAGE:\n", "LEVERAGE must have a value, was empty"),
        ("? [a, b]\n: 1\n", "a key must be a plain word"),
        ("LEVERAGE: !!python/object/apply:os.getpid []\n", "is not readable YAML"),
        ("LEVERAGE: 2\x00\n", "is not readable YAML"),
    ],
)
def test_refuses_yaml_that_cannot_mean_what_it_says(tmp_path, text, said):
    assert said in refused(yaml=a_file(tmp_path, text))


def test_empty_yaml_is_no_settings(tmp_path):
    assert a_config(yaml=a_file(tmp_path, "# nothing\n")).LEVERAGE == 5


def test_refuses_file_that_is_no_text_or_too_large(tmp_path):
    path = tmp_path / "bot.yaml"
    path.write_bytes(b"LEVERAGE: \xff\n")
    assert "must be UTF-8 text" in refused(yaml=path)
    path.write_bytes(b"#" * (2 << 20))
    assert "smaller than 1 MiB" in refused(yaml=path)


def test_missing_file_is_refused_naming_those_there_are(tmp_path):
    assert "paper.yaml, prod.yaml, testnet.yaml" in refused(yaml=tmp_path / "nope.yaml")


def test_dotenv_refuses_lines_it_cannot_read_and_does_not_interpolate(tmp_path):
    assert "line 2 is not NAME=value" in refused(
        dotenv=a_file(tmp_path, "LEVERAGE=2\nLEVERAGE\n", ".env")
    )
    dotenv = a_file(tmp_path, "API_KEY='${HOME}x'\n", ".env")
    assert a_config(dotenv=dotenv).API_KEY.get_secret_value() == "${HOME}x"


@pytest.mark.parametrize("name", ["API_KEY", "api_secret", "I_UNDERSTAND_LIVE"])
def test_secrets_and_consent_are_refused_in_yaml(tmp_path, name):
    text = refused(yaml=a_file(tmp_path, f"{name}: hunter2hunter2\n"))
    assert "must not be in a" in text
    assert "hunter2" not in text


def test_consent_is_refused_in_dotenv(tmp_path):
    assert "must not be in a file" in refused(
        dotenv=a_file(tmp_path, "I_UNDERSTAND_LIVE=yes\n", ".env")
    )


def test_keys_come_from_environment_dotenv_and_private_files(tmp_path):
    key_file = a_file(tmp_path, "from-file\n", "key")
    dotenv = a_file(tmp_path, "API_KEY=from-dotenv\n", ".env")
    environ = {"API_KEY_FILE": str(key_file)}
    assert a_config(environ={"API_KEY": "k"}).API_KEY.get_secret_value() == "k"
    assert a_config(dotenv=dotenv).API_KEY.get_secret_value() == "from-dotenv"
    both = a_config(dotenv=dotenv, environ=environ)
    assert both.API_KEY.get_secret_value() == "from-file"
    assert "beside API_KEY_FILE" in refused(environ={**environ, "API_KEY": "k"})


@pytest.mark.parametrize(
    ("mode", "text", "said"),
    [(0o640, "k", "chmod 600"), (0o604, "k", "chmod 600"), (0o600, "\n", "is empty")],
)
def test_refuses_key_file_that_others_can_read_or_that_is_empty(tmp_path, mode, text, said):
    path = a_file(tmp_path, text, "key", mode)
    assert said in refused(environ={"API_SECRET_FILE": str(path)})


def test_refuses_key_file_that_is_missing_or_a_folder(tmp_path):
    assert "must name a" in refused(environ={"API_KEY_FILE": str(tmp_path / "nope")})
    assert "must name a" in refused(environ={"API_KEY_FILE": str(tmp_path)})


def test_secrets_never_print(tmp_path):
    canary = "canary-5f1d"
    config = a_config(
        environ={
            "API_KEY": canary,
            "API_SECRET": canary,
            "CONTROL_TOKEN": canary,
            "NOTIFY_URLS": f"json://{canary}",
        }
    )
    for shown in (repr(config), str(config), config.model_dump_json(), f"{config.API_KEY}"):
        assert canary not in shown
    assert all(canary in secret for secret in config.secrets())
    assert len(config.secrets()) == 4


def test_error_of_a_secret_does_not_show_it():
    assert "hidden" in refused(API_KEY=12345678)
    assert "12345678" not in refused(API_KEY=12345678)


def test_testnet_means_the_testnet_venue_and_nothing_else_beside_it():
    assert a_config(TESTNET=True).VENUE == "testnet"
    assert a_config(VENUE="testnet").TESTNET
    assert a_config(TESTNET=True, VENUE="testnet").VENUE == "testnet"
    for venue in ("embedded", "demo", "live"):
        assert f"beside VENUE={venue}" in refused(TESTNET=True, VENUE=venue)


def test_venue_address_is_for_the_embedded_venue_only():
    assert a_config(VENUE_URL="http://127.0.0.1:1/").VENUE_URL == "http://127.0.0.1:1"
    assert a_config(VENUE_URL="http://[::1]:1").VENUE_URL == "http://[::1]:1"
    for venue in ("demo", "testnet", "live"):
        assert "VENUE_URL must be empty" in refused(VENUE=venue, VENUE_URL="http://127.0.0.1:1")
    assert "VENUE_URL must be empty" in refused(TESTNET=True, VENUE_URL="http://127.0.0.1:1")


def test_overrides_hold_for_their_symbol_only():
    config = a_config(
        SYMBOL_CONFIGS={"BTCUSDT": {"leverage": "3", "STOPLOSS_PCT": 0.01}}, TAKE_PROFIT_PCT=0.05
    )
    assert config.for_symbol("BTCUSDT").LEVERAGE == 3
    assert config.for_symbol("BTCUSDT").STOPLOSS_PCT == 0.01
    assert config.for_symbol("BTCUSDT").TAKE_PROFIT_PCT == 0.05
    assert config.for_symbol("ETHUSDT").LEVERAGE == config.LEVERAGE == 5


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"LEVERGE": 3}, "has BTCUSDT.LEVERGE, which is not a setting"),
        ({"LEVERAGE": 300}, "has BTCUSDT.LEVERAGE, which must be at most 125, was 300"),
        ({"MAX_OPEN_POSITIONS": 1}, "MAX_OPEN_POSITIONS applies to all symbols alike"),
        ({"LEVERAGE": 3, "leverage": 4}, "has a setting twice for BTCUSDT"),
        (3, "must be a mapping, was 3"),
    ],
)
def test_refuses_override_that_cannot_hold(overrides, said):
    assert said in refused(SYMBOL_CONFIGS={"BTCUSDT": overrides})


def test_every_override_obeys_the_bounds_of_its_setting():
    for name in sorted(per_symbol_names()):
        assert f"BTCUSDT.{name}, which must" in refused(SYMBOL_CONFIGS={"BTCUSDT": {name: "x!"}})


def test_config_is_frozen():
    config = a_config()
    with pytest.raises(ValidationError, match="frozen"):
        config.LEVERAGE = 6


def test_hash_tells_settings_apart_but_not_keys():
    assert a_config().config_hash == a_config(API_KEY="abc").config_hash
    assert a_config().config_hash != a_config(LEVERAGE=6).config_hash
    assert len(a_config().config_hash) == 64


def test_stronger_database_path_moves_the_state_directory_along(tmp_path):
    yaml = a_file(tmp_path, "STATE_DIR: state\n")
    assert a_config(yaml=yaml).STATE_DIR == "state"
    assert a_config(yaml=yaml, environ={"DB_FILE": "other.db"}).STATE_DIR == "state"
    assert a_config(yaml=yaml, environ={"DB_FILE": "/tmp/x/bot.db"}).STATE_DIR == ""
    assert a_config(yaml=yaml, environ={"DB_FILE": "postgresql://h/d"}).STATE_DIR == "state"
    assert a_config(environ={"DB_FILE": "/x/b.db", "STATE_DIR": "s"}).STATE_DIR == "s"


def test_live_needs_keys_and_then_the_persons_consent():
    keys = {"API_KEY": "k", "API_SECRET": "s"}
    a_config().require_keys_and_consent()
    a_config(VENUE="testnet", environ=keys).require_keys_and_consent()
    a_config(VENUE="live", environ={**keys, "I_UNDERSTAND_LIVE": "yes"}).require_keys_and_consent()
    for environ, said in (
        ({}, "API_KEY must be set for VENUE=live"),
        ({"API_KEY": "k"}, "API_SECRET must be set for VENUE=live"),
        (keys, "I_UNDERSTAND_LIVE must be yes"),
        ({**keys, "I_UNDERSTAND_LIVE": "1"}, "I_UNDERSTAND_LIVE must be yes"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            a_config(VENUE="live", environ=environ).require_keys_and_consent()


def test_shipped_files_are_what_their_names_say():
    paper, testnet, prod = (a_config(yaml=Path(f"{n}.yaml")) for n in ("paper", "testnet", "prod"))
    assert (paper.VENUE, testnet.VENUE, prod.VENUE) == ("embedded", "testnet", "live")
    assert (paper.VENUE_SPEED, paper.STOPLOSS_PCT, paper.TAKE_PROFIT_PCT) == (60, 0.004, 0.008)
    assert (paper.MAX_SYMBOL_NOTIONAL_X, paper.LOSS_STREAK_LATCH) == (0.25, 0)
    assert paper.ALLOW_TECHNICAL_ONLY
    assert not prod.ALLOW_TECHNICAL_ONLY
    assert len({paper.STATE_DIR, testnet.STATE_DIR, prod.STATE_DIR}) == 3


def test_settings_page_is_what_the_settings_say():
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert page == settings_page(), "run python docs/make_settings.py"


def test_example_dotenv_is_acceptable_as_it_is_and_with_its_lines_uncommented(tmp_path):
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    a_config(dotenv=a_file(tmp_path, text, ".env"))
    lines = [line.removeprefix("# ") for line in text.splitlines() if "=" in line]
    config = a_config(dotenv=a_file(tmp_path, "\n".join(lines), ".env"))
    assert config.VENUE == "testnet"
    assert config.SYMBOLS == ["BTCUSDT"]


def test_settings_survive_the_trip_through_json():
    plain = json.loads(a_config(LEVERAGE=7).model_dump_json(exclude={"API_KEY", "API_SECRET"}))
    assert plain["LEVERAGE"] == 7


@pytest.mark.parametrize(
    "given", [{"WS_SILENCE_S": 30}, {"WEBSOCKET_TIMEOUT": 10}, {"WEBSOCKET_TIMEOUT": 5}]
)
def test_silence_stops_entries_before_it_is_a_reason_to_reconnect(given):
    text = refused(**given)
    assert "WS_SILENCE_S must be below WEBSOCKET_TIMEOUT" in text
    assert "Fix: lower WS_SILENCE_S or raise WEBSOCKET_TIMEOUT." in text


def test_silence_just_below_the_reconnect_is_fine():
    config = a_config(WS_SILENCE_S=9.5, WEBSOCKET_TIMEOUT=10)
    assert config.WS_SILENCE_S < config.WEBSOCKET_TIMEOUT
