"""The region: which rows and columns of the extracted grid it takes."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from video_prediction_tools.errors import InputError

_SAME = 1e-4  # degrees; coordinates kept in single precision differ by less


@dataclass(frozen=True)
class Region:
    """A rectangle of grid points.

    Arguments:
        lat: degrees north ``[H]``, from north to south.
        lon: degrees east ``[W]``, from west to east without a jump (beyond 180 when it crosses the date
            line).
        rows: rows of the source, in the source's order.
        rows_ascend: whether the source's latitudes ascend, so that rows must be turned round.
        columns: columns of the source; two pieces when the region crosses the edge of a global grid.
    """

    lat: np.ndarray
    lon: np.ndarray
    rows: slice
    rows_ascend: bool
    columns: tuple[slice, ...]

    def cut(self, variable: Any, *before: slice) -> np.ndarray:
        """Read the region from a NetCDF variable ``[.., lat, lon]``; returns ``[.., H, W]``.

        Arguments:
            variable: netCDF4 variable (only the region's part of it is read).
            before: slices of the dimensions before latitude.
        """
        pieces = [variable[(*before, self.rows, columns)] for columns in self.columns]
        field = pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=-1)
        return field[..., ::-1, :] if self.rows_ascend else field


def choose_region(
    lat: np.ndarray, lon: np.ndarray, sw_corner: tuple[float, float], nyx: tuple[int, int]
) -> Region:
    """Choose ny x nx points whose south-west corner is the grid point nearest to the one asked for.

    Arguments:
        lat, lon: the source's coordinates; latitudes ascend or descend, longitudes ascend.
        sw_corner: degrees north and degrees east; any multiple of 360 may be added to the latter.
        nyx: number of points from south to north and from west to east.

    Raises:
        InputError: too few or too many points, or the region lies (in part) outside the data.
    """
    lat, lon = np.asarray(lat, np.float64), np.asarray(lon, np.float64)
    (ny, nx), covers = nyx, _covers(lat, lon)
    for name, number, there in (("ny", ny, len(lat)), ("nx", nx, len(lon))):
        if number < 2:
            raise InputError("--nyx", f"{name} is {number}", "give at least 2 grid points in each direction")
        if number > there:
            raise InputError(
                "--nyx",
                f"{name} is {number}, but the data have {there} points there ({covers})",
                "take fewer points, or extract a larger area",
            )
    if not -90 <= sw_corner[0] <= 90 or not -360 <= sw_corner[1] <= 360:
        raise InputError(
            "--sw_corner",
            f"{sw_corner[0]:g} {sw_corner[1]:g} is no point on Earth",
            "give degrees north (-90..90) and degrees east (-180..360)",
        )
    south_up = np.sort(lat)
    south = _nearest(south_up, sw_corner[0], "--sw_corner", "degrees north", covers)
    west_up, turn = _turned(lon, sw_corner[1])
    west = _nearest(west_up, turn, "--sw_corner", "degrees east", covers)
    cyclic = _is_cyclic(lon)
    for name, first, number, there in (("ny", south, ny, len(lat)), ("nx", west, nx, len(lon))):
        if first + number > there and not (name == "nx" and cyclic):
            raise InputError(
                "--nyx",
                f"{name} = {number} reaches beyond the data, which hold {there - first} points "
                f"{'north' if name == 'ny' else 'east'} of the corner ({covers})",
                "take fewer points, another corner, or extract a larger area",
            )
    ascend = lat[0] < lat[-1]
    rows = slice(south, south + ny) if ascend else slice(len(lat) - south - ny, len(lat) - south)
    over = max(0, west + nx - len(lon))
    columns = (slice(west, west + nx - over), slice(0, over)) if over else (slice(west, west + nx),)
    chosen = np.concatenate([west_up[west : west + nx - over], west_up[:over] + 360.0])
    chosen = chosen - chosen[0] + (chosen[0] + 180.0) % 360.0 - 180.0
    return Region(
        np.round(south_up[south : south + ny][::-1], 6),
        np.round(chosen, 6) + 0.0,
        rows,
        bool(ascend),
        columns,
    )


def degrees(lat: float, lon: float) -> str:
    """Write a point as ``50 N 10 W``."""
    return f"{_north(lat)} {_east(lon)}"


def _north(lat: float) -> str:
    return f"{abs(lat):g} {'S' if lat < 0 else 'N'}"


def _east(lon: float) -> str:
    lon = (lon + 180.0) % 360.0 - 180.0
    return f"{abs(lon):g} {'W' if lon < 0 else 'E'}"


def _nearest(values: np.ndarray, wanted: float, flag: str, unit: str, covers: str) -> int:
    index = int(np.abs(values - wanted).argmin())
    near = values[max(index - 1, 0) : index + 2]
    half = np.diff(near).max() / 2 if len(near) > 1 else 0.0
    if abs(values[index] - wanted) > half + _SAME:
        raise InputError(
            flag,
            f"{wanted:g} {unit} lies outside the data ({covers})",
            "give a corner inside, or extract a larger area",
        )
    return index


def _turned(lon: np.ndarray, wanted: float) -> tuple[np.ndarray, float]:
    """Return the source's longitudes, and the wanted one turned by full circles to lie nearest to them."""
    spacing = np.diff(lon).max() if len(lon) > 1 else 0.0
    first = lon[0] - spacing / 2 - _SAME
    turned = wanted + 360.0 * np.ceil(
        (first - wanted) / 360.0
    )  # the first place at or east of the western edge
    return lon, float(turned)


def _is_cyclic(lon: np.ndarray) -> bool:
    """Say whether the columns go once round the Earth, so that the first one follows the last."""
    if len(lon) < 3:
        return False
    spacing = np.diff(lon)
    return abs(lon[-1] + spacing.mean() - 360.0 - lon[0]) < 0.01 * spacing.mean()


def _covers(lat: np.ndarray, lon: np.ndarray) -> str:
    east_west = "all longitudes" if _is_cyclic(lon) else f"{_east(lon[0])} to {_east(lon[-1])}"
    return f"they cover {_north(lat.max())} to {_north(lat.min())}, {east_west}"
