"""Normal distributions of codes, against scipy and by hand."""

import numpy as np
import pytest
from scipy import integrate, stats

from video_prediction_tools.models.layers.gaussian import divergence, moments, sample


def test_divergence_by_hand():
    # KL(N(1, 4) || N(0, 1)) = (1 + 4 - log 4 - 1) / 2, and 0 for N(0, 1); two steps of two numbers
    mean, log_variance = np.zeros((1, 2, 2), np.float32), np.zeros((1, 2, 2), np.float32)
    mean[0, 0], log_variance[0, 0] = [1.0, 1.0], np.log([4.0, 4.0])
    assert float(divergence(mean, log_variance)) == pytest.approx((4 - np.log(4)) / 2, rel=1e-5)


def test_divergence_is_the_integral():
    q, p = stats.norm(0.7, 0.5), stats.norm(-0.2, 1.3)
    expected, _ = integrate.quad(lambda x: q.pdf(x) * (q.logpdf(x) - p.logpdf(x)), -8, 8)
    values = [np.full((3, 1), one, np.float32) for one in (0.7, np.log(0.25), -0.2, np.log(1.69))]
    assert float(divergence(*values)) == pytest.approx(expected, rel=1e-5)


def test_divergence_is_zero_for_the_same_and_only_then(rng):
    mean, log_variance = rng.normal(size=(2, 5, 3)), rng.normal(size=(2, 5, 3))
    assert float(divergence(mean, log_variance, mean, log_variance)) == pytest.approx(0, abs=1e-6)
    assert float(divergence(mean, log_variance, mean + 0.01, log_variance)) > 1e-5
    assert float(divergence(mean, log_variance, mean, log_variance + 0.1)) > 1e-3


def test_moments_and_samples():
    mean, log_variance = moments(np.array([[1.0, 2.0, np.log(4.0), 99.0]], np.float32))
    np.testing.assert_allclose(np.asarray(log_variance), [[np.log(4.0), 10.0]], rtol=1e-6)
    drawn = np.asarray(sample(mean, log_variance, np.array([[0.5, 0.0]], np.float32)))
    np.testing.assert_allclose(drawn, [[2.0, 2.0]], rtol=1e-6)
