"""Weights, multiply-adds and seconds of every registered model, as the table of docs/models.md.

    python benchmarks/models_table.py --write               # all models, into docs/models.md
    python benchmarks/models_table.py convLSTM mcnet        # some, printed only

With the template for Moving MNIST: 64 x 64 points, 1 variable, 10 frames forecast from 10, 4 sequences at a time. The
multiply-adds are those of one forecast of one sequence in its convolutions and matrix products, counted in
TensorFlow's graph, where no convolution is done by minimal filtering (see `direct`); the seconds are medians, those of
a step with all its updates, on this machine.
"""

import argparse
import dataclasses
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from pages import table, write  # noqa: E402

from video_prediction_tools.datasets.channels import Region  # noqa: E402
from video_prediction_tools.datasets.normalisation import Normalisation  # noqa: E402
from video_prediction_tools.models import registry  # noqa: E402
from video_prediction_tools.models.base import DataSpec  # noqa: E402
from video_prediction_tools.models.hparams import CommonHparams  # noqa: E402
from video_prediction_tools.training.arithmetic import layer_arithmetic  # noqa: E402
from video_prediction_tools.training.steps import Steps  # noqa: E402

DATASET = "moving_mnist"
HEIGHT = WIDTH = 64
VARIABLES = ("frame",)
CONTEXT = LEAD = 10
BATCH = 4
RUNS, SECONDS = 5, 4.0  # of a measurement, at least
MARK = "written by benchmarks/models_table.py"
COLUMNS = ("model", "weights", "multiply-adds [10^6]", "first step [s]", "step [s]", "forecast [s]")

_PRODUCTS = ("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3")
_CONVOLUTIONS = ("Conv2D", "Conv3D", "DepthwiseConv2dNative")
_TRANSPOSED = ("Conv2DBackpropInput", "Conv3DBackpropInputV2")


def multiply_adds(function: Any) -> int:
    """Count the multiply-adds of the convolutions and matrix products of a traced function (static shapes).

    Raises:
        ValueError: a loop does not say how often it turns, or a shape is not known.
    """
    return _in_operations(function.graph.get_operations(), function.graph)


def _in_operations(operations: Iterable[Any], graph: Any) -> int:
    total = 0
    for operation in operations:
        kind = operation.type
        if kind in ("While", "StatelessWhile"):
            total += _turns(operation) * _in_function(operation.get_attr("body").name, graph)
        elif kind in ("PartitionedCall", "StatefulPartitionedCall"):
            total += _in_function(operation.get_attr("f").name, graph)
        else:
            total += _of_operation(operation)
    return total


def _turns(loop: Any) -> int:
    """Return how often a loop of `keras.ops.scan` turns: once for each entry of the lists that it reads."""
    lengths = {one.op.inputs[0].shape[0] for one in loop.inputs if one.op.type == "TensorListFromTensor"}
    if len(lengths) != 1 or None in lengths:
        raise ValueError(f"{loop.name}: it is not known how often it turns")
    return lengths.pop()


def _in_function(name: str, graph: Any) -> int:
    body = graph._get_function(name).graph  # no public way leads to it
    return _in_operations(body.get_operations(), body)


def _of_operation(operation: Any) -> int:
    kind = operation.type
    if kind in _PRODUCTS:
        rows = operation.outputs[0].shape.num_elements()
        flipped = operation.get_attr("transpose_a" if kind == "MatMul" else "adj_x")
        return rows * operation.inputs[0].shape[-2 if flipped else -1]
    if kind == "Einsum":
        terms = operation.get_attr("equation").decode().split("->")[0].split(",")
        sizes = {
            letter: size
            for term, one in zip(terms, operation.inputs, strict=True)
            for letter, size in zip(term, one.shape, strict=True)
        }
        return int(np.prod(list(sizes.values())))
    if kind in _CONVOLUTIONS:
        kernel = operation.inputs[1].shape
        per_output = kernel[:2] if kind == "DepthwiseConv2dNative" else kernel[:-1]
        return operation.outputs[0].shape.num_elements() * int(np.prod(per_output))
    if kind in _TRANSPOSED:  # each number of its input meets the kernel once for each output channel
        return operation.inputs[2].shape.num_elements() * int(np.prod(operation.inputs[1].shape[:-1]))
    return 0


def direct(hparams: CommonHparams) -> CommonHparams:
    """Return the same with ordinary convolutions: what papers count, whatever this machine does."""
    return dataclasses.replace(hparams, convolution="direct") if hasattr(hparams, "convolution") else hparams


def median_seconds(run: Callable[[], Any]) -> float:
    """Return the median of `RUNS` runs, or of as many more as take `SECONDS`."""
    run()
    times: list[float] = []
    while len(times) < RUNS or sum(times) < SECONDS:
        begun = time.perf_counter()
        run()
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def measure(name: str) -> tuple[str, ...]:
    """Return the line of a model."""
    hparams = registry.resolve_hparams(
        name, None, [f"context_frames={CONTEXT}", f"batch_size={BATCH}"], DATASET
    )
    spec = DataSpec(HEIGHT, WIDTH, VARIABLES, (), CONTEXT, LEAD)
    normalisation = Normalisation(
        hparams.normalisation, VARIABLES, {VARIABLES[0]: {"min": 0.0, "max": 1.0, "mean": 0.0, "std": 1.0}}
    )
    tf.keras.utils.set_random_seed(1)
    with layer_arithmetic(hparams.mixed_precision):
        model = registry.create(name, spec, hparams)
        steps = Steps(model, normalisation, Region(None, None), 1, 1000, tf.distribute.get_strategy())
    frames = np.random.default_rng(1).random((BATCH, CONTEXT + LEAD, HEIGHT, WIDTH, 1), np.float32)
    clock = np.zeros((BATCH, CONTEXT + LEAD, 2), np.float32)
    known = np.zeros((BATCH, CONTEXT + LEAD, HEIGHT, WIDTH, 0), np.float32)

    counted = registry.create(name, spec, direct(hparams))
    one = tf.function(counted.forecast, autograph=False).get_concrete_function(
        tf.TensorSpec((1, CONTEXT, HEIGHT, WIDTH, 1)),
        tf.TensorSpec((1, CONTEXT + LEAD, HEIGHT, WIDTH, 0)),
        tf.TensorSpec((1,), tf.int32),
    )
    forecast = tf.function(model.forecast, autograph=False)
    inputs = [tf.constant(each) for each in (frames[:, :CONTEXT], known, np.arange(BATCH, dtype=np.int32))]
    forecast(*inputs)
    forecast_seconds = median_seconds(lambda: forecast(*inputs)[0, 0, 0, 0, 0].numpy())

    first = step = "-"  # nothing to train
    if steps.phases:
        arguments = tf.constant(frames), tf.constant(clock), tf.constant(1, tf.int64)
        begun = time.perf_counter()
        steps.train(*arguments)["loss"].numpy()
        first = f"{time.perf_counter() - begun:.1f}"
        step = f"{median_seconds(lambda: steps.train(*arguments)['loss'].numpy()):.3f}"
    return (
        name,
        f"{model.count_params():,}",
        f"{multiply_adds(one) / 1e6:,.1f}",
        first,
        step,
        f"{forecast_seconds:.3f}",
    )


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", choices=[*registry.names(), []], help="default: all")
    parser.add_argument(
        "--write", action="store_true", help="write the table of all models to docs/models.md"
    )
    options = parser.parse_args()
    if options.write and options.models:
        parser.error("--write is for the table of all models")
    lines = []
    for name in options.models or registry.names():
        lines.append(measure(name))
        print(" | ".join(lines[-1]), flush=True)
    machine = f"{os.cpu_count()} cores ({platform.machine()}) with TensorFlow {tf.__version__}"
    text = f"{table([COLUMNS, *lines])}\n\nMeasured on {machine}."
    print(f"\n{text}")
    if options.write:
        write("models.md", MARK, text)


if __name__ == "__main__":
    main()
