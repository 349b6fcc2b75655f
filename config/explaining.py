"""What is wrong with a setting, said in one line: name, value, where, fix."""

import difflib
from collections.abc import Collection, Mapping
from typing import Any

from pydantic import ValidationError

from config.loading import Given

_KINDS = {
    "int": ("a whole number", "give it a whole number"),
    "float": ("a number", "give it a number"),
    "bool": ("true or false", "set it to true or false"),
    "string": ("text", "put it in quotes"),
    "list": ("a list", "separate the entries with commas"),
    "dict": ("a mapping", "write it as SYMBOL: {SETTING: value}"),
}


def explain(error: ValidationError, given: Mapping[str, Given], secrets: Collection[str]) -> str:
    """Return one line for the first of the errors, and how many more there are."""
    details = error.errors()
    first: Any = details[0]
    name = str(first["loc"][0]) if first["loc"] else "settings"
    phrase, fix = sentence(first, hide=name in secrets)
    inner = ".".join(str(part) for part in first["loc"][1:] if not isinstance(part, int))
    where = given[name].where if name in given else "default"
    more = len({item["loc"][:1] for item in details}) - 1
    rest = f" ({more} more wrong setting{'s' if more > 1 else ''}.)" if more else ""
    return f"{name}{f'.{inner}' if inner else ''} {phrase} ({where}). Fix: {ended(fix)}{rest}"


def sentence(error: Any, *, hide: bool = False) -> tuple[str, str]:
    """Turn one of pydantic's errors into "must be .., was .." and an imperative."""
    context = error.get("ctx", {})
    kind = error["type"]
    was = "was (hidden)" if hide else f"was {shown(error['input'])}"
    match kind:
        case "setting":
            phrase = context["phrase"]
            return ("is not acceptable" if hide else phrase), context["fix"]
        case "greater_than_equal":
            bound = _number(context["ge"])
            return f"must be at least {bound}, {was}", f"set it to {bound} or more"
        case "less_than_equal":
            bound = _number(context["le"])
            return f"must be at most {bound}, {was}", f"set it to {bound} or less"
        case "greater_than":
            bound = _number(context["gt"])
            return f"must be more than {bound}, {was}", f"set it above {bound}"
        case "less_than":
            bound = _number(context["lt"])
            return f"must be less than {bound}, {was}", f"set it below {bound}"
        case "literal_error":
            choices = context["expected"].replace("'", "").replace(" or ", ", ")
            near = difflib.get_close_matches(str(error["input"]), choices.split(", "), n=1)
            return (
                f"must be one of {choices}, {was}",
                f"set it to {(near or choices.split(', '))[0]}",
            )
        case "string_pattern_mismatch":
            return f"must match {context['pattern']}, {was}", "use such characters only"
        case "string_too_long":
            return f"must have at most {context['max_length']} characters", "shorten it"
    thing, fix = _KINDS.get(kind.split("_")[0], ("", ""))
    if thing:
        return f"must be {thing}, {was}", fix
    return f"{error['msg'][:1].lower()}{error['msg'][1:]}, {was}", "see docs/settings.md"


def ended(text: str) -> str:
    """End a sentence that may already be a question."""
    return text if text.endswith("?") else f"{text}."


def shown(value: Any) -> str:
    """Show a value on one line, shortened, control characters escaped."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004


def _number(bound: float) -> str:
    return f"{bound:,}".replace(",", "") if isinstance(bound, int) else f"{bound:g}"
