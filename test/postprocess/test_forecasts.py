"""forecasts.nc: CF layout, what is written is read back, ensembles, what a diverged model leaves."""

import netCDF4
import numpy as np
import pytest
import xarray as xr

from video_prediction_tools.datasets.tfrecords import read_index
from video_prediction_tools.errors import InputError
from video_prediction_tools.postprocess.forecasts import ForecastFile, Grid, by_network, write_forecasts
from video_prediction_tools.postprocess.sequences import choose_sequences

from .conftest import CONTEXT, LEAD, StandIn, seconds


@pytest.fixture(scope="module")
def sequences(uk_data):
    return choose_sequences(read_index(uk_data / "tfrecords"), "test", CONTEXT, LEAD)


@pytest.fixture(scope="module")
def grid(uk):
    cut = uk[:, ::4, 24::4]
    return Grid(("2t",), ("K",), cut["latitude"].values, cut["longitude"].values)


def write(path, sequences, grid, forecaster=None, *, members=None, batch_size=10):
    write_forecasts(
        path,
        by_network(forecaster or StandIn(), None, members, 1),
        sequences,
        grid,
        members=members,
        batch_size=batch_size,
        attributes={"title": "a test", "model": "stand-in"},
    )
    return path


def test_members_that_the_disk_can_never_hold(sequences, grid, tmp_path):
    with pytest.raises(
        InputError, match=r"66 forecasts of 1000000000 members are 4.99e\+04 GB before .*fewer"
    ):
        write(tmp_path / "forecasts.nc", sequences, grid, members=10**9)
    assert not list(tmp_path.iterdir())


def test_sequences(sequences):
    """72 hours in the test split: init times from the 4th hour (2019-03-25 03 UTC) to the 69th."""
    assert len(sequences) == 66
    np.testing.assert_array_equal(sequences.init_times, seconds("2019-03-25T03") + 3600 * np.arange(66))
    np.testing.assert_array_equal(sequences.valid_times[0], seconds("2019-03-25T03") + 3600 * np.arange(1, 4))


def test_stride(uk_data):
    index = read_index(uk_data / "tfrecords")
    chosen = choose_sequences(index, "test", CONTEXT, LEAD, stride_hours=12)
    assert (np.diff(chosen.init_times) == 12 * 3600).all() and len(chosen) == 6
    frames, times = next(chosen.batches(6))
    np.testing.assert_array_equal(times[:, CONTEXT - 1], chosen.init_times)
    assert frames.shape == (6, CONTEXT + LEAD, 9, 7, 1)


def test_sequences_too_short(uk_data):
    with pytest.raises(InputError, match=r"sequences have 7 frames, the model needs 10 \+ 10"):
        choose_sequences(read_index(uk_data / "tfrecords"), "test", 10, 10)


def test_written_and_read_back(tmp_path, sequences, grid, uk):
    truth = uk[24 * 24 : 27 * 24, ::4, 24::4].values
    with ForecastFile(write(tmp_path / "forecasts.nc", sequences, grid)) as file:
        assert len(file) == 66 and file.members is None and file.members_clause == ""
        forecast, observed, batch = file.read(slice(5, 8))
    for row in range(3):
        np.testing.assert_array_equal(
            observed[row, ..., 0], truth[5 + row + CONTEXT : 5 + row + CONTEXT + LEAD]
        )
        np.testing.assert_array_equal(batch.last_frame[row, ..., 0], truth[5 + row + CONTEXT - 1])
        context = truth[5 + row : 5 + row + CONTEXT]
        expected = 0.96 * context[-1] + 0.04 * context.mean(axis=0)
        np.testing.assert_allclose(forecast[row, 1, ..., 0], expected, rtol=1e-6)


def test_cf_layout(tmp_path, sequences, grid):
    path = write(tmp_path / "forecasts.nc", sequences, grid)
    with netCDF4.Dataset(path) as file:
        forecast, truth = file["2t_forecast"], file["2t_truth"]
        assert forecast.dimensions == truth.dimensions == ("init_time", "lead_time", "lat", "lon")
        assert file.Conventions == "CF-1.8"
        assert (forecast.units, forecast.standard_name, forecast.dtype) == (
            "K",
            "air_temperature",
            np.float32,
        )
        assert forecast.coordinates == "valid_time" and forecast.filters()["zlib"]
        assert file["init_time"].standard_name == "forecast_reference_time"
        assert (file["lead_time"].units, file["lead_time"].standard_name) == ("hours", "forecast_period")
        assert file["lead_time"][:].tolist() == [1.0, 2.0, 3.0]
        assert file["valid_time"].standard_name == "time" and not file["valid_time"].ncattrs().count(
            "_FillValue"
        )
        assert not np.ma.is_masked(forecast[:]) and np.isfinite(forecast[:]).all()
    with xr.open_dataset(path, decode_timedelta=True) as data:  # opens with its times decoded
        assert data["init_time"].values[0] == np.datetime64("2019-03-25T03")
        assert data["valid_time"].values[0, 2] == np.datetime64("2019-03-25T06")
        assert (data["init_time"] + data["lead_time"] == data["valid_time"]).all()


def test_batch_size_changes_nothing(tmp_path, sequences, grid):
    one = write(tmp_path / "one.nc", sequences, grid, batch_size=66)
    other = write(tmp_path / "other.nc", sequences, grid, batch_size=7)
    with (
        xr.open_dataset(one, decode_timedelta=False) as a,
        xr.open_dataset(other, decode_timedelta=False) as b,
    ):
        xr.testing.assert_identical(a, b)


def test_ensemble(tmp_path, sequences, grid):
    path = write(tmp_path / "forecasts.nc", sequences, grid, StandIn(stochastic=True), members=4)
    with netCDF4.Dataset(path) as file:
        members = file["2t_forecast"]
        assert (
            members.dimensions == ("init_time", "lead_time", "member", "lat", "lon") and members.shape[2] == 4
        )
        values = members[:]
    assert values.std(axis=2).min() > 0  # every member is another forecast
    assert np.abs(values[0, :, 0] - values[10, :, 0]).min() > 0
    with ForecastFile(path) as file:
        forecast, _, _ = file.read([0, 3])
        np.testing.assert_allclose(forecast[..., 0], values[[0, 3]].mean(axis=2), rtol=1e-6)
        assert file.members_clause == ", mean of 4 members"
    again = write(tmp_path / "again.nc", sequences, grid, StandIn(stochastic=True), members=4)
    with netCDF4.Dataset(again) as file:
        np.testing.assert_array_equal(file["2t_forecast"][:], values)  # same seed, same members


def test_diverged_model(tmp_path, sequences, grid):
    """Values that are not finite are named, and no file is left that looks whole."""

    class Diverged(StandIn):
        def forecast(self, context, times, seeds, region):
            forecast = super().forecast(context, times, seeds, region)
            forecast[times[:, CONTEXT - 1] == seconds("2019-03-25T20"), 1, 2, 3] = np.nan
            return forecast

    with pytest.raises(InputError, match="not finite .first at init_time 2019-03-25T20"):
        write(tmp_path / "forecasts.nc", sequences, grid, Diverged())
    assert list(tmp_path.iterdir()) == []


def test_damaged_file(tmp_path, sequences, grid):
    path = write(tmp_path / "forecasts.nc", sequences, grid)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError, match="cannot be read as NetCDF"):
        ForecastFile(path)
    with pytest.raises(InputError, match="does not exist"):
        ForecastFile(tmp_path / "absent.nc")
    xr.Dataset({"a": 1}).to_netcdf(tmp_path / "foreign.nc")
    with pytest.raises(InputError, match="has no .*init_time"):
        ForecastFile(tmp_path / "foreign.nc")
