"""predrnn: its cell and the way of its memories in numpy, what its losses are made of, its size."""

import numpy as np
import pytest
import tensorflow as tf
from numpy_layers import convolution, group_norm, sigmoid
from small_models import data, make, shake

from video_prediction_tools.errors import InputError
from video_prediction_tools.models import registry
from video_prediction_tools.models.base import DataSpec
from video_prediction_tools.models.layers.st_lstm_cell import STLSTMCell, alignment

SEEDS = np.array([3, 4], np.int32)


def weights_of(layer):
    return {weight.path.split("/", 1)[-1]: np.asarray(weight, np.float64) for weight in layer.weights}


def cell_in_numpy(cell, x, h, c, m):
    """The equations of Wang et al., each gate by itself."""
    filters, weights = cell.filters, weights_of(cell)

    def gates(name, inputs):
        kernel = weights[f"{name}/kernel"]
        result = convolution(inputs, kernel, weights.get(f"{name}/bias", 0.0))
        if f"{name}_norm/gamma" in weights:
            result = group_norm(result, weights[f"{name}_norm/gamma"], weights[f"{name}_norm/beta"])
        return [result[..., i * filters : (i + 1) * filters] for i in range(kernel.shape[-1] // filters)]

    xg, xi, xf, xg2, xi2, xf2, xo = gates("input", x)
    hg, hi, hf, ho = gates("hidden", h)
    mg, mi, mf = gates("memory", m)
    dc = sigmoid(xi + hi) * np.tanh(xg + hg)
    c = sigmoid(xf + hf + 1) * c + dc
    dm = sigmoid(xi2 + mi) * np.tanh(xg2 + mg)
    m = sigmoid(xf2 + mf + 1) * m + dm
    both = np.concatenate([c, m], axis=-1)
    o = sigmoid(xo + ho + gates("output", both)[0])
    return o * np.tanh(both @ weights["joined/kernel"][0, 0]), c, m, dc, dm


@pytest.mark.parametrize("layer_norm", [False, True])
def test_cell_in_numpy(rng, layer_norm):
    cell = STLSTMCell(3, 5, layer_norm)
    x = rng.normal(size=(2, 6, 5, 4)).astype(np.float32)
    h, c, m = rng.normal(size=(3, 2, 6, 5, 3)).astype(np.float32)
    cell(x, (h, c), m)  # makes the weights
    for weight in cell.weights:
        weight.assign(rng.normal(scale=0.4, size=weight.shape))
    (new_h, new_c), new_m, changes = cell(x, (h, c), m)
    expected = cell_in_numpy(cell, *(one.astype(np.float64) for one in (x, h, c, m)))
    for found, wanted in zip((new_h, new_c, new_m, *changes), expected, strict=True):
        np.testing.assert_allclose(np.asarray(found), wanted, atol=1e-5)


def cosines(first, second):
    flat = [one.reshape(len(one), -1, one.shape[-1]) for one in (first, second)]
    lengths = [np.linalg.norm(one, axis=1) for one in flat]
    return np.abs((flat[0] * flat[1]).sum(axis=1) / (lengths[0] * lengths[1])).mean(axis=-1)


def test_roll_out_in_numpy(rng):
    """The memory goes up through the layers, and from the top to the lowest layer of the next step."""
    model = make("predrnn", height=5, width=6, known=(), overrides=["patch_size=1", "num_layers=3"])
    shake(model, rng)
    frames, known = data(model, rng)
    made, alignments = model.roll_out(frames[:, :4], known, decouple=True)

    frame = frames[:, 0].astype(np.float64)
    m = np.zeros((2, 5, 6, 4))
    states = [(m, m)] * 3
    adapter = np.asarray(model.adapter.kernel)[0, 0]
    expected, total = [], []
    for step in range(6):
        x = frame = frames[:, step] if step < 4 else frame
        for index, cell in enumerate(model.cells):
            h, c, m, dc, dm = cell_in_numpy(cell, x, *states[index], m)
            states[index] = (h, c)
            total.append(cosines(dc @ adapter, dm @ adapter))
            x = h
        output = model.output_convolution
        frame = frame + x @ np.asarray(output.kernel)[0, 0] + np.asarray(output.bias)
        expected.append(frame)
    np.testing.assert_allclose(np.asarray(made), np.stack(expected, axis=1), atol=1e-4)
    np.testing.assert_allclose(np.asarray(alignments), np.mean(total, axis=0), atol=1e-5)


def test_alignment_by_hand(rng):
    along = rng.normal(size=(2, 4, 3, 5)).astype(np.float32)
    np.testing.assert_allclose(np.asarray(alignment(along, -3.0 * along)), [1, 1], rtol=1e-5)
    across = np.zeros((1, 2, 1, 1), np.float32), np.zeros((1, 2, 1, 1), np.float32)
    across[0][0, 0], across[1][0, 1] = 2.0, 5.0
    assert float(alignment(*across)[0]) == 0.0
    other = rng.normal(size=along.shape).astype(np.float32)
    np.testing.assert_allclose(np.asarray(alignment(along, other)), cosines(along, other), rtol=1e-5)


def test_increments_of_zero_have_a_gradient():
    zeros = tf.zeros((1, 3, 3, 2))
    with tf.GradientTape() as tape:
        tape.watch(zeros)
        value = alignment(zeros, zeros)
    assert np.isfinite(tape.gradient(value, zeros)).all()


def test_own_frames_take_the_place_of_those_not_shown(rng):
    model = make("predrnn")
    shake(model, rng)
    frames, known = data(model, rng)
    plain = np.asarray(model.roll_out(frames[:, :4], known)[0])
    shown = np.array([[1, 1, 1, 1, 0, 0]] * 2, np.float32)
    np.testing.assert_allclose(np.asarray(model.roll_out(frames, known, shown)[0]), plain, atol=1e-6)
    shown[0] = [1, 0, 1, 1, 0, 1]
    sampled = np.asarray(model.roll_out(frames, known, shown)[0])
    np.testing.assert_allclose(sampled[1], plain[1], atol=1e-6)
    # what was its own in the context, given to it as true, makes no difference
    changed = frames[:1].copy()
    changed[0, 1] = sampled[0, 0]
    all_true = np.array([[1, 1, 1, 1, 0, 1]], np.float32)
    again = np.asarray(model.roll_out(changed, known[:1], all_true)[0])
    np.testing.assert_allclose(again[0], sampled[0], atol=1e-5)
    np.testing.assert_allclose(sampled[0, 0], plain[0, 0], atol=1e-6)
    assert np.abs(sampled[0, 1] - plain[0, 1]).max() > 1e-3


def test_loss_is_the_sum_of_its_parts(rng):
    model = make("predrnn", overrides=["decouple_beta=0.7", "r_sampling_step_1=5", "r_sampling_step_2=9"])
    shake(model, rng)
    frames, known = data(model, rng)
    (phase,) = model.phases(10)
    parts = phase.loss(frames, known, 9, SEEDS)
    assert float(parts["loss"]) == pytest.approx(
        float(parts["frames"]) + 0.7 * float(parts["decoupling"]), rel=1e-5
    )
    # the context is shown from step 9 on; its one-step forecasts count
    made, alignments = model.roll_out(frames[:, :4], known, decouple=True)
    assert float(parts["frames"]) == pytest.approx(np.mean((made - frames[:, 1:]) ** 2), rel=1e-5)
    assert float(parts["decoupling"]) == pytest.approx(np.mean(alignments), rel=1e-5)
    assert 0.01 < np.mean(alignments) < 1
    assert float(phase.loss(frames, known, 0, SEEDS)["frames"]) != pytest.approx(float(parts["frames"]))


def test_weights_of_the_paper_s_settings():
    """23.9 million, as OpenSTL counts for PredRNN.V2 on Moving MNIST (there without biases)."""
    hparams = registry.resolve_hparams(
        "predrnn", None, ["num_layers=4", "num_hidden=128", "filter_size=5", "patch_size=4"]
    )
    model = registry.create("predrnn", DataSpec(64, 64, ("frame",), (), 10, 10), hparams)
    assert model.count_params() == pytest.approx(23.9e6, abs=0.05e6)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (
            ["r_sampling_step_1=20", "r_sampling_step_2=10"],
            "r_sampling_step_2: 10 is before r_sampling_step_1, 20",
        ),
        (["xla=true"], "XLA cannot compile predrnn"),
        (["patch_size=19"], "patch_size 19 needs at least 10 x 10 grid points"),
    ],
)
def test_wrong_settings_are_refused(overrides, words):
    with pytest.raises(InputError, match=words):
        make("predrnn", overrides=overrides)
