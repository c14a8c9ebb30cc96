"""Extracted data for the tests, written as docs/data_formats.md says (independently of the extraction)."""

import json
from pathlib import Path

import netCDF4
import numpy as np
import pytest

from video_prediction_tools.metadata.names import constants_file, month_file
from video_prediction_tools.metadata.record import running

UNITS = {"2t": "K", "msl": "Pa", "tcc": "1", "lsm": "1", "oro": "m"}


def seconds(year: int, month: int, day: int = 1, hour: int = 0) -> int:
    """Seconds since 1970, by numpy (the code under test uses datetime)."""
    return int(np.datetime64(f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}", "s").astype(np.int64))


def month_hours(year: int, month: int, step: int = 1) -> np.ndarray:
    """All times of a month."""
    start = seconds(year, month)
    stop = seconds(year + month // 12, month % 12 + 1)
    return np.arange(start, stop, step * 3600, dtype=np.int64)


def write_month_file(directory: Path, year: int, month: int, times: np.ndarray, fields: dict[str, np.ndarray],
                     lat: np.ndarray, lon: np.ndarray) -> Path:
    """Write one month ``{variable: [T, lat, lon]}``."""
    path = month_file(directory, year, month)
    path.parent.mkdir(parents=True, exist_ok=True)
    with netCDF4.Dataset(path, "w") as file:
        for name, values in (("time", times), ("latitude", lat), ("longitude", lon)):
            file.createDimension(name, len(values))
            file.createVariable(name, np.asarray(values).dtype, (name,))[:] = values
        file["time"].units = "seconds since 1970-01-01"
        for name, values in fields.items():
            stored = file.createVariable(name, "f4", ("time", "latitude", "longitude"), zlib=True, complevel=1,
                                         shuffle=True, fill_value=np.float32(np.nan))
            stored.units = UNITS[name]
            stored[:] = values
    return path


def write_constants_file(directory: Path, lat: np.ndarray, lon: np.ndarray, **fields: np.ndarray) -> None:
    """Write constants.nc."""
    with netCDF4.Dataset(constants_file(directory), "w") as file:
        for name, values in (("latitude", lat), ("longitude", lon)):
            file.createDimension(name, len(values))
            file.createVariable(name, "f8", (name,))[:] = values
        for name, values in fields.items():
            file.createVariable(name, "f4", ("latitude", "longitude"))[:] = values


def note(directory: Path, **details: object) -> None:
    """Write the metadata.json that a finished extraction leaves."""
    with running(directory, kind="extracted_data", name="", program="test", arguments={}) as opened:
        opened.record.outputs.clear()
        for path in sorted(directory.rglob("*.nc")):
            opened.add_output(path)
        opened.record.details = {"source": "test", "synthetic": False, **details}


def weather(times: np.ndarray, lat: np.ndarray, lon: np.ndarray, seed: int = 0) -> dict[str, np.ndarray]:
    """Made-up 2t [K] and msl [Pa], whose values tell time and place: a shift by one point or hour shows."""
    rng = np.random.default_rng(seed)
    hours = (times / 3600.0)[:, None, None]
    place = 0.1 * lat[:, None] + 0.01 * ((np.asarray(lon) + 180.0) % 360.0)[None, :]
    noise = rng.normal(size=(len(times), len(lat), len(lon)))
    return {"2t": (280 + 5 * np.sin(hours / 24 * 2 * np.pi) + place + 0.1 * noise).astype(np.float32),
            "msl": (101325 + 800 * np.sin(hours / 100) + 10 * place + 5 * noise).astype(np.float32)}


@pytest.fixture(scope="session")
def uk_extracted(shared_data, tmp_path_factory) -> Path:
    """Extracted data made from the real ERA5 of March 2019 over the UK, with the real land-sea mask."""
    import xarray

    directory = tmp_path_factory.mktemp("uk") / "ExtractedData"
    source = shared_data / "era5" / "uk_2019-03" / "era5-2mt-2019-03-uk.grib"
    with xarray.open_dataset(source, engine="cfgrib", backend_kwargs={"indexpath": ""}) as grib:
        times = grib.time.values.astype("datetime64[s]").astype(np.int64)
        lat, lon = grib.latitude.values, grib.longitude.values
        write_month_file(directory, 2019, 3, times, {"2t": grib.t2m.values}, lat, lon)
    with xarray.open_dataset(shared_data / "era5" / "static_global" / "lsm_era5.nc") as static:
        mask = static.lsm.squeeze().sel(latitude=lat, longitude=lon % 360)
        write_constants_file(directory, lat, lon, lsm=mask.values)
    note(directory)
    return directory


@pytest.fixture
def small(tmp_path) -> Path:
    """Extracted data of three months of 2018 (hourly, 2t and msl, 8 x 10 points)."""
    directory = tmp_path / "ExtractedData"
    lat, lon = np.linspace(57, 50, 8), np.linspace(-5, 4, 10)
    for month in (1, 2, 3):
        times = month_hours(2018, month)
        write_month_file(directory, 2018, month, times, weather(times, lat, lon, seed=month), lat, lon)
    write_constants_file(directory, lat, lon, lsm=(lat[:, None] + lon[None, :] > 54), oro=lat[:, None] * lon[None, :])
    note(directory)
    return directory


MARCH_SPLIT = {"train": [["2019-03-01", "2019-03-22"]], "val": [["2019-03-23", "2019-03-24"]],
               "test": [["2019-03-25", "2019-03-31"]]}
SMALL_SPLIT = {"train": {"2018": [1, 2]}, "val": [["2018-03-01", "2018-03-10"]], "test": [["2018-03-11", "2018-03-31"]]}


@pytest.fixture
def write_split(tmp_path):
    """Write a data split (or any text) and return its path."""
    def write(content: object, name: str = "split.json") -> Path:
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write
