"""Runs that go on from what is there: whole months, damaged ones, more variables, other requests, kill -9."""

import os
import random
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
from archive_files import field, hours, read_month, write_netcdf

from video_prediction_tools.data_extraction import extraction
from video_prediction_tools.data_extraction.copernicus import _months_so_far
from video_prediction_tools.data_extraction.period import Month
from video_prediction_tools.data_extraction.synthetic import SyntheticSource
from video_prediction_tools.errors import InputError
from video_prediction_tools.main_scripts.main_data_extraction import build_parser, main
from video_prediction_tools.main_scripts.program import run
from video_prediction_tools.metadata.record import read_record

AREA = ("--area", "52", "0", "48", "6", "--grid", "0.5")


@pytest.fixture
def synthetic(tmp_path, capsys):
    """Run a synthetic extraction: ``synthetic(*flags)`` -> (exit code, stdout, stderr)."""

    def call(*flags, names=("2t",), months=("1", "2"), destination=tmp_path / "out"):
        code = run(
            main,
            build_parser(),
            [
                "--source",
                "synthetic",
                "--destination_dir",
                str(destination),
                "--years",
                "2019",
                "--months",
                *months,
                "--variables",
                *names,
                *AREA,
                *flags,
            ],
        )
        captured = capsys.readouterr()
        assert code != 1, captured.err
        return code, captured.out, captured.err

    return call


def state(directory):
    """Everything but metadata.json: path, bytes and time of change."""
    return {
        path.relative_to(directory): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(directory.rglob("*"))
        if path.suffix == ".nc"
    }


def contents(directory):
    """Path and bytes of all data files."""
    return {path: content for path, (content, _) in state(directory).items()}


def test_nothing_is_done_twice(synthetic, tmp_path):
    """The second run verifies and writes nothing."""
    assert synthetic()[0] == 0
    before = state(tmp_path / "out")
    code, out, _ = synthetic()
    assert code == 0 and "2 of 2 months are there and whole" in out and state(tmp_path / "out") == before
    record = read_record(tmp_path / "out")
    assert record.state == "done" and len(record.attempts) == 1 and record.details["variables"] == ["2t"]


def test_months_that_do_not_exist_are_no_error_the_second_time(archive_run, tmp_path):
    """March is there from the first run; that February and April are not there is said again."""
    archive = tmp_path / "archive"
    write_netcdf(archive / "3.nc", hours("2019-03-01T00", 744))
    assert archive_run(archive, months=("2", "3", "4"))[0] == 0
    before = state(tmp_path / "ExtractedData")
    code, out, err = archive_run(archive, months=("2", "3", "4"))
    assert code == 0 and "2019-02, 2019-04" in out, err
    assert archive_run(archive, "--dry-run", months=("2", "3", "4"))[0] == 0
    assert archive_run(archive, years=("2019", "2020"), months=("3", "4"))[0] == 2  # 2020 has nothing at all
    assert state(tmp_path / "ExtractedData") == before


def test_cds_months_to_come_after_finished_ones():
    """A year of which months are there may have none to fetch yet; another one may not."""
    assert _months_so_far([Month(2199, 2)], [Month(2199, 1)]) == []
    with pytest.raises(InputError):
        _months_so_far([Month(2199, 2)], [Month(2198, 1)])


def test_hours_that_the_archive_has_later_are_added(archive_run, tmp_path):
    """A month with hours missing is looked at again, and its gaps are told again while they stay."""
    archive, copy = tmp_path / "archive", tmp_path / "ExtractedData"
    write_netcdf(archive / "a.nc", hours("2019-03-01T00", 480))
    assert archive_run(archive)[0] == 0
    before = state(copy)
    code, out, _ = archive_run(archive)
    assert code == 0 and "264 time steps are missing" in out and state(copy) == before
    write_netcdf(archive / "b.nc", hours("2019-03-21T00", 264))
    assert archive_run(archive)[0] == 0
    assert len(read_month(copy, 2019, 3)["time"][:]) == 744
    assert read_record(copy).details["months"]["2019-03"]["gaps"] == []
    (archive / "b.nc").unlink()
    assert archive_run(archive)[0] == 0  # nothing is lost with the archive
    assert len(read_month(copy, 2019, 3)["time"][:]) == 744


def test_more_months_later(synthetic, tmp_path):
    """A period in two runs gives the same bytes as in one."""
    assert synthetic(months=("1",))[0] == 0
    assert synthetic(months=("1", "2", "3"))[0] == 0
    assert synthetic(months=("1", "2", "3"), destination=tmp_path / "at once")[0] == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "at once")
    one, other = (read_record(tmp_path / name) for name in ("out", "at once"))
    assert one.fingerprint() == other.fingerprint() and one.details == other.details


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b"x" * path.stat().st_size),
    ],
)
def test_damaged_months_are_made_again(damage, synthetic, tmp_path):
    """Truncated, gone, or changed with the same size; constants as well."""
    assert synthetic(names=("2t", "msl"))[0] == 0
    before = contents(tmp_path / "out")
    damage(tmp_path / "out" / "2019" / "02" / "era5_201902.nc")
    damage(tmp_path / "out" / "constants.nc")
    assert synthetic(names=("2t",))[0] == 0  # msl, which the month had, comes back with it
    assert contents(tmp_path / "out") == before


def test_more_variables_later(synthetic, tmp_path):
    """A variable asked for later joins those that are there."""
    assert synthetic(names=("2t",))[0] == 0
    assert synthetic(names=("msl", "2t"))[0] == 0
    assert synthetic(names=("2t", "msl"), destination=tmp_path / "at once")[0] == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "at once")
    assert read_record(tmp_path / "out").details["months"]["2019-01"]["variables"] == ["2t", "msl"]


@pytest.mark.parametrize(
    "flags, part",
    [
        (("--seed", "2"), "seed: 1 there, 2 now"),
        (("--step_hours", "3"), "step_hours: 1 there, 3 now"),
        (("--grid", "0.25"), "grid: 0.5 there, 0.25 now"),
        (("--area", "51", "0", "48", "6"), "area"),
    ],
)
def test_another_request_is_refused(flags, part, synthetic, tmp_path):
    """Nothing is overwritten, and the directory stays as done as it was; --overwrite begins anew."""
    assert synthetic()[0] == 0
    before, record = state(tmp_path / "out"), read_record(tmp_path / "out")
    code, _, err = synthetic(*flags)
    assert code == 2 and part in err and "--overwrite" in err
    assert state(tmp_path / "out") == before and read_record(tmp_path / "out") == record
    assert synthetic(*flags, "--overwrite", months=("1",))[0] == 0
    assert sorted(map(str, contents(tmp_path / "out"))) == ["2019/01/era5_201901.nc", "constants.nc"]
    assert list(read_record(tmp_path / "out").details["months"]) == ["2019-01"]


def test_failed_overwrite_keeps_the_earlier_request(synthetic, tmp_path, monkeypatch):
    """What is there goes only when the first new month is ready."""
    assert synthetic()[0] == 0
    before, record = state(tmp_path / "out"), read_record(tmp_path / "out")

    def fails(*_):
        raise InputError("--source", "does not answer", "try again")

    with monkeypatch.context() as patch:
        patch.setattr(SyntheticSource, "open_month", fails)
        code, out, _ = synthetic("--seed", "2", "--overwrite")
    after = read_record(tmp_path / "out")
    assert code == 2 and "removed" not in out and state(tmp_path / "out") == before
    assert (after.details, after.outputs) == (record.details, record.outputs)
    assert synthetic()[0] == 0 and state(tmp_path / "out") == before  # as good as it was
    assert read_record(tmp_path / "out").state == "done"


def test_overwrite_of_the_same_request(synthetic, tmp_path):
    """The months asked for are made again, the others stay."""
    assert synthetic()[0] == 0
    before = state(tmp_path / "out")
    assert synthetic("--overwrite", months=("2",))[0] == 0
    after = state(tmp_path / "out")
    assert {path for path in before if before[path] != after[path]} == {
        path for path in before if path.name in ("era5_201902.nc", "constants.nc")
    }
    assert contents(tmp_path / "out") == {path: content for path, (content, _) in before.items()}


def test_killed_overwrite_goes_on(synthetic, tmp_path, monkeypatch):
    """A run with --overwrite that ended in its third month renews the rest, not the months it has renewed."""
    months = ("1", "2", "3", "4")
    assert synthetic(months=months)[0] == 0
    before = state(tmp_path / "out")
    fetch, done = extraction._fetch, []

    def fetch_two(*args):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(str(args[1].month))
        fetch(*args)

    monkeypatch.setattr(extraction, "_fetch", fetch_two)
    assert synthetic("--overwrite", months=months)[0] == 130
    monkeypatch.setattr(extraction, "_fetch", lambda *args: [done.append(str(args[1].month)), fetch(*args)])
    assert synthetic("--overwrite", months=months)[0] == 0
    assert done == ["2019-01", "2019-02", "2019-03", "2019-04"]
    after = state(tmp_path / "out")
    assert all(before[path][0] == after[path][0] and before[path][1] != after[path][1] for path in before)
    done.clear()
    assert synthetic("--overwrite", months=months)[0] == 0
    assert len(done) == 4, "after a good end --overwrite begins from the front"


def test_constants_later(shared_data, archive_run, tmp_path):
    """Added to 6-hourly months that are there, without reading these again; demanded ones must be there."""
    source = shared_data / "era5" / "western_usa_2025-01"
    options = {"years": ("2025",), "months": ("1",)}
    assert archive_run(source, "--constants", "none", **options)[0] == 0
    before = state(tmp_path / "ExtractedData")
    assert archive_run(source, "--constants", "lsm", **options)[0] == 0
    assert archive_run(source, **options)[0] == 0  # the default: oro as well
    assert read_record(tmp_path / "ExtractedData").details["constants"] == ["lsm", "oro"]
    after = state(tmp_path / "ExtractedData")
    assert {path: after[path] for path in before} == before


def test_month_that_the_source_has_no_more(archive_run, tmp_path):
    """Gone with its source it is reported as missing; damaged it is not taken for good."""
    write_netcdf(tmp_path / "archive" / "3.nc", hours("2019-03-01T00", 48))
    april = write_netcdf(tmp_path / "archive" / "4.nc", hours("2019-04-01T00", 48))
    assert archive_run(tmp_path / "archive", months=("3", "4"))[0] == 0
    april.unlink()
    copy = tmp_path / "ExtractedData" / "2019" / "04" / "era5_201904.nc"
    copy.write_bytes(b"damaged")
    code, _, err = archive_run(tmp_path / "archive", months=("3", "4"))
    assert code == 2 and "201904.nc: is to be fetched again" in err
    copy.unlink()
    write_netcdf(tmp_path / "archive" / "5.nc", hours("2019-05-01T00", 48))
    assert archive_run(tmp_path / "archive", months=("3", "4", "5"))[0] == 0
    record = read_record(tmp_path / "ExtractedData")
    assert record.details["missing_months"] == ["2019-04"] and "2019/04/era5_201904.nc" not in record.outputs


def test_archive_that_changed_meanwhile(archive_run, tmp_path):
    """A variable with other hours than the month that is there, and an archive on another grid now."""
    times = hours("2019-03-01T00", 48)
    write_netcdf(tmp_path / "archive" / "a.nc", times)
    write_netcdf(tmp_path / "archive" / "b.nc", times[3:], field(times[3:]) * 360, name="msl", units="Pa")
    assert archive_run(tmp_path / "archive")[0] == 0
    code, _, err = archive_run(tmp_path / "archive", names=("2t", "msl"))
    assert code == 2 and "has other hours than msl" in err and "--overwrite" in err
    with read_month(tmp_path / "ExtractedData", 2019, 3) as file:
        assert "msl" not in file.variables and len(file["time"]) == 48
    shutil.rmtree(tmp_path / "archive")
    april = hours("2019-04-01T00", 48)
    write_netcdf(tmp_path / "archive" / "c.nc", april, lat=np.array([52.0, 51.0, 50.0]))
    code, _, err = archive_run(tmp_path / "archive", months=("4",))
    assert code == 2 and "holds data on another grid" in err


def test_killed_at_any_moment(synthetic, program_command, tmp_path):
    """Five times: kill -9 at a random moment, then again until it is done: the files are those of an
    undisturbed run.
    """
    months = tuple(map(str, range(1, 13)))
    begin = time.monotonic()
    assert synthetic(names=("2t", "msl"), months=months, destination=tmp_path / "undisturbed")[0] == 0
    work = time.monotonic() - begin
    dice = random.Random(int(os.environ.get("AMBS_KILL_SEED", "20190301")))
    command = [
        "--source",
        "synthetic",
        "--destination_dir",
        tmp_path / "killed",
        "--years",
        "2019",
        "--variables",
        "2t",
        "msl",
        *AREA,
    ]
    kills = 0
    for _ in range(5):
        process = subprocess.Popen(
            program_command("data_extraction", *command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 60
        while not (tmp_path / "killed" / "metadata.json").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(dice.uniform(0.0, work / 4))
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        finished = set((tmp_path / "killed").rglob("*.nc"))
        whole = contents(tmp_path / "undisturbed")
        for path in finished:  # what bears its name is whole
            assert path.read_bytes() == whole[path.relative_to(tmp_path / "killed")], path
    assert kills >= 3, "the runs ended before they could be killed"
    assert synthetic(names=("2t", "msl"), months=months, destination=tmp_path / "killed")[0] == 0
    assert contents(tmp_path / "killed") == contents(tmp_path / "undisturbed")
    one, other = (read_record(tmp_path / name) for name in ("killed", "undisturbed"))
    assert one.outputs == other.outputs and one.details == other.details and one.state == "done"
    assert not [path for path in (tmp_path / "killed").rglob("*.part")]
