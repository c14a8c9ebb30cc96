"""Observations: the field of any hour, whatever split it lies in, and the training split's climatology."""

import extracted_files as data
import numpy as np
import pytest
import xarray

from video_prediction_tools.datasets.observations import Observations
from video_prediction_tools.errors import InputError
from video_prediction_tools.main_scripts import main_preprocess_data_step1 as step1
from video_prediction_tools.metadata.names import month_file


@pytest.fixture
def observations(call, small, tmp_path, write_split):
    """Observations of three months (see `small`); 1 and 2 March lie in no split, and test has two pieces."""
    split = {
        "train": {"2018": [1, 2]},
        "val": [["2018-03-03", "2018-03-10"]],
        "test": [["2018-03-11", "2018-03-20"], ["2018-03-25", "2018-03-31"]],
    }
    code, _, err = call(step1, *data.small_arguments(small, tmp_path / "out", write_split(split)))
    assert code == 0, err
    return Observations(next((tmp_path / "out").iterdir()))


@pytest.fixture
def truth(small):
    """The region straight from the extracted files, [time, lat, lon, channel]."""
    files = [month_file(small, 2018, month) for month in (1, 2, 3)]
    with xarray.open_mfdataset(files, decode_times=False) as opened:
        region = opened.isel(latitude=slice(1, 7), longitude=slice(1, 9)).load()
    return (
        region.to_dataarray()
        .sel(variable=["2t", "msl"])
        .transpose("time", "latitude", "longitude", "variable")
    )


def test_what_it_says_of_itself(observations):
    assert (observations.variables, observations.step_hours, observations.shape) == (
        ("2t", "msl"),
        1,
        (6, 8, 2),
    )
    assert observations.lat.tolist() == [56, 55, 54, 53, 52, 51] and observations.lon[0] == -4
    assert len(observations.hours("train")) == 59 * 24 and len(observations.hours("test")) == 17 * 24


def test_fields_of_any_order_split_and_month(observations, truth):
    times = truth.time.values
    chosen = np.random.default_rng(0).permutation(times)[:300]
    there = (chosen < data.seconds(2018, 3, 1)) | (chosen >= data.seconds(2018, 3, 3))
    there &= (chosen < data.seconds(2018, 3, 21)) | (chosen >= data.seconds(2018, 3, 25))
    assert 0 < there.sum() < 300
    np.testing.assert_array_equal(observations.has(chosen), there)
    fields = observations.fields(chosen)
    assert fields.dtype == np.float32
    np.testing.assert_array_equal(fields[there], truth.sel(time=chosen[there]))
    assert np.isnan(fields[~there]).all()


def test_hours_that_there_are_not(observations):
    times = np.array([data.seconds(2017, 12, 31, 23), data.seconds(2018, 1, 1) + 1800, data.seconds(2018, 4)])
    assert not observations.has(times).any()
    assert np.isnan(observations.fields(times)).all()
    assert observations.fields(np.zeros(0, np.int64)).shape == (0, 6, 8, 2)


def test_few_months_stay_in_memory(observations, monkeypatch):
    monkeypatch.setattr("video_prediction_tools.datasets.observations._MONTHS_KEPT", 2)
    for month in (1, 2, 3, 1):
        observations.fields(np.array([data.seconds(2018, month, 5)]))
        assert len(observations._months) <= 2


def test_climatology_of_month_and_hour_of_the_training_split(observations, truth):
    found = observations.hourly_climatology()
    assert found.shape == (12, 24, 6, 8, 2) and found.dtype == np.float32
    times = truth.time.values.astype("datetime64[s]")
    months, hours = (
        times.astype("datetime64[M]").astype(int) % 12 + 1,
        times.astype("datetime64[h]").astype(int) % 24,
    )
    for month in (1, 2):
        for hour in (0, 7, 23):
            expected = truth.values[(months == month) & (hours == hour)].astype(np.float64).mean(axis=0)
            np.testing.assert_allclose(found[month - 1, hour], expected, rtol=1e-6)
    assert np.isnan(found[2:]).all()  # March is val and test


def test_a_changed_pickle_is_refused(observations):
    path = observations.directory / "pickle/train/2018-01.pkl"
    raw = bytearray(path.read_bytes())
    raw[2000] ^= 1
    path.write_bytes(raw)
    with pytest.raises(InputError, match="2018-01.pkl: is not the file that preprocess 1 wrote here"):
        observations.fields(np.array([data.seconds(2018, 1, 5)]))
