"""Known channels against values worked out by hand."""

import calendar
from datetime import UTC, datetime

import netCDF4
import numpy as np
import pytest

from video_prediction_tools.datasets.channels import (
    CLOCKS,
    Region,
    available,
    choose,
    clocks,
    known_channels,
    read_region,
)
from video_prediction_tools.errors import InputError


def at(*parts: int) -> int:
    """Return a UTC time in seconds since 1970."""
    return calendar.timegm(datetime(*parts, tzinfo=UTC).timetuple())


REGION = Region(
    np.array([52.0, 50.0]),
    np.array([-90.0, 0.0, 90.0, 179.0]),
    {
        "lsm": np.array([[0, 1, 0.5, 0], [1, 1, 0, 0]], np.float32),
        "oro": np.array([[0, 500, 250, -10], [2000, 8000, 0, 0]], np.float32),
    },
)


def channels(names, times, region=REGION):
    """Return known channels of one sequence as an array [T, H, W, K]."""
    height, width = 2, 4
    return np.asarray(known_channels(names, clocks(np.array([times])), region, height, width))[0]


def test_solar_time_by_hand():
    """At 12 UTC it is noon at 0 E, 6 h at 90 W, 18 h at 90 E, 23 h 56 min at 179 E."""
    wave = channels(["sin_solar_time", "cos_solar_time"], [at(2019, 3, 1, 12)])
    np.testing.assert_allclose(wave[0, 0, :3], [[1, 0], [0, -1], [-1, 0]], atol=1e-6)
    hour = 12 + 179 / 15
    np.testing.assert_allclose(
        wave[0, 1, 3], [np.sin(2 * np.pi * hour / 24), np.cos(2 * np.pi * hour / 24)], atol=1e-6
    )


def test_solar_time_same_across_date_line():
    """180 W and 180 E are one meridian; a continuous longitude of 190 is 170 W."""
    times = [at(2020, 2, 29, 7)]
    names = ["sin_solar_time", "cos_solar_time"]
    a = channels(names, times, Region(REGION.lat, np.array([180.0, 190.0, 0.0, 0.0])))
    b = channels(names, times, Region(REGION.lat, np.array([-180.0, -170.0, 360.0, 720.0])))
    np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize(
    "moment, share",
    [
        ((2019, 1, 1), 0.0),
        ((2019, 7, 2, 12), 182.5 / 365),
        ((2020, 7, 2), 0.5),
        ((2020, 12, 31, 12), 365.5 / 366),
        ((1969, 4, 1), 90 / 365),
    ],
)
def test_day_of_year_by_hand(moment, share):
    """0 on 1 January 00 UTC, half a year on 2 July; leap years and years before 1970 too."""
    wave = channels(["sin_day_of_year", "cos_day_of_year"], [at(*moment)])
    np.testing.assert_allclose(
        wave[0], np.broadcast_to([np.sin(2 * np.pi * share), np.cos(2 * np.pi * share)], (2, 4, 2)), atol=1e-6
    )


def test_every_frame_has_its_own_clock():
    """Lead frames carry the clock of the frame to be forecast; constants are the same in all."""
    times = [at(2019, 3, 1, 0) + 3600 * hour for hour in range(25)]
    known = channels(["lsm", "cos_solar_time", "oro"], times)
    assert known.shape == (25, 2, 4, 3)
    np.testing.assert_allclose(known[:, 0, 1, 1], np.cos(2 * np.pi * np.arange(25) / 24), atol=1e-6)
    np.testing.assert_array_equal(known[..., 0], np.broadcast_to(REGION.constants["lsm"], (25, 2, 4)))
    np.testing.assert_allclose(known[17, 1, 1, 2], 8.0)  # kilometres


def test_no_channels():
    """K may be 0."""
    assert channels([], [at(2019, 3, 1)]).shape == (1, 2, 4, 0)


def test_choose_and_what_is_lacking():
    """`all` means what is there; a channel that is not there is refused by name."""
    assert choose(["all"], REGION, "x") == ("lsm", "oro", *CLOCKS)
    assert choose(["all"], Region(None, None), "x") == ()
    one_season = choose(["all"], REGION, "x", whole_year=False)
    assert one_season == ("lsm", "oro", "sin_solar_time", "cos_solar_time")
    assert choose(["cos_solar_time", "lsm"], REGION, "x") == ("cos_solar_time", "lsm")
    with pytest.raises(InputError, match="lack the known channel 'oro' .*they have lsm"):
        choose(["oro"], Region(REGION.lat, REGION.lon, {"lsm": REGION.constants["lsm"]}), "x")
    with pytest.raises(InputError, match="'sin_solar_time' .*they have none"):
        choose(["sin_solar_time"], Region(None, None), "x")
    with pytest.raises(InputError, match="twice"):
        choose(["lsm", "lsm"], REGION, "x")


def write_constants(path, **fields):
    """Write constants.nc with the given fields [lat, lon]."""
    with netCDF4.Dataset(path, "w") as file:
        for name, size in zip(("lat", "lon"), next(iter(fields.values())).shape, strict=True):
            file.createDimension(name, size)
        for name, values in fields.items():
            file.createVariable(name, "f4", ("lat", "lon"), fill_value=-9.0)[:] = values


def test_read_region(tmp_path):
    """Constants are read where there are some; data without a place have neither clocks nor constants."""
    assert available(read_region(tmp_path, None, None)) == ()
    assert available(read_region(tmp_path, [52.0, 50.0], [0.0, 1.0])) == CLOCKS
    write_constants(tmp_path / "constants.nc", lsm=np.array([[0, 1], [0.25, 0]]))
    region = read_region(tmp_path, [52.0, 50.0], [0.0, 1.0])
    assert available(region) == ("lsm", *CLOCKS)
    np.testing.assert_array_equal(region.constants["lsm"], [[0, 1], [0.25, 0]])


@pytest.mark.parametrize(
    "damage, match",
    [
        (lambda path: path.write_bytes(b"no netcdf"), "cannot be read"),
        (lambda path: write_constants(path, lsm=np.zeros((3, 2))), "shape"),
        (lambda path: write_constants(path, lsm=np.array([[0, 1], [0, -9.0]])), "missing values"),
    ],
)
def test_wrong_constants(tmp_path, damage, match):
    """Damaged, on another grid, with holes."""
    damage(tmp_path / "constants.nc")
    with pytest.raises(InputError, match=match):
        read_region(tmp_path, [52.0, 50.0], [0.0, 1.0])
