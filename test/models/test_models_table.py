"""The multiply-adds of docs/models.md: benchmarks/models_table.py counts what a hand counts."""

import sys

import pytest
import tensorflow as tf
from keras import layers, ops

from video_prediction_tools.models import registry
from video_prediction_tools.models.base import DataSpec


@pytest.fixture(scope="module")
def multiply_adds(repository):
    """The function of the benchmark."""
    sys.path.append(str(repository / "benchmarks"))
    from models_table import multiply_adds

    return multiply_adds


def traced(function, *shapes):
    """Trace a function of float32 tensors as the benchmark does."""
    specs = [tf.TensorSpec(shape) for shape in shapes]
    return tf.function(function, autograph=False).get_concrete_function(*specs)


def test_conv_lstm(multiply_adds):
    """Three steps (2 frames forecast from 2) on 3 x 4 patches of 2 x 2 pixels."""
    given = ["filters=3,5", "kernel_size=3", "patch_size=2", "context_frames=2", "convolution=direct"]
    hparams = registry.resolve_hparams("convLSTM", None, given)
    model = registry.create("convLSTM", DataSpec(6, 8, ("2t",), (), 2, 2), hparams)
    first = 12 * 9 * (4 + 3) * 12  # points, kernel, a patch and the state, 4 gates of 3 filters
    second = 12 * 9 * (3 + 5) * 20
    output = 12 * 5 * 4
    counted = multiply_adds(traced(model.forecast, (1, 2, 6, 8, 1), (1, 4, 6, 8, 0)))
    assert counted == 3 * (first + second + output)


def test_a_loop_counts_as_often_as_it_turns(multiply_adds):
    """A Dense layer in `ops.scan`, whose body calls a function, and one before it."""
    before, inside = layers.Dense(3), layers.Dense(3)
    before.build((2, 5))
    inside.build((2, 3))
    called = tf.function(inside, autograph=False)

    def function(start, series):
        def step(state, frame):
            state = called(state) + frame
            return state, state

        return ops.scan(step, before(start), series)[1]

    assert multiply_adds(traced(function, (2, 5), (7, 2, 3))) == 2 * 5 * 3 + 7 * (2 * 3 * 3)


def test_a_loop_that_does_not_say_how_often_it_turns_is_not_guessed(multiply_adds):
    def function(start):
        return tf.while_loop(lambda one: tf.reduce_sum(one) < 10.0, lambda one: [one @ one], [start])

    with pytest.raises(ValueError, match="not known how often it turns"):
        multiply_adds(traced(function, (2, 2)))


@pytest.mark.parametrize(
    ("function", "shapes", "expected"),
    [
        (lambda a, b: tf.matmul(a, b, transpose_a=True), [(7, 2), (7, 3)], 2 * 7 * 3),
        (lambda a, b: tf.matmul(a, b, adjoint_a=True), [(4, 7, 2), (4, 7, 3)], 4 * 2 * 7 * 3),
        (lambda a, b: tf.einsum("bthf,fc->bthc", a, b), [(2, 3, 4, 5), (5, 6)], 2 * 3 * 4 * 5 * 6),
        # 4 x 4 points of the output, a kernel of 3 x 3, from 5 channels to 6
        (
            lambda a, b: ops.conv(a, b, strides=2, padding="same"),
            [(1, 8, 8, 5), (3, 3, 5, 6)],
            16 * 9 * 5 * 6,
        ),
        (lambda a, b: ops.conv(a, b, padding="same"), [(1, 2, 4, 4, 5), (2, 3, 3, 5, 6)], 32 * 18 * 5 * 6),
        (lambda a, b: ops.depthwise_conv(a, b, padding="same"), [(1, 4, 4, 5), (3, 3, 5, 2)], 16 * 9 * 5 * 2),
        # each of the 4 x 4 points of the input meets the kernel once, from 5 channels to 6
        (
            lambda a, b: ops.conv_transpose(a, b, strides=2, padding="same"),
            [(1, 4, 4, 5), (3, 3, 6, 5)],
            16 * 9 * 5 * 6,
        ),
    ],
    ids=["matmul", "batched", "einsum", "conv2d", "conv3d", "depthwise", "transposed"],
)
def test_single_operations(multiply_adds, function, shapes, expected):
    assert multiply_adds(traced(function, *shapes)) == expected
