"""NetCDF files (classic, packed, NetCDF4) and Zarr stores (2 and 3), through xarray.

Coordinates are known by their CF attributes or by the names that CDS (old and new), ECMWF, cfgrib and NCEP
give them.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import xarray as xr

from video_prediction_tools.data_extraction.classic_netcdf import required_bytes
from video_prediction_tools.data_extraction.grids import Window
from video_prediction_tools.data_extraction.series import NO_TIME, Contents, Series, Wanted, damaged
from video_prediction_tools.data_extraction.units import conversion, spelled
from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.variables import Variable

_NAMES = {
    "lat": {"latitude", "lat"},
    "lon": {"longitude", "lon"},
    "time": {"valid_time", "time"},
    "level": {"pressure_level", "level", "isobaricinhpa", "isobaricinpa", "plev", "lev", "pressure"},
    "expver": {"expver"},
    "number": {"number", "realization", "member", "ensemble"},
}
_STANDARD_NAMES = {
    "latitude": "lat",
    "longitude": "lon",
    "time": "time",
    "air_pressure": "level",
    "realization": "number",
}
FINAL, PRELIMINARY = "0001", "0005"  # ERA5 and ERA5T


class _UnusableError(Exception):
    """A field bears a wanted name but is not what is wanted; carries the reason."""


def index_labelled(path: Path, wanted: Wanted) -> Contents:
    """Read the header of a NetCDF file or a Zarr store.

    Raises:
        InputError: it is damaged or truncated, or a wanted field has another unit, calendar or is of an
            ensemble.
    """
    series, others, notes = [], [], []
    with _reading(path):
        _check_length(path)
        with _open(path) as data:
            plain = data.set_coords("expver") if "expver" in data.data_vars else data
            for field, array in plain.data_vars.items():
                matches = wanted.bearing([str(field)])
                if not matches:
                    others.append(str(field))
                for variable, other in matches:
                    try:
                        series.append(_series(path, str(field), array, variable, other))
                    except _UnusableError as reason:
                        notes.append((variable.short_name, f"{path} ({field}) {reason}"))
    return Contents(tuple(series), tuple(others), tuple(notes))


def _check_length(path: Path) -> None:
    if path.is_dir():
        return
    with open(path, "rb") as file:
        classic = file.read(3) == b"CDF"
    required, there = required_bytes(path) if classic else 0, path.stat().st_size
    if there < required:
        raise damaged(path, f"it has {there} bytes of {required}")


def _open(path: Path) -> xr.Dataset:
    engine = "zarr" if path.is_dir() else "netcdf4"
    with (
        warnings.catch_warnings()
    ):  # stores without consolidated metadata, odd fill values: none of it concerns a user
        warnings.simplefilter("ignore")
        return xr.open_dataset(path, engine=engine, chunks=None, cache=False, decode_timedelta=False)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what the libraries raise on damaged files into the one error that names the file."""
    try:
        yield
    except (InputError, _UnusableError):
        raise
    except (
        OSError,
        RuntimeError,
        ValueError,
        KeyError,
        IndexError,
        EOFError,
        TypeError,
        AttributeError,
    ) as error:
        raise damaged(path, f"{type(error).__name__}: {str(error)[:150]}") from error


def _kind(coordinate: xr.DataArray) -> str:
    """Return what a coordinate is: lat, lon, time, level, expver, number, or '' for anything else."""
    name = str(coordinate.name).lower()
    units = str(coordinate.attrs.get("units", "")).lower()
    if np.issubdtype(coordinate.dtype, np.datetime64):
        return "time"
    if units in ("degrees_north", "degree_north", "degrees_n"):
        return "lat"
    if units in ("degrees_east", "degree_east", "degrees_e"):
        return "lon"
    standard = _STANDARD_NAMES.get(str(coordinate.attrs.get("standard_name", "")))
    return standard or next((kind for kind, names in _NAMES.items() if name in names), "")


def _series(path: Path, field: str, array: xr.DataArray, variable: Variable, other: bool) -> Series:
    where = f"{path} ({field})"
    kinds = {
        str(name): _kind(array[name]) if name in array.coords else _dimension_kind(str(name))
        for name in array.dims
    }
    dimension = {
        kind: name for name, kind in kinds.items() if kind in ("lat", "lon", "time", "level", "expver")
    }
    if any(dimension.get(kind) not in array.coords for kind in ("lat", "lon")):
        raise _UnusableError(f"is not on a grid of latitude and longitude (dimensions {', '.join(kinds)})")
    for name, kind in kinds.items():
        if dimension.get(kind) != name and array.sizes[name] > 1:
            if kind == "number":
                raise InputError(
                    where, f"holds {array.sizes[name]} ensemble members", "give an archive of one realisation"
                )
            raise _UnusableError(f"has the dimension '{name}' of length {array.sizes[name]}")
    level = _level(array, dimension, variable)
    time_name, times = _times(where, array, dimension)
    factor, offset = conversion(variable, array.attrs.get("units"), other, where)
    packing = abs(float(array.encoding.get("scale_factor", 0.0)) * factor) / 2

    def read(indices: np.ndarray, window: Window) -> np.ndarray:
        with _reading(path), _open(path) as data:
            stored = data[field]
            if level is not None:
                stored = stored.isel({dimension["level"]: level})
            if time_name:
                stored = stored.isel({time_name: _slice(indices)})
            stored = stored.isel(
                {dimension["lat"]: _slice(window.rows), dimension["lon"]: _slice(window.columns)}
            )
            order = [
                name
                for name in (time_name, dimension.get("expver"), dimension["lat"], dimension["lon"])
                if name
            ]
            rest = [name for name in stored.dims if name not in order]  # all of length 1
            values = np.asarray(stored.transpose(*rest, *order).values, dtype=np.float64)
            values = values.reshape([stored.sizes[name] for name in order])
            versions = data[dimension["expver"]].values if "expver" in dimension else None
        values = values[_within(indices)] if time_name else values[None]
        if versions is not None:
            values = _final_before_preliminary(values, versions)
        values = values[:, _within(window.rows)][:, :, _within(window.columns)]
        return (values * factor + offset).astype(np.float32)

    return Series(
        name=variable.short_name,
        path=path,
        field=field,
        lat=np.asarray(array[dimension["lat"]].values),
        lon=np.asarray(array[dimension["lon"]].values),
        times=times,
        expver=_experiment_versions(array, dimension, time_name, len(times)),
        read=read,
        precision=lambda index: packing,
    )


def _dimension_kind(name: str) -> str:
    return next((kind for kind, names in _NAMES.items() if name.lower() in names), "")


def _slice(indices: np.ndarray) -> slice:
    """Return the smallest slice that holds the indices: files read slices far faster than lists of points."""
    return slice(int(indices.min()), int(indices.max()) + 1)


def _within(indices: np.ndarray) -> np.ndarray:
    return indices - indices.min()


def _level(array: xr.DataArray, dimension: dict[str, str], variable: Variable) -> int | None:
    """Return the index of the variable's level; None for a field without level dimension.

    Raises:
        _UnusableError: the level is another one, or the file does not say which.
    """
    level = (
        array[dimension["level"]]
        if "level" in dimension
        else next(
            (
                coordinate
                for name, coordinate in array.coords.items()
                if coordinate.ndim == 0 and _kind(coordinate) == "level"
            ),
            None,
        )
    )
    on_pressure = str(array.attrs.get("GRIB_typeOfLevel", "")).startswith("isobaric")
    if variable.pressure is None:
        if on_pressure or (level is not None and level.size > 1):
            raise _UnusableError(f"lies on pressure levels; {variable.short_name} is a surface field")
        return 0 if "level" in dimension else None
    if level is None:
        raise _UnusableError(
            "does not say on which pressure level it lies; it is not taken for "
            f"{variable.short_name} (files that the old CDS wrote for one single level lack it)"
        )
    units = spelled(str(level.attrs.get("units", "hPa")))
    if units not in ("hPa", "Pa"):
        raise _UnusableError(f"lies on levels in '{units}', not in hPa")
    pressures = np.atleast_1d(level.values).astype(np.float64) * (0.01 if units == "Pa" else 1.0)
    found = np.flatnonzero(np.abs(pressures - variable.pressure) < 1e-3)
    if not len(found):
        raise _UnusableError(
            f"has no level {variable.pressure} hPa (it has {', '.join(f'{value:g}' for value in pressures)})"
        )
    return int(found[0]) if "level" in dimension else None


def _times(where: str, array: xr.DataArray, dimension: dict[str, str]) -> tuple[str | None, np.ndarray]:
    """Return the name of the time dimension (None for a single time) and the times [T]."""
    name = dimension.get("time")
    candidates = [
        coordinate
        for coordinate in array.coords.values()
        if _kind(coordinate) == "time" and coordinate.dims in ((), (name,))
    ]
    # cfgrib: `time` is the start of the forecast, `valid_time` the time that the field is valid for
    candidates.sort(key=lambda coordinate: (str(coordinate.name) != "valid_time", coordinate.ndim == 0))
    candidates = [one for one in candidates if bool(one.ndim) == bool(name)] or candidates
    if not candidates:
        if name:
            raise InputError(
                where, f"the dimension '{name}' has no times", "give a file with a time coordinate"
            )
        return None, np.array([NO_TIME], dtype=np.int64)
    times = np.atleast_1d(candidates[0].values)
    if not np.issubdtype(times.dtype, np.datetime64):
        calendar = candidates[0].encoding.get("calendar", candidates[0].attrs.get("calendar", "unknown"))
        raise InputError(
            where,
            f"has times that are not of the standard calendar (calendar: {calendar})",
            "give data on the standard calendar",
        )
    if np.isnat(times).any():
        raise InputError(where, "has a time that is missing", "repair the time coordinate of the file")
    nanoseconds = times.astype("datetime64[ns]").astype(np.int64)
    return name, (
        nanoseconds + 500_000_000
    ) // 1_000_000_000  # hours kept as float32 are off by a few milliseconds


def _experiment_versions(
    array: xr.DataArray, dimension: dict[str, str], time_name: str | None, hours: int
) -> np.ndarray:
    versions = array.coords.get("expver")
    if versions is None or "expver" in dimension or versions.dims not in ((), (time_name,)):
        return np.full(hours, "")
    texts = [str(version).strip() for version in np.atleast_1d(versions.values)]
    texts = [str(int(float(text))).zfill(4) if text.replace(".", "").isdigit() else text for text in texts]
    return np.broadcast_to(np.array(texts), (hours,)).copy()


def _final_before_preliminary(values: np.ndarray, versions: np.ndarray) -> np.ndarray:
    """Merge [T, expver, H, W] of the old CDS to [T, H, W]: ERA5 where it is there, else ERA5T."""
    merged = np.full_like(values[:, 0], np.nan)
    for index in np.argsort(versions.astype(np.float64)):
        merged = np.where(np.isnan(merged), values[:, index], merged)
    return merged
