"""Spectral normalisation, the video discriminator, its losses, and convLSTM_gan."""

import keras
import numpy as np
import pytest
from small_models import data, make, shake

from video_prediction_tools.models.layers.spectral_norm import SpectralConv3D
from video_prediction_tools.models.layers.video_discriminator import (
    VideoDiscriminator,
    adversarial_loss,
    feature_distance,
    random_clips,
)


def largest_singular_value(kernel):
    """Of a kernel [t, h, w, C, F] as the matrix [t h w C, F]."""
    return np.linalg.svd(np.asarray(kernel).reshape(-1, kernel.shape[-1]), compute_uv=False)[0]


@pytest.fixture
def layer(rng):
    """A layer with a random kernel and bias, and clips for it."""
    layer = SpectralConv3D(5, (3, 4, 4), strides=(1, 2, 2))
    clips = rng.normal(size=(2, 4, 7, 9, 3)).astype(np.float32)
    layer(clips)
    layer.kernel.assign(rng.normal(size=layer.kernel.shape))
    layer.bias.assign(rng.normal(size=5))
    return layer, clips


def test_the_kernel_s_largest_singular_value_becomes_one(layer):
    layer, _ = layer
    for _ in range(100):
        layer.update()
    expected = np.asarray(layer.kernel) / largest_singular_value(layer.kernel)
    np.testing.assert_allclose(np.asarray(layer.normalised_kernel()), expected, rtol=1e-4, atol=1e-6)
    assert largest_singular_value(layer.normalised_kernel()) == pytest.approx(1.0, rel=1e-4)


def test_among_layers_in_bfloat16_the_normalisation_is_in_float32(rng):
    layer = SpectralConv3D(5, (3, 4, 4), dtype="mixed_bfloat16")
    clips = rng.normal(size=(2, 4, 7, 9, 3)).astype(np.float32)
    seen = []
    normalised = layer.normalised_kernel
    layer.normalised_kernel = lambda: seen.append(normalised()) or seen[-1]  # as it is within a call
    assert layer(clips).dtype == "bfloat16"
    (kernel,) = seen
    assert kernel.dtype == "float32"
    np.testing.assert_array_equal(np.asarray(kernel), np.asarray(normalised()))


def test_one_update_is_one_step_of_the_power_iteration(layer):
    layer, _ = layer
    matrix = np.asarray(layer.kernel).reshape(-1, 5)
    right = np.asarray(layer.direction)
    left = matrix @ right / np.linalg.norm(matrix @ right)
    after = matrix.T @ left / np.linalg.norm(matrix.T @ left)
    sigma = (left.T @ matrix @ after).item()
    np.testing.assert_allclose(
        np.asarray(layer.normalised_kernel()), np.asarray(layer.kernel) / sigma, rtol=1e-4, atol=1e-6
    )
    np.testing.assert_array_equal(np.asarray(layer.direction), right)  # a call changes nothing
    layer.update()
    np.testing.assert_allclose(np.asarray(layer.direction), after, rtol=1e-4, atol=1e-6)


def test_it_convolves_as_keras_does_with_the_normalised_kernel(layer):
    layer, clips = layer
    theirs = keras.layers.Conv3D(5, (3, 4, 4), strides=(1, 2, 2), padding="same")
    theirs(clips)
    theirs.set_weights([np.asarray(layer.normalised_kernel()), np.asarray(layer.bias)])
    np.testing.assert_allclose(np.asarray(layer(clips)), np.asarray(theirs(clips)), rtol=1e-4, atol=1e-5)


def test_a_discriminator_cannot_be_steeper_than_its_layers_allow(rng):
    """The kernels' scale does not count: the normalisation takes it away."""
    clips = rng.normal(size=(2, 5, 9, 11, 2)).astype(np.float32)
    discriminator = VideoDiscriminator(3)
    discriminator(clips)
    before, features = discriminator(clips)
    assert before.shape == (2,) and len(features) == 7
    for layer in [*discriminator.convolutions, discriminator.judgement]:
        layer.kernel.assign(7.0 * layer.kernel)
    np.testing.assert_allclose(np.asarray(discriminator(clips)[0]), np.asarray(before), rtol=1e-4)


def test_layers_of_the_discriminator_have_the_paper_s_sizes():
    """With ndf 32 and 3 channels the convolutions have the weights of the authors' ones."""
    discriminator = VideoDiscriminator(32)
    _, features = discriminator(np.zeros((1, 10, 56, 92, 3), np.float32))
    assert [tuple(one.shape[1:]) for one in features] == [
        (10, 56, 92, 32),
        (10, 28, 46, 64),
        (10, 28, 46, 64),
        (10, 14, 23, 128),
        (10, 14, 23, 128),
        (5, 7, 12, 256),
        (5, 7, 12, 256),
    ]
    channels, sizes = (3, 32, 64, 64, 128, 128, 256, 256), (27, 64, 27, 64, 27, 64, 27)
    expected = sum(
        size * n * m + m for size, n, m in zip(sizes, channels, channels[1:], strict=False)
    )  # 5,078,464 of the 5,157,313 of the original, whose dense layer has the rest
    assert sum(np.prod(v.shape) for v in discriminator.trainable_variables) == expected + 256 + 1


def test_adversarial_losses_by_hand():
    judgements = np.array([0.5, -1.0], np.float32)
    assert float(adversarial_loss("LSGAN", judgements, real=True)) == pytest.approx((0.25 + 4) / 2)
    assert float(adversarial_loss("LSGAN", judgements, real=False)) == pytest.approx((0.25 + 1) / 2)
    probability = 1 / (1 + np.exp(-judgements))
    true, false = -np.log(probability).mean(), -np.log(1 - probability).mean()
    assert float(adversarial_loss("GAN", judgements, real=True)) == pytest.approx(true, rel=1e-5)
    assert float(adversarial_loss("GAN", judgements, real=False)) == pytest.approx(false, rel=1e-5)


def test_the_distance_of_features_is_that_of_their_angles(rng):
    features = rng.normal(size=(2, 3, 4, 5, 6)).astype(np.float32)
    assert float(feature_distance([features], [3 * features])) == pytest.approx(0.0, abs=1e-5)
    assert float(feature_distance([features, features], [-features, features])) == pytest.approx(
        2.0, abs=1e-5
    )
    one, other = np.array([[3.0, 4.0]], np.float32), np.array([[1.0, 0.0]], np.float32)
    assert float(feature_distance([one], [other])) == pytest.approx(1 - 0.6, rel=1e-5)


def test_clips_are_consecutive_frames_and_the_same_of_each(rng):
    frames = np.broadcast_to(np.arange(9.0, dtype=np.float32)[None, :, None, None, None], (200, 9, 2, 3, 1))
    first, second = (np.asarray(one) for one in random_clips([frames, 10 + frames], 4, np.arange(200)))
    assert first.shape == (200, 4, 2, 3, 1)
    np.testing.assert_array_equal(second, first + 10)
    starts = first[:, 0, 0, 0, 0]
    np.testing.assert_array_equal(first[..., 0, 0, 0], starts[:, None] + np.arange(4))
    assert set(starts) == set(range(6))  # each possible start occurs, none else
    np.testing.assert_array_equal(np.asarray(random_clips([frames], 9, np.arange(200))[0]), frames)


def test_conv_lstm_gan_has_the_losses_of_its_text(rng):
    model = make("convLSTM_gan", overrides=["recon_weight=0.6"])
    shake(model, rng)
    frames, known = data(model, rng)
    forecast = np.asarray(model.forecast(frames[:, :4], known))
    faked = np.concatenate([frames[:, :4], forecast], axis=1)
    probability = [
        1 / (1 + np.exp(-np.asarray(model.discriminator(one)[0], np.float64))) for one in (frames, faked)
    ]
    judged, made = (phase.loss(frames, known, 0, np.arange(2)) for phase in model.phases(10))
    expected = -np.log(probability[0]).mean() - np.log(1 - probability[1]).mean()
    assert float(judged["loss"]) == pytest.approx(expected, rel=1e-4)
    expected = 0.6 * ((forecast - frames[:, 4:]) ** 2).mean() - 0.4 * np.log(probability[1]).mean()
    assert float(made["loss"]) == pytest.approx(expected, rel=1e-4)


def test_conv_lstm_gan_without_adversary_is_conv_lstm(rng):
    """The same weights, the same forecast, the same loss, one phase."""
    model, plain = make("convLSTM_gan", overrides=["recon_weight=1"]), make("convLSTM")
    paths = ([v.path.split("/", 1)[1] for v in one.variables] for one in (model, plain))
    assert next(paths) == next(paths)
    shake(model, rng)
    for theirs, mine in zip(plain.variables, model.variables, strict=True):
        theirs.assign(mine)
    frames, known = data(model, rng)
    (mine,), (theirs,) = model.phases(10), plain.phases(10)
    assert float(mine.loss(frames, known, 0, None)["loss"]) == float(
        theirs.loss(frames, known, 0, None)["loss"]
    )
