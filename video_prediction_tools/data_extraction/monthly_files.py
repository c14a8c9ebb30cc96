"""The writer of ExtractedData: checks what a source delivers, and writes the monthly CF files and
constants.nc.

All sources pass here (docs/data_formats.md, 'ExtractedData'). Conventions: CF-1.8.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np

from video_prediction_tools.data_extraction.grids import Grid
from video_prediction_tools.data_extraction.period import iso
from video_prediction_tools.data_extraction.weather import ConstantField, WeatherMonth
from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.files import netcdf_errors_as_os_errors
from video_prediction_tools.metadata.variables import Variable

CHUNK_BYTES = 1 << 20  # of one chunk of a file: one hour of a continent, some days of a small region
BLOCK_BYTES = 1 << 25  # of one variable in memory
COMPRESSION = {
    "zlib": True,
    "complevel": 1,
    "shuffle": True,
}  # higher levels gain 2 % and cost three times the time


def write_month(
    path: Path,
    weather: WeatherMonth,
    variables: Sequence[Variable],
    attributes: Mapping[str, Any],
    kept: tuple[Path, Sequence[Variable]] | None = None,
) -> dict[str, Any]:
    """Write one month.

    Arguments:
        path: the (temporary) file.
        weather: the month.
        variables: what to read from it.
        attributes: global attributes beside `Conventions`.
        kept: an earlier file of the same month, and its variables to carry over.

    Returns:
        what metadata.json says of the month: ``{"variables", "hours", "first", "last", "nan": {name:
        {"share", "first"}}}``.

    Raises:
        InputError: a value outside the variable's range, or a month without order.
    """
    times = weather.times
    if len(times) == 0 or (np.diff(times) <= 0).any():
        raise ValueError(f"{weather.month}: times must ascend strictly")  # a fault of ours: sources sort
    earlier_file, earlier = kept or (None, ())
    nan = {}
    with netcdf_errors_as_os_errors(path), netCDF4.Dataset(path, "w", format="NETCDF4") as file:
        _describe(file, weather.grid, attributes)
        _write_times(file, times)
        for variable in earlier:
            with netCDF4.Dataset(earlier_file) as before:
                before[variable.short_name].set_auto_mask(False)
                nan[variable.short_name] = _write_variable(
                    file,
                    variable,
                    weather,
                    lambda start, stop, stored=before[variable.short_name]: stored[start:stop],
                )
        for variable in variables:
            nan[variable.short_name] = _write_variable(
                file,
                variable,
                weather,
                lambda start, stop, name=variable.short_name: weather.read(name, start, stop),
            )
    return {
        "variables": [variable.short_name for variable in (*earlier, *variables)],
        "hours": len(times),
        "first": iso(times[0]),
        "last": iso(times[-1]),
        "nan": {name: found for name, found in nan.items() if found},
    }


def write_constants(
    path: Path,
    grid: Grid,
    fields: Mapping[str, ConstantField],
    variables: Sequence[Variable],
    attributes: Mapping[str, Any],
) -> None:
    """Write the fields that do not change in time, [latitude, longitude].

    Raises:
        InputError: a value outside the variable's range, or missing.
    """
    with netcdf_errors_as_os_errors(path), netCDF4.Dataset(path, "w", format="NETCDF4") as file:
        _describe(file, grid, attributes)
        for variable in variables:
            field = fields[variable.short_name]
            values = np.asarray(field.values, dtype=np.float32)
            if np.isnan(values).any():
                raise InputError(
                    field.origin,
                    f"{variable.short_name} has missing values in the region",
                    "give a complete field with --constants_source",
                )
            _check_range(values, variable, field.origin)
            if variable.valid_range[0] > -0.1 and variable.valid_range[1] < 1.1:
                values = np.clip(values, 0.0, 1.0)
            stored = _create(file, variable, ("latitude", "longitude"), None)
            stored[:] = values


def read_times(path: Path) -> np.ndarray:
    """Return the times [T] of a monthly file, int64 seconds since 1970-01-01T00:00Z."""
    with netCDF4.Dataset(path) as file:
        file["time"].set_auto_mask(False)
        return np.asarray(file["time"][:], dtype=np.int64)


def _describe(file: netCDF4.Dataset, grid: Grid, attributes: Mapping[str, Any]) -> None:
    file.setncatts({"Conventions": "CF-1.8", **attributes})
    for name, values, units in (
        ("latitude", grid.lat, "degrees_north"),
        ("longitude", grid.lon, "degrees_east"),
    ):
        file.createDimension(name, len(values))
        coordinate = file.createVariable(name, "f8", (name,))
        coordinate.setncatts(
            {"standard_name": name, "long_name": name, "units": units, "axis": "YX"[name == "longitude"]}
        )
        coordinate[:] = values


def _write_times(file: netCDF4.Dataset, times: np.ndarray) -> None:
    file.createDimension("time", len(times))
    stored = file.createVariable("time", "f8", ("time",))  # CF-1.8 knows no 64-bit integers
    stored.setncatts(
        {
            "standard_name": "time",
            "long_name": "time (UTC)",
            "units": "seconds since 1970-01-01",
            "calendar": "standard",
            "axis": "T",
        }
    )
    stored[:] = times


def _create(
    file: netCDF4.Dataset, variable: Variable, dimensions: tuple[str, ...], chunks: tuple[int, ...] | None
):
    stored = file.createVariable(
        variable.short_name, "f4", dimensions, fill_value=np.float32(np.nan), chunksizes=chunks, **COMPRESSION
    )
    stored.setncatts(
        {"standard_name": variable.standard_name, "long_name": variable.long_name, "units": variable.units}
    )
    return stored


def _write_variable(file: netCDF4.Dataset, variable: Variable, weather: WeatherMonth, read) -> dict[str, Any]:
    """Write one variable block by block; return the share of NaN and the first time with one ({} without)."""
    hours, (height, width) = len(weather.times), weather.grid.shape
    bytes_an_hour = 4 * height * width
    chunk = min(hours, max(1, CHUNK_BYTES // bytes_an_hour))
    block = chunk * max(1, BLOCK_BYTES // (chunk * bytes_an_hour))
    stored = _create(file, variable, ("time", "latitude", "longitude"), (chunk, height, width))
    missing, first = 0, None
    for start in range(0, hours, block):
        stop = min(start + block, hours)
        values = np.asarray(read(start, stop), dtype=np.float32)
        bad = np.isnan(values)
        if bad.any():
            missing += int(bad.sum())
            first = iso(weather.times[start + int(bad.any(axis=(1, 2)).argmax())]) if first is None else first
        outside = ~bad & ((values < variable.valid_range[0]) | (values > variable.valid_range[1]))
        if outside.any():
            hour = int(outside.any(axis=(1, 2)).argmax())
            _check_range(
                values[hour],
                variable,
                f"{weather.origin(variable.short_name, start + hour)}",
                f" at {iso(weather.times[start + hour])}",
            )
        stored[start:stop] = values
    return {"share": missing / (hours * height * width), "first": first} if missing else {}


def _check_range(values: np.ndarray, variable: Variable, origin: str, when: str = "") -> None:
    low, high = variable.valid_range
    outside = values[(values < low) | (values > high)]
    if outside.size:
        raise InputError(
            origin,
            f"{variable.short_name} is {outside.flat[0]:g}{when}, outside {low:g} to {high:g} "
            f"{variable.units}",
            "the unit is another one or the file is damaged: check it, or get it again",
        )
