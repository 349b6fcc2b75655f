"""Kinds of values a setting may have, and how each is read from text.

Environment and `.env` give text only, YAML gives typed values; both pass the same checks.
"""

import ipaddress
import json
import math
import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_core import PydanticCustomError

_SYMBOL = re.compile(r"[A-Z0-9_]{2,20}")
_CLASS_PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
KLINE_INTERVALS = (
    *("1m", "3m", "5m", "15m", "30m"),
    *("1h", "2h", "4h", "6h", "8h", "12h"),
    *("1d", "3d", "1w"),
)

Looser = Literal["higher", "lower"] | tuple[str, ...] | None


def refusal(phrase: str, fix: str) -> PydanticCustomError:
    """Build the error of one setting: `phrase` follows its name, `fix` is an imperative."""
    return PydanticCustomError("setting", "{phrase}", {"phrase": phrase, "fix": fix})


def setting(
    default: Any,
    text: str,
    *,
    per_symbol: bool = False,
    pending: bool = False,
    looser: Looser = None,
    **bounds: Any,
) -> Any:
    """Describe one setting: default, one line with its unit, bounds as pydantic names them.

    A `per_symbol` setting may be overridden for one symbol in SYMBOL_CONFIGS.  A `pending` one is
    part of the contract, but nothing reads it in this version: the docs say so, and a bot on a real
    venue warns of it.  A limit says which way is `looser`: "higher", "lower", or its words from the
    strictest to the loosest (`config/loosening.py`).
    """
    extra: dict[str, Any] = {"per_symbol": per_symbol, "pending": pending, "looser": looser}
    if isinstance(default, list | dict):
        return Field(
            default_factory=default.copy,
            description=text,
            json_schema_extra=extra,
            **bounds,
        )
    return Field(default, description=text, json_schema_extra=extra, **bounds)


def switch(text: str, *, on: bool, pending: bool = False, looser: Looser = None) -> Any:
    """Describe a setting that is true or false; true is the higher."""
    return setting(on, text, pending=pending, looser=looser)


def _numeric(value: Any) -> Any:
    """Refuse what pydantic would let through or explain badly: `yes` as 1, nan and inf."""
    if isinstance(value, bool):
        raise refusal(f"must be a number, was {str(value).lower()}", "give it a number")
    try:
        finite = math.isfinite(float(value))
    except (TypeError, ValueError, OverflowError):
        return value
    if not finite:
        raise refusal(f"must be a finite number, was {value!s:.20}", "give it a finite number")
    return value


def _listed(value: Any) -> Any:
    """Split `A,B` or decode `["A", "B"]`; anything but text passes unchanged."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if not text.startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    return _decoded(text, "separate the entries with commas, or write JSON")


def _mapped(value: Any) -> Any:
    """Decode a JSON object; anything but text passes unchanged."""
    if not isinstance(value, str):
        return value
    return _decoded(value, 'write it as JSON: {"BTCUSDT": ..}')


def _decoded(text: str, fix: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise refusal(f"must be JSON, but {error}", fix) from None


def _symbol(value: Any) -> str:
    text = str(value).strip().upper()
    if not _SYMBOL.fullmatch(text):
        raise refusal(
            f"must hold symbols like BTCUSDT, was {value!r:.40}",
            "use capital letters, digits and _ only",
        )
    return text


def _distinct(symbols: list[str]) -> list[str]:
    if not symbols:
        raise refusal("must name at least 1 symbol, was empty", "name one, for example BTCUSDT")
    twice = sorted({symbol for symbol in symbols if symbols.count(symbol) > 1})
    if twice:
        raise refusal(f"must name each symbol once, but has {twice[0]} twice", "remove one of them")
    return symbols


def _class_path(value: str) -> str:
    if not _CLASS_PATH.fullmatch(value):
        raise refusal(
            f"must be module:Class, was {value!r:.60}", "write it like my_module:MyStrategy"
        )
    return value


def _loopback_url(value: str) -> str:
    if not value:
        return value
    try:
        parts = urlsplit(value)
        host, port = parts.hostname or "", parts.port
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback, port, parts = False, None, urlsplit("")
    bare = parts.path in ("", "/") and not (parts.query or parts.fragment or parts.username)
    if parts.scheme != "http" or not loopback or port is None or not bare:
        raise refusal(
            f"must be an http address with a port on this machine, was {value!r:.60}",
            "write it like http://127.0.0.1:8900",
        )
    return value.rstrip("/")


Truth = bool
Text = Annotated[str, Field(max_length=1000)]
Whole = Annotated[int, BeforeValidator(_numeric)]
Real = Annotated[float, BeforeValidator(_numeric)]
Symbol = Annotated[str, BeforeValidator(_symbol)]
Symbols = Annotated[list[Symbol], BeforeValidator(_listed), AfterValidator(_distinct)]
Secrets = Annotated[list[SecretStr], BeforeValidator(_listed)]
Quantities = Annotated[dict[Symbol, Annotated[Real, Field(gt=0)]], BeforeValidator(_mapped)]
Overrides = Annotated[dict[Symbol, dict[str, Any]], BeforeValidator(_mapped)]
ClassPath = Annotated[str, AfterValidator(_class_path)]
LoopbackUrl = Annotated[str, AfterValidator(_loopback_url)]
