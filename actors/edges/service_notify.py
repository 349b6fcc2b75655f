"""What a service manager is told (systemd's notification socket), where there is one.

The unit is `docs/ops/futures-bot.service`.  Without `NOTIFY_SOCKET` in the environment every call
does nothing.
"""

import os
import socket
from collections.abc import MutableMapping
from contextlib import suppress


class ServiceNotify:
    """Sends `READY=1`, `WATCHDOG=1` and `STOPPING=1`; never raises, never blocks.

    Takes its variables out of `environ`: a child that inherited them could speak in our name.
    """

    def __init__(self, environ: MutableMapping[str, str] | None = None) -> None:
        given = os.environ if environ is None else environ
        self._address = given.pop("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):  # Linux's abstract namespace
            self._address = "\0" + self._address[1:]
        self._watched = given.pop("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self._watched = bool(given.pop("WATCHDOG_USEC", "")) and self._watched
        self._socket: socket.socket | None = None

    def ready(self, status: str) -> None:
        """Say that start-up is over, with one line on how things stand."""
        self._send(f"READY=1\nSTATUS={status}")

    def alive(self, well: bool) -> None:
        """Feed the manager's watchdog while all that matters makes progress."""
        if well and self._watched:
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """Say that the ordered stop has begun."""
        self._send("STOPPING=1")

    def close(self) -> None:
        """Let go of the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, text: str) -> None:
        if not self._address:
            return
        with suppress(OSError):  # a manager that does not listen must not stop trading
            if self._socket is None:
                kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
                self._socket = socket.socket(socket.AF_UNIX, kind)
            self._socket.sendto(text.encode(), self._address)
