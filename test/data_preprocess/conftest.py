"""What the tests of preprocessing share."""

import json
from pathlib import Path

import extracted_files as data
import numpy as np
import pytest


@pytest.fixture(scope="session")
def uk_extracted(shared_data, tmp_path_factory) -> Path:
    """Extracted data made from the real ERA5 of March 2019 over the UK, with the real land-sea mask."""
    import xarray

    directory = tmp_path_factory.mktemp("uk") / "ExtractedData"
    source = shared_data / "era5" / "uk_2019-03" / "era5-2mt-2019-03-uk.grib"
    with xarray.open_dataset(source, engine="cfgrib", backend_kwargs={"indexpath": ""}) as grib:
        times = grib.time.values.astype("datetime64[s]").astype(np.int64)
        lat, lon = grib.latitude.values, grib.longitude.values
        data.write_month_file(directory, 2019, 3, times, {"2t": grib.t2m.values}, lat, lon)
    with xarray.open_dataset(shared_data / "era5" / "static_global" / "lsm_era5.nc") as static:
        mask = static.lsm.squeeze().sel(latitude=lat, longitude=lon % 360)
        data.write_constants_file(directory, lat, lon, lsm=mask.values)
    data.note(directory)
    return directory


@pytest.fixture
def small(tmp_path) -> Path:
    """Extracted data of three months of 2018 (hourly, 2t and msl, 8 x 10 points)."""
    directory = tmp_path / "ExtractedData"
    lat, lon = np.linspace(57, 50, 8), np.linspace(-5, 4, 10)
    for month in (1, 2, 3):
        times = data.month_hours(2018, month)
        data.write_month_file(
            directory, 2018, month, times, data.weather(times, lat, lon, seed=month), lat, lon
        )
    data.write_constants_file(
        directory, lat, lon, lsm=(lat[:, None] + lon[None, :] > 54), oro=lat[:, None] * lon[None, :]
    )
    data.note(directory)
    return directory


@pytest.fixture
def write_split(tmp_path):
    """Write a data split (or any text) and return its path."""

    def write(content: object, name: str = "split.json") -> Path:
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


@pytest.fixture
def call(capsys):
    """Run a program in this process: ``call(module, *args) -> (exit code, stdout, stderr)``."""

    def run_in_process(module, *args):
        from video_prediction_tools.main_scripts.program_on_ranks import run_on_ranks

        capsys.readouterr()
        code = run_on_ranks(module.main, module.build_parser(), [str(word) for word in args])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run_in_process
