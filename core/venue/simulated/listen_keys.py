"""The account's listen key: one at a time, 60 wall minutes of life, extended by POST and PUT."""

import hashlib

from core.venue.simulated.errors import Rejection

LIFE_MS = 3_600_000


class ListenKeys:
    """Issues and expires keys; times are wall milliseconds."""

    def __init__(self, salt: str) -> None:
        self._salt = salt
        self._count = 0
        self._key = ""
        self._expires_ms = 0

    def issue(self, wall_ms: int) -> str:
        """Return the active key, extended, or a new one."""
        if not self.is_active(self._key, wall_ms):
            self._count += 1
            self._key = hashlib.sha256(f"{self._salt}/{self._count}/{wall_ms}".encode()).hexdigest()
        self._expires_ms = wall_ms + LIFE_MS
        return self._key

    def extend(self, wall_ms: int) -> str:
        """Extend the active key; -1125 without one."""
        if not self.is_active(self._key, wall_ms):
            raise Rejection(-1125)
        self._expires_ms = wall_ms + LIFE_MS
        return self._key

    def close(self) -> None:
        """Invalidate the key."""
        self._key = ""

    def is_active(self, key: str, wall_ms: int) -> bool:
        """Tell whether events go to holders of this key."""
        return bool(key) and key == self._key and wall_ms < self._expires_ms

    def outlive(self, wall_ms: int) -> None:
        """End the active key's life now; `expire` then returns it."""
        self._expires_ms = min(self._expires_ms, wall_ms)

    def expire(self, wall_ms: int) -> str | None:
        """Return the key whose life has just ended, once."""
        if self._key and wall_ms >= self._expires_ms:
            ended, self._key = self._key, ""
            return ended
        return None

    def active(self, wall_ms: int) -> str:
        """Return the active key, or nothing."""
        return self._key if self.is_active(self._key, wall_ms) else ""
