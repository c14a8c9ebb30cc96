"""GRIB 1 and 2: a file's messages indexed by their headers, fields read one by one.

ecCodes is used directly and not through cfgrib: an index file beside read-only archives is neither needed nor
    wanted, and
messages of different levels and steps need no common hypercube.
"""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import eccodes
import numpy as np

from video_prediction_tools.data_extraction.grids import Window
from video_prediction_tools.data_extraction.series import Contents, Series, Wanted, damaged
from video_prediction_tools.data_extraction.units import conversion
from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.variables import Variable

MAGIC, END = b"GRIB", b"7777"
MISSING = 1e36
_PRESSURE = {"isobaricInhPa": 1.0, "isobaricInPa": 0.01}  # factor to hPa
_SURFACE = {"surface", "meanSea", "heightAboveGround", "entireAtmosphere"}
_STATISTICS = {"em", "es"}  # ERA5's ensemble mean and spread bear the ids of the fields themselves
_GRID_KEYS = (
    "Ni",
    "Nj",
    "latitudeOfFirstGridPointInDegrees",
    "latitudeOfLastGridPointInDegrees",
    "longitudeOfFirstGridPointInDegrees",
    "longitudeOfLastGridPointInDegrees",
    "iScansNegatively",
    "jPointsAreConsecutive",
    "alternativeRowScanning",
)


@dataclass(frozen=True)
class _Layout:
    """Grid of a message as stored: coordinates, and how to bring the values to [lat, lon]."""

    lat: np.ndarray
    lon: np.ndarray
    columns_first: bool


@dataclass
class _Messages:
    """The messages of one variable on one grid."""

    variable: Variable
    layout: _Layout
    field: str
    factor: float
    offset: float
    times: list[int] = field(default_factory=list)
    expver: list[str] = field(default_factory=list)
    places: list[tuple[int, int]] = field(default_factory=list)


def index_grib(path: Path, wanted: Wanted) -> Contents:
    """Read the headers of all messages of a file.

    Raises:
        InputError: the file is damaged or truncated, or a wanted field has another unit or is one of an
            ensemble.
    """
    groups: dict[tuple, _Messages] = {}
    others: dict[str, None] = {}
    layouts: dict[tuple, _Layout] = {}
    for handle, place in _messages(path):
        short_name, parameter = _get(handle, "shortName"), _get(handle, "paramId")
        level_type = _get(handle, "typeOfLevel")
        matches = [
            (one, other)
            for one, other in wanted.bearing((short_name, str(parameter)))
            if _fits(one, level_type, handle)
        ]
        if not matches or _get(handle, "dataType") in _STATISTICS:
            others[f"{short_name} ({_level_text(handle, level_type)})"] = None
            continue
        if _get(handle, "number", 0) not in (0, None):
            raise InputError(
                path, f"holds ensemble members of {short_name}", "give an archive of one realisation"
            )
        grid_key = (_get(handle, "gridType"), *(_get(handle, key) for key in _GRID_KEYS))
        if grid_key not in layouts:
            layouts[grid_key] = _layout(path, handle, grid_key)
        for variable, other in matches:
            key = (variable.short_name, parameter, level_type, grid_key)
            if key not in groups:
                factor, offset = conversion(variable, _get(handle, "units"), other, f"{path} ({short_name})")
                groups[key] = _Messages(variable, layouts[grid_key], short_name, factor, offset)
            groups[key].times.append(_valid_time(path, handle))
            groups[key].expver.append(str(_get(handle, "experimentVersionNumber", "")))
            groups[key].places.append(place)
    return Contents(tuple(_series(path, group) for group in groups.values()), tuple(others), ())


def _messages(path: Path) -> Iterator[tuple[Any, tuple[int, int]]]:
    """Yield each message's handle (header only) and its place (offset, length); check that each is whole."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        end = 0
        while True:
            try:
                handle = eccodes.codes_new_from_file(file, eccodes.CODES_PRODUCT_GRIB, headers_only=True)
            except eccodes.CodesInternalError as error:
                raise damaged(path, f"{error} after byte {end} of {len(content)}") from None
            if handle is None:
                break
            try:
                start, length = (
                    int(eccodes.codes_get(handle, "offset")),
                    int(eccodes.codes_get(handle, "totalLength")),
                )
                if (
                    content.find(MAGIC, end, start) >= 0
                    or content[start + length - 4 : start + length] != END
                ):
                    raise damaged(path, f"a message after byte {end} of {len(content)} is not whole")
                end = start + length
                yield handle, (start, length)
            finally:
                eccodes.codes_release(handle)
        if end == 0 or content.find(MAGIC, end) >= 0:
            raise damaged(path, f"the message after byte {end} of {len(content)} is not whole")


def _series(path: Path, group: _Messages) -> Series:
    return Series(
        name=group.variable.short_name,
        path=path,
        field=group.field,
        lat=group.layout.lat,
        lon=group.layout.lon,
        times=np.array(group.times, dtype=np.int64),
        expver=np.array(group.expver),
        read=lambda indices, window: _read(path, group, indices, window),
        precision=lambda index: _precision(path, group, index),
    )


def _read(path: Path, group: _Messages, indices: np.ndarray, window: Window) -> np.ndarray:
    values = np.empty((len(indices), *window.grid.shape), dtype=np.float32)
    shape = len(group.layout.lat), len(group.layout.lon)
    with open(path, "rb") as file:
        for row, index in enumerate(indices):
            with _Message(path, file, group.places[index]) as handle:
                eccodes.codes_set(handle, "missingValue", MISSING)
                field = eccodes.codes_get_values(handle)
                if field.size != shape[0] * shape[1]:
                    raise damaged(path, f"{field.size} values on a grid of {shape[0]} x {shape[1]}")
                if eccodes.codes_get(handle, "bitmapPresent"):
                    field = np.where(field == MISSING, np.nan, field)
            field = field.reshape(shape[::-1]).T if group.layout.columns_first else field.reshape(shape)
            values[row] = field[window.rows[:, None], window.columns] * group.factor + group.offset
    return values


def _precision(path: Path, group: _Messages, index: int) -> float:
    """Return half a step of the packed integers (WMO Manual on Codes: value = (R + X 2^E) / 10^D)."""
    with open(path, "rb") as file, _Message(path, file, group.places[index]) as handle:
        step = 2.0 ** _get(handle, "binaryScaleFactor", 0) * 10.0 ** -_get(handle, "decimalScaleFactor", 0)
        packed = str(_get(handle, "packingType", "")) != "grid_ieee"
        return 0.5 * step * abs(group.factor) if packed and _get(handle, "bitsPerValue", 0) else 0.0


class _Message:
    """One message read whole; closes its handle."""

    def __init__(self, path: Path, file: Any, place: tuple[int, int]):
        file.seek(place[0])
        try:
            self.handle = eccodes.codes_new_from_message(file.read(place[1]))
        except eccodes.CodesInternalError as error:
            raise damaged(path, f"{error} at byte {place[0]}") from None
        self.path = path

    def __enter__(self) -> Any:
        return self.handle

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        eccodes.codes_release(self.handle)
        if isinstance(error, eccodes.CodesInternalError):
            raise damaged(self.path, str(error)) from None


def _get(handle: Any, key: str, default: Any = None) -> Any:
    """Return a key's value; `default` where the message has none."""
    try:
        return eccodes.codes_get(handle, key)
    except eccodes.KeyValueNotFoundError:
        return default


def _fits(variable: Variable, level_type: str, handle: Any) -> bool:
    """Say whether the level is the variable's: the surface geopotential is not that of a pressure level."""
    if variable.pressure is None:
        return level_type in _SURFACE
    return (
        level_type in _PRESSURE
        and abs(_get(handle, "level") * _PRESSURE[level_type] - variable.pressure) < 1e-6
    )


def _level_text(handle: Any, level_type: str) -> str:
    if level_type in _PRESSURE:
        return f"{_get(handle, 'level') * _PRESSURE[level_type]:g} hPa"
    return str(level_type)


def _valid_time(path: Path, handle: Any) -> int:
    date, clock = int(_get(handle, "validityDate")), int(_get(handle, "validityTime"))
    try:
        return int(
            datetime(
                date // 10000, date // 100 % 100, date % 100, clock // 100, clock % 100, tzinfo=UTC
            ).timestamp()
        )
    except ValueError:
        raise damaged(path, f"a message has the date {date} and the time {clock:04d}") from None


def _layout(path: Path, handle: Any, key: tuple) -> _Layout:
    kind, ni, nj, north, south, west, east, leftward, columns_first, alternating = key
    if kind not in ("regular_ll", "regular_gg") or alternating:
        raise InputError(
            path,
            f"holds the grid type '{kind}'" + (" scanned to and fro" if alternating else ""),
            "AMBS needs a grid of latitude and longitude: interpolate first (for example with cdo remapbil)",
        )
    if not leftward and east < west:
        east += 360.0
    if leftward and east > west:
        east -= 360.0
    lat = (
        np.linspace(north, south, nj)
        if kind == "regular_ll"
        else eccodes.codes_get_array(handle, "distinctLatitudes")
    )
    if kind == "regular_gg" and (lat[0] > lat[-1]) != (north > south):
        lat = lat[::-1]
    return _Layout(np.asarray(lat), np.linspace(west, east, ni), bool(columns_first))
