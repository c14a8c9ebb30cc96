"""Small archives for the tests of the extraction, and the monthly files that come out."""

from pathlib import Path

import netCDF4
import numpy as np

LAT, LON = np.array([52.0, 51.5, 51.0, 50.5]), np.array([-1.0, -0.5, 0.0, 0.5, 1.0])


def read_month(directory: Path, year: int, month: int) -> netCDF4.Dataset:
    """Open a monthly file, as numbers without masks."""
    file = netCDF4.Dataset(
        Path(directory) / f"{year:04d}" / f"{month:02d}" / f"era5_{year:04d}{month:02d}.nc"
    )
    file.set_auto_mask(False)
    return file


def seconds(text: str) -> int:
    """Seconds since 1970 of an ISO time, by numpy (the code under test uses datetime)."""
    return int(np.datetime64(text, "s").astype(np.int64))


def hours(first: str, number: int, step: int = 1) -> np.ndarray:
    """Times [number] from `first` on."""
    return seconds(first) + 3600 * step * np.arange(number)


def field(times: np.ndarray, lat: np.ndarray = LAT, lon: np.ndarray = LON) -> np.ndarray:
    """Temperature [T, lat, lon] that tells hour and place apart (wave number 1 in longitude, any convention
    of it).
    """
    hour = (np.asarray(times) % 864000 / 36000.0)[:, None, None]
    return (280.0 + hour + 0.1 * lat[None, :, None] + 3 * np.cos(np.deg2rad(lon))[None, None, :]).astype(
        np.float32
    )


def write_netcdf(
    path: Path,
    times: np.ndarray,
    values: np.ndarray | None = None,
    lat: np.ndarray = LAT,
    lon: np.ndarray = LON,
    name: str = "t2m",
    units: str | None = "K",
    names: tuple[str, str, str] = ("valid_time", "latitude", "longitude"),
    expver: list[str] | None = None,
    level: int | None = None,
    packed: bool = False,
    form: str = "NETCDF4",
) -> Path:
    """Write one variable [T, lat, lon] as archives hold it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = field(times, lat, lon) if values is None else values
    with netCDF4.Dataset(path, "w", format=form) as file:
        for dimension, coordinate, unit in zip(
            names,
            (np.asarray(times) / 3600.0, lat, lon),
            ("hours since 1970-01-01", "degrees_north", "degrees_east"),
            strict=True,
        ):
            file.createDimension(dimension, len(coordinate))
            stored = file.createVariable(dimension, "f8", (dimension,))
            stored.units = unit
            stored[:] = coordinate
        dimensions = list(names)
        if expver is not None:
            file.createVariable("expver", str, (names[0],))[:] = np.array(expver, dtype=object)
        if level is not None:
            file.createDimension("pressure_level", 1)
            stored = file.createVariable("pressure_level", "f8", ("pressure_level",))
            stored.units, stored[:] = "hPa", [level]
            dimensions.insert(1, "pressure_level")
            values = values[:, None]
        if packed:
            stored = file.createVariable(name, "i2", dimensions, fill_value=-32767)
            stored.scale_factor = float(values.max() - values.min()) / 65000
            stored.add_offset = float(values.max() + values.min()) / 2
        else:
            stored = file.createVariable(name, "f4", dimensions, fill_value=np.float32(np.nan))
        if units is not None:
            stored.units = units
        stored[:] = values
    return path
