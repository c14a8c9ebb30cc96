"""Preprocess 1 as a program: right numbers from real data, and every wrong input refused."""

import json
import pickle

import extracted_files as data
import netCDF4
import numpy as np
import pytest
import xarray

from video_prediction_tools.datasets.pickles import read_month
from video_prediction_tools.main_scripts import main_preprocess_data_step1 as step1
from video_prediction_tools.metadata.names import month_file
from video_prediction_tools.metadata.record import read_record


def test_the_uk_in_march(call, uk_extracted, tmp_path, write_split, shared_data):
    code, out, err = call(step1, *data.uk(uk_extracted, tmp_path / "out", write_split(data.MARCH_SPLIT)))
    assert code == 0, err
    directory = tmp_path / "out" / "Y2019to2019M03to03-48_32-50.00N10.00W-2t"
    assert out.splitlines()[-1] == str(directory)
    with xarray.open_dataset(
        shared_data / "era5" / "uk_2019-03" / "era5-2mt-2019-03-uk.grib",
        engine="cfgrib",
        backend_kwargs={"indexpath": ""},
    ) as grib:
        truth = grib.t2m.sel(latitude=slice(57.75, 50), longitude=slice(-10, 1.75)).load()
    for split, first, last in (
        ("train", "2019-03-01", "2019-03-22"),
        ("val", "2019-03-23", "2019-03-24"),
        ("test", "2019-03-25", "2019-03-31"),
    ):
        month, expected = (
            read_month(directory / "pickle" / split / "2019-03.pkl"),
            truth.sel(time=slice(first, last)),
        )
        np.testing.assert_array_equal(month["data"][..., 0], expected)
        np.testing.assert_array_equal(
            month["times"], expected.time.values.astype("datetime64[s]").astype(np.int64)
        )
        np.testing.assert_array_equal(month["lat"], truth.latitude)
        np.testing.assert_array_equal(month["lon"], truth.longitude)
    train = truth.sel(time=slice("2019-03-01", "2019-03-22")).astype(np.float64)
    statistics = json.loads((directory / "statistics.json").read_text())
    assert statistics["ranges"] == [["2019-03-01T00", "2019-03-22T23"]]
    for name, value in statistics["variables"]["2t"].items():
        assert value == pytest.approx(
            train.size if name == "n" else float(getattr(train, name)()), rel=1e-9
        ), name
    with (
        xarray.open_dataset(directory / "constants.nc") as constants,
        xarray.open_dataset(uk_extracted / "constants.nc") as whole,
    ):
        np.testing.assert_array_equal(constants.lsm, whole.lsm[1:, :48])
        np.testing.assert_array_equal(constants.lat, truth.latitude)
    details = read_record(directory).details
    assert details["splits"]["val"] == {
        "hours": 48,
        "first": "2019-03-23T00",
        "last": "2019-03-24T23",
        "runs": [["2019-03-23T00", "2019-03-24T23"]],
    }
    assert (details["step_hours"], details["variables"], details["units"], details["gaps"]) == (
        1,
        ["2t"],
        ["K"],
        [],
    )
    assert json.loads((directory / "data_split.json").read_text()) == data.MARCH_SPLIT


def test_statistics_do_not_see_val_and_test(call, small, tmp_path, write_split):
    split = write_split(data.SMALL_SPLIT)
    assert call(step1, *data.small_arguments(small, tmp_path / "one", split))[0] == 0
    with netCDF4.Dataset(month_file(small, 2018, 3), "a") as file:  # all of it val and test
        file["2t"][:] = file["2t"][:] + 1000
    data.note(small)
    assert call(step1, *data.small_arguments(small, tmp_path / "two", split))[0] == 0
    one, two = (next((tmp_path / name).iterdir()) for name in ("one", "two"))
    assert (one / "statistics.json").read_bytes() == (two / "statistics.json").read_bytes()
    assert (one / "pickle/test/2018-03.pkl").read_bytes() != (two / "pickle/test/2018-03.pkl").read_bytes()
    with netCDF4.Dataset(month_file(small, 2018, 1), "a") as file:  # and they do see train
        file["2t"][5] = file["2t"][5] + 1
    data.note(small)
    assert call(step1, *data.small_arguments(small, tmp_path / "three", split))[0] == 0
    three = next((tmp_path / "three").iterdir())
    assert (one / "statistics.json").read_bytes() != (three / "statistics.json").read_bytes()


def test_again_is_verified_and_not_redone(call, small, tmp_path, write_split):
    args = data.small_arguments(small, tmp_path / "out", write_split(data.SMALL_SPLIT))
    call(step1, *args)
    directory = next((tmp_path / "out").iterdir())
    before = {path: path.stat().st_mtime_ns for path in directory.rglob("*")}
    code, out, _ = call(step1, *args)
    assert code == 0 and "all 3 months are there and whole" in out and out.splitlines()[-1] == str(directory)
    assert {path: path.stat().st_mtime_ns for path in directory.rglob("*")} == before
    content = data.content_of(directory)
    damaged = directory / "pickle/train/2018-02.pkl"
    damaged.write_bytes(damaged.read_bytes()[:-5] + b"wrong")
    assert call(step1, *args)[0] == 0
    assert data.content_of(directory) == content
    assert (directory / "pickle/train/2018-01.pkl").stat().st_mtime_ns == before[
        directory / "pickle/train/2018-01.pkl"
    ]


def test_a_finished_directory_is_not_made_from_something_else(call, small, tmp_path, write_split):
    args = data.small_arguments(small, tmp_path / "out", write_split(data.SMALL_SPLIT))
    call(step1, *args)
    content = data.content_of(tmp_path / "out")
    other = write_split({**data.SMALL_SPLIT, "train": {"2018": [1]}}, "other.json")
    for change, what in (
        ({"data_split": other}, "another data split"),
        ({"fill": "mean"}, "another way to fill missing"),
        ({"months": [1, 3], "data_split": other}, "another choice of months and another data split"),
    ):
        line = data.refusal(call(step1, *args, *data.arguments(small, tmp_path / "out", other, **change)[6:]))
        assert (
            what in line
            and f"delete {next((tmp_path / 'out').iterdir())}, or give another --destination_dir" in line
        )
    data.write_month_file(
        small,
        2018,
        2,
        data.month_hours(2018, 2),
        data.weather(data.month_hours(2018, 2), np.linspace(57, 50, 8), np.linspace(-5, 4, 10), seed=9),
        np.linspace(57, 50, 8),
        np.linspace(-5, 4, 10),
    )
    data.note(small)
    assert "made with another state of the extracted data" in data.refusal(call(step1, *args))
    assert data.content_of(tmp_path / "out") == content


def test_an_unfinished_directory_is_begun_anew_with_other_arguments(call, small, tmp_path, write_split):
    with netCDF4.Dataset(month_file(small, 2018, 3), "a") as file:
        file["msl"][10, 2, 3] = np.nan
    data.note(small)
    args = data.small_arguments(small, tmp_path / "out", write_split(data.SMALL_SPLIT))
    line = data.refusal(call(step1, *args))
    assert (
        "era5_201803.nc: msl has missing values (NaN): 0.0028 % of the values, first at 2018-03-01T10; say "
        "how" in line
    )
    directory = next((tmp_path / "out").iterdir())
    assert read_record(directory).state == "failed"
    code, out, _ = call(step1, *args, "--fill", "nearest")
    assert code == 0 and "msl: 1 missing values filled (--fill nearest)" in out
    month = read_month(directory / "pickle/val/2018-03.pkl")
    assert np.isfinite(month["data"]).all()
    assert read_record(directory).details["fill"] == "nearest"


def replaced(small, month, times, fields=None, lat=None, lon=None):
    """Write a month of the fixture `small` anew."""
    lat = np.linspace(57, 50, 8) if lat is None else lat
    lon = np.linspace(-5, 4, 10) if lon is None else lon
    fields = data.weather(times, lat, lon, seed=month) if fields is None else fields
    data.write_month_file(small, 2018, month, times, fields, lat, lon)
    data.note(small)


def test_gaps_unsorted_times_equal_doubles_and_a_missing_month(call, small, tmp_path, write_split):
    lat, lon = np.linspace(57, 50, 8), np.linspace(-5, 4, 10)
    hours = data.month_hours(2018, 1)
    keep = np.delete(np.arange(len(hours)), [100, 101, 500])
    order = np.concatenate([keep[::-1], keep[[7]]])  # from the last to the first, and one twice
    whole = data.weather(hours, lat, lon, seed=1)
    replaced(small, 1, hours[order], {name: values[order] for name, values in whole.items()})
    month_file(small, 2018, 2).unlink()
    data.note(small)
    split = write_split(
        {
            "train": {"2018": [1, 2]},
            "val": [["2018-03-01", "2018-03-10"]],
            "test": [["2018-03-11", "2018-03-31"]],
        }
    )
    with_month_gone = {**data.SMALL_SPLIT, "train": {"2018": [1]}}
    assert "train 2018-02 lies outside the data" in data.refusal(
        call(step1, *data.small_arguments(small, tmp_path / "o", split))
    )
    code, out, err = call(step1, *data.small_arguments(small, tmp_path / "o", write_split(with_month_gone)))
    assert code == 0, err
    for said in (
        "months that were not extracted: 2018-02",
        "gap: 2018-01-05T04..2018-01-05T05 (2 times are missing)",
        "gap: 2018-01-21T20..2018-01-21T20 (1 times are missing)",
        "era5_201801.nc: times are out of order",
        "era5_201801.nc: 1 times are there twice with equal values",
    ):
        assert said in out, out
    directory = next((tmp_path / "o").iterdir())
    month = read_month(directory / "pickle/train/2018-01.pkl")
    np.testing.assert_array_equal(month["times"], hours[keep])
    np.testing.assert_array_equal(month["data"][..., 1], whole["msl"][keep][:, 1:7, 1:9])
    details = read_record(directory).details
    assert details["missing_months"] == ["2018-02"]
    assert details["gaps"] == [["2018-01-05T04", "2018-01-05T05"], ["2018-01-21T20", "2018-01-21T20"]]
    assert details["splits"]["train"]["runs"] == [
        ["2018-01-01T00", "2018-01-05T03"],
        ["2018-01-05T06", "2018-01-21T19"],
        ["2018-01-21T21", "2018-01-31T23"],
    ]


@pytest.mark.parametrize("step", [3, 6])
def test_the_step_is_found_and_stored(call, tmp_path, write_split, step):
    lat, lon = np.linspace(0, 5, 6), np.linspace(170, 190, 11)  # ascending latitudes, across the date line
    for month in (1, 2, 3):
        times = data.month_hours(2018, month, step)
        fields = data.weather(times, lat, lon)
        data.write_month_file(tmp_path / "x", 2018, month, times, fields, lat, lon)
    data.note(tmp_path / "x")
    code, _, err = call(
        step1,
        *data.small_arguments(
            tmp_path / "x", tmp_path / "out", write_split(data.SMALL_SPLIT), sw_corner=[1, 176], nyx=[3, 6]
        ),
    )
    assert code == 0, err
    directory = tmp_path / "out" / "Y2018to2018M01to03-6_3-01.00N176.00E-2t_msl"
    assert read_record(directory).details["step_hours"] == step
    month = read_month(directory / "pickle/test/2018-03.pkl")
    assert month["lon"].tolist() == [176, 178, 180, 182, 184, 186] and month["lat"].tolist() == [3, 2, 1]
    there = times >= data.seconds(2018, 3, 11)
    np.testing.assert_array_equal(month["data"][..., 0], fields["2t"][there][:, 3:0:-1, 3:9])


WRONG_FLAGS = [
    ({"variables": ["2tt"]}, "--variables: unknown variable '2tt'; did you mean '2t'?"),
    ({"variables": ["2t", "2t"]}, "--variables: '2t' is named twice"),
    ({"variables": ["lsm"]}, "--variables: 'lsm' does not change in time"),
    ({"variables": ["tcc"]}, "era5_201801.nc: has no variable 'tcc'; run the step 'extract' for tcc"),
    ({"years": [2017]}, "lies outside the data: --years and --months ask for"),
    ({"years": [2018, 2019]}, "holds no data of 2019 in the months asked for; it holds 2018-01 to 2018-03; "),
    ({"years": [18]}, "--years: 18 is none"),
    ({"months": [0]}, "--months: 0 is none"),
    ({"months": [1, 1]}, "--months: one is named twice"),
    (
        {"sw_corner": [60, 0]},
        "--sw_corner: 60 degrees north lies outside the data (they cover 57 N to 50 N, 5 W to 4 E)",
    ),
    ({"nyx": [1, 8]}, "--nyx: ny is 1"),
    ({"nyx": [6, 80]}, "--nyx: nx is 80, but the data have 10"),
    ({"fill": ["median"]}, "--fill: 'median' is no way"),
    ({"sw_corner": ["a", "b"]}, "invalid float value"),
    ({"source_dir": "/nowhere"}, "/nowhere: does not exist; run the step 'extract' first"),
    ({"data_split": "/nowhere.json"}, "/nowhere.json: does not exist"),
]


@pytest.mark.parametrize("change, message", WRONG_FLAGS)
def test_wrong_arguments_are_refused_before_anything_is_written(
    call, small, tmp_path, write_split, change, message
):
    args = data.small_arguments(small, tmp_path / "out", write_split(data.SMALL_SPLIT), **change)
    assert message in data.refusal(call(step1, *args))
    assert not (tmp_path / "out").exists()


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-100])


def cut_short_and_noted(path):
    cut_short(path)
    data.note(path.parents[2])


def other_month(path):
    replaced(path.parents[2], 2, data.month_hours(2018, 3))


def other_grid(path):
    replaced(path.parents[2], 2, data.month_hours(2018, 2), lat=np.linspace(56, 49, 8))


def off_step(path):
    hours = data.month_hours(2018, 2)
    hours[50] += 1800
    replaced(path.parents[2], 2, hours)


def other_doubles(path):
    hours = data.month_hours(2018, 2)
    hours[51] = hours[50]
    replaced(path.parents[2], 2, hours)


def other_unit(path):
    with netCDF4.Dataset(path, "a") as file:
        file["2t"].units = "degC"
    data.note(path.parents[2])


def not_noted(path):
    keep = path.read_bytes()
    path.unlink()
    data.note(path.parents[2])
    path.write_bytes(keep)


def unfinished(path):
    record = json.loads((path.parents[2] / "metadata.json").read_text())
    (path.parents[2] / "metadata.json").write_text(json.dumps({**record, "state": "running"}))


def no_metadata(path):
    (path.parents[2] / "metadata.json").write_text("{}")


@pytest.mark.parametrize(
    "spoil, message",
    [
        (cut_short, "era5_201802.nc: has "),
        (cut_short_and_noted, "era5_201802.nc: cannot be read, it is damaged"),
        (other_month, "era5_201802.nc: holds 2018-03-01T00, which is no time of 2018-02"),
        (other_grid, "era5_201802.nc: lies on another grid than era5_201801.nc"),
        (
            off_step,
            "era5_201802.nc: has irregular time steps: 2018-02-03T02:30 lies between the steps of 1 hours",
        ),
        (other_doubles, "era5_201802.nc: holds 2018-02-03T02 twice, with different values of 2t"),
        (other_unit, "era5_201802.nc: has 2t in 'degC', not in 'K'"),
        (not_noted, "era5_201802.nc: is not noted in the metadata.json of the extraction"),
        (unfinished, "belongs to an unfinished step (state 'running')"),
        (no_metadata, "metadata.json: was not written by AMBS"),
    ],
)
def test_spoilt_extracted_data_are_refused(call, small, tmp_path, write_split, spoil, message):
    spoil(month_file(small, 2018, 2))
    outcome = call(step1, *data.small_arguments(small, tmp_path / "out", write_split(data.SMALL_SPLIT)))
    assert message in data.refusal(outcome)
    for directory in (tmp_path / "out").glob("*"):  # found only while reading: then nothing looks whole
        assert read_record(directory).state == "failed"
        assert not (directory / "statistics.json").exists()


def test_a_directory_that_cannot_be_written(call, small, tmp_path, write_split):
    (tmp_path / "file").write_text("")
    args = data.small_arguments(small, tmp_path / "file", write_split(data.SMALL_SPLIT))
    assert "a part of the path is a file, not a directory" in data.refusal(call(step1, *args))


def test_damaged_metadata_of_the_result(call, small, tmp_path, write_split):
    args = data.small_arguments(small, tmp_path / "out", write_split(data.SMALL_SPLIT))
    call(step1, *args)
    path = next((tmp_path / "out").iterdir()) / "metadata.json"
    path.write_text(path.read_text()[:300])
    assert "metadata.json: is not valid JSON" in data.refusal(call(step1, *args))


def test_pickles_hold_plain_arrays_only(call, small, tmp_path, write_split):
    call(step1, *data.small_arguments(small, tmp_path / "out", write_split(data.SMALL_SPLIT)))
    directory = next((tmp_path / "out").iterdir())
    assert sorted(path.relative_to(directory / "pickle").as_posix() for path in directory.rglob("*.pkl")) == [
        "test/2018-03.pkl",
        "train/2018-01.pkl",
        "train/2018-02.pkl",
        "val/2018-03.pkl",
    ]
    with open(directory / "pickle/val/2018-03.pkl", "rb") as handle:
        month = pickle.load(handle)
    assert month["data"].shape == (240, 6, 8, 2) and month["data"].dtype == np.float32
    assert month["variables"] == ["2t", "msl"]
