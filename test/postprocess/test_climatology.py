"""Climatology of month and hour: from the training split, from a file, and what it does not cover."""

import numpy as np
import pytest
import xarray as xr

from video_prediction_tools.datasets.month_hours import month_and_hour
from video_prediction_tools.datasets.observations import Observations
from video_prediction_tools.errors import InputError
from video_prediction_tools.postprocess.climatology import read_climatology, training_climatology

from .conftest import seconds

LAT, LON = np.array([52.0, 51.0, 50.0]), np.array([-1.0, 0.0])


def climatology_file(path, *, hours=range(24), months=range(1, 13), units="K", lat=LAT, lon=LON, name="2t"):
    """Write a climatology whose values tell month and hour: 100 * month + hour."""
    values = (
        100.0 * np.array(months)[:, None, None, None]
        + np.array(hours)[None, :, None, None]
        + np.zeros((1, 1, len(lat), len(lon)))
    )
    xr.Dataset(
        {name: (("month", "hour", "lat", "lon"), values, {"units": units})},
        {"month": list(months), "hour": list(hours), "lat": lat, "lon": lon},
    ).to_netcdf(path)
    return path


def test_month_and_hour():
    month, hour = month_and_hour(
        seconds(["2019-03-01T00", "2020-02-29T23", "1969-12-31T05", "2019-12-31T23:30"])
    )
    assert month.tolist() == [3, 2, 12, 12] and hour.tolist() == [0, 23, 5, 23]


def test_from_the_training_split(uk_data, uk):
    """Against xarray's groupby on the same hours; only training hours count."""
    found = training_climatology(Observations(uk_data))
    train = uk[: 22 * 24, ::4, 24::4].astype(np.float64)
    expected = train.groupby("time.hour").mean()
    times = seconds("2031-03-05T00") + 3600 * np.arange(24)
    np.testing.assert_allclose(found.at(times)[..., 0], expected.values, rtol=1e-6)
    assert found.missing(times) == ""
    assert (
        found.missing(seconds(["2019-04-01T00", "2019-04-01T01", "2019-03-02T00"])) == "month 4 at 00, 01 UTC"
    )
    assert "528 time steps from 2019-03-01T00 to 2019-03-22T23 UTC" in found.origin


def test_from_a_file(tmp_path):
    """In any order, on a larger grid, with longitudes from 0 to 360."""
    path = climatology_file(
        tmp_path / "c.nc",
        lat=np.array([49.0, 50.0, 51.0, 52.0, 53.0]),
        lon=np.array([358.0, 359.0, 0.0, 1.0]),
        hours=range(23, -1, -1),
    )
    found = read_climatology(path, ("2t",), ("K",), LAT, LON)
    assert found.at(seconds(["2019-03-01T07", "2019-12-31T23"]))[:, 1, 1, 0].tolist() == [307.0, 1223.0]
    assert found.at(seconds("2019-03-01T07")).shape == (3, 2, 1)


def test_file_that_covers_a_part(tmp_path):
    path = climatology_file(tmp_path / "c.nc", months=[3, 4], hours=[0, 6, 12, 18])
    found = read_climatology(path, ("2t",), ("K",), LAT, LON)
    assert found.missing(seconds(["2019-03-01T06", "2019-04-30T18"])) == ""
    assert (
        found.missing(seconds(["2019-03-01T05", "2019-05-01T06"])) == "month 3 at 05 UTC; month 5 at 06 UTC"
    )


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"units": "degC"}, "'2t' has the unit 'degC', the data set has 'K'"),
        ({"name": "msl"}, r"holds no variable '2t' \[month, hour, lat, lon\]"),
        ({"lat": LAT + 0.1}, "its lat does not hold all grid points"),
        ({"lon": np.array([0.0, 1.0])}, "its lon does not hold all grid points"),
        ({"months": [0, 1]}, r"its coordinate 'month' is not made of 1\.\.12"),
    ],
)
def test_wrong_file(tmp_path, wrong, said):
    path = climatology_file(tmp_path / "c.nc", **wrong)
    with pytest.raises(InputError, match=said):
        read_climatology(path, ("2t",), ("K",), LAT, LON)


def test_no_file_and_no_netcdf(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_climatology(tmp_path / "absent.nc", ("2t",), ("K",), LAT, LON)
    (tmp_path / "text.nc").write_text("no NetCDF")
    with pytest.raises(InputError, match="cannot be read as NetCDF"):
        read_climatology(tmp_path / "text.nc", ("2t",), ("K",), LAT, LON)
