"""main_climatology.py: means of month and hour against xarray's, what it says of them, what it refuses."""

import json
from pathlib import Path

import extracted_files as data
import numpy as np
import pytest
import xarray

from video_prediction_tools.main_scripts import main_climatology as program
from video_prediction_tools.main_scripts import main_preprocess_data_step1 as step1
from video_prediction_tools.main_scripts.program import run
from video_prediction_tools.metadata.names import month_file
from video_prediction_tools.postprocess.climatology import read_climatology

SPLIT = {
    "train": {"2018": [1, 2]},
    "val": [["2018-03-01", "2018-03-10"]],
    "test": [["2018-03-11", "2018-03-31"]],
}


@pytest.fixture
def prepared(call, small, tmp_path, write_split) -> Path:
    """The data set of `small`: training January and February, test in March; 6 of its rows, 8 of its columns."""
    code, _, err = call(step1, *data.small_arguments(small, tmp_path / "out", write_split(SPLIT)))
    assert code == 0, err
    return next((tmp_path / "out").iterdir())


@pytest.fixture
def start(capsys):
    """Run the program: exit code, lines of stdout, lines of stderr."""

    def in_process(*words):
        code = run(program.main, program.build_parser(), [str(word) for word in words])
        said = capsys.readouterr()
        return code, said.out.splitlines(), said.err.splitlines()

    return in_process


def means_of(small: Path, months: list[int]) -> xarray.Dataset:
    """Means as xarray takes them, of the data set's part of the grid."""
    files = [month_file(small, 2018, month) for month in months]
    with xarray.open_mfdataset(files) as opened:
        region = opened.isel(latitude=slice(1, 7), longitude=slice(1, 9)).load().astype(np.float64)
    keys = region["time"].dt.month * 100 + region["time"].dt.hour
    return region.groupby(keys.rename("mh")).mean()


def assert_means(path: Path, expected: xarray.Dataset):
    with xarray.open_dataset(path) as found:
        assert found.attrs["Conventions"] == "CF-1.8"
        for name in ("2t", "msl"):
            for key in expected["mh"].values.tolist():
                month, hour = divmod(key, 100)
                np.testing.assert_allclose(
                    found[name].sel(month=month, hour=hour), expected[name].sel(mh=key), rtol=1e-6
                )
            months = {key // 100 for key in expected["mh"].values.tolist()}
            absent = [month for month in range(1, 13) if month not in months]
            assert (
                np.isnan(found[name].sel(month=absent)).all()
                and (found["n_hours"].sel(month=absent) == 0).all()
            )


def test_of_the_training_period(prepared, small, tmp_path, start):
    code, lines, _ = start("--input_dir", prepared, "--output_dir", tmp_path / "new")
    assert code == 0 and lines[-1] == str(tmp_path / "new" / "climatology.nc")
    assert_means(Path(lines[-1]), means_of(small, [1, 2]))
    assert lines[0] == "2018-01-01T00 to 2018-02-28T23; 28 to 31 hours in each mean"
    assert "note: it does not cover all of the test split: nothing for month 3 at all hours" in lines
    assert not any("hours of the test split are in these means" in line for line in lines)
    record = json.loads((tmp_path / "new" / "metadata.json").read_text())
    assert record["state"] == "done" and list(record["outputs"]) == ["climatology.nc"]
    before = Path(lines[-1]).stat().st_mtime_ns
    code, lines, _ = start("--input_dir", prepared, "--output_dir", tmp_path / "new")
    assert code == 0 and "there already" in lines[0] and Path(lines[-1]).stat().st_mtime_ns == before


def test_of_extracted_months(prepared, small, tmp_path, start):
    """All of them, the test split included: that is said, here and by the step that uses the file."""
    flags = ("--input_dir", prepared, "--source_dir", small)
    code, lines, _ = start(*flags, "--output_dir", tmp_path / "all")
    assert code == 0
    assert_means(Path(lines[-1]), means_of(small, [1, 2, 3]))
    assert any(
        line.startswith("note: 504 of the 504 hours of the test split are in these means") for line in lines
    )
    observed = json.loads((prepared / "metadata.json").read_text())["details"]
    read = read_climatology(
        Path(lines[-1]), ["2t", "msl"], ["K", "Pa"], np.array(observed["lat"]), np.array(observed["lon"])
    )
    assert read.covered[:3].all() and not read.covered[3:].any()
    (warned,) = read.warnings(np.array([data.seconds(2018, 3, 31, 23), data.seconds(2018, 4)]))
    assert "holds 1 of the 2 hours forecast" in warned
    assert read.warnings(np.array([data.seconds(2018, 4)])) == []

    code, lines, _ = start(*flags, "--years", 2018, "--months", 2, 6, "--output_dir", tmp_path / "february")
    assert code == 0
    assert_means(Path(lines[-1]), means_of(small, [2]))
    assert "note: not extracted, so not in the means: 2018-06" in lines


def test_missing_values_are_left_out_of_the_mean_of_their_point(prepared, small, tmp_path, start):
    path = month_file(small, 2018, 1)
    with xarray.open_dataset(path, decode_times=False) as opened:
        month = opened.load()
    at_seven = month["time"].values // 3600 % 24 == 7
    month["2t"][{"time": np.flatnonzero(at_seven)[:5], "latitude": 3, "longitude": 4}] = np.nan
    month["2t"][{"time": np.flatnonzero(at_seven), "latitude": 5, "longitude": 6}] = np.nan
    lat, lon = month["latitude"].values, month["longitude"].values
    fields = {name: month[name].values for name in ("2t", "msl")}
    data.write_month_file(small, 2018, 1, month["time"].values, fields, lat, lon)
    data.note(small)
    code, lines, _ = start("--input_dir", prepared, "--source_dir", small, "--output_dir", tmp_path / "new")
    assert code == 0
    with xarray.open_dataset(lines[-1]) as found:
        at = found["2t"].sel(month=1, hour=7)
        kept = fields["2t"][np.flatnonzero(at_seven)[5:], 3, 4].astype(np.float64).mean()
        assert at[2, 3].item() == pytest.approx(kept, rel=1e-6)
        assert np.isnan(at[4, 5]) and np.isnan(at).sum() == 1
        assert found["n_hours"].sel(month=1, hour=7) == 0 and found["n_hours"].sel(month=1, hour=8) == 31


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--years", 2018), "--years: needs --source_dir"),
        (("--source_dir", "{small}", "--years", 2017), "holds no data of 2017"),
        (("--source_dir", "{small}", "--months", 13), "--months: 13 is none"),
        (("--source_dir", "{small}", "--months", 1, 1), "--months: one is named twice"),
        (("--source_dir", "{small}", "--months", 7), "--months: {small} holds none of these months"),
        (("--source_dir", "absent"), "absent: does not exist; run the step 'extract' first"),
        (("--output_dir", "{prepared}"), "holds data of the kind 'dataset'"),
        (("--input_dir", "absent"), "absent: does not exist; run the step 'preprocess1' first"),
    ],
)  # fmt: skip
def test_refused(flags, said, prepared, small, tmp_path, start):
    def fill(word):
        return str(word).format(small=small, prepared=prepared)

    given = {"--input_dir": [prepared], "--output_dir": [tmp_path / "new"]}
    words = [word for flag, values in given.items() if flag not in flags for word in (flag, *values)]
    code, _, errors = start(*words, *map(fill, flags))
    (line,) = (line for line in errors if line.startswith("ERROR: "))
    assert code == 2 and fill(said) in line
    assert not (tmp_path / "new").exists()


def test_another_grid(prepared, small, tmp_path, start):
    lat, lon = np.linspace(57.5, 50.5, 8), np.linspace(-5, 4, 10)
    times = data.month_hours(2017, 1)
    other = tmp_path / "other"
    data.write_month_file(other, 2017, 1, times, data.weather(times, lat, lon, seed=1), lat, lon)
    data.note(other)
    code, _, errors = start("--input_dir", prepared, "--source_dir", other, "--output_dir", tmp_path / "new")
    assert code == 2 and "lies on another grid than the data set" in errors[-1]


def test_another_climatology_is_not_overwritten(prepared, small, tmp_path, start):
    flags = ("--input_dir", prepared, "--output_dir", tmp_path / "new")
    assert start(*flags)[0] == 0
    before = (tmp_path / "new" / "climatology.nc").read_bytes()
    code, _, errors = start(*flags, "--source_dir", small)
    assert code == 2 and "holds another climatology; give another directory, or delete it" in errors[-1]
    assert (tmp_path / "new" / "climatology.nc").read_bytes() == before
