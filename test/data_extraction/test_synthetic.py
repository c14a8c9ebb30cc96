"""The synthetic atmosphere: the same wherever it is cut, plausible, predictable, and always marked."""

import netCDF4
import numpy as np
import pytest
from archive_files import read_month

from video_prediction_tools.data_extraction.grids import Area, Grid, regular_grid
from video_prediction_tools.data_extraction.period import Month
from video_prediction_tools.data_extraction.synthetic import Atmosphere, SyntheticSource
from video_prediction_tools.main_scripts.main_data_extraction import build_parser, main
from video_prediction_tools.main_scripts.program import run
from video_prediction_tools.metadata.record import read_record
from video_prediction_tools.metadata.variables import table, variable

NAMES = ["2t", "msl", "gph500", "t850", "tcc", "10u", "10v", "2d", "sp", "gph100", "t300"]
GRID = regular_grid(Area(54.9, 0.0, 38.4, 27.3), 0.9)
JANUARY, JULY = Month(2019, 1), Month(2019, 7)


def hours_of(month):
    return np.arange(month.start, month.end, 3600)


@pytest.fixture(scope="module")
def atmosphere():
    return Atmosphere(GRID, seed=1)


@pytest.fixture(scope="module")
def january(atmosphere):
    return {name: atmosphere.field(variable(name), hours_of(JANUARY)) for name in NAMES}


@pytest.fixture(scope="module")
def july(atmosphere):
    return {name: atmosphere.field(variable(name), hours_of(JULY)) for name in NAMES}


def test_every_variable_of_the_table_is_there(january):
    """In its range, finite, float32."""
    in_time = {name for name, entry in table().items() if entry.level != "constant"}
    assert {
        variable(name).short_name if variable(name).pressure is None else name.rstrip("0123456789")
        for name in NAMES
    } == in_time
    for name, values in january.items():
        low, high = variable(name).valid_range
        assert values.dtype == np.float32 and values.shape == (744, *GRID.shape)
        assert np.isfinite(values).all() and low < values.min() and values.max() < high


def test_a_program_run_is_marked_synthetic(tmp_path):
    """In the file, its title and source, and in metadata.json."""
    assert (
        run(
            main,
            build_parser(),
            [
                "--source",
                "synthetic",
                "--destination_dir",
                str(tmp_path),
                "--years",
                "2019",
                "--months",
                "2",
                "--variables",
                "2t",
                "msl",
                "--grid",
                "0.9",
                "--step_hours",
                "3",
            ],
        )
        == 0
    )
    for path in (tmp_path / "2019" / "02" / "era5_201902.nc", tmp_path / "constants.nc"):
        with netCDF4.Dataset(path) as file:
            assert file.synthetic == 1 and "SYNTHETIC" in file.title and "not real weather" in file.source
    details = read_record(tmp_path).details
    assert details["synthetic"] is True and "synthetic" in details["source"] and details["step_hours"] == 3
    with read_month(tmp_path, 2019, 2) as file:
        assert len(file["time"]) == 28 * 8 and file["2t"].shape[1:] == GRID.shape
        np.testing.assert_array_equal(file["latitude"][:], GRID.lat)


def test_independent_of_cuts(atmosphere, january):
    """One hour by itself, every third hour, and another grid with the same points give the same values."""
    times = hours_of(JANUARY)
    for name in ("2t", "tcc", "10v"):
        np.testing.assert_allclose(
            atmosphere.field(variable(name), times[500:501]), january[name][500:501], rtol=1e-5, atol=1e-5
        )
        np.testing.assert_allclose(
            atmosphere.field(variable(name), times[::3]), january[name][::3], rtol=1e-5, atol=1e-5
        )
    corner = Grid(GRID.lat[3:9], GRID.lon[10:20])
    np.testing.assert_allclose(
        Atmosphere(corner, 1).field(variable("2t"), times[:50]), january["2t"][:50, 3:9, 10:20], rtol=1e-5
    )
    np.testing.assert_allclose(Atmosphere(corner, 1).land, atmosphere.land[3:9, 10:20])
    assert (
        np.abs(Atmosphere(corner, 2).field(variable("2t"), times[:50]) - january["2t"][:50, 3:9, 10:20]).max()
        > 1
    )


def test_no_seam(atmosphere):
    """Continuous across the date line, Greenwich and the turn of the year; smooth at the poles."""
    lon = np.arange(-180.0, 180.0, 2.0)
    globe = Atmosphere(Grid(np.arange(90.0, -91.0, -2.0), lon), 1)
    times = np.arange(Month(2018, 12).end - 12 * 3600, Month(2018, 12).end + 12 * 3600, 3600)
    for name in ("2t", "msl", "t850", "10u"):
        values = globe.field(variable(name), times)
        inner = np.abs(np.diff(values, axis=2)).max()
        assert np.abs(values[:, :, 0] - values[:, :, -1]).max() <= inner
        hourly = np.abs(np.diff(values, axis=0)).max(axis=(1, 2))
        assert hourly[11] <= 2 * np.median(hourly), "a jump at the turn of the year"


def test_seasons_height_and_latitude(atmosphere, january, july):
    """Warmer in July, in the south, and down in the valleys; the other way round in the southern hemisphere."""
    assert july["2t"].mean() > january["2t"].mean() + 8
    for values in (january["2t"], january["gph500"], january["t850"]):
        assert values[:, -1].mean() > values[:, 0].mean()
    anomaly = january["2t"].mean(axis=0) - january["2t"].mean(axis=(0, 2))[:, None]
    high = atmosphere.orography > 800
    assert high.any() and anomaly[high].mean() < anomaly[atmosphere.orography < 100].mean() - 4
    south = Atmosphere(Grid(-GRID.lat[::-1], GRID.lon), 1)
    assert (
        south.field(variable("2t"), hours_of(JANUARY)[::12]).mean()
        > south.field(variable("2t"), hours_of(JULY)[::12]).mean() + 5
    )


def test_diurnal_cycle(atmosphere, july):
    """Over land large, highest in the afternoon of local solar time; over sea small; less under clouds."""
    land, sea = atmosphere.land > 0.95, atmosphere.land < 0.05
    assert land.mean() > 0.2 and sea.mean() > 0.2
    day = july["2t"].reshape(31, 24, *GRID.shape)
    cycle = day.mean(axis=0) - day.mean(axis=(0, 1))
    amplitude = (cycle.max(axis=0) - cycle.min(axis=0)) / 2
    assert amplitude[land].mean() > 3 * amplitude[sea].mean() and 2 < amplitude[land].mean() < 8
    solar = (np.arange(24)[:, None] + GRID.lon[None, :] / 15) % 24
    hottest = cycle[:, land].argmax(axis=0)
    assert np.abs(solar[hottest, np.nonzero(land)[1]] - 14.5).mean() < 1.5
    cloud = july["tcc"].reshape(31, 24, *GRID.shape).mean(axis=1)
    ranges = day.max(axis=1) - day.min(axis=1)
    assert ranges[:, land][cloud[:, land] < 0.2].mean() > 1.2 * ranges[:, land][cloud[:, land] > 0.8].mean()


def correlation(one, other):
    """Correlation over time and place of what departs from the mean in time."""
    one, other = one - one.mean(axis=0), other - other.mean(axis=0)
    return float((one * other).sum() / np.sqrt((one**2).sum() * (other**2).sum()))


def test_waves_are_shared_and_travel_east(january):
    """msl, gph500, t850, tcc and winds know of each other; patterns of msl move eastward with 5 to 20 m/s."""
    assert correlation(january["msl"], january["gph500"]) > 0.2
    assert (
        abs(correlation(january["t850"], january["2t"])) > 0.3
        and abs(correlation(january["tcc"], january["msl"])) > 0.1
    )
    msl = january["msl"] - january["msl"].mean(axis=0)
    row = msl[:, 8]  # 47.7 N
    shifts = np.arange(-8, 9)
    agreement = [np.mean(row[:-12, 8:-8] * np.roll(row[12:], -shift, axis=1)[:, 8:-8]) for shift in shifts]
    speed = shifts[int(np.argmax(agreement))] * 0.9 * 111e3 * np.cos(np.deg2rad(47.7)) / (12 * 3600)
    assert 5 < speed < 20
    # geostrophic balance (of the whole, friction turns it): the meridional wind follows the zonal pressure
    # gradient
    gradient = np.gradient(january["msl"], axis=2)
    assert correlation(january["10v"], gradient) > 0.8


def test_predictable_for_hours(january):
    """Persistence of the last frame is good for an hour and poor after ten; yesterday's hour is no oracle."""
    for name in ("2t", "msl", "t850"):
        values = january[name].astype(float)
        error = {lead: np.mean((values[lead:] - values[:-lead]) ** 2) for lead in (1, 10, 24)}
        assert error[1] < 0.1 * error[10] and error[24] > 0.3 * values.var(axis=0).mean()


def test_constants(atmosphere):
    """Land share 0..1, no height over open sea, mountains below 4000 m; Source delivers them on its grid."""
    assert 0 <= atmosphere.land.min() and atmosphere.land.max() <= 1
    assert atmosphere.orography.min() >= 0 and atmosphere.orography[atmosphere.land < 0.02].max() < 60
    assert 800 < atmosphere.orography.max() < 4000
    source = SyntheticSource([JANUARY], GRID, 1, 1)
    fields = source.constants([variable("lsm"), variable("oro")], GRID)
    np.testing.assert_array_equal(fields["lsm"].values, atmosphere.land)
