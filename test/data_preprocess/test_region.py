"""Regions: any corner of the globe, any order of the source, against xarray's own selection."""

import numpy as np
import pytest
import xarray

from video_prediction_tools.data_preprocess.region import choose_region
from video_prediction_tools.errors import InputError


def globe(lon_from: float, spacing: float = 2.5, south_first: bool = False) -> xarray.DataArray:
    """A global field whose values tell latitude and longitude (0..360)."""
    lat = np.arange(90, -90.1, -spacing)
    lat = lat[::-1] if south_first else lat
    lon = lon_from + np.arange(0, 360, spacing)
    values = lat[:, None] * 1000 + (lon % 360)[None, :]
    return xarray.DataArray(values, coords={"lat": lat, "lon": lon}, dims=("lat", "lon"))


@pytest.mark.parametrize("lon_from", [-180.0, 0.0])
@pytest.mark.parametrize("south_first", [False, True])
@pytest.mark.parametrize(
    "corner", [(50, -10), (-30, 170), (50, 350), (0, 177.5), (-90, -2.5), (10, 0), (10, 100)]
)
def test_any_corner_of_a_global_grid(lon_from, south_first, corner):
    field = globe(lon_from, south_first=south_first)
    region = choose_region(field.lat.values, field.lon.values, corner, (8, 12))
    cut = region.cut(field.values)
    assert region.lat.tolist() == [corner[0] + 2.5 * n for n in range(7, -1, -1)]
    west = corner[1] - 360 if corner[1] >= 180 else corner[1]
    assert region.lon.tolist() == [west + 2.5 * n for n in range(12)]  # from west to east, without a jump
    np.testing.assert_allclose(cut, region.lat[:, None] * 1000 + region.lon[None, :] % 360)


@pytest.mark.parametrize("lon", [np.arange(-10, 2.01, 0.25), np.arange(350, 362.01, 0.25)])
def test_across_greenwich_in_a_regional_source(lon):
    lat = np.arange(58, 49.9, -0.25)
    region = choose_region(lat, lon, (50, -10), (32, 48))
    assert (region.lat[0], region.lat[-1], region.lon[0], region.lon[-1]) == (57.75, 50, -10, 1.75)
    assert np.all(np.diff(region.lon) > 0)


def test_across_the_date_line_in_a_regional_source():
    region = choose_region(np.arange(-10, -20, -1.0), np.arange(170, 191, 1.0), (-19, -185), (5, 10))
    assert region.lon.tolist() == list(range(175, 185))


@pytest.mark.parametrize(
    "asked, taken",
    [
        ((50.1, -9.9), (50, -10)),
        ((50.13, -9.87), (50.25, -9.75)),
        ((49.9, -10.1), (50, -10)),
        ((50, 350), (50, -10)),
    ],
)
def test_the_grid_point_nearest_to_the_corner_is_taken(asked, taken):
    lat, lon = np.arange(58, 49.9, -0.25), np.arange(-10, 2.01, 0.25)
    region = choose_region(lat, lon, asked, (4, 4))
    assert (region.lat[-1], region.lon[0]) == taken
    field = xarray.DataArray(lat[:, None] * 1000 + lon, coords={"lat": lat, "lon": lon}, dims=("lat", "lon"))
    expected = field.sel(lat=region.lat, lon=region.lon)
    np.testing.assert_array_equal(region.cut(field.values), expected)


def test_nearest_across_the_edge_of_a_global_grid():
    lon = np.arange(0, 360, 0.25)
    assert choose_region(np.arange(90, -90.1, -0.25), lon, (0, 359.9), (2, 2)).lon.tolist() == [0, 0.25]


@pytest.mark.parametrize(
    "corner, nyx, message",
    [
        ((50, -10), (1, 48), "--nyx: ny is 1; give at least 2"),
        ((50, -10), (32, 0), "--nyx: nx is 0"),
        ((50, -10), (32, -3), "--nyx: nx is -3"),
        (
            (50, -10),
            (34, 48),
            r"--nyx: ny is 34, but the data have 33 points there \(they cover 58 N to 50 N, 10 W to 2 E\)",
        ),
        ((50, -10), (33, 1000), "--nyx: nx is 1000, but the data have 49"),
        ((52, -10), (30, 48), "ny = 30 reaches beyond the data, which hold 25 points north of the corner"),
        ((50, -9), (30, 48), "nx = 48 reaches beyond the data, which hold 45 points east of the corner"),
        (
            (49.8, -10),
            (4, 4),
            r"--sw_corner: 49.8 degrees north lies outside the data \(they cover 58 N to 50 N, 10 W to 2 E\)",
        ),
        ((50, 5), (4, 4), "--sw_corner: .* degrees east lies outside the data"),
        ((50, -20), (4, 4), "--sw_corner: .* degrees east lies outside the data"),
        ((95, 0), (4, 4), "--sw_corner: 95 0 is no point on Earth"),
        ((50, 1000), (4, 4), "is no point on Earth"),
        ((float("nan"), 0), (4, 4), "is no point on Earth"),
    ],
)
def test_regions_that_do_not_fit_are_refused(corner, nyx, message):
    with pytest.raises(InputError, match=message):
        choose_region(np.arange(58, 49.9, -0.25), np.arange(-10, 2.01, 0.25), corner, nyx)


def test_a_whole_turn_and_no_more():
    lat, lon = np.arange(90, -90.1, -2.5), np.arange(0, 360, 2.5)
    assert len(choose_region(lat, lon, (0, -180), (4, 144)).lon) == 144
    with pytest.raises(InputError, match="nx is 145"):
        choose_region(lat, lon, (0, -180), (4, 145))
