"""Wrong input: one line, exit code 2, nothing left behind that looks whole."""

import os
import shutil

import netCDF4
import numpy as np
import pytest
from archive_files import LAT, LON, field, hours, write_netcdf

from video_prediction_tools.main_scripts.main_data_extraction import build_parser, main
from video_prediction_tools.main_scripts.program import run
from video_prediction_tools.metadata.record import read_record


@pytest.fixture
def archive(tmp_path):
    """A small archive of March 2019."""
    return write_netcdf(tmp_path / "archive" / "a.nc", hours("2019-03-01T00", 744)).parent


def test_unknown_variable(refused, archive):
    """The nearest known name is offered."""
    assert "did you mean '2t'?" in refused(archive, names=("t2m",))
    assert "write for example gph500" in refused(archive, names=("gph",))
    assert "--constants lsm" in refused(archive, names=("lsm",))
    assert "named twice" in refused(archive, names=("2t", "2t"))


def test_variable_that_is_not_there(refused, archive):
    """What the archive holds is said."""
    line = refused(archive, names=("msl",))
    assert "'msl' is not in the archive" in line and "it holds t2m" in line


@pytest.mark.parametrize("value, part", [(np.nan, "no number"), (51.5, "has a latitude twice")])
def test_wrong_coordinates(value, part, refused, tmp_path):
    """The file is named; no traceback."""
    lat = np.array([52.0, 51.5, value, 50.5])
    times = hours("2019-03-01T00", 48)
    write_netcdf(tmp_path / "archive" / "bad.nc", times, field(times), lat=lat)
    line = refused(tmp_path / "archive")
    assert "bad.nc" in line and part in line


def test_unreadable_directory(refused, archive, monkeypatch):
    """Not passed over: its months would be reported as missing."""
    (archive / "closed").mkdir()
    scandir = os.scandir

    def closed(path="."):
        if str(path).endswith("closed"):  # the tests may run as root, who may read everything
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", closed)
        line = refused(archive)
    assert "closed: cannot be read (Permission denied)" in line


def test_named_pipe_is_left_out(archive_run, archive):
    """To open it would be to wait for ever."""
    os.mkfifo(archive / "pipe.nc")
    code, out, _ = archive_run(archive)
    assert code == 0 and "1 files below" in out and "pipe.nc" in out


def test_spelling_of_levels(archive_run, tmp_path):
    """gph0500 is gph500, everywhere."""
    times = hours("2019-03-01T00", 48)
    values = field(times) * 20
    write_netcdf(tmp_path / "archive" / "a.nc", times, values, name="gh", units="gpm", level=500)
    code, _, err = archive_run(tmp_path / "archive", names=("gph0500",))
    assert code == 0, err
    assert read_record(tmp_path / "ExtractedData").details["variables"] == ["gph500"]
    assert archive_run(tmp_path / "archive", names=("gph500",))[0] == 0
    assert len(read_record(tmp_path / "ExtractedData").details["months"]["2019-03"]["variables"]) == 1


def test_years_without_data(refused, archive):
    """The period that the archive covers is said."""
    line = refused(archive, years=("2018",))
    assert line.startswith("ERROR: --years") and "2019-03-01T00:00Z to 2019-03-31T23:00Z" in line
    line = refused(archive, months=("4", "5"))
    assert line.startswith("ERROR: --months") and "2019-04 to 2019-05" in line
    assert "no data for 2020-03" in refused(archive, years=("2019", "2020"))


def test_wrong_dates(refused, archive):
    """Years and months that there are not."""
    assert "--months: 13" in refused(archive, months=("13",))
    assert "--years: 19" in refused(archive, years=("19",))
    assert "named twice" in refused(archive, years=("2019", "2019"))


@pytest.mark.parametrize(
    "flags, part",
    [
        (("--area", "60", "-1", "51", "1"), "the data cover N 52 W -1 S 50.5 E 1"),
        (("--area", "52", "-5", "51", "1"), "the data cover"),
        (("--area", "52", "10", "51", "12"), "the data cover"),
        (("--area", "51", "0", "52", "1"), "90 >= N > S"),
        (("--area", "52", "-200", "51", "1"), "between -180 and 360"),
        (("--area", "51.2", "0", "51", "1"), "holds 1 x 3 points"),
    ],
)
def test_area(flags, part, refused, archive):
    """Outside the data, upside down, or too small."""
    assert part in refused(archive, *flags)


@pytest.mark.parametrize(
    "flags, part",
    [
        (("--seed", "1"), "--seed: does not go with --source archive"),
        (("--grid", "0.5"), "--grid: does not go"),
        (("--step_hours", "6"), "--step_hours: does not go"),
        (("--constants", "none", "lsm"), "'none'"),
        (("--source_names", "t2m"), "VARIABLE=NAME"),
        (("--source_names", "msl=slp"), "is not asked for"),
        (("--constants_source", "/no/such"), "does not exist"),
        (("--no_such_flag",), "unrecognized arguments"),
    ],
)
def test_flags_that_do_not_fit(flags, part, refused, archive):
    """Found before anything is read."""
    assert part in refused(archive, *flags)


def test_archive_that_is_none(refused, tmp_path):
    """A missing directory, an empty one, a file of another kind."""
    assert "does not exist" in refused(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "no GRIB or NetCDF" in refused(tmp_path / "empty")
    (tmp_path / "text.txt").write_text("weather")
    assert "neither GRIB nor NetCDF" in refused(tmp_path / "text.txt")


@pytest.mark.parametrize(
    "source, keep",
    [
        ("uk_2019-03/era5-2mt-2019-03-uk.grib", 1_000_000),
        ("uk_2019-03/era5-2mt-2019-03-uk.grib", 2_499_820),
        ("finse_2018/SURF_201810.nc", 700_000),
        ("finse_2018/SURF_201810.nc", 2_000),
        ("finse_2018/SURF_201810.nc", 60),
        ("pearl_river_2026-04/ERA5_2026_04.nc", 400_000),
        ("pearl_river_2026-04/ERA5_2026_04.nc", 0),
    ],
)
def test_truncated_files(source, keep, shared_data, refused, tmp_path):
    """GRIB, classic NetCDF (whose missing end the library reads as zeros) and NetCDF4 are named."""
    original = shared_data / "era5" / source
    cut = tmp_path / "archive" / original.name
    cut.parent.mkdir()
    cut.write_bytes(original.read_bytes()[:keep])
    line = refused(cut.parent, months=("3",))
    assert f"{cut}: is damaged or truncated" in line and "get the file again" in line


def test_grib_with_a_hole(shared_data, refused, tmp_path):
    """A message cut short in the middle of a file."""
    content = (shared_data / "era5" / "uk_2019-03" / "era5-2mt-2019-03-uk.grib").read_bytes()
    path = tmp_path / "hole.grib"
    path.write_bytes(content[:34_000] + content[36_000:])
    assert "hole.grib: is damaged or truncated" in refused(path)
    path.write_bytes(content[:3338] + b"0000" + content[3342:])
    assert "hole.grib: is damaged or truncated" in refused(path)


def test_netcdf4_damaged_inside(refused, tmp_path):
    """A compressed chunk that was overwritten shows only when it is read."""
    path = tmp_path / "archive" / "a.nc"
    path.parent.mkdir()
    times = hours("2019-03-01T00", 744)
    with netCDF4.Dataset(path, "w") as file:
        for name, values, units in (
            ("time", times / 3600, "hours since 1970-01-01"),
            ("lat", LAT, "degrees_north"),
            ("lon", LON, "degrees_east"),
        ):
            file.createDimension(name, len(values))
            stored = file.createVariable(name, "f8", (name,))
            stored.units = units
            stored[:] = values
        stored = file.createVariable("t2m", "f4", ("time", "lat", "lon"), zlib=True, chunksizes=(744, 4, 5))
        stored.units, stored[:] = "K", field(times) + np.random.default_rng(1).normal(size=(744, 4, 5))
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4000] = bytes(4000)
    path.write_bytes(content)
    assert "a.nc: is damaged or truncated" in refused(path.parent)


def test_doubled_hours_with_different_values(refused, archive):
    """Both files and the first hour are named."""
    times = hours("2019-03-05T06", 10)
    write_netcdf(archive / "b.nc", times, field(times) + np.where(np.arange(10) < 4, 0, 2)[:, None, None])
    line = refused(archive)
    assert "a.nc" in line and "b.nc" in line and "2019-03-05T10:00Z" in line and "up to 2 K" in line


@pytest.mark.parametrize(
    "times, part",
    [
        (
            np.concatenate([hours("2019-03-01T00", 48), hours("2019-03-03T00", 20) + 1200]),
            "irregular time steps: 2019-03-03T00:20Z",
        ),
        (
            hours("2019-03-01T00", 48) // 3 * 2 + hours("2019-03-01T00", 1) // 3,
            "a field every 0.666667 hours",
        ),
        (hours("2019-03-01T00", 40, 5), "a field every 5 hours"),
        (hours("2019-03-01T00", 1), "is the only hour"),
        (
            np.concatenate([hours("2019-03-01T00", 200), hours("2019-04-01T00", 40, 6)]),
            "a field every 6 h in 2019-04, every 1 h",
        ),
    ],
)
def test_irregular_steps(times, part, refused, tmp_path):
    """Hours that do not fit to one step."""
    write_netcdf(tmp_path / "irregular" / "a.nc", times, field(np.zeros(len(times))))
    assert part in refused(tmp_path / "irregular", months=("3", "4"))


def test_units_and_ranges(refused, tmp_path):
    """Another unit; values that cannot be of the unit that the file claims."""
    times = hours("2019-03-01T00", 48)
    write_netcdf(tmp_path / "unit" / "a.nc", times, units="m s-1")
    assert "has the unit 'm s-1', 2t needs K" in refused(tmp_path / "unit")
    write_netcdf(tmp_path / "celsius" / "a.nc", times, field(times) - 273.15)
    line = refused(tmp_path / "celsius")
    assert "a.nc (t2m)" in line and "outside 150 to 350 K" in line and "2019-03-01T00:00Z" in line
    write_netcdf(
        tmp_path / "one" / "a.nc", times, np.where(np.arange(48)[:, None, None] == 30, 0, field(times))
    )
    assert "2t is 0 at 2019-03-02T06:00Z" in refused(tmp_path / "one")


def test_ensembles_and_other_grids(refused, tmp_path):
    """Several members, a curvilinear grid, variables on two grids that do not meet."""
    times = hours("2019-03-01T00", 24)
    write_netcdf(tmp_path / "two" / "a.nc", times)
    write_netcdf(tmp_path / "two" / "b.nc", times, field(times) * 360, lat=LAT + 0.1, name="msl", units="Pa")
    assert "no grid of the archive has all of them" in refused(tmp_path / "two", names=("2t", "msl"))
    path = write_netcdf(tmp_path / "members" / "a.nc", times)
    with netCDF4.Dataset(path, "a") as file:
        file.createDimension("number", 3)
        file.createVariable("msl", "f4", ("number", "valid_time", "latitude", "longitude")).units = "Pa"
    assert "holds 3 ensemble members" in refused(path, names=("msl",))
    with netCDF4.Dataset(tmp_path / "curved.nc", "w") as file:
        for name in ("time", "y", "x"):
            file.createDimension(name, 3)
        file.createVariable("t2m", "f4", ("time", "y", "x")).units = "K"
    assert "not on a grid of latitude and longitude" in refused(tmp_path / "curved.nc")


def test_constants_that_are_not_there(refused, archive, tmp_path):
    """Demanded ones must be there; a mask of another grid is none."""
    assert "--constants: 'lsm' is not there" in refused(archive, "--constants", "lsm")
    mask = write_netcdf(
        tmp_path / "mask" / "m.nc",
        hours("2019-03-01T00", 1),
        np.ones((1, 3, 5)),
        lat=LAT[:3],
        name="lsm",
        units="(0 - 1)",
    )
    assert "--constants_source" in refused(archive, "--constants", "lsm", "--constants_source", mask)


def test_destination_in_the_way(refused, archive, tmp_path):
    """A file, a directory of another step, files of somebody else."""
    (tmp_path / "file").write_text("")
    assert "a file, not a directory" in refused(archive, destination=tmp_path / "file")
    other = tmp_path / "other"
    other.mkdir()
    (other / "metadata.json").write_text("{}")
    assert "was not written by AMBS" in refused(archive, destination=other)
    theirs = tmp_path / "theirs" / "2019" / "03"
    theirs.mkdir(parents=True)
    (theirs / "era5_201903.nc").write_text("precious")
    code = run(
        main,
        build_parser(),
        [
            "--source",
            "archive",
            "--source_dir",
            str(archive),
            "--destination_dir",
            str(tmp_path / "theirs"),
            "--years",
            "2019",
            "--months",
            "3",
            "--variables",
            "2t",
        ],
    )
    assert code == 2 and (theirs / "era5_201903.nc").read_text() == "precious"


def test_no_space_left(run_command, program_command, error_line, tmp_path):
    """A file that cannot be finished is not there, and the metadata say why."""
    command = program_command(
        "data_extraction",
        "--source",
        "synthetic",
        "--destination_dir",
        tmp_path / "out",
        "--years",
        "2019",
        "--months",
        "3",
        "--variables",
        "2t",
        "--area",
        "55",
        "0",
        "40",
        "20",
        "--grid",
        "0.5",
    )
    result = run_command(["bash", "-c", 'ulimit -f 500; exec "$@"', "bash", *command])
    assert "size limit" in error_line(result)
    assert sorted(path.name for path in (tmp_path / "out").rglob("*") if path.is_file()) == [
        ".lock",
        "metadata.json",
    ]


@pytest.mark.parametrize(
    "flags, part",
    [
        (("--grid", "0.001"), "not a distance"),
        (("--grid", "20"), "at least 2 x 2"),
        (("--seed", "-1"), "--seed"),
        (("--area", "90", "-180", "-90", "180", "--grid", "0.1"), "at most"),
        (("--retries", "3"), "does not go with"),
        (("--source_dir", "/"), "does not go with"),
    ],
)
def test_synthetic_flags(flags, part, capsys, tmp_path):
    """Grids too fine, too coarse, too large; flags of other sources."""
    code = run(
        main,
        build_parser(),
        [
            "--source",
            "synthetic",
            "--destination_dir",
            str(tmp_path / "out"),
            "--years",
            "2019",
            "--variables",
            "2t",
            *flags,
        ],
    )
    line = capsys.readouterr().err
    assert code == 2 and line.count("ERROR: ") == 1 and part in line and not (tmp_path / "out").exists()


def test_archive_is_not_changed(archive_run, archive):
    """Index files and the like have no place in somebody's archive."""
    for path in (archive, archive / "a.nc"):
        path.chmod(path.stat().st_mode & ~0o222)
    before = {path: path.stat().st_mtime_ns for path in [archive, *archive.rglob("*")]}
    assert archive_run(archive)[0] == 0
    assert {path: path.stat().st_mtime_ns for path in [archive, *archive.rglob("*")]} == before
    archive.chmod(0o755)
    shutil.rmtree(archive)
