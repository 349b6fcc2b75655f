"""Model files: written with a signed manifest, verified before a single byte is unpickled.

`{SYMBOL}_gradient_boosting.joblib` holds the fitted model.  Beside it lies
`{SYMBOL}_gradient_boosting.manifest.json`: the manifest (features, data hash, range, seed,
versions, scores, SHA-256 of the model's bytes) and its HMAC-SHA256.  The key is 32 random bytes in
a file of its own (mode 0600), made when the first model is saved and kept outside the models
folder: who can only write models cannot sign them.

Reading goes: manifest against the key, bytes against the manifest, and then the very bytes that
were hashed are unpickled.  Unpickling runs code, so nothing earlier may touch it.
"""

import hashlib
import hmac
import io
import json
import os
import secrets
import sys
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import sklearn
from joblib.numpy_pickle import NumpyPickler

from core.errors import ModelRefusedError

FILE_SUFFIX = "_gradient_boosting.joblib"
VERSIONS_MAX = 5
_KEY_BYTES = 32
_RETRAIN = "Fix: run `run.py train` again"


def model_path(model_dir: Path, symbol: str) -> Path:
    """Return where a symbol's model lies."""
    return model_dir / f"{symbol}{FILE_SUFFIX}"


def manifest_path(path: Path) -> Path:
    """Return where the manifest of a model file lies."""
    return path.with_suffix(".manifest.json")


def default_key_file(path: Path) -> Path:
    """Return the key's place when none is given: beside the models folder, `models.key`."""
    folder = path.resolve().parent
    return folder.with_name(f"{folder.name}.key")


def version_path(path: Path, sha256: str) -> Path:
    """Return where a copy of this very version of a model file is kept."""
    return path.parent / "versions" / sha256[:16] / path.name


def keep_version(path: Path, sha256: str) -> None:
    """Copy a model file and its manifest aside, so that a replay finds what was in use then.

    The newest `VERSIONS_MAX` of a symbol are kept.  Raises OSError.
    """
    kept = version_path(path, sha256)
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        replace_file(manifest_path(kept), manifest_path(path).read_bytes())
        replace_file(kept, path.read_bytes())
    versions = path.parent / "versions"
    newest_first = sorted(versions.glob(f"*/{path.name}"), key=lambda old: -old.stat().st_mtime_ns)
    for old in newest_first[VERSIONS_MAX:]:
        manifest_path(old).unlink(missing_ok=True)
        old.unlink()
        with suppress(OSError):  # another symbol's version of the same hash lies there
            old.parent.rmdir()


def packed(model: Any) -> bytes:
    """Return a fitted model as its file holds it: the same model gives the same bytes.

    Wherever it was fitted, and after any journey between processes.
    """
    buffer = io.BytesIO()
    _CanonicalPickler(buffer).dump(model)
    return zlib.compress(buffer.getvalue(), level=3)


class _CanonicalPickler(NumpyPickler):  # type: ignore[misc]  # joblib has no types
    """joblib's pickler, for which equal strings and equal dtypes are the same object.

    Pickle refers back to an object that it met before, and tells objects apart by identity; which
    of them are one depends on the way the arrays came (an unpickled dtype is a copy), not on what
    the model knows.
    """

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self._dtypes: dict[np.dtype[Any], np.dtype[Any]] = {}

    def save(self, obj: Any, *args: Any, **options: Any) -> Any:
        if isinstance(obj, np.dtype):
            obj = self._dtypes.setdefault(obj, obj)
        elif type(obj) is str:
            obj = sys.intern(obj)
        return super().save(obj, *args, **options)


def write_model(path: Path, model: Any, manifest: dict[str, Any], key_file: Path) -> dict[str, Any]:
    """Write a fitted model and its signed manifest, each in one step; makes folder and key.

    Returns the manifest as signed: `file`, `sha256` and `versions` are added.  A reader that meets
    only one of the two new files refuses the pair.  Raises OSError if the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    key = _key(key_file)
    content = packed(model)
    signed = manifest | {
        "file": path.name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "versions": versions(),
    }
    document = {"manifest": signed, "hmac": _signature(signed, key)}
    replace_file(path, content)
    replace_file(manifest_path(path), json.dumps(document, indent=1, sort_keys=True).encode())
    return signed


def read_model(path: Path, key_file: Path) -> tuple[Any, dict[str, Any]]:
    """Return (model, manifest) of a verified file.

    Raises ModelRefusedError, one line, if the file, its manifest or the key is missing, if the
    manifest was not signed with the key, if the bytes are not the manifest's, or if it was made by
    another scikit-learn.
    """
    manifest = read_manifest(path, key_file)
    content = _read(path, f"model {path} is missing. {_RETRAIN}")
    if not hmac.compare_digest(hashlib.sha256(content).hexdigest(), str(manifest.get("sha256"))):
        raise ModelRefusedError(f"model {path} is not the file its manifest names. {_RETRAIN}")
    made_by, here = manifest["versions"]["scikit-learn"], versions()["scikit-learn"]
    if made_by != here:
        raise ModelRefusedError(
            f"model {path} was made by scikit-learn {made_by}, this is {here}. {_RETRAIN}"
        )
    try:
        return joblib.load(io.BytesIO(content)), manifest
    except Exception as error:
        raise ModelRefusedError(f"model {path} cannot be read ({error}). {_RETRAIN}") from error


def read_manifest(path: Path, key_file: Path) -> dict[str, Any]:
    """Return the verified manifest of a model file without reading the model."""
    if not path.exists():
        raise ModelRefusedError(f"model {path} is missing. {_RETRAIN}")
    place = manifest_path(path)
    content = _read(place, f"model {path} has no manifest {place.name}. {_RETRAIN}")
    key = _read(key_file, f"model {path}: its key {key_file} is missing. {_RETRAIN}")
    try:
        document = json.loads(content)
        manifest, signature = document["manifest"], document["hmac"]
        genuine = hmac.compare_digest(_signature(manifest, key), signature)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ModelRefusedError(f"manifest {place} is unreadable. {_RETRAIN}") from None
    if not genuine:
        raise ModelRefusedError(f"manifest {place} was not signed with {key_file}. {_RETRAIN}")
    if manifest.get("file") != path.name:
        raise ModelRefusedError(
            f"model {path} was saved as {manifest.get('file')}. Fix: give it that name again"
        )
    return dict(manifest)


def versions() -> dict[str, str]:
    """Return the versions a model file depends on."""
    return {"scikit-learn": sklearn.__version__, "joblib": joblib.__version__}


def _signature(manifest: dict[str, Any], key: bytes) -> str:
    canonical = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
    return hmac.new(key, canonical, hashlib.sha256).hexdigest()


def _read(path: Path, missing: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError:
        raise ModelRefusedError(missing) from None
    if not content:
        raise ModelRefusedError(f"{path} is empty. {_RETRAIN}")
    return content


def _key(key_file: Path) -> bytes:
    """Read the key, or make it; O_EXCL lets one of two first writers win."""
    key_file.parent.mkdir(parents=True, exist_ok=True)
    draft = key_file.with_name(f".{key_file.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        # A link, not a rename: it fails where a key is already, and never shows half a key.
        os.link(draft, key_file)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return key_file.read_bytes()


def replace_file(path: Path, content: bytes) -> None:
    """Write a file in one step: a reader sees the old one or the new one, whole."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
