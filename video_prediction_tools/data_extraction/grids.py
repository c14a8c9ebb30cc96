"""Grids of latitude and longitude: brought to one order, and cut to an area, as index arrays into the stored
field.

Rows run from north to south; longitudes run from west to east without a jump (beyond 180 where the region
crosses the
date line, below 0 where it crosses Greenwich).
"""

from dataclasses import dataclass

import numpy as np

from video_prediction_tools.errors import InputError

SAME_POINT = 0.02  # two coordinates are one when they differ by less than this share of the spacing
SMALLEST_GRID = 2  # points from north to south and from west to east


@dataclass(frozen=True)
class Area:
    """A region in degrees, north and east positive; `east` less than `west` crosses the date line or
    Greenwich.
    """

    north: float
    west: float
    south: float
    east: float

    @property
    def width(self) -> float:
        """Degrees from west to east, more than 0 and at most 360."""
        return (self.east - self.west) % 360.0 or 360.0

    def __str__(self) -> str:
        return f"{self.north:g} {self.west:g} {self.south:g} {self.east:g}"


@dataclass(frozen=True)
class Grid:
    """Points of a region: `lat` [H] from north to south, `lon` [W] from west to east, continuous; degrees,
    float64.
    """

    lat: np.ndarray
    lon: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        return len(self.lat), len(self.lon)

    def area(self) -> list[float]:
        """[N, W, S, E] of the outermost points."""
        return [float(self.lat[0]), float(self.lon[0]), float(self.lat[-1]), float(self.lon[-1])]

    def same_as(self, other: "Grid") -> bool:
        """Say whether two grids have the same points."""
        return (
            self.shape == other.shape
            and np.allclose(self.lat, other.lat, rtol=0, atol=SAME_POINT * spacing(self.lat))
            and np.allclose(self.lon, other.lon, rtol=0, atol=SAME_POINT * spacing(self.lon))
        )

    def __str__(self) -> str:
        (north, west, south, east), (height, width) = self.area(), self.shape
        return (
            f"{height} x {width} points, {north:g} to {south:g} N, {west:g} to {east:g} E, "
            f"every {spacing(self.lat):g} x {spacing(self.lon):g} degrees"
        )


@dataclass(frozen=True)
class Window:
    """A grid and where its points lie in a stored field: ``field[rows[:, None], columns]`` has the grid's
    shape.
    """

    grid: Grid
    rows: np.ndarray
    columns: np.ndarray


def spacing(coordinates: np.ndarray) -> float:
    """Return the usual distance of neighbouring points [degrees]."""
    return round(float(np.median(np.abs(np.diff(coordinates)))), 6)


def regular_grid(area: Area, degrees: float) -> Grid:
    """Return the grid that begins in the north-west corner of `area`, as Copernicus makes it.

    Raises:
        InputError: fewer than 2 points in a direction.
    """
    rows = int(np.floor((area.north - area.south) / degrees + 1e-6)) + 1
    columns = int(np.floor(area.width / degrees + 1e-6)) + 1
    if area.width == 360.0 and columns > 1 and abs((columns - 1) * degrees - 360.0) < 1e-6:
        columns -= 1  # the last meridian is the first one
    west = (area.west + 180.0) % 360.0 - 180.0
    return _at_least_two(
        Grid(tidy(area.north - degrees * np.arange(rows)), tidy(west + degrees * np.arange(columns))),
        "--area",
    )


def tidy(coordinates: np.ndarray) -> np.ndarray:
    """Return coordinates in float64 without the noise of float32 (58.299999 is 58.3; 5.625 and 1.40625 stay)."""
    values = np.asarray(coordinates, dtype=np.float64)
    rounded = np.round(values, 4)
    return np.where(np.abs(values - rounded) < 2e-5, rounded, values) + 0.0


def window(lat: np.ndarray, lon: np.ndarray, area: Area | None, where: str) -> Window:
    """Find the points of a stored grid that lie in `area` (all points when it is None).

    Arguments:
        lat, lon: the stored coordinates, in any order; longitudes 0..360, -180..180 or mixed.
        area: the region; its edges belong to it.
        where: the file, for the error message.

    Raises:
        InputError: a coordinate is not finite or doubled, the data do not cover the area, or there are
            fewer than 2 points in a direction.
    """
    lat, lon = tidy(lat), tidy(lon)
    for name, values in (("latitude", lat), ("longitude", lon)):
        if not np.isfinite(values).all():
            raise InputError(where, f"has a {name} that is no number", "remove or correct the file")
        if len(np.unique(values)) < len(values):
            raise InputError(where, f"has a {name} twice", "remove or correct the file")
    rows, columns, continuous = np.argsort(-lat, kind="stable"), *_unrolled(lon)
    whole = _at_least_two(Grid(lat[rows], continuous), where)
    if area is None:
        return Window(whole, rows, columns)
    north_south = (lat[rows] <= area.north + 1e-4) & (lat[rows] >= area.south - 1e-4)
    step_lat, step_lon = spacing(whole.lat), spacing(whole.lon)
    covered = area.north < whole.lat[0] + step_lat - 1e-4 and area.south > whole.lat[-1] - step_lat + 1e-4
    west = (area.west + 180.0) % 360.0 - 180.0
    eastward = (continuous - west + 1e-4) % 360.0 - 1e-4  # degrees east of the western edge
    inside = np.flatnonzero(eastward <= area.width + 1e-4)
    inside = inside[np.argsort(eastward[inside], kind="stable")]
    if not covered or not north_south.any() or not len(inside):
        raise _not_covered(area, whole, where)
    chosen = tidy(west + eastward[inside])
    # a point missing between the edges, or one that would lie between an edge and the next point
    edge = step_lon + (1e-4 if area.width == 360.0 else -1e-4)
    if (
        chosen[0] - west >= edge
        or west + area.width - chosen[-1] >= edge
        or (np.diff(chosen) > 1.5 * step_lon).any()
    ):
        raise _not_covered(area, whole, where)
    cut = Grid(lat[rows][north_south], chosen)
    if min(cut.shape) < SMALLEST_GRID:
        raise InputError(
            "--area",
            f"'{area}' holds {cut.shape[0]} x {cut.shape[1]} points of {where}",
            f"make it larger; points lie every {step_lat:g} x {step_lon:g} degrees",
        )
    return Window(cut, rows[north_south], columns[inside])


def window_onto(lat: np.ndarray, lon: np.ndarray, grid: Grid) -> Window | None:
    """Find the points of `grid` in a stored grid; None when one of them is not there."""
    lat, lon = tidy(lat), tidy(lon)
    rows = _nearest(lat[:, None] - grid.lat[None, :], SAME_POINT * spacing(grid.lat))
    columns = _nearest(
        (lon[:, None] - grid.lon[None, :] + 180.0) % 360.0 - 180.0, SAME_POINT * spacing(grid.lon)
    )
    return None if rows is None or columns is None else Window(grid, rows, columns)


def _nearest(differences: np.ndarray, tolerance: float) -> np.ndarray | None:
    distance = np.abs(differences)
    nearest = distance.argmin(axis=0)
    return nearest if (distance.min(axis=0) <= tolerance).all() else None


def _unrolled(lon: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the order from west to east and the longitudes in it, without a jump.

    The region begins east of the widest gap; a ring without one begins at 180 W.
    """
    east = np.mod(lon + 180.0, 360.0) - 180.0
    order = np.argsort(east, kind="stable")
    east, order = _without_doubles(east[order], order)
    gaps = np.diff(np.append(east, east[0] + 360.0))
    first = (int(gaps.argmax()) + 1) % len(east) if gaps.max() > 1.5 * np.median(gaps) else 0
    order, east = np.roll(order, -first), np.roll(east, -first)
    return order, tidy(np.where(east < east[0], east + 360.0, east))


def _without_doubles(east: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    keep = np.append(True, np.diff(east) > 1e-4)  # some global files hold 0 and 360
    return east[keep], order[keep]


def _at_least_two(grid: Grid, where: str) -> Grid:
    if min(grid.shape) < SMALLEST_GRID:
        raise InputError(
            where,
            f"has only {grid.shape[0]} x {grid.shape[1]} points",
            f"at least {SMALLEST_GRID} x {SMALLEST_GRID} are needed",
        )
    return grid


def _not_covered(area: Area, whole: Grid, where: str) -> InputError:
    north, west, south, east = whole.area()
    return InputError(
        "--area",
        f"'{area}' (N W S E) is not covered by {where}",
        f"the data cover N {north:g} W {west:g} S {south:g} E {east:g}",
    )
