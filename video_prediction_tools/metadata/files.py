"""Files that are whole or absent: written under a temporary name, then renamed."""

import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from video_prediction_tools.errors import InputError

TEMPORARY_SUFFIX = ".part"
LOCK_NAME = ".lock"
_PROBE_BYTES = 1 << 25


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it takes the place of `path`, on failure it is removed.

    A run that was killed leaves at most ``.<name>.part``, which the next run overwrites and no reader takes for data.

    Raises:
        InputError: no space left, or the directory cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}{TEMPORARY_SUFFIX}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise_as_input_error(error, path)
        raise
    try:
        yield temporary
        with open(temporary, "rb") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise_as_input_error(error, path)
        raise


@contextmanager
def netcdf_errors_as_os_errors(path: Path) -> Iterator[None]:
    """Raise the OSError that says why a NetCDF file cannot be written; use it inside `whole_file`.

    The NetCDF library says no more than 'HDF error' when the disk is full, a quota is used up or the size limit
    of files is reached: plain writing at the end of `path` tells the cause.
    """
    try:
        yield
    except (RuntimeError, OSError):
        with open(path, "ab") as plain:
            plain.write(bytes(_PROBE_BYTES))
            plain.flush()
            os.fsync(plain.fileno())
        raise


def raise_as_input_error(error: OSError, path: Path) -> None:
    """Raise the InputError that tells a user of a full disk, a quota or missing rights; return for any other error."""
    remedies = {
        errno.ENOSPC: ("no space left on the device", "free some space and start again"),
        errno.EDQUOT: ("the disk quota is used up", "free some space and start again"),
        errno.EFBIG: ("the file would pass the size limit", "raise the limit (ulimit -f) or write elsewhere"),
        errno.EACCES: ("cannot be written (permission denied)", "choose a directory that you may write to"),
        errno.EPERM: ("cannot be written (not permitted)", "choose a directory that you may write to"),
        errno.ENOENT: ("cannot be made there", "choose a directory that you may write to"),
        errno.EROFS: ("lies on a read-only file system", "choose a directory that you may write to"),
        errno.ENOTDIR: ("a part of the path is a file, not a directory", "choose another path"),
        errno.EEXIST: ("a part of the path is a file, not a directory", "choose another path"),
    }
    if error.errno in remedies:
        raise InputError(path, *remedies[error.errno]) from error


@contextmanager
def only_writer(directory: Path, what: str, remedy: str) -> Iterator[None]:
    """Make a directory where it is missing, and keep others out of it that ask in the same way.

    Arguments:
        directory: the directory.
        what, remedy: what to say where another process is inside.

    Raises:
        InputError: another process is inside, or the directory cannot be made or written.
    """
    try:
        Path(directory).mkdir(parents=True, exist_ok=True)
        lock = open(Path(directory) / LOCK_NAME, "w")
    except OSError as error:
        raise_as_input_error(error, directory)
        raise
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(directory, what, remedy) from None
        except OSError:
            pass  # some cluster file systems know no locks; there, one run at a time is up to the user
        yield


def has_writer(directory: Path) -> bool:
    """Say whether a process is inside `only_writer` of a directory."""
    try:
        with open(Path(directory) / LOCK_NAME) as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # nobody was ever inside, or a file system without locks
    return False


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented JSON, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path, remedy: str) -> Any:
    """Read a JSON file.

    Arguments:
        path: the file.
        remedy: what the user can do when it is missing or damaged.

    Raises:
        InputError: it is missing, cannot be read or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(path, "does not exist", remedy) from None
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", remedy) from error
    except ValueError as error:
        raise InputError(path, f"is not valid JSON ({error})", remedy) from error


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal text."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
