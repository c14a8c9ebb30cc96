"""The joint histogram and the conditional quantiles, against numpy on the values themselves."""

from types import SimpleNamespace

import numpy as np
import pytest

from video_prediction_tools.postprocess.conditional_quantiles import (
    FINE,
    QUANTILES,
    conditional_quantiles,
    joint_histogram,
    nice_width,
)


def file_of(forecast: np.ndarray, truth: np.ndarray, members: int | None = None):
    """A stand-in for an open forecasts.nc, read in chunks of any size."""

    def chunks(size):
        for start in range(0, len(truth), size):
            rows = slice(start, start + size)
            yield rows, forecast[rows], truth[rows], None

    return SimpleNamespace(grid=SimpleNamespace(variables=("2t",)), members=members, chunks=chunks)


@pytest.fixture(scope="module")
def values():
    """Forecasts and truth [70, 2, 20, 30, 1] that depend on each other, in steps that fit into the fine bins."""
    random = np.random.default_rng(0)
    truth = np.round(280.0 + 5.0 * random.normal(size=(70, 2, 20, 30, 1)), 2)
    return np.round(truth + random.normal(size=truth.shape), 2).astype(np.float32), truth.astype(np.float32)


def test_against_numpy(values):
    forecast, truth = values
    histogram = joint_histogram(file_of(forecast, truth), "2t", [1], 260.0, 300.0)
    edges, counts = histogram.edges, histogram.counts[0]
    assert edges[1] - edges[0] == pytest.approx(0.1) and counts.sum() == truth[:, 1].size
    expected, _, _ = np.histogram2d(forecast[:, 1].ravel(), truth[:, 1].ravel(), bins=(edges, edges))
    inside = (slice(1, -1), slice(1, -1))  # at the ends ours hold what lies outside as well
    assert (
        np.abs(counts[inside] - expected[inside]).sum() < 0.002 * counts.sum()
    )  # values on an edge, in float32
    middle, quantiles, number = conditional_quantiles(counts, edges)
    for row in np.flatnonzero(number > 1000):
        given = (forecast[:, 1] >= middle[row] - 0.5 - 1e-4) & (forecast[:, 1] < middle[row] + 0.5 - 1e-4)
        np.testing.assert_allclose(quantiles[row], np.quantile(truth[:, 1][given], QUANTILES), atol=0.1)
    assert (number > 1000).sum() >= 10


def test_the_other_factorisation(values):
    """The forecast given the truth: the same histogram, turned round."""
    forecast, truth = values
    one = joint_histogram(file_of(forecast, truth), "2t", [0], 260.0, 300.0)
    other = joint_histogram(file_of(truth, forecast), "2t", [0], 260.0, 300.0)
    np.testing.assert_array_equal(one.counts[0].T, other.counts[0])


def test_any_lead_and_members(values):
    """Members count one by one, each beside the same truth."""
    forecast, truth = values
    members = np.stack([forecast, forecast + 1.0, forecast - 1.0], axis=2)
    found = joint_histogram(file_of(members, truth, 3), "2t", [0, 1], 260.0, 300.0)
    for place in range(2):
        parts = [
            joint_histogram(file_of(members[:, :, one], truth), "2t", [place], 260.0, 300.0).counts[0]
            for one in range(3)
        ]
        np.testing.assert_array_equal(found.counts[place], sum(parts))


def test_outside_of_the_range_and_missing():
    truth = np.array([250.0, 275.0, 310.0, np.nan]).reshape(4, 1, 1, 1, 1)
    forecast = np.array([275.0, 250.0, 310.0, 275.0]).reshape(4, 1, 1, 1, 1)
    counts = joint_histogram(file_of(forecast, truth), "2t", [0], 270.0, 290.0).counts[0]
    assert counts.sum() == 3 and counts[-1, -1] == 1 and counts[0].sum() == 1 and counts[:, 0].sum() == 1


def test_few_cases_have_no_quantiles():
    edges = np.arange(0.0, 2.0 + 1e-9, 1.0 / FINE)
    counts = np.zeros((2 * FINE, 2 * FINE), int)
    counts[0, 5], counts[15, 5] = 49, 50
    middle, quantiles, number = conditional_quantiles(counts, edges)
    assert number.tolist() == [49, 50] and middle.tolist() == [0.5, 1.5]
    assert np.isnan(quantiles[0]).all()
    # all in one fine bin: spread evenly over it
    np.testing.assert_allclose(quantiles[1], 0.5 + 0.1 * np.array(QUANTILES))


def test_quantiles_leave_out_empty_bins():
    """Half the cases in one bin, half far from it: the median lies at the end of the first, not between."""
    edges = np.arange(0.0, 1.0 + 1e-9, 1.0 / FINE)
    counts = np.zeros((FINE, FINE), int)
    counts[3, 0], counts[3, 9] = 100, 100
    _, quantiles, _ = conditional_quantiles(counts, edges)
    np.testing.assert_allclose(quantiles[0], [0.01, 0.05, 0.1, 0.95, 0.99])


@pytest.mark.parametrize(
    ("width", "expected"), [(0.3, 0.5), (1.0, 1.0), (1.2, 2.0), (7.0, 10.0), (40.0, 50.0), (0.0, 1.0)]
)
def test_nice_width(width, expected):
    assert nice_width(width) == pytest.approx(expected)
