"""Signatures of signed requests: hex HMAC-SHA256 over query string and body, joined without a sign.

Clients differ in what they sign (Binance reference, 1.3): the percent-encoded text, or the raw
values that the transport encodes afterwards.  Both are honest signatures of the same parameters, so
both are accepted.
"""

import hashlib
import hmac
from urllib.parse import unquote_plus


def sign(secret: str, payload: str) -> str:
    """Return the lower-case hex signature of a payload."""
    return hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()


def is_signed_by(secret: str, query: str, body: str, signature: str) -> bool:
    """Tell whether `signature` belongs to the query string and form body it came with."""
    payload = _without_signature(query) + _without_signature(body)
    given = signature.lower()
    return any(
        hmac.compare_digest(sign(secret, text).encode(), given.encode())
        for text in (payload, unquote_plus(payload))
    )


def _without_signature(text: str) -> str:
    return "&".join(part for part in text.split("&") if not part.startswith("signature="))
