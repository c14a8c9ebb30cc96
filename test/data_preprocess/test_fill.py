"""Missing values: filled in the way that was said, and in no other."""

import numpy as np
import pytest

from video_prediction_tools.data_preprocess.fill import Fill, has_missing, refuse
from video_prediction_tools.errors import InputError

LAT, TIMES = np.array([52.0, 51.0, 50.0]), 1551398400 + 3600 * np.arange(2)


@pytest.fixture
def fields() -> np.ndarray:
    """Two hours of 3 x 4 points; in the second hour, two values are missing."""
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    values[1, 0, 0] = np.nan
    values[1, 2, 3] = np.inf
    return values


def apply(fill: Fill, fields: np.ndarray) -> int:
    """Fill the fields as variable number 1, msl."""
    return fill.apply(fields, 1, "msl", TIMES, "file.nc", LAT)


def test_the_mean_of_the_same_hour(fields):
    expected = np.mean([*range(13, 23)])
    assert apply(Fill("mean"), fields) == 2
    assert fields[1, 0, 0] == fields[1, 2, 3] == pytest.approx(expected)
    assert fields[0].ravel().tolist() == list(range(12))


def test_the_nearest_point_of_the_same_hour(fields):
    # at 51 N a degree of longitude is shorter than one of latitude: the neighbours in the east and west are
    # nearer
    assert apply(Fill("nearest"), fields) == 2
    assert (fields[1, 0, 0], fields[1, 2, 3]) == (13, 22)


def test_a_number_for_each_variable(fields):
    assert apply(Fill.parse(["-1", "7.5"], ("2t", "msl")), fields) == 2
    assert fields[1, 0, 0] == fields[1, 2, 3] == 7.5


@pytest.mark.parametrize("method", ["mean", "nearest"])
def test_an_hour_without_any_value_cannot_be_filled_from_itself(fields, method):
    fields[1] = np.nan
    with pytest.raises(
        InputError, match=f"msl has no value at all at 2019-03-01T01, so that --fill {method}"
    ):
        apply(Fill(method), fields)


def test_refused_with_variable_share_and_first_time(fields):
    assert has_missing(fields) and not has_missing(fields[:1])
    with pytest.raises(
        InputError,
        match=r"msl has missing values \(NaN\): 8.33 % of the values, first at 2019-03-01T01; "
        "say how to fill",
    ):
        refuse("file.nc", "msl", [(TIMES[:1], fields[:1]), (TIMES[1:], fields[1:])])


def test_values_whose_sum_overflows_are_not_missing():
    assert not has_missing(np.full((1, 2, 2), np.finfo(np.float32).max))
    assert has_missing(np.array([[[np.inf, -np.inf]]], np.float32))


@pytest.mark.parametrize(
    "words, message",
    [
        (["median"], "'median' is no way"),
        (["1"], "1 numbers for 2 variables"),
        (["1", "2", "3"], "3 numbers for 2"),
        (["nan", "1"], "must be finite"),
        (["mean", "nearest"], "is no way"),
    ],
)
def test_wrong_ways_are_refused(words, message):
    with pytest.raises(InputError, match=message):
        Fill.parse(words, ("2t", "msl"))
