"""Layers against independent implementations."""

import keras
import numpy as np
import pytest

from video_prediction_tools.models.layers.conv_lstm_cell import ConvLSTMCell
from video_prediction_tools.models.layers.patches import from_patches, to_patches
from video_prediction_tools.models.losses import reconstruction_loss, variable_weights


@pytest.mark.parametrize("minimal_filtering", [False, True])
def test_conv_lstm_cell_equals_keras_with_the_same_weights(rng, minimal_filtering):
    theirs = keras.layers.ConvLSTM2D(6, 3, padding="same", return_sequences=True)
    frames = rng.normal(size=(2, 5, 7, 9, 3)).astype(np.float32)
    theirs(frames)
    weights = [rng.normal(scale=0.5, size=weight.shape).astype(np.float32) for weight in theirs.get_weights()]
    theirs.set_weights(weights)

    cell = ConvLSTMCell(6, 3, minimal_filtering)
    state = cell.initial_state(frames[:, 0])
    cell(frames[:, 0], state)  # makes the weights
    cell.set_weights(weights)
    hidden = []
    for step in range(5):
        state = cell(frames[:, step], state)
        hidden.append(np.asarray(state[0]))
    np.testing.assert_allclose(
        np.stack(hidden, axis=1), np.asarray(theirs(frames)), atol=1e-5 if minimal_filtering else 1e-6
    )


def test_the_gradients_of_all_steps_are_added_up_in_float32(rng):
    """In bfloat16 the states are, but not the kernel that all steps share."""
    cell = ConvLSTMCell(4, 3, dtype="mixed_bfloat16")
    frames = rng.normal(size=(1, 8, 8, 2)).astype(np.float32)
    state = cell.initial_state(frames)
    for _ in range(2):
        state = cell(frames, state)
        assert [one.dtype.name for one in state] == ["bfloat16", "bfloat16", "float32"]


def test_the_cell_state_can_fall_below_zero(rng):
    # the original squashed its gates twice, so that its state never could
    cell = ConvLSTMCell(4, 3)
    frames = rng.normal(size=(1, 8, 8, 2)).astype(np.float32)
    state = cell.initial_state(frames)
    state = cell(frames, state)
    assert np.asarray(state[1]).min() < 0


def test_forget_bias_starts_at_one():
    cell = ConvLSTMCell(3, 3)
    cell.build((1, 4, 4, 2))
    np.testing.assert_array_equal(np.asarray(cell.bias), [0] * 3 + [1] * 3 + [0] * 6)


@pytest.mark.parametrize(("height", "width", "size"), [(8, 6, 2), (7, 9, 2), (9, 10, 4), (5, 5, 1)])
def test_patches_come_back_as_they_went(rng, height, width, size):
    frames = rng.normal(size=(2, 3, height, width, 2)).astype(np.float32)
    patches = to_patches(frames, size)
    assert patches.shape == (2, 3, -(-height // size), -(-width // size), size * size * 2)
    np.testing.assert_array_equal(np.asarray(from_patches(patches[:, 1], size, height, width)), frames[:, 1])


def test_a_patch_holds_its_own_points():
    frame = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    np.testing.assert_array_equal(np.asarray(to_patches(frame, 2))[0, 0, 1], [2, 3, 6, 7])


@pytest.mark.parametrize(
    ("kind", "cost"),
    [
        ("mse", np.square),
        ("mae", np.abs),
        ("huber", lambda e: np.where(np.abs(e) <= 1, e**2 / 2, np.abs(e) - 0.5)),
    ],
)
def test_losses_by_hand(rng, kind, cost):
    forecast, truth = rng.normal(scale=2, size=(2, 3, 4, 5, 2)), rng.normal(size=(2, 3, 4, 5, 2))
    weights = variable_weights(["b"], ["a", "b"])
    np.testing.assert_array_equal(weights, [0, 2])
    expected = cost(forecast - truth)[..., 1].mean()
    assert float(reconstruction_loss(kind, forecast, truth, weights)) == pytest.approx(expected, rel=1e-5)
