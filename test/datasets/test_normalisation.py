"""Normalisation: by hand, and back again."""

import json

import numpy as np
import pytest

from video_prediction_tools.datasets.normalisation import METHODS, Normalisation

STATISTICS = {
    "2t": {"min": 250.0, "max": 310.0, "mean": 280.0, "std": 12.0, "n": 9},
    "msl": {"min": 95_000.0, "max": 105_000.0, "mean": 101_000.0, "std": 800.0, "n": 9},
}
FRAMES = np.array([[280.0, 101_000.0], [250.0, 95_000.0], [310.0, 105_000.0], [292.0, 100_200.0]], np.float32)


def test_zscore_by_hand():
    """(x - mean) / std: one standard deviation of 12 K above the mean is 1."""
    normalised = Normalisation("zscore", ("2t", "msl"), STATISTICS).normalise(FRAMES)
    np.testing.assert_allclose(normalised, [[0, 0], [-2.5, -7.5], [2.5, 5.0], [1.0, -1.0]], atol=1e-6)


def test_minmax_by_hand():
    """(x - min) / (max - min), the original's scaling to 0..1."""
    normalised = Normalisation("minmax", ("2t", "msl"), STATISTICS).normalise(FRAMES)
    np.testing.assert_allclose(normalised, [[0.5, 0.6], [0, 0], [1, 1], [0.7, 0.52]], atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_reversible_on_arrays_and_tensors(method):
    """Back to physical units within the rounding of float32, on the host and in TensorFlow."""
    tf = pytest.importorskip("tensorflow")
    normalisation = Normalisation(method, ("2t", "msl"), STATISTICS)
    frames = np.random.default_rng(0).uniform([250, 95_000], [310, 105_000], (3, 4, 5, 2)).astype(np.float32)
    there = normalisation.normalise(frames)
    assert there.dtype == np.float32
    np.testing.assert_allclose(normalisation.denormalise(there), frames, rtol=3e-7)
    on_device = normalisation.normalise(tf.constant(frames))
    np.testing.assert_allclose(on_device, there, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(normalisation.denormalise(on_device), frames, rtol=3e-7)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("spread", [0.0, 1e-5])
def test_constant_variable(method, spread):
    """A variable that does not vary (or only by rounding) is not divided by nothing, and comes back."""
    statistics = {"2t": {"min": 280.0, "max": 280.0 + spread, "mean": 280.0, "std": spread / 2}}
    normalisation = Normalisation(method, ("2t",), statistics)
    frames = np.full((2, 1), 280.0, np.float32)
    np.testing.assert_array_equal(normalisation.normalise(frames), 0.0)
    np.testing.assert_array_equal(normalisation.denormalise(normalisation.normalise(frames)), frames)


def test_json_round_trip():
    """What data_spec.json keeps gives the same scaling."""
    normalisation = Normalisation("zscore", ("msl", "2t"), STATISTICS)
    again = Normalisation.from_json(json.loads(json.dumps(normalisation.to_json())), ["msl", "2t"])
    np.testing.assert_array_equal(again.normalise(FRAMES), normalisation.normalise(FRAMES))
    assert "n" not in normalisation.to_json()["statistics"]["2t"]


@pytest.mark.parametrize(
    "method, statistics",
    [("z-score", STATISTICS), ("zscore", {}), ("zscore", {"2t": {**STATISTICS["2t"], "std": float("nan")}})],
)
def test_refused(method, statistics):
    """Unknown method; missing or NaN statistics."""
    with pytest.raises(ValueError):
        Normalisation(method, ("2t",), statistics)
