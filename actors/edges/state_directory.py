"""The state directory: where a bot keeps its files, and where every command finds a running bot.

It is the folder of DB_FILE, or STATE_DIR.  Two bots with different state directories do not meet;
the file lock keeps a second bot out of the same one.
"""

import fcntl
import json
import os
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from config import Config
from core.errors import ConfigurationError, TradingError, UnavailableError

_FOLDERS: Final = ("logs", "traces", "crashes", "keys", "venue")
_PRIVATE: Final = 0o700
_KILL_TEXT_MAX: Final = 64


class NotRunningError(TradingError):
    """No bot runs on this state directory: the command's own negative answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlAddress:
    """Where the control API of a running bot listens, and the token it asks for."""

    host: str
    port: int
    token: str = field(repr=False)
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StateDirectory:
    """Paths of one bot's state.  `database` is a path, or a postgresql:// URL."""

    root: Path
    database: str
    models: Path

    @classmethod
    def of(cls, config: Config) -> "StateDirectory":
        """Resolve the paths; nothing is created or read."""
        remote = "://" in config.DB_FILE
        if config.STATE_DIR:
            root = Path(config.STATE_DIR).expanduser().absolute()
            models = root / Path(config.MODEL_DIR).expanduser()
        else:
            here = Path() if remote else Path(config.DB_FILE).expanduser().parent
            root = here.absolute()
            models = Path(config.MODEL_DIR).expanduser().absolute()
        if remote:
            database = config.DB_FILE
        elif config.STATE_DIR:
            database = str(root / Path(config.DB_FILE).expanduser())
        else:
            database = str(Path(config.DB_FILE).expanduser().absolute())
        return cls(root=root, database=database, models=models)

    @property
    def lock_file(self) -> Path:
        """File whose lock a running bot holds; its text is the holder's pid."""
        return self.root / "bot.lock"

    @property
    def control_file(self) -> Path:
        """Address and token of the running bot's control API."""
        return self.root / "control.json"

    @property
    def kill_file(self) -> Path:
        """File whose existence halts the bot; with the text `flatten` it also closes all."""
        return self.root / "KILL"

    def kill_wish(self) -> str:
        """Return what the kill file asks for: halt, flatten, or nothing where there is none."""
        try:
            with self.kill_file.open("rb") as file:
                text = file.read(_KILL_TEXT_MAX)
        except FileNotFoundError:
            return ""
        except OSError:
            return "halt"  # something is there, and doubt means no entry
        return "flatten" if text.strip().lower() == b"flatten" else "halt"

    @property
    def logs(self) -> Path:
        """Folder of the human log."""
        return self.root / "logs"

    @property
    def traces(self) -> Path:
        """Folder of message traces, JSON lines."""
        return self.root / "traces"

    @property
    def crashes(self) -> Path:
        """Folder of messages that crashed an actor."""
        return self.root / "crashes"

    @property
    def keys(self) -> Path:
        """Folder of keys made at first start."""
        return self.root / "keys"

    @property
    def venue(self) -> Path:
        """Folder of the embedded venue's own state."""
        return self.root / "venue"

    def history(self, venue: str) -> Path:
        """Return the folder of what the bot records of a venue's market, as kline files."""
        return self.root / "history" / venue

    def create(self) -> None:
        """Make the folders, for this user alone, and see that they can be written to.

        Raises ConfigurationError.  Files made later by this process are private too (umask).
        """
        os.umask(0o077)
        folders = [self.root, *(self.root / name for name in _FOLDERS)]
        if "://" not in self.database:
            folders.append(Path(self.database).parent)
        for folder in folders:
            try:
                folder.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=folder):
                    pass
            except OSError as error:
                raise ConfigurationError(
                    f"STATE_DIR must be a folder that can be written to, was {str(folder)!r}"
                    f" ({error.strerror}). Fix: change its owner, or set another STATE_DIR."
                ) from None

    def lock(self) -> "StateLock":
        """Take the directory for this process until `release`; a second bot is refused."""
        handle = os.open(self.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 20, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(handle)
            raise UnavailableError(
                f"STATE_DIR must belong to one bot, {str(self.root)!r} is in use by pid {holder}."
                " Fix: stop that bot, or set another STATE_DIR."
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        return StateLock(handle)

    def write_control(self, address: ControlAddress) -> None:
        """Publish the control API's address in one step, readable by this user alone."""
        # One name for all lives: what a killed one left of its token, the next one replaces.
        scratch = self.control_file.with_suffix(".tmp")
        scratch.unlink(missing_ok=True)
        handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(asdict(address), file)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(self.control_file)

    def read_control(self) -> ControlAddress:
        """Return the running bot's control API; raises NotRunningError if there is none."""
        try:
            found = json.loads(self.control_file.read_text(encoding="utf-8"))
            return ControlAddress(
                host=str(found["host"]),
                port=int(found["port"]),
                token=str(found["token"]),
                pid=int(found["pid"]),
            )
        except FileNotFoundError:
            raise self.not_running() from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(
                f"{self.control_file} cannot be read ({type(error).__name__})."
                " Fix: stop the bot, delete the file and start the bot again."
            ) from None

    def remove_control(self) -> None:
        """Withdraw the control API's address; part of a clean stop."""
        self.control_file.unlink(missing_ok=True)

    def not_running(self) -> NotRunningError:
        """Say that no bot answers for this directory."""
        return NotRunningError(
            f"STATE_DIR must be that of a running bot, none runs in {str(self.root)!r}."
            " Fix: start one with python run.py, or give its --config or STATE_DIR."
        )


class StateLock:
    """The lock on a state directory, held by an open file that no child process inherits.

    The kernel lets go when the process ends, however it ends.
    """

    def __init__(self, handle: int) -> None:
        self._handle: int | None = handle

    def release(self) -> None:
        """Let another bot in; releasing twice does nothing."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
