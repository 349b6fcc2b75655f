"""What a self-check finds: one line each, green, a warning, or red with its fix."""

from collections.abc import Iterable
from dataclasses import dataclass

from core.errors import SelfCheckError, TradingError


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check's outcome; `ok` with a `fix` is a warning."""

    name: str
    ok: bool
    detail: str
    fix: str = ""

    @property
    def level(self) -> str:
        """Return ok, warning or red."""
        if not self.ok:
            return "red"
        return "warning" if self.fix else "ok"


def green(name: str, detail: str) -> Finding:
    """Say that something is as it should be."""
    return Finding(name=name, ok=True, detail=detail)


def warning(name: str, detail: str, fix: str) -> Finding:
    """Say that something could be better; it does not keep the bot from trading."""
    return Finding(name=name, ok=True, detail=detail.rstrip("."), fix=fix.rstrip("."))


def red(name: str, detail: str, fix: str) -> Finding:
    """Say that the bot must not trade like this."""
    return Finding(name=name, ok=False, detail=detail.rstrip("."), fix=fix.rstrip("."))


def refused(name: str, error: TradingError) -> Finding:
    """Turn an error that names its fix into a red finding."""
    detail, _, fix = str(error).partition(" Fix: ")
    return red(name, detail, fix or "see the detail")


def require_green(findings: Iterable[Finding]) -> None:
    """Raise SelfCheckError naming every red finding; one line."""
    reds = [finding for finding in findings if not finding.ok]
    if reds:
        what = "; ".join(f"{f.name}: {f.detail}" for f in reds)
        raise SelfCheckError(f"the self-check is red: {what}. Fix: {reds[0].fix}.")
