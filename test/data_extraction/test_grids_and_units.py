"""Grids cut to areas, the spelling of units, and the length of classic NetCDF files."""

import netCDF4
import numpy as np
import pytest

from video_prediction_tools.data_extraction.classic_netcdf import required_bytes
from video_prediction_tools.data_extraction.grids import Area, Grid, regular_grid, tidy, window, window_onto
from video_prediction_tools.data_extraction.units import conversion, spelled
from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.variables import variable

LAT = np.arange(60.0, 29.9, -0.3)


def test_the_domain_of_the_original():
    """38.4 N 0 E to 54.9 N 27.3 E every 0.3 degrees: 56 x 92 points (AMBS' published domain)."""
    grid = regular_grid(Area(54.9, 0.0, 38.4, 27.3), 0.3)
    assert grid.shape == (56, 92) and grid.area() == [54.9, 0.0, 38.4, 27.3]
    assert regular_grid(Area(90, -180, -90, 180), 0.25).shape == (721, 1440)
    np.testing.assert_array_equal(regular_grid(Area(10, 170, 0, -170), 5).lon, [170, 175, 180, 185, 190])


def test_float32_noise_goes_dyadic_grids_stay():
    """58.3 stored as float32 is 58.3; T63 and 1.40625 degree coordinates keep all their digits."""
    np.testing.assert_array_equal(tidy(np.float32([58.3, -0.1, 359.7])), [58.3, -0.1, 359.7])
    np.testing.assert_array_equal(
        tidy(np.float32([1.40625, 5.625, 0.703125, 0.28125])), [1.40625, 5.625, 0.703125, 0.28125]
    )


@pytest.mark.parametrize("degrees", [0.25, 0.3, 1.40625, 2.5])
def test_window_takes_the_right_points(degrees):
    """A field that holds its own coordinates, in 0..360 and from south to north, cut across Greenwich."""
    lat, lon = np.arange(-90, 90.01, degrees), np.arange(0, 360 - degrees / 2, degrees)
    place = window(lat, lon, Area(55, -10, 45, 15), "test")
    rows, columns = lat[place.rows], (lon[place.columns] + 180) % 360 - 180
    np.testing.assert_allclose(rows, place.grid.lat, atol=1e-4)
    np.testing.assert_allclose(columns, place.grid.lon, atol=1e-4)
    assert (np.diff(place.grid.lat) < 0).all() and (np.diff(place.grid.lon) > 0).all()
    assert (
        place.grid.lat.max() <= 55 < place.grid.lat.max() + degrees and place.grid.lon.min() - degrees < -10
    )


def test_regions_without_area():
    """A stored region is unrolled at its widest gap: across Greenwich below 0, across the date line beyond
    180.
    """
    np.testing.assert_array_equal(
        window(LAT, np.array([0, 1, 2, 358, 359.0]), None, "x").grid.lon, [-2, -1, 0, 1, 2]
    )
    np.testing.assert_array_equal(
        window(LAT, np.array([-179, -178, 178, 179, 180.0]), None, "x").grid.lon, [178, 179, 180, 181, 182]
    )
    assert window(LAT, np.arange(0, 360, 1.5), None, "x").grid.lon[[0, -1]].tolist() == [-180, 178.5]
    assert len(window(LAT, np.arange(0, 360.1, 2.5), None, "x").grid.lon) == 144, "0 and 360 are one meridian"


def test_area_that_the_data_do_not_cover():
    """Edges within one spacing are no fault; a gap inside is."""
    window(LAT, np.arange(0, 20.1, 0.3), Area(60.2, 0, 40, 20.2), "x")
    for area in (Area(60.5, 0, 40, 20), Area(60, -1, 40, 20), Area(60, 0, 40, 20.5), Area(60, 100, 40, 120)):
        with pytest.raises(InputError, match="the data cover"):
            window(LAT, np.arange(0, 20.1, 0.3), area, "x")
    with pytest.raises(InputError, match="the data cover"):
        window(
            LAT, np.concatenate([np.arange(0, 10, 0.3), np.arange(12, 20.1, 0.3)]), Area(60, 1, 40, 19), "x"
        )


def test_window_onto():
    """The points of a grid in a global field, or None."""
    grid = Grid(np.array([58.0, 57.75]), np.array([-10.0, -9.75, -9.5]))
    place = window_onto(np.arange(90, -90.1, -0.25), np.arange(0, 360, 0.25), grid)
    assert place.rows.tolist() == [128, 129] and place.columns.tolist() == [1400, 1401, 1402]
    assert window_onto(np.arange(90, -90.1, -0.3), np.arange(0, 360, 0.3), grid) is None
    assert window_onto(np.arange(50, -90.1, -0.25), np.arange(0, 360, 0.25), grid) is None


@pytest.mark.parametrize(
    "text, unit",
    [
        ("m**2 s**-2", "m2 s-2"),
        ("m s**-1", "m s-1"),
        ("(0 - 1)", "1"),
        ("degK", "K"),
        ("millibars", "hPa"),
        ("gpm", "m"),
        ("furlong", "furlong"),
    ],
)
def test_spelling(text, unit):
    """As CDS, cfgrib and NCEP write them."""
    assert spelled(text) == unit


@pytest.mark.parametrize(
    "name, unit, other, expected",
    [
        ("2t", "K", False, (1, 0)),
        ("2t", "degC", False, (1, 273.15)),
        ("msl", "hPa", False, (100, 0)),
        ("tcc", "%", False, (0.01, 0)),
        ("gph500", "m**2 s**-2", True, (1 / 9.80665, 0)),
        ("gph500", "m**2 s**-2", False, (1 / 9.80665, 0)),
        ("gph500", "gpm", True, (1, 0)),
        ("gph500", None, True, (1 / 9.80665, 0)),
        ("gph500", None, False, (1, 0)),
        ("gph500", "dam", False, (10, 0)),
    ],
)
def test_conversion(name, unit, other, expected):
    """The unit decides whether a field is a geopotential or a height; without one, its name."""
    assert conversion(variable(name), unit, other, "x") == pytest.approx(expected)


@pytest.mark.parametrize("form", ["NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA"])
@pytest.mark.parametrize("records", [True, False])
@pytest.mark.parametrize("variables", [1, 2])
def test_length_of_classic_files(form, records, variables, tmp_path):
    """To the padding of the last value, what the library writes; a file cut by four bytes is too short."""
    with netCDF4.Dataset(tmp_path / "a.nc", "w", format=form) as file:
        file.title = "five"
        file.createDimension("time", None if records else 3)
        file.createDimension("x", 5)
        for number in range(variables):
            file.createVariable(f"v{number}", "i2", ("time", "x"))[:] = np.arange(15).reshape(3, 5)
    size = (tmp_path / "a.nc").stat().st_size
    assert size - 3 <= required_bytes(tmp_path / "a.nc") <= size
