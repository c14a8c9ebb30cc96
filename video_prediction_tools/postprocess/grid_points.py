"""Where the grid points of a data set lie in a file."""

from pathlib import Path

import numpy as np
import xarray as xr

from video_prediction_tools.errors import InputError

_SAME = 1e-3  # degrees


def positions(file: xr.Dataset, dim: str, wanted: np.ndarray, named: str | Path) -> np.ndarray:
    """Find the grid lines of a file that are those of a data set, int [len(wanted)].

    Arguments:
        file: an opened file.
        dim: ``lat`` or ``lon``; longitudes are compared on the circle.
        wanted: the data set's coordinate, degrees.
        named: the file or the flag that names it, for the error message.

    Raises:
        InputError: it has no such coordinate, or does not hold all the lines.
    """
    if dim not in file.coords:
        raise InputError(
            named,
            f"has no coordinate '{dim}'",
            "give latitudes and longitudes as 'lat' and 'lon', in degrees",
        )
    found, wanted = file[dim].values.astype(np.float64), np.asarray(wanted, np.float64)
    distance = wanted[:, np.newaxis] - found[np.newaxis]
    if dim == "lon":
        distance = (distance + 180.0) % 360.0 - 180.0
    distance = np.abs(distance)
    if not distance.size or (distance.min(axis=1) > _SAME).any():
        raise InputError(
            named,
            f"lies on another grid: its {dim} does not hold all grid points of the data set ({wanted[0]:g} to "
            f"{wanted[-1]:g}, {len(wanted)} points)",
            "bring it to the grid of the data set",
        )
    return distance.argmin(axis=1)
