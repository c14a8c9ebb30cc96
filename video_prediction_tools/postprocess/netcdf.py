"""What the NetCDF library does not say itself."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NO_ROOM = 1 << 20  # bytes; with less than this left, a failed write is taken for a full disk


@contextmanager
def full_disk_as_os_error(path: Path) -> Iterator[None]:
    """Turn the library's "HDF error" on a full disk into the OSError that `whole_file` explains."""
    try:
        yield
    except (RuntimeError, OSError) as error:
        if (
            getattr(error, "errno", None) in (None, -101)
            and shutil.disk_usage(Path(path).parent).free < _NO_ROOM
        ):
            raise OSError(errno.ENOSPC, "no space left", str(path)) from error
        raise
