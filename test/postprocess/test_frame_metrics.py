"""Metrics of Moving MNIST against scikit-image, sums by hand, and cases whose value is known."""

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from video_prediction_tools.datasets.tfrecords import read_index
from video_prediction_tools.postprocess.bootstrap import defined_means
from video_prediction_tools.postprocess.metrics.fields import Fields
from video_prediction_tools.postprocess.metrics.registry import FRAME_METRICS, METRICS
from video_prediction_tools.postprocess.protocol import MOVING_MNIST, WEATHER, protocol_of
from video_prediction_tools.postprocess.sequences import choose_sequences
from video_prediction_tools.postprocess.weights import sum_weights

from .conftest import CONTEXT, LEAD, as_read, fields_of


def each(name: str, fields: Fields) -> np.ndarray:
    """The statistic of every frame [init_time, lead_time, variable]."""
    (statistic,) = FRAME_METRICS[name].statistics
    return statistic()(fields, sum_weights(*fields.observed.truth.shape[-2:]))


def score(name: str, fields: Fields) -> np.ndarray:
    """Score [lead_time, variable] by the same two steps as the program."""
    (statistic,) = FRAME_METRICS[name].statistics
    return FRAME_METRICS[name].value(defined_means({statistic: each(name, fields)}))


def random_fields() -> Fields:
    """Two variables; forecasts leave 0..1 on both sides, truths do not."""
    random = np.random.default_rng(3)
    truth = random.uniform(0.0, 1.0, (4, 3, 17, 23, 2))
    return fields_of(truth + random.normal(0.1, 0.4, truth.shape), truth)


@pytest.fixture(params=["random", "digits"])
def fields(request):
    if request.param == "random":
        return random_fields()
    index = read_index(request.getfixturevalue("digits_data") / "tfrecords")
    frames, _ = next(choose_sequences(index, "test", CONTEXT, LEAD, CONTEXT + LEAD).batches(12))
    blurred = (frames[:, CONTEXT:] + frames[:, CONTEXT - 1 : -1]) / 2
    return fields_of(blurred, frames[:, CONTEXT:])


@pytest.mark.parametrize(("name", "data_range"), [("ssim", 1.0), ("ssim_range2", 2.0)])
def test_ssim_agrees_with_scikit_image(name, data_range, fields):
    """Its defaults: a flat window of 7 x 7 pixels, sample covariance, the border left out."""
    forecast, truth = np.clip(as_read(fields.forecast), 0, 1), np.clip(as_read(fields.observed.truth), 0, 1)
    found = each(name, fields)
    for place in np.ndindex(found.shape):
        sequence, lead, channel = place
        theirs = structural_similarity(
            truth[sequence, lead, ..., channel], forecast[sequence, lead, ..., channel], data_range=data_range
        )
        assert found[place] == pytest.approx(theirs, abs=1e-9)
    assert found.std() > 0.01


def test_psnr_agrees_with_scikit_image(fields):
    forecast, truth = np.clip(as_read(fields.forecast), 0, 1), np.clip(as_read(fields.observed.truth), 0, 1)
    found = each("psnr", fields)
    for place in np.ndindex(found.shape):
        sequence, lead, channel = place
        theirs = peak_signal_noise_ratio(
            truth[sequence, lead, ..., channel], forecast[sequence, lead, ..., channel], data_range=1.0
        )
        assert found[place] == pytest.approx(theirs, abs=1e-9)


def test_errors_are_sums_over_a_frame(fields):
    """As the literature has it: mean over sequences and frames, sum over pixels; nothing is clipped."""
    difference = as_read(fields.forecast) - as_read(fields.observed.truth)
    for name, error in (("mse", difference**2), ("mae", np.abs(difference))):
        np.testing.assert_allclose(score(name, fields), error.mean(axis=0).sum(axis=(1, 2)), rtol=1e-12)
        over_leads = error.mean(axis=(0, 1)).sum(axis=(0, 1))
        np.testing.assert_allclose(score(name, fields).mean(axis=0), over_leads, rtol=1e-12)


def constant(value: float) -> np.ndarray:
    return np.full((2, 1, 10, 12, 1), value)


def test_constant_frames():
    """Variances are zero, so the similarity is that of the means; every score can be worked out by hand."""
    fields = fields_of(constant(0.5), constant(0.25))
    c1 = 0.01**2
    assert score("mse", fields) == pytest.approx(120 * 0.0625)
    assert score("mae", fields) == pytest.approx(120 * 0.25)
    assert score("ssim", fields) == pytest.approx((2 * 0.125 + c1) / (0.25 + 0.0625 + c1))
    assert score("ssim_range2", fields) == pytest.approx((0.25 + 4 * c1) / (0.3125 + 4 * c1))
    assert score("psnr", fields) == pytest.approx(-20 * np.log10(0.25))
    black = fields_of(constant(0.0), constant(0.0))
    assert score("ssim", black) == pytest.approx(1.0)
    assert score("mse", black) == 0.0


def test_perfect_forecast():
    truth = as_read(random_fields().observed.truth)
    perfect = fields_of(truth, truth)
    for name in ("mse", "mae", "ssim", "ssim_range2"):
        np.testing.assert_allclose(score(name, perfect), FRAME_METRICS[name].best, atol=1e-12)
    assert np.isnan(score("psnr", perfect)).all()  # no error, no ratio: not defined, not infinite


def test_frame_without_error_is_left_out_of_psnr():
    fields = random_fields()
    forecast = as_read(fields.forecast).copy()
    forecast[1, 2] = as_read(fields.observed.truth)[1, 2]
    found = fields_of(forecast, as_read(fields.observed.truth))
    assert np.isnan(each("psnr", found)[1, 2]).all() and np.isnan(each("psnr", found)).sum() == 2
    rest = [0, 2, 3]
    np.testing.assert_allclose(score("psnr", found)[2], each("psnr", fields)[rest, 2].mean(axis=0))


def test_clipping():
    """What lies outside of 0..1 counts in mse and mae, and is cut off before ssim and psnr."""
    truth = np.where(np.arange(12) % 4 < 2, 1.0, 0.0) * np.ones((1, 1, 10, 12, 1)).swapaxes(3, 4)
    truth = truth.swapaxes(3, 4)
    outside = fields_of(np.where(truth > 0, 3.0, -1.0), truth)
    assert score("ssim", outside) == pytest.approx(1.0)
    assert np.isnan(score("psnr", outside)).all()
    assert score("mse", outside) == pytest.approx(60 * 4 + 60 * 1)
    assert score("mae", outside) == pytest.approx(60 * 2 + 60 * 1)


def test_better_is_less_distant():
    assert FRAME_METRICS["psnr"].distance(30.0) < FRAME_METRICS["psnr"].distance(20.0)
    assert FRAME_METRICS["ssim"].distance(0.9) < FRAME_METRICS["ssim"].distance(0.5)
    assert FRAME_METRICS["mse"].distance(10.0) < FRAME_METRICS["mse"].distance(20.0)


def test_units():
    units = {name: metric.units("1") for name, metric in FRAME_METRICS.items()}
    assert units == {"mse": "1", "mae": "1", "ssim": "1", "ssim_range2": "1", "psnr": "dB"}


def test_one_place_decides():
    assert protocol_of("moving_mnist-mnist-2digits-64_64-20frames-10_10_10-seed1") is MOVING_MNIST
    assert protocol_of("Y2019to2019M03to03-7_9-50.00N04.00W-2t") is WEATHER
    assert list(MOVING_MNIST.metrics) == ["mse", "mae", "ssim", "ssim_range2", "psnr"]
    assert list(MOVING_MNIST.baselines) == ["persistence", "mean_frame", "black_frame"]
    assert WEATHER.metrics is METRICS


def test_every_metric_is_documented(repository):
    text = (repository / "docs" / "metrics.md").read_text(encoding="utf-8")
    weather, frames = text.split("## Moving MNIST", 1)
    for name in METRICS:
        assert f"| `{name}` |" in weather
    for name in (*FRAME_METRICS, *MOVING_MNIST.baselines):
        assert f"| `{name}` |" in frames
