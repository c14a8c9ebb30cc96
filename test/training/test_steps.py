"""One training step after another, by hand: what clips the gradient, what the optimizer does, and the running mean."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from video_prediction_tools.datasets.channels import Region
from video_prediction_tools.datasets.normalisation import Normalisation
from video_prediction_tools.models.base import DataSpec, Phase, VideoPredictionModel
from video_prediction_tools.models.hparams import CommonHparams
from video_prediction_tools.models.optimizers import adam
from video_prediction_tools.training.steps import Steps, _clipped

GRADIENTS = np.array([[0.3, -0.4], [3.0, 4.0], [-6.0, 0.0]])  # of three steps; norms 0.5, 5 and 6


class Slope(VideoPredictionModel):
    """Two weights, and a loss whose gradients are `GRADIENTS`."""

    def __init__(self, spec, hparams):
        super().__init__(spec, hparams, name="slope")
        self.slope = self.add_weight(name="slope", shape=(2,), initializer="ones")

    def phases(self, total_steps):
        return [Phase("all", self.trainable_variables, adam(self.hparams, total_steps), self._loss)]

    def _loss(self, frames, known, step, seed):
        return {"loss": keras.ops.sum(self.slope * tf.gather(GRADIENTS.astype(np.float32), step))}


def three_steps(**hparams):
    """Return the weights and their running means (where there are any) after each step, and the norms told."""
    model = Slope(DataSpec(2, 2, ("2t",), (), 1, 1), CommonHparams(lr=0.1, lr_schedule="constant", **hparams))
    statistics = {"2t": {"min": -1.0, "max": 1.0, "mean": 0.0, "std": 1.0}}
    normalisation = Normalisation("zscore", ("2t",), statistics)
    steps = Steps(model, normalisation, Region(None, None), 1, 3, tf.distribute.get_strategy())
    frames, clock = tf.zeros((1, 2, 2, 2, 1)), tf.zeros((1, 2, 2))
    weights, means, norms = [], [], []
    for number in range(3):
        told = steps.train(frames, clock, tf.constant(number, tf.int64))
        weights.append(model.slope.numpy())
        means += [average.numpy() for average in steps.averages]
        norms.append(float(told["all/gradient_norm"]))
    return np.array(weights), np.array(means), norms


def adamw(gradients, decay):
    """Return the weights after each step: Loshchilov & Hutter (2019), algorithm 2, at a rate of 0.1."""
    weights, mean, square, made = np.ones(2), np.zeros(2), np.zeros(2), []
    for number, gradient in enumerate(gradients, 1):
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        step = mean / (1 - 0.9**number) / (np.sqrt(square / (1 - 0.999**number)) + 1e-8)
        weights = weights - 0.1 * (step + decay * weights)
        made.append(weights)
    return np.array(made)


@pytest.mark.parametrize("limit", [0.0, 1.0, 6.0, 100.0])
def test_gradients_are_clipped_by_the_norm_of_all_together(limit):
    rng = np.random.default_rng(7)
    gradients = [rng.normal(size=shape).astype(np.float32) for shape in ((3, 4), (20,))]
    norm = np.sqrt(sum(np.square(gradient.astype(np.float64)).sum() for gradient in gradients))
    assert 1.0 < norm < 100.0
    factor = limit / norm if 0.0 < limit < norm else 1.0
    (first, none, second), told = _clipped(
        [tf.constant(gradients[0]), None, tf.constant(gradients[1])], limit, replicas=1
    )
    assert none is None and float(told) == pytest.approx(norm)  # what is told is the norm before
    np.testing.assert_allclose(first, gradients[0] * factor, rtol=1e-5)
    np.testing.assert_allclose(second, gradients[1] * factor, rtol=1e-5)


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("limit", [0.0, 1.0])
def test_three_steps_are_those_of_adamw(limit, decay):
    """With clipping and without: Adam does not care how large gradients are, but how large beside each other."""
    weights, _, norms = three_steps(clip_norm=limit, weight_decay=decay)
    assert norms == pytest.approx([0.5, 5.0, 6.0])
    factors = np.array([1.0, 1 / 5, 1 / 6]) if limit else np.ones(3)
    np.testing.assert_allclose(weights, adamw(GRADIENTS * factors[:, None], decay), rtol=1e-5)


@pytest.mark.parametrize("decay", [0.15, 0.9])
def test_running_mean_of_three_steps(decay):
    """Its memory is short at first (1/10, 2/11, 3/12), until it is as long as asked for."""
    weights, means, _ = three_steps(ema_decay=decay)
    mean, expected = np.ones(2), []
    for kept, weight in zip(np.minimum(decay, [1 / 10, 2 / 11, 3 / 12]), weights, strict=True):
        mean = kept * mean + (1 - kept) * weight
        expected.append(mean)
    np.testing.assert_allclose(means, expected, rtol=1e-6)
    assert np.abs(means - weights).max() > 1e-3
