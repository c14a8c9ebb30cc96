"""Extracted data for the tests, written as docs/data_formats.md says (independently of the extraction)."""

from pathlib import Path

import netCDF4
import numpy as np

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


def write_month_file(
    directory: Path,
    year: int,
    month: int,
    times: np.ndarray,
    fields: dict[str, np.ndarray],
    lat: np.ndarray,
    lon: np.ndarray,
) -> Path:
    """Write one month ``{variable: [T, lat, lon]}``."""
    path = month_file(directory, year, month)
    path.parent.mkdir(parents=True, exist_ok=True)
    with netCDF4.Dataset(path, "w") as file:
        for name, values in (("time", times), ("latitude", lat), ("longitude", lon)):
            file.createDimension(name, len(values))
            file.createVariable(name, np.asarray(values).dtype, (name,))[:] = values
        file["time"].units = "seconds since 1970-01-01"
        for name, values in fields.items():
            stored = file.createVariable(
                name,
                "f4",
                ("time", "latitude", "longitude"),
                zlib=True,
                complevel=1,
                shuffle=True,
                fill_value=np.float32(np.nan),
            )
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
    return {
        "2t": (280 + 5 * np.sin(hours / 24 * 2 * np.pi) + place + 0.1 * noise).astype(np.float32),
        "msl": (101325 + 800 * np.sin(hours / 100) + 10 * place + 5 * noise).astype(np.float32),
    }


def content_of(directory: Path) -> dict[str, bytes]:
    """All that a step wrote, but for what tells of the run itself."""
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name not in ("metadata.json", ".lock")
    }


MARCH_SPLIT = {
    "train": [["2019-03-01", "2019-03-22"]],
    "val": [["2019-03-23", "2019-03-24"]],
    "test": [["2019-03-25", "2019-03-31"]],
}
SMALL_SPLIT = {
    "train": {"2018": [1, 2]},
    "val": [["2018-03-01", "2018-03-10"]],
    "test": [["2018-03-11", "2018-03-31"]],
}


def uk(source, destination, split, **change) -> list:
    """Arguments for the UK in March 2019."""
    return arguments(
        source,
        destination,
        split,
        **{
            "years": [2019],
            "months": [3],
            "variables": ["2t"],
            "sw_corner": [50, -10],
            "nyx": [32, 48],
            **change,
        },
    )


def small_arguments(source, destination, split, **change) -> list:
    """Arguments for the fixture `small`."""
    return arguments(
        source,
        destination,
        split,
        **{
            "years": [2018],
            "months": [1, 2, 3],
            "variables": ["2t", "msl"],
            "sw_corner": [51, -4],
            "nyx": [6, 8],
            **change,
        },
    )


def arguments(source, destination, split, **flags) -> list:
    """Arguments of the program."""
    words = ["--source_dir", source, "--destination_dir", destination, "--data_split", split]
    for name, values in flags.items():
        words += [f"--{name}", *(values if isinstance(values, (list, tuple)) else [values])]
    return words


def refusal(outcome) -> str:
    """Check that a call was refused with one line, and return it."""
    code, _, err = outcome
    assert code == 2, err
    assert err.startswith("ERROR: ") and err.count("\n") == 1, err
    return err
