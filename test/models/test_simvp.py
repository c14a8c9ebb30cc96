"""simvp: its blocks in numpy, what depends on what, other lengths than the context's, its size."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy_layers import convolution, depthwise, gelu, group_norm, sigmoid
from small_models import data, make, shake

from video_prediction_tools.errors import InputError
from video_prediction_tools.models import registry
from video_prediction_tools.models.base import DataSpec
from video_prediction_tools.models.layers.gated_attention import GatedAttentionBlock
from video_prediction_tools.models.simvp import ConvolutionNormSiLU
from video_prediction_tools.training.arithmetic import layer_arithmetic


def randomized(layer, rng):
    """Give a layer random weights and return them by name."""
    for weight in layer.weights:
        weight.assign(rng.normal(scale=0.4, size=weight.shape))
    return {weight.path.split("/", 1)[-1]: np.asarray(weight, np.float64) for weight in layer.weights}


@pytest.mark.parametrize("filters", [4, 6])
def test_gated_attention_block_in_numpy(rng, filters):
    block = GatedAttentionBlock(filters, 2.5)
    features = rng.normal(size=(2, 12, 9, 4)).astype(np.float32)
    block(features)  # makes the weights
    weights = randomized(block, rng)

    def pointwise(name, x):
        return x @ weights[f"{name}/kernel"][0, 0] + weights[f"{name}/bias"]

    def depth(name, x, dilation=1):
        return depthwise(x, weights[f"{name}/kernel"], weights[f"{name}/bias"], dilation)

    def norm(name, x):
        return group_norm(x, weights[f"{name}/gamma"], weights[f"{name}/beta"])

    x = features.astype(np.float64)
    normal = norm("attention_norm", x)
    u = gelu(pointwise("attention/into", normal))
    u = depth("attention/dilated", depth("attention/local", u), dilation=3)
    f, g = np.split(pointwise("attention/gates", u), 2, axis=-1)
    x = x + weights["attention_scale"] * (normal + pointwise("attention/out", sigmoid(g) * f))
    hidden = gelu(depth("mixing", pointwise("widening", norm("mlp_norm", x))))
    assert hidden.shape[-1] == 10
    x = x + weights["mlp_scale"] * pointwise("narrowing", hidden)
    if filters != 4:
        x = pointwise("changing", x)
    np.testing.assert_allclose(np.asarray(block(features)), x, atol=1e-4)


def test_an_attention_sees_23_points_in_each_direction(rng):
    block = GatedAttentionBlock(2, 1.0)
    features = rng.normal(size=(1, 31, 31, 2)).astype(np.float32)
    block(features)
    attention = block.attention
    randomized(attention, rng)
    changed = features.copy()
    changed[0, 15, 15] += 3.0
    moved = np.abs(np.asarray(attention(changed)) - np.asarray(attention(features))).max(axis=(0, 3)) > 0
    assert moved.any(axis=0).nonzero()[0].tolist() == list(range(4, 27))
    assert moved.any(axis=1).nonzero()[0].tolist() == list(range(4, 27))


def test_convolutions_of_encoder_and_decoder_in_numpy(rng):
    features = rng.normal(size=(2, 6, 4, 3)).astype(np.float32)
    for scaling in (0, 1):
        layer = ConvolutionNormSiLU(4, scaling)
        layer(features)
        weights = randomized(layer, rng)
        x = convolution(features, weights["convolution/kernel"], weights["convolution/bias"])
        if scaling:
            x = tf.nn.depth_to_space(x, 2).numpy()
        x = group_norm(x, weights["norm/gamma"], weights["norm/beta"], groups=2)
        np.testing.assert_allclose(np.asarray(layer(features)), x * sigmoid(x), atol=1e-5)
    assert ConvolutionNormSiLU(4, -1)(features).shape == (2, 3, 2, 4)


def test_a_longer_lead_rolls_on_over_its_own_frames(rng):
    short = make("simvp", context=2, lead=2)
    shake(short, rng)
    long = make("simvp", context=2, lead=5)
    for mine, theirs in zip(long.variables, short.variables, strict=True):
        mine.assign(theirs)
    frames, known = data(long, rng)
    made = np.asarray(long.forecast(frames[:, :2], known))
    first = np.asarray(short.forecast(frames[:, :2], known[:, :4]))
    second = np.asarray(short.forecast(first, known[:, 2:6]))
    # one frame is wanted of the third pass: the known channels of the last frame stand in for those behind it
    behind = np.concatenate([known[:, 4:], known[:, 6:]], axis=1)
    third = np.asarray(short.forecast(second, behind))
    np.testing.assert_allclose(made, np.concatenate([first, second, third[:, :1]], axis=1), atol=1e-5)


def test_a_shorter_lead_is_the_beginning(rng):
    whole = make("simvp", context=4, lead=4, known=())
    shake(whole, rng)
    part = make("simvp", context=4, lead=3, known=())
    for mine, theirs in zip(part.variables, whole.variables, strict=True):
        mine.assign(theirs)
    frames, known = data(whole, rng)
    expected = np.asarray(whole.forecast(frames[:, :4], known))[:, :3]
    np.testing.assert_allclose(np.asarray(part.forecast(frames[:, :4], known)), expected, atol=1e-6)


def test_the_skip_leads_from_each_frame_to_the_one_a_context_later(rng):
    """Without the translator's output, a forecast frame sees one frame of the context and its own known channels."""
    model = make("simvp", context=3, lead=3, overrides=["residual=false"])
    shake(model, rng)
    last = model.translator[-1].changing
    last.set_weights([np.zeros(weight.shape) for weight in last.weights])
    frames, known = data(model, rng)
    before = np.asarray(model.forecast(frames[:, :3], known))

    def moved_by(context, known):
        return (
            np.abs(np.asarray(model.forecast(context, known)) - before).max(axis=(0, 2, 3, 4)) > 1e-6
        ).tolist()

    for time in range(3):
        context, ahead = frames[:, :3].copy(), known.copy()
        context[:, time] += rng.normal(size=context[:, time].shape)
        ahead[:, 3 + time] += rng.normal(size=ahead[:, 3 + time].shape)
        expected = [index == time for index in range(3)]
        assert moved_by(context, known) == expected
        assert moved_by(frames[:, :3], ahead) == expected


def test_weights_of_the_paper_s_settings():
    """46.8 million, as OpenSTL counts for SimVP+gSTA-S on Moving MNIST."""
    hparams = registry.resolve_hparams(
        "simvp", None, ["hid_S=64", "hid_T=512", "N_S=4", "N_T=8", "mlp_ratio=8"]
    )
    model = registry.create("simvp", DataSpec(64, 64, ("frame",), (), 10, 10), hparams)
    assert model.count_params() == pytest.approx(46.8e6, abs=0.05e6)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["hid_S=5"], "hid_S: 5 is odd"),
        (["N_S=10"], "simvp with N_S 10 needs at least 16 x 16 grid points"),
    ],
)
def test_wrong_settings_are_refused(overrides, words):
    with pytest.raises(InputError, match=words):
        make("simvp", overrides=overrides)


def test_biases_behind_depthwise_convolutions_learn_in_bfloat16_too(rng):
    """TensorFlow adds up the gradient of `bias_add` in bfloat16; over so many points, most of it would be lost."""
    features, gradients = rng.normal(size=(8, 28, 46, 6)).astype(np.float32), []
    for arithmetic in ("float32", "bfloat16"):
        keras.utils.set_random_seed(1)
        with layer_arithmetic(arithmetic):
            block = GatedAttentionBlock(6, 2.0)
            block(features)

        @tf.function(autograph=False)
        def gradient(block=block):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.square(tf.cast(block(features), tf.float32) - 1.0))
            return tape.gradient(loss, [one.value for one in block.trainable_variables])

        paths = [one.path.split("/", 1)[1] for one in block.trainable_variables]
        gradients.append(dict(zip(paths, map(np.asarray, gradient()), strict=True)))
    exact, found = gradients
    for name in ("attention/local/bias", "attention/dilated/bias", "mixing/bias"):
        assert np.linalg.norm(found[name] - exact[name]) < 0.1 * np.linalg.norm(exact[name]), name
