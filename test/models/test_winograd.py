"""Minimal filtering against TensorFlow's convolution."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from video_prediction_tools.errors import InputError
from video_prediction_tools.models import registry
from video_prediction_tools.models.base import DataSpec
from video_prediction_tools.models.layers import winograd
from video_prediction_tools.models.layers.conv_lstm_cell import ConvLSTMCell


@pytest.mark.parametrize("width", range(2, 8))
@pytest.mark.parametrize("grid", [(16, 12), (7, 9), (2, 3), (1, 1)])
def test_values_and_gradients(rng, width, grid):
    inputs = rng.normal(size=(2, *grid, 24))
    kernel = rng.normal(size=(width, width, 24, 10))
    weights = rng.normal(size=(2, *grid, 10))  # of the values in the loss

    def value_and_gradients(convolve, kind):
        given = [tf.constant(one, kind) for one in (inputs, kernel)]
        with tf.GradientTape() as tape:
            tape.watch(given)
            values = convolve(*given)
            loss = tf.reduce_sum(values * tf.constant(weights, kind))
        return [values, *tape.gradient(loss, given)]

    exact = value_and_gradients(lambda x, k: tf.nn.conv2d(x, k, 1, "SAME"), tf.float64)
    found = value_and_gradients(lambda x, k: winograd.convolve(x, winograd.transformed(k), width), tf.float32)
    for one, truth in zip(found, exact, strict=True):
        assert one.shape == truth.shape
        np.testing.assert_allclose(one, truth, rtol=0, atol=5e-5 * np.abs(truth).max())


@pytest.mark.parametrize(
    ("width", "fewer"), [(2, 2.56), (3, 4.0), (4, 5.22), (5, 6.25), (6, 5.06), (7, 3.06)]
)
def test_multiplications(width, fewer):
    """r^2 of a value in place of n^2 of a tile of m^2 values: 4 and 6.25 are the paper's F(4x4, 3x3), F(4x4, 5x5)."""
    side, channels, filters = 12, 5, 7  # of whole tiles, whatever the width
    kernel = winograd.transformed(np.zeros((width, width, channels, filters), np.float32))
    graph = tf.function(lambda frames: winograd.convolve(frames, kernel, width))
    operations = graph.get_concrete_function(tf.TensorSpec((1, side, side, channels))).graph.get_operations()
    (products,) = (one for one in operations if one.type.startswith("BatchMatMul"))
    multiplications = products.outputs[0].shape.num_elements() * channels
    assert side**2 * filters * channels * width**2 / multiplications == pytest.approx(fewer, rel=2e-3)


@pytest.mark.parametrize(
    ("choice", "width", "filters", "grid", "arithmetic", "expected"),
    [
        ("auto", 5, 64, (16, 16), "float32", True),
        ("auto", 3, 16, (16, 16), "float32", False),
        ("auto", 5, 64, (5, 30), "float32", False),
        ("auto", 7, 64, (16, 16), "float32", False),
        ("auto", 5, 64, (16, 16), "bfloat16", True),
        ("auto", 9, 64, (16, 16), "float32", False),
        ("auto", 1, 512, (16, 16), "float32", False),
        ("direct", 5, 64, (16, 16), "float32", False),
        ("winograd", 3, 2, (1, 1), "float32", True),
        ("winograd", 3, 2, (1, 1), "bfloat16", True),
    ],
)
def test_when_it_is_chosen(choice, width, filters, grid, arithmetic, expected, monkeypatch, tmp_path):
    flags = tmp_path / "cpuinfo"
    flags.write_text("flags : avx512f avx512_bf16\n")
    monkeypatch.setattr(winograd, "Path", lambda _: flags)
    assert winograd.is_chosen(choice, width, filters, grid, arithmetic) is expected


def test_not_chosen_on_a_gpu(monkeypatch):
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: ["cpu:0", "gpu:0"])
    assert not winograd.is_chosen("auto", 5, 64, (16, 16), "float32")


@pytest.mark.parametrize("arithmetic", ["float32", "bfloat16"])
def test_a_matrix_unit_for_bfloat16_is_faster(arithmetic, monkeypatch, tmp_path):
    flags = tmp_path / "cpuinfo"
    monkeypatch.setattr(winograd, "Path", lambda _: flags)
    flags.write_text("flags : avx512_bf16 amx_bf16 amx_tile\n")
    assert winograd.is_chosen("auto", 5, 64, (16, 16), arithmetic) == (arithmetic == "float32")
    flags.unlink()  # not Linux
    assert winograd.is_chosen("auto", 5, 64, (16, 16), arithmetic)


@pytest.mark.parametrize(("side", "expected"), [(32, True), (28, False)])
def test_models_take_it_by_the_grid_of_their_patches(side, expected):
    for name, cells in (("convLSTM", lambda model: model.cells), ("vae", lambda model: [model.prior.cell])):
        given = [
            "filters=32",
            "kernel_size=5",
            "patch_size=4",
            *(["latent_filters=32"] if name == "vae" else []),
        ]
        hparams = registry.resolve_hparams(name, None, given)
        model = registry.create(name, DataSpec(side, 64, ("2t",), (), 10, 1), hparams)
        assert [cell.minimal_filtering for cell in cells(model)] == [expected]


@pytest.mark.parametrize("given", ["kernel_size=9", "kernel_size=1"])
def test_refused_where_it_is_impossible(given):
    hparams = registry.resolve_hparams("convLSTM", None, ["convolution=winograd", given])
    with pytest.raises(InputError, match="convolution: winograd is for a kernel_size of 2 to 7, not for"):
        registry.create("convLSTM", DataSpec(8, 8, ("2t",), (), 2, 2), hparams)


def test_among_layers_in_bfloat16_it_is_the_more_accurate_one(rng):
    """Its sums are in float32: only the inputs and the result are rounded."""
    state = [rng.normal(size=(2, 12, 10, 16)) for _ in range(3)]
    weights = [rng.normal(scale=0.1, size=(5, 5, 16, 64)) for _ in range(2)]
    joined = tf.cast(tf.cast(np.concatenate(state[:2], -1), tf.bfloat16), tf.float64)
    exact = tf.nn.conv2d(joined, np.concatenate(weights, 2), 1, "SAME")
    errors = []
    for minimal_filtering in (False, True):
        cell = ConvLSTMCell(16, 5, minimal_filtering, dtype="mixed_bfloat16")
        cell.build((2, 12, 10, 16))
        cell.set_weights([*weights, np.zeros(64)])
        kernel = cell(tf.cast(state[0], tf.bfloat16), tuple(state[1:]))[2]
        found = cell.gates(tf.cast(joined, tf.bfloat16), kernel)
        assert found.dtype == tf.bfloat16
        errors.append(np.std(tf.cast(found, tf.float64) - exact) / np.std(exact))
    direct, minimal = errors
    assert 2**-10 < minimal < 0.8 * direct < 2**-7


def test_weights_serve_both_ways(rng):
    """A model trained in one way forecasts the same in the other."""
    forecasts, weights = [], None
    context, known = (
        rng.normal(size=(2, 3, 12, 10, 1)).astype(np.float32),
        np.zeros((2, 7, 12, 10, 0), np.float32),
    )
    for way in ("direct", "winograd"):
        given = [f"convolution={way}", "filters=8,8", "kernel_size=5", "residual=false", "context_frames=3"]
        hparams = registry.resolve_hparams("convLSTM", None, given)
        model = registry.create("convLSTM", DataSpec(12, 10, ("2t",), (), 3, 4), hparams)
        weights = weights or [rng.normal(scale=0.2, size=one.shape) for one in model.weights]
        model.set_weights(weights)
        forecasts.append(np.asarray(model.forecast(context, known)))
    assert forecasts[0].std() > 0.05
    np.testing.assert_allclose(*forecasts, atol=1e-5)
