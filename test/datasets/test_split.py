"""data_split.json: what it means, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from video_prediction_tools.datasets.split import read_split
from video_prediction_tools.errors import InputError

MARCH = {
    "train": [["2019-03-01", "2019-03-22"]],
    "val": [["2019-03-23", "2019-03-24"]],
    "test": [["2019-03-25", "2019-03-31"]],
}


@pytest.fixture
def split(tmp_path):
    """Read a split from its content."""

    def read(content):
        path = tmp_path / "data_split.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return read_split(path)

    return read


def hours(first: str, last: str) -> np.ndarray:
    """All hours from first to last, both included."""
    return np.arange(np.datetime64(first, "s"), np.datetime64(last, "s") + 1, 3600).astype(np.int64)


def test_a_bare_date_as_end_means_through_its_last_hour(split):
    members = split(MARCH).members(hours("2019-03-01T00", "2019-03-31T23"))
    assert {name: int(there.sum()) for name, there in members.items()} == {
        "train": 22 * 24,
        "val": 48,
        "test": 7 * 24,
    }
    assert members["train"][22 * 24 - 1] and members["val"][22 * 24]


def test_an_hour_as_end_is_included(split):
    times = hours("2019-03-22T00", "2019-03-22T23")
    there = split({**MARCH, "train": [["2019-03-01", "2019-03-22T05"]]}).members(times)["train"]
    np.testing.assert_array_equal(there, np.arange(24) <= 5)


def test_years_with_months_and_ranges_of_dates_in_one_file(split):
    both = split(
        {
            "train": {"2017": [12, 1], "2018": [2]},
            "val": [["2018-03-01", "2018-03-01"]],
            "test": {"2018": [4]},
        }
    )
    times = hours("2017-01-01T00", "2018-12-31T23")
    members = both.members(times)
    months = times.astype("datetime64[s]").astype("datetime64[M]").astype(str)
    assert set(months[members["train"]]) == {"2017-01", "2017-12", "2018-02"}
    assert members["train"].sum() == (31 + 31 + 28) * 24
    assert members["val"].sum() == 24 and members["test"].sum() == 30 * 24


def test_the_packaged_split_has_the_years_of_the_original():
    package = Path(__file__).resolve().parents[2] / "video_prediction_tools"
    found = read_split(package / "data_split" / "era5" / "datasplit.json").content
    assert {name: sorted(map(int, years)) for name, years in found.items()} == {
        "train": [*range(2007, 2016), 2017, 2018],
        "val": [2016],
        "test": [2019],
    }


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"val": [["2019-03-20", "2019-03-24"]]},
            "val 2019-03-20..24 overlaps train 2019-03-01..22; let val begin at 2019-03-23",
        ),
        (
            {"val": [["2019-03-20", "2019-03-21"]]},
            "val 2019-03-20..21 overlaps train 2019-03-01..22; take 2019-03-20..21 out of train or out of "
            "val",
        ),
        ({"val": {"2019": [3]}}, "val 2019-03 overlaps train 2019-03-01..22; let val begin at 2019-03-23"),
        (
            {"train": [["2019-03-01", "2019-03-05"], ["2019-03-05", "2019-03-06"]]},
            "train 2019-03-05..06 overlaps train 2019-03-01..05; name every time once",
        ),
        ({"train": {"2019": [1, 1]}}, "train 2019-01 overlaps train 2019-01; name every time once"),
        ({"val": [["2019-03-22T23", "2019-03-24"]]}, "val 2019-03-22T23..2019-03-24 overlaps train"),
        ({"val": []}, "val is empty"),
        ({"val": {}}, "val is empty"),
        ({"test": None}, "test is empty"),
        ({"val": {"2019": []}}, "2019 has no list of months"),
        ({"val": {"2019": [13]}}, "2019 has the month 13"),
        ({"val": {"2019": ["3"]}}, 'has the month "3"'),
        ({"val": {"2019": [True]}}, "has the month true"),
        ({"val": {"19": [1]}}, "'19' is not a year"),
        ({"val": "2019"}, "neither years with months nor ranges of dates"),
        ({"vall": {"2019": [4]}}, "unknown key 'vall'; did you mean 'val'?"),
        ({"val": [["2019-03-24", "2019-03-23"]]}, "2019-03-24..2019-03-23 ends before it begins"),
        ({"val": [["2019-03-23"]]}, "is not a range of dates"),
        ({"val": ["2019-03-23", "2019-03-24"]}, "is not a range of"),
        ({"val": [["2019-02-30", "2019-03-24"]]}, "is not a range of dates (day is out of range"),
        ({"val": [["23.3.2019", "2019-03-24"]]}, "is not a range of dates ('23.3.2019' is not a date)"),
        ({"val": [["2019-03-23T00:30", "2019-03-24"]]}, "is not a range of dates"),
    ],
)
def test_wrong_splits_are_refused_with_a_remedy(split, change, message):
    with pytest.raises(InputError) as refused:
        split({**MARCH, **change})
    assert message in str(refused.value)
    assert "data_split.json: " in str(refused.value) and "; " in str(refused.value)


@pytest.mark.parametrize(
    "text, message",
    [
        ('{"train": {"2019": [1]} // years\n}', "is not valid JSON"),
        ("", "is not valid JSON"),
        ("[]", "is not a data split"),
        ('{"train": {"2019": [1]}, "train": {"2018": [1]}}', "'train' is there twice"),
        ('{"train": {"2019": [1], "2019": [2]}}', "'2019' is there twice"),
        ('{"train": {"2019": [1]}, "test": {"2018": [1]}}', "has no 'val'"),
    ],
)
def test_files_that_are_no_split_are_refused(split, text, message):
    with pytest.raises(InputError) as refused:
        split(text)
    assert message in str(refused.value)


def test_a_split_outside_the_period_or_the_data_is_refused(split):
    march = split(MARCH)
    march.check_period([(2019, 3)])
    with pytest.raises(InputError, match=r"train 2019-03-01..22 lies outside the data: .* ask for 2019-02; "):
        march.check_period([(2019, 2)])
    times = hours("2019-03-01T00", "2019-03-24T23")
    with pytest.raises(
        InputError,
        match=r"test 2019-03-25..31 lies outside the data, which cover "
        r"2019-03-01T00..2019-03-24T23; ",
    ):
        march.check_data(times)
    march.check_data(hours("2019-03-01T00", "2019-03-25T00"))
