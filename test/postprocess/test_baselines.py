"""Each baseline gives the field that its definition names, and uses nothing after init_time."""

import numpy as np
import pytest

from video_prediction_tools.datasets.month_hours import hours_covered
from video_prediction_tools.postprocess.baselines import BASELINES, Sources, make_baselines, same_hour_before
from video_prediction_tools.postprocess.climatology import Climatology
from video_prediction_tools.postprocess.sequences import Batch

from .conftest import seconds

START = seconds("2019-03-10T00")


class Hours:
    """Observations whose value is the number of hours since START; some are missing."""

    def __init__(self, absent=()):
        self.absent, self.asked = set(absent), []

    def fields(self, times):
        """Return [n, 2, 3, 1]."""
        self.asked += times.tolist()
        values = np.array(
            [np.nan if (t - START) // 3600 in self.absent else (t - START) / 3600 for t in times]
        )
        return np.broadcast_to(values[:, None, None, None], (len(times), 2, 3, 1)).astype(np.float32)


def batch(first: int = 30, number: int = 3, leads: int = 4, step: int = 1) -> Batch:
    """Forecasts started `first`, `first` + 1, .. hours after START."""
    init = START + 3600 * np.arange(first, first + number)
    last = np.broadcast_to(((init - START) / 3600)[:, None, None, None], (number, 2, 3, 1)).astype(np.float32)
    return Batch(init, init[:, None] + 3600 * step * np.arange(1, leads + 1), last)


def hourly_climatology(months=range(1, 13)) -> Climatology:
    """Value 100 * month + hour."""
    mean = 100.0 * np.arange(1, 13)[:, None] + np.arange(24)
    mean = np.broadcast_to(mean[..., None, None, None], (12, 24, 2, 3, 1))
    covered = np.zeros((12, 24), bool)
    covered[np.array(months) - 1] = True
    return Climatology(covered, lambda: mean, "a test")


def make(name: str, observations=None):
    return BASELINES[name](Sources(observations or Hours(), hourly_climatology()))


def test_persistence():
    forecast = make("persistence").forecast(batch())
    assert forecast.shape == (3, 4, 2, 3, 1)
    assert (forecast[:, :, 0, 0, 0] == np.array([30, 31, 32])[:, None]).all()


def test_persistence_24h_is_the_valid_hour_of_the_day_before():
    forecast = make("persistence_24h").forecast(batch())
    assert forecast[:, :, 1, 2, 0].tolist() == [[7, 8, 9, 10], [8, 9, 10, 11], [9, 10, 11, 12]]


def test_persistence_24h_uses_nothing_after_init_time():
    """Beyond 24 hours the day before has not been seen yet: then it is the day before that."""
    observations = Hours()
    forecast = make("persistence_24h", observations).forecast(batch(first=100, number=1, leads=9, step=6))
    assert forecast[0, :, 0, 0, 0].tolist() == [82, 88, 94, 100, 82, 88, 94, 100, 82]
    assert max(observations.asked) <= batch(first=100).init_times[0]


def test_same_hour_before():
    """A day before up to lead hour 24, two days from 25 on."""
    init = seconds(["2019-03-10T06", "2019-03-11T00"])
    valid = init[:, None] + 3600 * np.array([1, 24, 25])
    expected = [
        ["2019-03-09T07", "2019-03-10T06", "2019-03-09T07"],
        ["2019-03-10T01", "2019-03-11T00", "2019-03-10T01"],
    ]
    np.testing.assert_array_equal(same_hour_before(init, valid), seconds(expected))


def test_persistence_24h_with_missing_hours():
    forecast = make("persistence_24h", Hours(absent=[9])).forecast(batch())[:, :, 0, 0, 0]
    assert np.isnan(forecast).tolist() == [
        [False, False, True, False],
        [False, True, False, False],
        [True, False, False, False],
    ]


def test_climatology_is_that_of_the_valid_time():
    """Over the turn of the month and of the day."""
    init = seconds(["2019-03-31T21", "2019-03-31T22"])
    one = Batch(init, init[:, None] + 3600 * np.arange(1, 4), np.zeros((2, 2, 3, 1), np.float32))
    assert make("climatology").forecast(one)[:, :, 0, 0, 0].tolist() == [[322, 323, 400], [323, 400, 401]]


def test_what_cannot_be_made_is_named():
    made, missing = make_baselines(Sources(Hours(), None, "the file does not cover month 4"))
    assert [baseline.name for baseline in made] == ["persistence", "persistence_24h"]
    assert missing == {"climatology": "the file does not cover month 4"}
    made, missing = make_baselines(Sources(None, None, "no hours"))  # data that are no weather
    assert [baseline.name for baseline in made] == ["persistence"]
    assert set(missing) == {"persistence_24h", "climatology"}


def test_hours_covered():
    covered = hours_covered(seconds(["2019-03-01T07", "2020-03-05T07", "2019-12-31T23"]))
    assert covered.sum() == 2 and covered[2, 7] and covered[11, 23]


@pytest.mark.parametrize("name", BASELINES)
def test_shape_and_definition_are_stated(name):
    assert make(name).forecast(batch()).shape == (3, 4, 2, 3, 1)
    assert BASELINES[name].long_name and BASELINES[name].__doc__
