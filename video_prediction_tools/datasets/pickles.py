"""Reader and writer of the monthly pickles: plain dictionaries of numpy arrays (docs/data_formats.md).

A pickle is a program, and a foreign one may run anything. The reader here looks up nothing but what numpy
needs to rebuild an array, so that such a file ends in an error message instead.
"""

import pickle
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from video_prediction_tools.datasets.hashing import HashedFile
from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.files import whole_file

# numpy 2 and numpy 1 keep the same functions under different module names
_ALLOWED = {
    (f"numpy.{core}.{module}", name)
    for core in ("_core", "core")
    for module, name in (("numeric", "_frombuffer"), ("multiarray", "_reconstruct"), ("multiarray", "scalar"))
}
_CORE = "numpy._core." if int(np.__version__.split(".")[0]) >= 2 else "numpy.core."  # of the numpy that reads
_ALLOWED |= {("numpy", "ndarray"), ("numpy", "dtype")}
_REMEDY = "run the step 'preprocess1' again"


def write_month(
    path: Path,
    times: np.ndarray,
    data: np.ndarray,
    variables: Sequence[str],
    lat: np.ndarray,
    lon: np.ndarray,
) -> tuple[int, str]:
    """Write one month of one split, whole or not at all.

    Arguments:
        path: the pickle, see `metadata.names.month_pickle`.
        times: int64 ``[T]``, seconds since 1970, ascending.
        data: float32 ``[T, H, W, C]``, physical units.
        variables: short names of the C channels.
        lat, lon: degrees north ``[H]`` (north to south) and east ``[W]`` (west to east).

    Returns:
        Size in bytes and SHA-256 of the file: equal content gives equal bytes.
    """
    content = {
        "times": np.ascontiguousarray(times, np.int64),
        "data": np.ascontiguousarray(data, np.float32),
        "variables": [str(name) for name in variables],
        "lat": np.ascontiguousarray(lat, np.float64),
        "lon": np.ascontiguousarray(lon, np.float64),
    }
    with whole_file(path) as temporary, open(temporary, "wb") as handle:
        sink = HashedFile(handle)
        pickle.dump(content, sink, protocol=5)  # protocol 5 hands the array's memory over without a copy
    return sink.size, sink.sha256()


def read_month(path: Path, digest: str | None = None) -> dict[str, Any]:
    """Read one month of one split.

    Arguments:
        path: the pickle.
        digest: SHA-256 that the file must have (None: not compared).

    Returns:
        The dictionary that `write_month` wrote: times, data, variables, lat, lon.

    Raises:
        InputError: the file is missing or damaged, wants to import something, holds something else, or is not
            the one that was noted.
    """
    try:
        with open(path, "rb") as handle:
            source = handle if digest is None else HashedFile(handle)
            content = _ArraysOnly(source).load()
            changed = digest is not None and source.rest_sha256() != digest
    except FileNotFoundError:
        raise InputError(path, "does not exist", _REMEDY) from None
    except _ForbiddenImportError as error:
        raise InputError(
            path,
            f"wants to import {error}, which a pickle of numbers never needs",
            f"do not trust this file; {_REMEDY}",
        ) from None
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", _REMEDY) from error
    except Exception as error:  # a damaged pickle can end in nearly any exception
        raise InputError(path, f"is damaged ({str(error) or type(error).__name__})", _REMEDY) from error
    if changed:
        raise InputError(
            path, "is not the file that preprocess 1 wrote here (damaged, or of another data set)", _REMEDY
        )
    _validate(path, content)
    return content


class _ForbiddenImportError(Exception):
    pass


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise _ForbiddenImportError(f"{module}.{name}")
        # a container may bring numpy 1, and the file be written with numpy 2
        return super().find_class(re.sub(r"^numpy\._?core\.", _CORE, module), name)


def _validate(path: Path, content: Any) -> None:
    def array(key: str, kind: type, dimensions: int) -> bool:
        found = content[key]
        return isinstance(found, np.ndarray) and found.dtype == kind and found.ndim == dimensions

    keys = {"times", "data", "variables", "lat", "lon"}
    if (
        not isinstance(content, dict)
        or set(content) != keys
        or not isinstance(content["variables"], list)
        or not (
            array("times", np.int64, 1)
            and array("data", np.float32, 4)
            and array("lat", np.float64, 1)
            and array("lon", np.float64, 1)
        )
    ):
        raise InputError(path, "is not a month of AMBS data", _REMEDY)
    expected = (len(content["times"]), len(content["lat"]), len(content["lon"]), len(content["variables"]))
    if content["data"].shape != expected:
        raise InputError(path, f"is damaged: data of shape {content['data'].shape} for {expected}", _REMEDY)
