"""Every setting of the bot, its default, bounds, unit and meaning, as one flat frozen object.

One name everywhere: attribute, environment variable and YAML key.  Amounts of money are in USDT,
`_PCT` and `_X` values are fractions and multiples of equity unless their text says otherwise
(0.02 is 2 %), `_S` and `_MS` are wall seconds and milliseconds.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import PrivateAttr, SecretStr, TypeAdapter, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from config.agreement import agree
from config.explaining import explain, sentence
from config.loading import gather, suggestion
from config.values import (
    KLINE_INTERVALS,
    ClassPath,
    LoopbackUrl,
    Overrides,
    Quantities,
    Real,
    Secrets,
    Symbol,
    Symbols,
    Text,
    Truth,
    Whole,
    refusal,
    setting,
    switch,
)
from core.errors import ConfigurationError


class Config(BaseSettings):
    """The settings, checked and frozen; wrong ones raise `ConfigurationError` in one line.

    `Config()` reads environment, `.env` and defaults; `Config(LEVERAGE=3)` puts flags above them.
    `load_config(file)` adds a YAML file below them.  Secrets are `SecretStr`: they print as stars,
    `config.API_KEY.get_secret_value()` reveals one.
    """

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", case_sensitive=True, protected_namespaces=()
    )

    # --- venue -------------------------------------------------------------------------------
    VENUE: Literal["embedded", "demo", "testnet", "live"] = setting(
        "embedded", "Where to trade: embedded (simulated, no key), demo, testnet or live."
    )
    TESTNET: Truth = switch("true means VENUE=testnet.", on=False)
    VENUE_URL: LoopbackUrl = setting(
        "", "Join an embedded venue that already runs at this loopback address."
    )
    API_KEY: SecretStr = setting(SecretStr(""), "API key; never in YAML.")
    API_SECRET: SecretStr = setting(SecretStr(""), "API secret; never in YAML.")
    API_KEY_FILE: Text = setting("", "File holding the API key, readable by its owner only.")
    API_SECRET_FILE: Text = setting("", "File holding the API secret, readable by its owner only.")
    I_UNDERSTAND_LIVE: Text = setting(
        "", "yes allows VENUE=live; accepted from the environment only."
    )
    ALLOW_TRANSFER: Truth = switch(
        "Accept a key that may move funds between accounts; one that may withdraw is refused.",
        on=False,
    )
    VENUE_SEED: Whole = setting(7, "Seed of the embedded venue's prices.", ge=0)
    VENUE_SPEED: Real = setting(
        1.0, "Venue seconds per wall second of the embedded venue; 0 stands still.", ge=0, le=10_000
    )
    VENUE_BALANCE: Real = setting(10_000.0, "Opening balance on the embedded venue, USDT.", gt=0)
    VENUE_HISTORY: Whole = setting(
        2000, "Klines the embedded venue has before its start, bars.", ge=0, le=1_000_000
    )
    VENUE_PORT: Whole = setting(
        0, "Port of the embedded venue; 0 takes a free one.", ge=0, le=65_535
    )

    # --- trading -----------------------------------------------------------------------------
    SYMBOLS: Symbols = setting(
        ["BTCUSDT", "ETHUSDT", "BNBUSDT", "ADAUSDT", "SOLUSDT"],
        "Symbols to trade, comma-separated or JSON; SYMBOL=X means this list with X alone.",
    )
    DEFAULT_SYMBOL: Symbol = setting(
        "BTCUSDT", "Symbol shown first; the first of SYMBOLS when not given and not among them."
    )
    KLINE_INTERVAL: Literal[KLINE_INTERVALS] = setting(  # type: ignore[valid-type]
        "1m", "Length of a kline."
    )
    KLINE_HISTORY: Whole = setting(
        200, "Klines that a symbol's buffer keeps at least, bars.", ge=60, le=10_000
    )
    STRATEGY: ClassPath = setting(
        "core.symbol.strategy:EnhancedStrategy", "Strategy of all symbols, module:Class."
    )
    LEVERAGE: Whole = setting(
        5, "Leverage set on the venue, multiple.", ge=1, le=125, per_symbol=True, looser="higher"
    )
    RISK_PER_TRADE: Real = setting(
        0.10,
        "Upper bound of the loss at the stop, of balance.",
        gt=0,
        le=1,
        per_symbol=True,
        looser="higher",
    )
    STOPLOSS_PCT: Real = setting(
        0.02, "Distance of the stop from the entry, of price.", gt=0, lt=1, per_symbol=True
    )
    TAKE_PROFIT_PCT: Real = setting(
        0.04, "Distance of the target from the entry, of price.", gt=0, lt=1, per_symbol=True
    )
    MIN_SIGNAL_STRENGTH: Real = setting(
        0.3,
        "Strength that a signal must exceed, 0 to 1.",
        ge=0,
        le=1,
        per_symbol=True,
        looser="lower",
    )
    MIN_ML_CONFIDENCE: Real = setting(
        0.5,
        "Confidence that a prediction must exceed, 0 to 1.",
        ge=0,
        le=1,
        per_symbol=True,
        looser="lower",
    )
    MIN_ORDER_USD_FALLBACK: Real = setting(
        5.0, "Least notional where the venue names none, USDT.", gt=0, per_symbol=True
    )
    WORKING_TYPE: Literal["MARK_PRICE", "CONTRACT_PRICE"] = setting(
        "MARK_PRICE", "Price that triggers stop and target.", per_symbol=True
    )
    SYMBOL_CONFIGS: Overrides = setting(
        {}, "Overrides of trading settings per symbol: {SYMBOL: {SETTING: value}}."
    )
    FUNDING: Literal["data", "zero"] = setting(
        "data",
        "Funding rates of a backtest: from data (missing is an error) or zero.",
    )

    # --- learning ----------------------------------------------------------------------------
    MODEL_DIR: Text = setting("models", "Folder of trained models, under STATE_DIR when set.")
    MODEL_TYPE: Text = setting(
        "histogram", "Learner: histogram, exact or another name.", pattern=r"^[a-z_]+$"
    )
    FEATURE_ENGINE: Literal["numba", "ta"] = setting(
        "numba", "Features by the compiled step (numba), or by the ta library."
    )
    ALLOW_TECHNICAL_ONLY: Truth = switch(
        "Trade a symbol that has no usable model on technical signals alone.",
        on=False,
        looser="higher",
    )
    RETRAIN_HOURS: Real = setting(
        0.0,
        "Train beside trading what has no model, or one this many venue hours old; 0 never does.",
        ge=0,
    )
    TRAIN_BARS: Whole = setting(
        20_000, "Klines fetched from the venue for that, bars.", ge=1_000, le=600_000
    )
    RECORD_ORDER_FLOW: Truth = switch(
        "Record each closed bar with taker volume, trade and book imbalance as kline files in the "
        "state directory; costs two streams a symbol.",
        on=False,
    )
    DRIFT_PSI_MAX: Real = setting(
        0.25, "Stability index of a feature above which drift is warned of.", gt=0
    )
    DRIFT_BLOCKS: Truth = switch(
        "Open nothing on a symbol while its model drifts; else drift is only told.",
        on=False,
        looser="lower",
    )

    # --- money limits ------------------------------------------------------------------------
    DAILY_MAX_LOSS_PCT: Real = setting(
        0.03, "Loss of a UTC day that halts, of equity at 00:00.", gt=0, le=1, looser="higher"
    )
    SOFT_LOSS_AT: Real = setting(
        0.8,
        "Part of the daily limit from which positions may only shrink.",
        gt=0,
        le=1,
        looser="higher",
    )
    HALT_AT: Real = setting(
        1.0, "Part of the daily limit at which trading halts.", gt=0, le=1, looser="higher"
    )
    BUDGET_USES_GAINS: Truth = switch(
        "The day's gains enlarge what may still be lost today.", on=False, looser="higher"
    )
    MAX_DRAWDOWN: Real = setting(
        0.15,
        "Loss from the highest equity that halts until a person resumes.",
        gt=0,
        le=1,
        looser="higher",
    )
    MAX_OPEN_POSITIONS: Whole = setting(
        3, "Positions at once, those in flight included.", ge=1, le=1000, looser="higher"
    )
    COUNT_FOREIGN: Truth = switch(
        "Foreign positions take slots and exposure.", on=True, looser="lower"
    )
    MIN_BALANCE_THRESHOLD: Real = setting(
        10.0, "Balance below which nothing opens, USDT.", ge=0, looser="lower"
    )
    SIZING_MODE: Literal["clip", "reject", "literal"] = setting(
        "clip",
        "Size above a cap: clip it, reject the trade, or take the formula literally.",
        looser=("reject", "clip", "literal"),
    )
    MAX_ORDER_NOTIONAL_X: Real = setting(
        1.5, "Largest order, multiple of equity.", gt=0, per_symbol=True, looser="higher"
    )
    MAX_ORDER_QTY: Quantities = setting(
        {}, "Largest order by symbol, base units: {SYMBOL: qty}.", looser="higher"
    )
    MAX_SYMBOL_NOTIONAL_X: Real = setting(
        1.5,
        "Largest position of a symbol, multiple of equity.",
        gt=0,
        per_symbol=True,
        looser="higher",
    )
    MAX_GROSS_X: Real = setting(
        3.0, "Sum of all positions' sizes, multiple of equity.", gt=0, looser="higher"
    )
    MAX_NET_X: Real = setting(
        3.0, "Longs minus shorts, either way, multiple of equity.", gt=0, looser="higher"
    )
    MAX_CORRELATED_X: Real = setting(
        0.25,
        "Loss of all positions under a common shock (CORRELATION_SHOCK), multiple of equity.",
        gt=0,
        looser="higher",
    )
    CORRELATION_SHOCK: Real = setting(
        3.0, "Size of the common shock, standard deviations of a day.", gt=0, le=20, looser="lower"
    )
    CORRELATION_BARS: Whole = setting(
        120, "Closed klines that correlations are computed from.", ge=30, le=2000
    )
    MAX_MARGIN_USAGE: Real = setting(
        0.8, "Part of the available balance that margin may take.", gt=0, le=1, looser="higher"
    )
    GAP_ALLOWANCE: Real = setting(
        0.003,
        "Slippage reckoned with at a stop, of price.",
        ge=0,
        lt=1,
        per_symbol=True,
        looser="lower",
    )
    TAKER_FEE: Real = setting(
        0.0005, "Fee reckoned with per fill, of notional.", ge=0, lt=0.1, per_symbol=True
    )
    SLIPPAGE_BPS: Real = setting(
        1.0,
        "What a backtest's fills are worse than the price, in ten-thousandths of it.",
        ge=0,
        le=1_000,
        per_symbol=True,
    )
    LIQ_DISTANCE_MIN: Real = setting(
        2.0,
        "Liquidation distance, at least so many stop distances.",
        ge=1,
        per_symbol=True,
        looser="lower",
    )
    MIN_NOTIONAL_MULT: Real = setting(
        1.1, "Smallest order, multiple of the venue's least notional.", ge=1, per_symbol=True
    )

    # --- order limits ------------------------------------------------------------------------
    COLLAR_PCT: Real = setting(
        0.005, "Decided price against mark, of mark.", gt=0, lt=1, per_symbol=True, looser="higher"
    )
    MARK_LAST_DIV_PCT: Real = setting(
        0.01, "Last price against mark, of mark.", gt=0, lt=1, per_symbol=True, looser="higher"
    )
    MAX_BAR_RET: Real = setting(
        0.25,
        "Move of one kline that needs the mark to confirm it.",
        gt=0,
        per_symbol=True,
        looser="higher",
    )
    MAX_ENTRIES_SYMBOL_1H: Whole = setting(
        6, "Entries of a symbol per venue hour.", ge=1, per_symbol=True, looser="higher"
    )
    MAX_ENTRIES_DAY: Whole = setting(40, "Entries per UTC day, all symbols.", ge=1, looser="higher")
    LOSS_STREAK_LATCH: Whole = setting(
        6,
        "Losing trades in a row that latch a symbol off; 0 is off.",
        ge=0,
        per_symbol=True,
        looser="higher",
    )
    MAX_SIGNAL_RATIO: Real = setting(
        10.0,
        "Signal rate that latches a symbol off, multiple of its norm.",
        gt=1,
        per_symbol=True,
        looser="higher",
    )
    MARGIN_COOLDOWN_S: Real = setting(
        30.0,
        "Nothing opens on a symbol after the venue lacked margin for it, s.",
        ge=0,
        looser="lower",
    )
    PROTECTION_COOLDOWN_S: Real = setting(
        300.0, "Nothing opens on a symbol whose stop could not be had, s.", ge=0, looser="lower"
    )
    PROTECTION_FAILURES_MAX: Whole = setting(
        3,
        "Stops of a symbol that could not be had within a venue day and latch it off.",
        ge=1,
        looser="higher",
    )
    DUP_WINDOW_S: Real = setting(
        10.0,
        "Same symbol, side and quantity again within this is refused, s.",
        ge=0,
        looser="lower",
    )
    ENTRY_MAX_AGE_MS: Whole = setting(
        5000, "Oldest decision that may still be sent, ms.", ge=1, looser="higher"
    )
    NAKED_MAX_MS: Whole = setting(
        5000,
        "Longest a position may lack a live stop before it is closed, ms.",
        ge=1,
        looser="higher",
    )
    STOP_SEEN_S: Real = setting(
        3.0,
        "An acknowledged stop that nothing else shows for longer is looked for, s.",
        gt=0,
        looser="higher",
    )
    SOFTWARE_STOP_PCT: Real = setting(
        0.001,
        "Mark beyond a stop by more than this closes the position, of the stop.",
        ge=0,
        lt=1,
        looser="higher",
    )
    SOFTWARE_STOP_S: Real = setting(
        1.0, "And only if it stays there for longer than this, s.", ge=0, le=60, looser="higher"
    )
    ORDERS_PER_10S: Whole = setting(
        20,
        "Order messages per 10 s; entries and targets may use half of them.",
        ge=1,
        looser="higher",
    )
    ORDERS_PER_MIN: Whole = setting(
        60,
        "Order messages per minute; entries and targets may use half of them.",
        ge=1,
        looser="higher",
    )
    WEIGHT_SOFT: Real = setting(
        0.6,
        "Part of the venue's request weight from which history slows down.",
        gt=0,
        le=1,
    )
    WEIGHT_HARD: Real = setting(
        0.8,
        "Part of the venue's request weight from which only protection and cancels are sent.",
        gt=0,
        le=1,
    )
    DELIST_GUARD_H: Real = setting(
        48.0, "Nothing opens this close to a delisting, venue h.", ge=0, looser="lower"
    )
    CLIENT_ID_TAG: Text = setting(
        "afb",
        "First part of our client order ids, marks orders as ours.",
        pattern=r"^[a-z0-9]{1,6}$",
    )

    # --- freshness ---------------------------------------------------------------------------
    ACCOUNT_MAX_AGE_S: Real = setting(
        30.0, "Oldest account state that may size an entry, s.", gt=0, looser="higher"
    )
    MARK_MAX_AGE_S: Real = setting(
        5.0, "Oldest mark price that may carry an entry, s.", gt=0, looser="higher"
    )
    MARK_FROZEN_S: Real = setting(
        30.0, "Unchanged mark, while others move, that stops entries, s.", gt=0, looser="higher"
    )
    WS_SILENCE_S: Real = setting(
        10.0, "Silence of a stream that stops entries, s.", gt=0, looser="higher"
    )
    CLOCK_ERR_MS: Whole = setting(
        1000, "Clock error that stops entries, ms.", ge=1, looser="higher"
    )
    RECONCILE_S: Real = setting(60.0, "Time between comparisons with the venue, s.", gt=0)

    # --- connection --------------------------------------------------------------------------
    WEBSOCKET_TIMEOUT: Whole = setting(30, "Silent stream is reconnected after, s.", ge=1, le=600)
    REST_TIMEOUT: Whole = setting(10, "A request fails after, s.", ge=1, le=600)
    MAX_RETRIES: Whole = setting(5, "Retries of a read; entries are never retried.", ge=0, le=100)
    RETRY_DELAY: Real = setting(1.0, "First delay between retries, doubling, s.", ge=0, le=600)

    # --- supervision -------------------------------------------------------------------------
    MAX_RESTARTS: Whole = setting(
        5, "Restarts of one symbol within RESTART_PERIOD_S before its quarantine.", ge=0
    )
    RESTART_PERIOD_S: Real = setting(
        60.0, "Window in which the restarts of a symbol are counted, s.", gt=0
    )
    ROOT_MAX_RESTARTS: Whole = setting(
        3,
        "Restarts of persistence, risk, execution and feed together within"
        " ROOT_RESTART_PERIOD_S before the process gives up with exit code 70.",
        ge=0,
    )
    ROOT_RESTART_PERIOD_S: Real = setting(
        120.0, "Window in which the restarts of those rooms are counted, s.", gt=0
    )
    BACKOFF_MIN_S: Real = setting(0.2, "First delay before a restart, doubling, s.", ge=0)
    BACKOFF_MAX_S: Real = setting(30.0, "Longest delay before a restart, s.", ge=0)
    BACKOFF_RESET_S: Real = setting(120.0, "Healthy time after which the delay restarts, s.", gt=0)
    HUNG_AFTER_S: Real = setting(5.0, "A symbol busy with one message this long is hung, s.", gt=0)

    # --- files -------------------------------------------------------------------------------
    STATE_DIR: Text = setting("", "Folder of all state; the folder of DB_FILE when empty.")
    DB_FILE: Text = setting(
        "async_bot_state.db", "Database: a file (under STATE_DIR), or a postgresql:// URL."
    )
    LOG_LEVEL: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = setting(
        "INFO", "Least level of the human log."
    )
    LOG_RETENTION_DAYS: Whole = setting(14, "Days that log files are kept.", ge=1)
    TRACE: Truth = switch(
        "Record every message of the actors; without it trace and replay have nothing.", on=True
    )
    TRACE_RETENTION_DAYS: Whole = setting(
        7, "Days that message traces are kept, if they fit in 160 files of 16 MB.", ge=1
    )
    RETENTION_DAYS: Whole = setting(
        1825,
        "Venue days that decisions, actor events and audit links are kept; orders stay.",
        ge=1,
    )
    SIGNAL_RETENTION_DAYS: Whole = setting(
        30, "Venue days that signals, one a candle with its indicators, are kept.", ge=1
    )
    SNAPSHOT_RETENTION_DAYS: Whole = setting(
        30, "Venue days that all account snapshots are kept; older ones: one an hour.", ge=1
    )

    # --- watching ----------------------------------------------------------------------------
    CONTROL_HOST: Text = setting("127.0.0.1", "Address of the control API.")
    CONTROL_PORT: Whole = setting(
        0, "Port of the control API; 0 takes a free one.", ge=0, le=65_535
    )
    CONTROL_TOKEN: SecretStr = setting(
        SecretStr(""), "Token of the control API; made at each start when empty."
    )
    DASHBOARD: Truth = switch("Start the dashboard with the bot.", on=True, pending=True)
    DASHBOARD_HOST: Text = setting("127.0.0.1", "Address of the dashboard.", pending=True)
    DASHBOARD_PORT: Whole = setting(
        8080, "Port of the dashboard; 0 takes a free one.", ge=0, le=65_535, pending=True
    )
    NOTIFY_URLS: Secrets = setting([], "Apprise addresses that alerts go to.", pending=True)

    _effective: dict[str, "Config"] = PrivateAttr(default_factory=dict)

    def __init__(
        self,
        _config_file: Path | None = None,
        _env_file: str | Path | None = ".env",
        _environ: Mapping[str, str] | None = None,
        **flags: Any,
    ) -> None:
        environ = os.environ if _environ is None else _environ
        given = gather(set(type(self).model_fields), _config_file, _env_file, environ, flags)
        try:
            super().__init__(**{name: item.value for name, item in given.items()})
        except ValidationError as error:
            raise ConfigurationError(explain(error, given, secret_names())) from None
        # The object is frozen for everyone else; what follows from other settings is set here.
        for name, value in agree(self, given).items():
            object.__setattr__(self, name, value)
        self._effective = {
            symbol: self.model_copy(update=overrides)
            for symbol, overrides in self.SYMBOL_CONFIGS.items()
        }

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take the values that `gather` merged: it alone remembers file and line of each."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @field_validator("LOG_LEVEL", "WORKING_TYPE", mode="before")
    @classmethod
    def _capitals(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

    @field_validator("SYMBOL_CONFIGS")
    @classmethod
    def _check_overrides(cls, configs: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for symbol, overrides in configs.items():
            twice = len(overrides) - len({name.upper() for name in overrides})
            if twice:
                raise refusal(f"has a setting twice for {symbol}", "keep one of them")
        return {
            symbol: {
                name.upper(): cls._override(symbol, name, value)
                for name, value in overrides.items()
            }
            for symbol, overrides in configs.items()
        }

    @classmethod
    def _override(cls, symbol: str, name: str, value: Any) -> Any:
        """Check one override by the rules of the setting itself."""
        here = f"has {symbol}.{name}"
        field = cls.model_fields.get(name.upper())
        allowed = per_symbol_names()
        if field is None:
            raise refusal(f"{here}, which is not a setting", suggestion(name, allowed))
        if name.upper() not in allowed:
            raise refusal(
                f"{here}, but {name.upper()} applies to all symbols alike", "set it outside"
            )
        try:
            return cls.checked(name.upper(), value)
        except ValidationError as error:
            phrase, fix = sentence(error.errors()[0])
            raise refusal(f"{here}, which {phrase}", fix) from None

    @classmethod
    def checked(cls, name: str, value: Any) -> Any:
        """Return a value as its setting reads it; raises pydantic's ValidationError, KeyError."""
        field = cls.model_fields[name]
        kind = TypeAdapter[Any](_annotated(field.annotation, tuple(field.metadata)))
        return kind.validate_python(value)

    def for_symbol(self, symbol: str) -> Self:
        """Return the settings as they hold for one symbol: SYMBOL_CONFIGS over the rest."""
        return self._effective.get(symbol, self)  # type: ignore[return-value]

    def require_keys_and_consent(self) -> None:
        """Raise unless the venue's keys are there and, on the live venue, the person's consent."""
        if self.VENUE == "embedded":
            return
        for name in ("API_KEY", "API_SECRET"):
            if not getattr(self, name).get_secret_value():
                raise ConfigurationError(
                    f"{name} must be set for VENUE={self.VENUE}, was empty."
                    f" Fix: put it in the environment, in .env or in the file named by {name}_FILE."
                )
        if self.VENUE == "live" and self.I_UNDERSTAND_LIVE != "yes":
            raise ConfigurationError(
                f"I_UNDERSTAND_LIVE must be yes for VENUE=live, was {self.I_UNDERSTAND_LIVE!r:.20}."
                " Fix: read the README's section on live trading,"
                " then export I_UNDERSTAND_LIVE=yes."
            )

    def secrets(self) -> tuple[str, ...]:
        """Reveal every secret value that is set, for the scrubber of logs and errors."""
        single = (self.API_KEY, self.API_SECRET, self.CONTROL_TOKEN)
        return tuple(
            text for item in (*single, *self.NOTIFY_URLS) if (text := item.get_secret_value())
        )

    def pending_given(self) -> tuple[str, ...]:
        """Name what was changed for a real venue though nothing reads it in this version."""
        if self.VENUE == "embedded":
            return ()
        fields = type(self).model_fields
        return tuple(
            name
            for name in sorted(pending_names())
            if getattr(self, name) != fields[name].get_default(call_default_factory=True)
        )

    @property
    def config_hash(self) -> str:
        """SHA-256 of all settings but secrets, hex: equal settings give equal hashes."""
        plain = self.model_dump(mode="json", exclude=set(secret_names()))
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def secret_names() -> frozenset[str]:
    """Return the settings whose values are never shown."""
    return frozenset({"API_KEY", "API_SECRET", "CONTROL_TOKEN", "NOTIFY_URLS"})


def per_symbol_names() -> frozenset[str]:
    """Return the settings that SYMBOL_CONFIGS may override."""
    return frozenset(
        name
        for name, field in Config.model_fields.items()
        if isinstance(field.json_schema_extra, dict) and field.json_schema_extra["per_symbol"]
    )


def limit_names() -> dict[str, Any]:
    """Return the limits, each with what is looser (`config.values.setting`)."""
    found = {
        name: field.json_schema_extra["looser"]
        for name, field in Config.model_fields.items()
        if isinstance(field.json_schema_extra, dict)
    }
    return {name: looser for name, looser in found.items() if looser is not None}


def pending_names() -> frozenset[str]:
    """Return the settings that nothing reads in this version."""
    return frozenset(
        name
        for name, field in Config.model_fields.items()
        if isinstance(field.json_schema_extra, dict) and field.json_schema_extra["pending"]
    )


def _annotated(annotation: Any, metadata: tuple[Any, ...]) -> Any:
    return Annotated[annotation, *metadata] if metadata else annotation
