"""What changes in the course of a training."""

import numpy as np
import pytest

from video_prediction_tools.models.optimizers import LearningRate
from video_prediction_tools.models.schedules import inverse_sigmoid, inverse_sigmoid_ends, ramp


def rates(kind, steps, **settings):
    schedule = LearningRate(kind, 1.0, settings.pop("end", 0.0), settings.pop("warmup", 0), 100, **settings)
    return [float(schedule(step)) for step in steps]


def test_learning_rates_by_hand():
    assert rates("constant", [0, 99]) == [1, 1]
    assert rates("constant", [0, 1, 3, 9], warmup=3) == [0.25, 0.5, 1, 1]
    assert rates("linear", [0, 50, 100, 200]) == [1, 0.5, 0, 0]
    assert rates("cosine", [0, 50, 100], end=0.5) == pytest.approx([1, 0.75, 0.5])
    assert rates("linear", [0, 30, 60, 90, 99], end=0.1, decay_steps=(30, 90)) == pytest.approx(
        [1, 1, 0.55, 0.1, 0.1]
    )


def test_one_cycle_equals_its_published_form():
    """The two half cosines of PyTorch's OneCycleLR (anneal_strategy cos, pct_start 0.3, div_factor 25)."""
    steps = np.arange(100)
    top, last = 0.3 * 100 - 1, 99
    up = 1.0 + (0.04 - 1.0) / 2 * (1 + np.cos(np.pi * steps / top))
    down = 0.01 + (1.0 - 0.01) / 2 * (1 + np.cos(np.pi * (steps - top) / (last - top)))
    np.testing.assert_allclose(
        rates("one_cycle", steps, end=0.01), np.where(steps <= top, up, down), rtol=1e-5
    )


def test_ramp():
    assert [float(ramp(step, 50, 100)) for step in (0, 50, 75, 100, 200)] == [0, 0, 0.5, 1, 1]
    assert float(ramp(75, 50, 100, start=1.0, end=0.2)) == pytest.approx(0.6)
    assert [float(ramp(step, 5, 5)) for step in (4, 5, 6)] == [0, 0, 1]


def test_inverse_sigmoid():
    k = 900.0
    for step in (0, 1000, 6000, 100_000_000):
        expected = k / (k + np.exp(min(step / k, 700)))
        assert float(inverse_sigmoid(step, k)) == pytest.approx(expected, rel=1e-4, abs=1e-30)


@pytest.mark.parametrize("k", [0.5, 3.7, 30.0, 900.0])
def test_inverse_sigmoid_ends_at_a_twentieth(k):
    end = inverse_sigmoid_ends(k)
    assert float(inverse_sigmoid(end, k)) <= 0.05 < float(inverse_sigmoid(end - 1, k))


def test_inverse_sigmoid_that_is_not_used_ends_at_once():
    assert inverse_sigmoid_ends(0.0) == 0
