"""Settings against each other: contradictions are refused, derived values computed."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from config.loading import Given
from core.errors import ConfigurationError

if TYPE_CHECKING:
    from config.settings import Config

_ORDERED = (
    ("BACKOFF_MIN_S", "BACKOFF_MAX_S"),
    ("SOFT_LOSS_AT", "HALT_AT"),
    ("WEIGHT_SOFT", "WEIGHT_HARD"),
)


def agree(config: "Config", given: Mapping[str, Given]) -> dict[str, Any]:
    """Return the settings that follow from others; raise where two contradict each other."""
    venue = _venue(config, given)
    for low, high in _ORDERED:
        _ordered(config, given, low, high)
    _silence_is_seen(config, given)
    return {
        "VENUE": venue,
        "TESTNET": venue == "testnet",
        "DEFAULT_SYMBOL": _default_symbol(config, given),
    }


def _venue(config: "Config", given: Mapping[str, Given]) -> str:
    explicit = given.get("VENUE")
    if config.TESTNET and explicit and config.VENUE != "testnet":
        raise ConfigurationError(
            f"TESTNET must be false beside VENUE={config.VENUE} ({explicit.where}), was true"
            f" ({given['TESTNET'].where})."
            " Fix: remove one of the two, or use --config testnet.yaml."
        )
    venue = "testnet" if config.TESTNET else config.VENUE
    if config.VENUE_URL and venue != "embedded":
        raise ConfigurationError(
            f"VENUE_URL must be empty beside VENUE={venue}, was {config.VENUE_URL!r}"
            f" ({given['VENUE_URL'].where}). Fix: remove it, or set VENUE=embedded."
        )
    return venue


def _default_symbol(config: "Config", given: Mapping[str, Given]) -> str:
    """Fall back to the first symbol, unless someone chose the default knowing the list."""
    if config.DEFAULT_SYMBOL in config.SYMBOLS:
        return config.DEFAULT_SYMBOL
    named, listed = given.get("DEFAULT_SYMBOL"), given.get("SYMBOLS")
    if named and (listed is None or named.rank <= listed.rank):
        raise ConfigurationError(
            f"DEFAULT_SYMBOL must be one of SYMBOLS, was {config.DEFAULT_SYMBOL} ({named.where})."
            f" Fix: set it to {config.SYMBOLS[0]}."
        )
    return config.SYMBOLS[0]


def _ordered(config: "Config", given: Mapping[str, Given], low: str, high: str) -> None:
    least, most = getattr(config, low), getattr(config, high)
    if least > most:
        where = given[low if low in given else high].where
        raise ConfigurationError(
            f"{low} must be at most {high} ({most:g}), was {least:g} ({where})."
            f" Fix: lower {low} or raise {high}."
        )


def _silence_is_seen(config: "Config", given: Mapping[str, Given]) -> None:
    """Refuse a stream rebuilt for its silence before that silence could stop entries."""
    silence_s, timeout_s = config.WS_SILENCE_S, config.WEBSOCKET_TIMEOUT
    if silence_s >= timeout_s:
        named = given.get("WS_SILENCE_S") or given["WEBSOCKET_TIMEOUT"]
        raise ConfigurationError(
            f"WS_SILENCE_S must be below WEBSOCKET_TIMEOUT ({timeout_s:g}), was {silence_s:g}"
            f" ({named.where}). Fix: lower WS_SILENCE_S or raise WEBSOCKET_TIMEOUT."
        )
