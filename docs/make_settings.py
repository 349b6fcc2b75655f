"""Writes docs/settings.md from the settings themselves: `python docs/make_settings.py`."""

import json
import sys
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from annotated_types import Ge, Gt, Le, Lt  # noqa: E402
from pydantic import SecretStr  # noqa: E402

from config import Config  # noqa: E402
from config.settings import limit_names, pending_names, per_symbol_names, secret_names  # noqa: E402

_HEAD = """# Settings

Made by `python docs/make_settings.py` from `config/settings.py`; a test holds both equal.

One name everywhere: environment variable, line of `.env`, YAML key (lower case works too) and
attribute of `Config`. Precedence: command line, environment, `.env`, YAML file, default. A key that
is not listed here is an error, except in the environment. Lists are written `A,B` or as JSON.
`SYMBOL=X` means `SYMBOLS=X`. **Settings marked ‡ are accepted and checked, but nothing enforces
them in this version.** Of a limit (§), a looser value than at the last start needs
`run.py --confirm-loosen`. Secrets (†) never print; API keys are refused in YAML. Settings marked
* may be overridden for one symbol in `SYMBOL_CONFIGS`:

```yaml
SYMBOL_CONFIGS:
  BTCUSDT: {LEVERAGE: 3, STOPLOSS_PCT: 0.01}
```

| setting | default | allowed | meaning |
|---|---|---|---|
"""


def settings_page() -> str:
    """Return the page's text: a row per setting, in the order of their definition."""
    return _HEAD + "".join(_row(name, field) for name, field in Config.model_fields.items())


def _row(name: str, field: Any) -> str:
    mark = " †" if name in secret_names() else " *" if name in per_symbol_names() else ""
    mark += " §" if name in limit_names() else ""
    mark += " ‡" if name in pending_names() else ""
    default = field.get_default(call_default_factory=True)
    shown = default.get_secret_value() if isinstance(default, SecretStr) else default
    text = shown if isinstance(shown, str) else json.dumps(shown)
    cells = (f"`{name}`{mark}", f"`{text}`" if text else "", _allowed(field), field.description)
    return f"| {' | '.join(cells)} |\n"


def _allowed(field: Any) -> str:
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(field.annotation))
    words = []
    for bound in field.metadata:
        match bound:
            case Ge(ge=value):
                words.append(f"≥ {value}")
            case Gt(gt=value):
                words.append(f"> {value}")
            case Le(le=value):
                words.append(f"≤ {value}")
            case Lt(lt=value):
                words.append(f"< {value}")
    return ", ".join(words)


if __name__ == "__main__":
    (ROOT / "docs" / "settings.md").write_text(settings_page(), encoding="utf-8")
