"""Client order ids: functions of content, the same after any crash.

`{tag}-{purpose}-{hash}-{attempt}`, e.g. `afb-E-mzxw6ytboi4dknzx-0`: 36 characters at most, only
`[a-z0-9-]` and the purpose letter, so no client encodes it differently before signing.  The tag
marks ownership: orders without it are foreign, counted and never touched.
"""

import base64
import hashlib

from core.messages import Purpose

_LENGTH_MAX = 36


def client_id(tag: str, purpose: Purpose, proposal_id: str, attempt: int) -> str:
    """Return the id of one attempt at one purpose of one proposal.

    >>> client_id("afb", Purpose.ENTRY, "p", 0)
    'afb-E-csg6trnhurgrtzlm-0'
    """
    digest = base64.b32encode(hashlib.sha256(proposal_id.encode()).digest()).decode().lower()
    name = f"{tag}-{purpose}-{digest[:16]}-{attempt}"
    assert len(name) <= _LENGTH_MAX, name
    return name


def is_ours(tag: str, name: str) -> bool:
    """Tell whether an order with this client id was sent by a bot with this tag."""
    return purpose_of(tag, name) is not None


def purpose_of(tag: str, name: str) -> Purpose | None:
    """Read the purpose back from a client id; None for a foreign one."""
    parts = name.split("-")
    if len(parts) != 4 or parts[0] != tag or parts[1] not in set(Purpose):  # noqa: PLR2004
        return None
    return Purpose(parts[1])


def attempt_of(name: str) -> int:
    """Read the attempt back from one of our client ids; 0 if it has none."""
    last = name.rsplit("-", 1)[-1]
    return int(last) if last.isdigit() else 0


def trade_of(name: str) -> str:
    """Return what all orders of one entry share; a foreign id stands for itself.

    >>> trade_of("afb-S-2fexalbmj5qpjxt6-1")
    '2fexalbmj5qpjxt6'
    """
    parts = name.split("-")
    return parts[2] if len(parts) == 4 else name  # noqa: PLR2004
