"""Archives: real ERA5 and NCEP files against xarray and cfgrib, and every convention of coordinates."""

import json
from pathlib import Path

import eccodes
import netCDF4
import numpy as np
import pytest
import xarray as xr
from archive_files import LAT, LON, field, hours, read_month, seconds, write_netcdf

from video_prediction_tools.metadata.record import read_record

GRAVITY = 9.80665


def test_uk_grib_with_mask(shared_data, archive_run, tmp_path):
    """The GRIB of the main line equals what cfgrib reads; the mask is cut from the globe (0..360 against 10 W
    .. 2 E).
    """
    source = shared_data / "era5" / "uk_2019-03"
    before = sorted(path.name for path in source.iterdir())
    code, _, _ = archive_run(
        source, "--constants", "lsm", "--constants_source", shared_data / "era5" / "static_global"
    )
    assert code == 0
    with (
        read_month(tmp_path / "ExtractedData", 2019, 3) as file,
        xr.open_dataset(
            source / "era5-2mt-2019-03-uk.grib", engine="cfgrib", backend_kwargs={"indexpath": ""}
        ) as truth,
    ):
        np.testing.assert_array_equal(file["2t"][:], truth["t2m"].values)
        np.testing.assert_array_equal(
            file["time"][:], truth["valid_time"].values.astype("datetime64[s]").astype(np.int64)
        )
        np.testing.assert_array_equal(file["latitude"][:], np.arange(58.0, 49.9, -0.25))
        np.testing.assert_array_equal(file["longitude"][:], np.arange(-10.0, 2.1, 0.25))
        assert (
            file["2t"].dtype == np.float32
            and file["2t"].units == "K"
            and file["2t"].standard_name == "air_temperature"
        )
        assert file.Conventions == "CF-1.8" and file.synthetic == 0 and file.step_hours == 1
    with netCDF4.Dataset(tmp_path / "ExtractedData" / "constants.nc") as file:
        mask = file["lsm"][:]
        assert mask.shape == (33, 49) and list(file.variables) == ["latitude", "longitude", "lsm"]
        with xr.open_dataset(shared_data / "era5" / "static_global" / "lsm_era5.nc") as globe:
            lon = np.arange(-10.0, 2.1, 0.25) % 360
            truth = globe["lsm"][0].sel(latitude=np.arange(58.0, 49.9, -0.25), longitude=lon).values
        np.testing.assert_array_equal(mask, truth)
        london, atlantic = (
            mask[26, 40],
            mask[20, 0],
        )  # 51.5 N 0 E and 53 N 10 W: land and, in Galway Bay, part of it
        assert london > 0.9 and mask[0, 0] == 0.0 and 0 <= atlantic <= 1
    record = read_record(tmp_path / "ExtractedData")
    assert record.details["variables"] == ["2t"] and record.details["area"] == [58.0, -10.0, 50.0, 2.0]
    assert record.details["step_hours"] == 1 and record.details["synthetic"] is False
    assert (
        record.details["months"]["2019-03"]["hours"] == 744
        and record.details["months"]["2019-03"]["gaps"] == []
    )
    assert sorted(path.name for path in source.iterdir()) == before, "nothing is written into the archive"


def test_davos_packed_netcdf_with_pressure_levels(shared_data, archive_run, tmp_path):
    """gph500 is the geopotential of 500 hPa over g (not the surface one beside it), oro the surface one."""
    source = shared_data / "era5" / "davos_2020-01"
    assert archive_run(source, years=("2020",), months=("1",), names=("2t", "gph500", "t700"))[0] == 0
    with (
        read_month(tmp_path / "ExtractedData", 2020, 1) as file,
        xr.open_dataset(source / "PLEV_202001.nc") as levels,
    ):
        assert len(file["time"]) == 744
        truth = levels["z"].sel(level=500).values / GRAVITY
        np.testing.assert_allclose(file["gph500"][:], truth, rtol=1e-6)
        assert 5000 < file["gph500"][:].mean() < 5800 and file["gph500"].units == "m"
        np.testing.assert_allclose(file["t700"][:], levels["t"].sel(level=700).values, rtol=1e-6)
    with netCDF4.Dataset(tmp_path / "ExtractedData" / "constants.nc") as file:
        assert "lsm" not in file.variables
        assert 1500 < file["oro"][:].mean() < 2500  # the Alps around Davos


def test_norway_new_netcdf(shared_data, archive_run, tmp_path):
    """6-hourly 2t, msl and t850 of two files on one of the two grids of the directory."""
    source = shared_data / "era5" / "norway_2025-06"
    code, out, _ = archive_run(source, years=("2025",), months=("6",), names=("2t", "msl", "t850"))
    assert code == 0 and "92 time steps are missing" in out
    with read_month(tmp_path / "ExtractedData", 2025, 6) as file:
        assert file.step_hours == 6 and file["t850"].shape == (28, 61, 61)
        with xr.open_dataset(source / "4a1f46cd2447ab83c1f564af59d53023.nc") as truth:
            np.testing.assert_array_equal(file["t850"][:], truth["t"].sel(pressure_level=850).values)
        with xr.open_dataset(source / "4d2238a45558de23ef37ca2e27a0315.nc") as truth:
            np.testing.assert_array_equal(file["msl"][:], truth["msl"].values)
    with netCDF4.Dataset(tmp_path / "ExtractedData" / "constants.nc") as file:
        assert set(file.variables) == {"latitude", "longitude", "lsm", "oro"}


def test_norway_two_grids(shared_data, archive_run, refused):
    """2t alone lies on both grids of the directory: the user must choose, by file or by area."""
    source = shared_data / "era5" / "norway_2025-06"
    line = refused(source, years=("2025",), months=("6",))
    assert "61 x 61" in line and "64 x 112" in line and "norway_surface.nc" in line
    assert archive_run(source, "--area", "72", "5", "58", "31", years=("2025",), months=("6",))[0] == 0


def test_western_usa_two_gribs(shared_data, archive_run, tmp_path):
    """Two files of a week each, 6-hourly, become one month; lsm and oro come from the same files."""
    source = shared_data / "era5" / "western_usa_2025-01"
    assert (
        archive_run(
            source, "--area", "40", "-120", "35", "-115", years=("2025",), months=("1",), names=("msl", "10u")
        )[0]
        == 0
    )
    with read_month(tmp_path / "ExtractedData", 2025, 1) as file:
        np.testing.assert_array_equal(file["time"][:], hours("2025-01-01T00", 56, 6))
        assert file["msl"].shape == (56, 21, 21)
        for number, path in enumerate(sorted(source.iterdir())):
            with xr.open_dataset(
                path,
                engine="cfgrib",
                backend_kwargs={"indexpath": "", "filter_by_keys": {"shortName": "msl"}},
            ) as truth:
                cut = truth["msl"].sel(latitude=slice(40, 35), longitude=slice(-120, -115)).values
                np.testing.assert_array_equal(file["msl"][28 * number : 28 * (number + 1)], cut)
    with netCDF4.Dataset(tmp_path / "ExtractedData" / "constants.nc") as file:
        assert file["lsm"][:].mean() > 0.9 and 500 < file["oro"][:].mean() < 2500


def test_ncep_zarr(shared_data, archive_run, refused, tmp_path):
    """A Zarr store in 0..360 whose variable has another name."""
    source = shared_data / "ncep" / "na_6hourly_2013-2014"
    line = refused(source, years=("2013",), months=("2",))
    assert "it holds air" in line and "--source_names 2t=NAME" in line
    assert archive_run(source, "--source_names", "2t=air", years=("2013",), months=("2",))[0] == 0
    with (
        read_month(tmp_path / "ExtractedData", 2013, 2) as file,
        xr.open_zarr(source / "air_temperature.zarr") as truth,
    ):
        np.testing.assert_allclose(file["2t"][:], truth["air"].sel(time="2013-02").values, rtol=1e-6)
        np.testing.assert_array_equal(
            file["longitude"][:], truth["lon"].values - 360
        )  # 200 E .. 330 E: -160 .. -30
        assert file.step_hours == 6


def test_finse_and_pearl_river(shared_data, archive_run, tmp_path):
    """One packed file a month; and an area within a file of the new CDS."""
    code, out, _ = archive_run(
        shared_data / "era5" / "finse_2018",
        years=("2018",),
        months=("9", "10", "11", "12"),
        names=("2t", "2d", "sp"),
        destination=tmp_path / "finse",
    )
    assert code == 0 and "1 months stay missing, the source has no data for them: 2018-09" in out
    assert read_record(tmp_path / "finse").details["missing_months"] == ["2018-09"]
    for month in (10, 11, 12):
        with (
            read_month(tmp_path / "finse", 2018, month) as file,
            xr.open_dataset(shared_data / "era5" / "finse_2018" / f"SURF_2018{month}.nc") as truth,
        ):
            np.testing.assert_allclose(file["2d"][:], truth["d2m"].values, rtol=1e-6)
    assert (
        archive_run(
            shared_data / "era5" / "pearl_river_2026-04",
            "--area",
            "24",
            "114",
            "21",
            "116",
            years=("2026",),
            months=("4",),
            names=("2t", "10v"),
            destination=tmp_path / "pearl",
        )[0]
        == 0
    )
    with read_month(tmp_path / "pearl", 2026, 4) as file:
        assert (
            file["10v"].shape == (192, 13, 9) and file["latitude"][0] == 24 and file["longitude"][-1] == 116
        )


@pytest.mark.parametrize(
    "lat, lon",
    [(LAT, LON), (LAT[::-1], LON), (LAT, LON % 360), (LAT, np.sort(LON % 360)), (LAT[::-1], LON[::-1])],
    ids=["as it is", "south to north", "0..360 unsorted", "0..360 sorted", "both reversed"],
)
@pytest.mark.parametrize("form", ["NETCDF4", "NETCDF3_CLASSIC"])
def test_orders_and_longitudes(lat, lon, form, archive_run, tmp_path):
    """Whatever the order in the file, rows run north to south and columns west to east."""
    times = hours("2019-03-01T00", 48)
    write_netcdf(tmp_path / "archive" / "a.nc", times, lat=lat, lon=lon, form=form)
    assert archive_run(tmp_path / "archive")[0] == 0
    with read_month(tmp_path / "ExtractedData", 2019, 3) as file:
        np.testing.assert_array_equal(file["latitude"][:], LAT)
        np.testing.assert_array_equal(file["longitude"][:], LON)
        np.testing.assert_allclose(file["2t"][:], field(times), rtol=1e-6)


@pytest.mark.parametrize(
    "names", [("valid_time", "latitude", "longitude"), ("time", "lat", "lon"), ("time", "latitude", "lon")]
)
def test_names_of_coordinates(names, archive_run, tmp_path):
    """Names of the new and the old CDS, ECMWF and NCEP."""
    write_netcdf(tmp_path / "archive" / "a.nc", hours("2019-03-01T00", 24), names=names)
    assert archive_run(tmp_path / "archive")[0] == 0


@pytest.mark.parametrize(
    "area, expected",
    [
        (("52", "170", "50.5", "-170"), np.arange(170, 190.1, 2.5)),
        (("52", "-10", "50.5", "5"), np.arange(-10, 5.1, 2.5)),
        (("52", "350", "50.5", "5"), np.arange(-10, 5.1, 2.5)),
        (("52", "-180", "50.5", "180"), np.arange(-180, 180, 2.5)),
        (("52", "0", "50.5", "360"), np.arange(0, 360, 2.5)),
    ],
    ids=["date line", "Greenwich", "350 E", "ring", "ring from 0"],
)
def test_areas_on_the_globe(area, expected, archive_run, tmp_path):
    """A region across the date line is continuous beyond 180; one across Greenwich begins below 0."""
    lon, times = np.arange(0, 360, 2.5), hours("2019-03-01T00", 24)
    write_netcdf(tmp_path / "archive" / "a.nc", times, lon=lon)
    assert archive_run(tmp_path / "archive", "--area", *area)[0] == 0
    with read_month(tmp_path / "ExtractedData", 2019, 3) as file:
        np.testing.assert_array_equal(file["longitude"][:], expected)
        np.testing.assert_allclose(file["2t"][:], field(times, LAT, expected), rtol=1e-5)


@pytest.mark.parametrize(
    "units, change",
    [("degC", lambda t: t - 273.15), ("K", lambda t: t), ("kelvin", lambda t: t), (None, lambda t: t)],
)
def test_units_are_converted(units, change, archive_run, tmp_path):
    """Degrees Celsius become kelvin; a file without unit is taken at its word, within the range."""
    times = hours("2019-03-01T00", 24)
    write_netcdf(tmp_path / "archive" / "a.nc", times, change(field(times)), units=units)
    assert archive_run(tmp_path / "archive")[0] == 0
    with read_month(tmp_path / "ExtractedData", 2019, 3) as file:
        np.testing.assert_allclose(file["2t"][:], field(times), atol=1e-4)


def test_geopotential_and_height_are_told_apart(archive_run, tmp_path):
    """z in m2 s-2 is divided by g, gh in m is not; on its level only."""
    times, height = hours("2019-03-01T00", 24), field(hours("2019-03-01T00", 24)) * 20
    write_netcdf(tmp_path / "z" / "a.nc", times, height * GRAVITY, name="z", units="m**2 s**-2", level=500)
    write_netcdf(tmp_path / "gh" / "a.nc", times, height, name="gh", units="gpm", level=500)
    for name in ("z", "gh"):
        assert archive_run(tmp_path / name, names=("gph500",), destination=tmp_path / f"out_{name}")[0] == 0
        with read_month(tmp_path / f"out_{name}", 2019, 3) as file:
            np.testing.assert_allclose(file["gph500"][:], height, rtol=1e-5)


def test_surface_geopotential_is_no_pressure_level(refused, tmp_path):
    """z without a level is not taken for gph500, and that of a level not for the orography."""
    times = hours("2019-03-01T00", 24)
    write_netcdf(tmp_path / "archive" / "a.nc", times, field(times) * 200, name="z", units="m**2 s**-2")
    assert "does not say on which pressure level" in refused(tmp_path / "archive", names=("gph500",))
    write_netcdf(
        tmp_path / "level" / "a.nc", times, field(times) * 200, name="z", units="m**2 s**-2", level=500
    )
    write_netcdf(tmp_path / "level" / "b.nc", times)
    assert "'oro' is not there" in refused(tmp_path / "level", "--constants", "oro")


def test_geopotential_that_changes_is_no_orography(archive_run, tmp_path):
    """z of one level from the old CDS, which does not say so, changes in time: it is left out, and said."""
    times = hours("2019-03-01T00", 24)
    write_netcdf(tmp_path / "archive" / "a.nc", times)
    write_netcdf(tmp_path / "archive" / "b.nc", times, field(times) * 30, name="z", units="m**2 s**-2")
    code, out, _ = archive_run(tmp_path / "archive")
    assert code == 0 and "changes in time and is not taken for oro" in out


def test_equal_doubles_unsorted_and_missing_hours_are_worked_around(archive_run, tmp_path):
    """Two files overlap (one of them packed), one is not in order, five hours are missing: each is said."""
    times = hours("2019-03-01T00", 744)
    first, second = np.delete(times[:400], slice(100, 105)), times[390:]
    write_netcdf(tmp_path / "archive" / "a.nc", first)
    write_netcdf(tmp_path / "archive" / "b.nc", second[::-1], field(second[::-1]), packed=True)
    code, out, _ = archive_run(tmp_path / "archive")
    assert code == 0
    assert "10 hours of 2t are there twice with equal values" in out and "2019-03-17T06:00Z" in out
    assert "1 files hold hours that are not in order" in out and "b.nc" in out
    assert "5 time steps are missing: 2019-03-05T04:00Z to 2019-03-05T08:00Z" in out
    with read_month(tmp_path / "ExtractedData", 2019, 3) as file:
        there = np.delete(times, slice(100, 105))
        np.testing.assert_array_equal(file["time"][:], there)
        np.testing.assert_allclose(file["2t"][:], field(there), atol=1e-3)
    assert read_record(tmp_path / "ExtractedData").details["months"]["2019-03"]["gaps"] == [
        ["2019-03-05T04:00Z", "2019-03-05T08:00Z", 5]
    ]


def test_final_before_preliminary(archive_run, tmp_path):
    """Of ERA5 and ERA5T at the same hour the final one is taken, whatever the order of the files."""
    times = hours("2019-03-01T00", 48)
    write_netcdf(tmp_path / "archive" / "a.nc", times[:30], field(times[:30]) + 1, expver=["0005"] * 30)
    write_netcdf(tmp_path / "archive" / "b.nc", times[20:], expver=["0001"] * 28)
    code, out, _ = archive_run(tmp_path / "archive")
    assert code == 0 and "10 hours of 2t are there as ERA5 and as preliminary ERA5T" in out
    with read_month(tmp_path / "ExtractedData", 2019, 3) as file:
        expected = field(times)
        expected[:20] += 1
        np.testing.assert_allclose(file["2t"][:], expected, rtol=1e-6)


def test_missing_values_stay_and_are_told(archive_run, tmp_path):
    """NaN and fill values of packed files: variable, share and first time."""
    times = hours("2019-03-01T00", 48)
    values = np.ma.masked_array(field(times), mask=np.zeros((48, 4, 5), bool))
    values[7, 1, 2] = values[9, 0, 0] = np.ma.masked
    write_netcdf(tmp_path / "archive" / "a.nc", times, values, packed=True)
    code, out, _ = archive_run(tmp_path / "archive")
    assert code == 0 and "2t: 0.208 % of the values are missing (NaN), the first at 2019-03-01T07:00Z" in out
    with read_month(tmp_path / "ExtractedData", 2019, 3) as file:
        assert np.argwhere(np.isnan(file["2t"][:])).tolist() == [[7, 1, 2], [9, 0, 0]]
    told = read_record(tmp_path / "ExtractedData").details["months"]["2019-03"]["nan"]["2t"]
    assert told["first"] == "2019-03-01T07:00Z" and told["share"] == pytest.approx(2 / (48 * 20))


def test_hours_with_all_variables_only(archive_run, tmp_path):
    """Where msl lacks hours that 2t has, the month holds the hours that both have."""
    times = hours("2019-03-01T00", 48)
    write_netcdf(tmp_path / "archive" / "a.nc", times)
    write_netcdf(tmp_path / "archive" / "b.nc", times[5:], field(times[5:]) * 360, name="msl", units="Pa")
    code, out, _ = archive_run(tmp_path / "archive", names=("2t", "msl"))
    assert code == 0 and "2t has 5 hours at which another variable is missing" in out
    with read_month(tmp_path / "ExtractedData", 2019, 3) as file:
        np.testing.assert_array_equal(file["time"][:], times[5:])
        np.testing.assert_allclose(file["2t"][:], field(times[5:]), rtol=1e-6)


def test_one_hour_a_file_and_strangers(archive_run, tmp_path):
    """An hour a file, in folders; a text beside them is left out, and said."""
    for number, time in enumerate(hours("2019-03-01T00", 30)):
        write_netcdf(tmp_path / "archive" / f"{number // 24}" / f"{number:02d}.nc", np.array([time]))
    (tmp_path / "archive" / "README.txt").write_text("hours")
    code, out, _ = archive_run(tmp_path / "archive")
    assert code == 0 and "1 files below" in out and "README.txt" in out
    with read_month(tmp_path / "ExtractedData", 2019, 3) as file:
        np.testing.assert_allclose(file["2t"][:], field(hours("2019-03-01T00", 30)), rtol=1e-6)


@pytest.mark.parametrize("version", [2, 3])
def test_zarr_versions(version, archive_run, tmp_path):
    """Stores of format 2 and 3, beside each other's files in a tree."""
    times = hours("2019-03-01T00", 48)
    data = xr.Dataset(
        {"t2m": (("time", "lat", "lon"), field(times), {"units": "K"})},
        {"time": times.astype("datetime64[s]").astype("datetime64[ns]"), "lat": LAT, "lon": LON},
    )
    data.to_zarr(tmp_path / "archive" / "deep" / "store.zarr", zarr_format=version)
    assert archive_run(tmp_path / "archive")[0] == 0
    with read_month(tmp_path / "ExtractedData", 2019, 3) as file:
        np.testing.assert_allclose(file["2t"][:], field(times), rtol=1e-6)


def grib2(times: np.ndarray, south_to_north: bool = False, missing: tuple[int, int] | None = None) -> bytes:
    """GRIB 2 messages of 2t; 0..360; `missing`: a point without value (by bitmap) in all of them."""
    messages = []
    for time in times:
        handle = eccodes.codes_grib_new_from_samples("regular_ll_sfc_grib2")
        moment = np.datetime64(int(time), "s").item()
        lat = LAT[::-1] if south_to_north else LAT
        for key, setting in {
            "centre": "ecmf",
            "Ni": len(LON),
            "Nj": len(LAT),
            "jScansPositively": int(south_to_north),
            "latitudeOfFirstGridPointInDegrees": lat[0],
            "latitudeOfLastGridPointInDegrees": lat[-1],
            "longitudeOfFirstGridPointInDegrees": LON[0] % 360,
            "longitudeOfLastGridPointInDegrees": LON[-1],
            "iDirectionIncrementInDegrees": 0.5,
            "jDirectionIncrementInDegrees": 0.5,
            "dataDate": int(moment.strftime("%Y%m%d")),
            "dataTime": moment.hour * 100,
            "shortName": "2t",
            "bitsPerValue": 24,
        }.items():
            eccodes.codes_set(handle, key, setting)
        values = field(np.array([time]), lat)[0].astype(float)
        if missing:
            eccodes.codes_set(handle, "bitmapPresent", 1)
            eccodes.codes_set(handle, "missingValue", 1e9)
            values[missing] = 1e9
        eccodes.codes_set_values(handle, values.ravel())
        messages.append(eccodes.codes_get_message(handle))
        eccodes.codes_release(handle)
    return b"".join(messages)


@pytest.mark.parametrize("south_to_north", [False, True])
def test_grib2(south_to_north, archive_run, tmp_path):
    """GRIB 2 at 2 m above the ground, scanned either way, across Greenwich, with a missing point."""
    times = hours("2019-03-01T00", 30)
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "a.grib2").write_bytes(grib2(times, south_to_north, missing=(0, 3)))
    assert archive_run(tmp_path / "archive")[0] == 0
    expected = field(times)
    expected[:, -1 if south_to_north else 0, 3] = np.nan
    with read_month(tmp_path / "ExtractedData", 2019, 3) as file:
        np.testing.assert_allclose(file["2t"][:], expected, atol=1e-4)
        np.testing.assert_array_equal(file["longitude"][:], LON)


def test_dry_run_writes_nothing(shared_data, archive_run, tmp_path):
    """It says what would be read."""
    code, out, _ = archive_run(shared_data / "era5" / "uk_2019-03", "--dry-run", months=("3", "4"))
    assert (
        code == 0
        and "33 x 49 points" in out
        and "would read 2019-03: 2t" in out
        and "2019-04: no data" in out
    )
    assert not (tmp_path / "ExtractedData").exists()


def test_metadata_says_what_was_done(archive_run, tmp_path):
    """metadata.json holds grid, months and the digests of all files."""
    write_netcdf(tmp_path / "archive" / "a.nc", hours("2019-03-01T00", 48))
    assert archive_run(tmp_path / "archive")[0] == 0
    content = json.loads((tmp_path / "ExtractedData" / "metadata.json").read_text())
    assert content["kind"] == "extracted_data" and content["state"] == "done"
    assert content["details"]["lat"] == LAT.tolist() and content["details"]["lon"] == LON.tolist()
    assert list(content["outputs"]) == ["2019/03/era5_201903.nc"]
    assert str(Path("archive")) in content["details"]["source"]
    assert seconds("2019-03-01T00") == 1551398400
