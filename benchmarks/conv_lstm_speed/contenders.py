"""One contender of benchmarks/conv_lstm_speed in a process of its own; see `__main__.py`.

    python contenders.py NAME

Reads words from standard input and answers each with a line: `train` and `forecast` with the seconds that one took (the
first of them compiles), `products` with what it sees of the machine's speed, `profile` with where a step's time goes.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np

BATCH, CONTEXT, LEAD, SIDE, PATCH = 4, 10, 10, 64, 4
LAYERS, FILTERS, KERNEL = 4, 128, 5
STEPS = CONTEXT + LEAD - 1
GRID, DEPTH = SIDE // PATCH, PATCH**2
LEARNING_RATE = 1e-3


def frames() -> np.ndarray:
    """Return frames [B, Tc+Tl, H, W, 1]; what they show has no influence on the speed."""
    return np.random.default_rng(1).random((BATCH, CONTEXT + LEAD, SIDE, SIDE, 1), np.float32)


def multiply_adds() -> int:
    """Return the multiply-adds of one forecast of the batch in the convolutions of the cells and of the output."""
    points = BATCH * GRID**2
    inputs = [DEPTH, *[FILTERS] * (LAYERS - 1)]
    cells = sum(KERNEL**2 * (one + FILTERS) * 4 * FILTERS for one in inputs)
    return STEPS * points * (cells + FILTERS * DEPTH)


class Ours:
    """convLSTM of this project and its own training step; on CPUs it convolves by minimal filtering."""

    def __init__(self, arithmetic: str, convolution: str = "auto"):
        import tensorflow as tf

        from video_prediction_tools.datasets.channels import Region
        from video_prediction_tools.datasets.normalisation import Normalisation
        from video_prediction_tools.models import registry
        from video_prediction_tools.models.base import DataSpec
        from video_prediction_tools.training.arithmetic import layer_arithmetic
        from video_prediction_tools.training.steps import Steps

        given = [
            f"context_frames={CONTEXT}", f"batch_size={BATCH}", f"patch_size={PATCH}", f"kernel_size={KERNEL}",
            f"filters={','.join([str(FILTERS)] * LAYERS)}", "context_loss_weight=1", "residual=false", "clip_norm=0",
            f"mixed_precision={arithmetic}", "normalisation=minmax", "lr_schedule=constant",
            f"convolution={convolution}",
        ]  # fmt: skip
        hparams = registry.resolve_hparams("convLSTM", None, given)
        spec = DataSpec(SIDE, SIDE, ("frame",), (), CONTEXT, LEAD)
        ranges = {"frame": {"min": 0.0, "max": 1.0, "mean": 0.5, "std": 0.3}}
        with layer_arithmetic(hparams.mixed_precision):
            model = registry.create("convLSTM", spec, hparams)
            normalisation = Normalisation("minmax", ("frame",), ranges)
            steps = Steps(model, normalisation, Region(None, None), 1, 1000, tf.distribute.get_strategy())
        data = tf.constant(frames())
        clock = tf.zeros((BATCH, CONTEXT + LEAD, 2))
        known = tf.zeros((BATCH, CONTEXT + LEAD, SIDE, SIDE, 0))
        forecast = tf.function(model.forecast, autograph=False)
        step = tf.constant(1, tf.int64)
        self.train = lambda: steps.train(data, clock, step)["loss"].numpy()
        self.forecast = lambda: forecast(data[:, :CONTEXT], known, tf.range(BATCH))[0, 0, 0, 0, 0].numpy()


class KerasLayers:
    """keras.layers.ConvLSTM2D, stacked; it cannot be fed its own output, so that it sees all 19 frames at once.

    That is easier than what the others do: the same convolutions, none of which waits for the layer above.
    """

    def __init__(self):
        import keras
        import tensorflow as tf

        inputs = keras.Input((STEPS, GRID, GRID, DEPTH), batch_size=BATCH)
        hidden = inputs
        for _ in range(LAYERS):
            hidden = keras.layers.ConvLSTM2D(FILTERS, KERNEL, padding="same", return_sequences=True)(hidden)
        model = keras.Model(inputs, keras.layers.Conv3D(DEPTH, 1)(hidden))
        optimizer = keras.optimizers.Adam(LEARNING_RATE)
        optimizer.build(model.trainable_variables)
        data = tf.constant(frames()).numpy().reshape(BATCH, CONTEXT + LEAD, GRID, PATCH, GRID, PATCH)
        data = tf.constant(
            np.ascontiguousarray(data.transpose(0, 1, 2, 4, 3, 5)).reshape(BATCH, -1, GRID, GRID, DEPTH)
        )

        @tf.function(autograph=False)
        def train():
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((model(data[:, :-1], training=True) - data[:, 1:]) ** 2)
            optimizer.apply(tape.gradient(loss, [one.value for one in model.trainable_variables]))
            return loss

        forecast = tf.function(lambda: model(data[:, :-1])[0, -1, 0, 0, 0], autograph=False)
        self.train = lambda: train().numpy()
        self.forecast = lambda: forecast().numpy()


class Torch:
    """The same network in PyTorch, one convolution for each cell and step, channels last."""

    def __init__(self, arithmetic: str):
        import torch
        from torch import nn
        from torch.nn import functional

        torch.set_num_threads(len(os.sched_getaffinity(0)))

        class Network(nn.Module):
            def __init__(self):
                super().__init__()
                inputs = [DEPTH, *[FILTERS] * (LAYERS - 1)]
                self.gates = nn.ModuleList(
                    nn.Conv2d(one + FILTERS, 4 * FILTERS, KERNEL, padding=KERNEL // 2) for one in inputs
                )
                self.last = nn.Conv2d(FILTERS, DEPTH, 1)

            def forward(self, context):
                zeros = context.new_zeros(BATCH, FILTERS, GRID, GRID)
                states = [(zeros, zeros) for _ in self.gates]
                made = []
                for step in range(STEPS):
                    inputs = context[:, step] if step < CONTEXT else made[-1]
                    for index, gates in enumerate(self.gates):
                        hidden, cell = states[index]
                        i, f, g, o = gates(torch.cat([inputs, hidden], 1)).chunk(4, 1)
                        cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
                        inputs = torch.sigmoid(o) * torch.tanh(cell)
                        states[index] = inputs, cell
                    made.append(self.last(inputs))
                return torch.stack(made, 1)

        network = Network().to(memory_format=torch.channels_last)
        optimizer = torch.optim.Adam(network.parameters(), LEARNING_RATE)
        data = functional.pixel_unshuffle(
            torch.from_numpy(frames()).permute(0, 1, 4, 2, 3).flatten(0, 1), PATCH
        )
        data = data.contiguous(memory_format=torch.channels_last).unflatten(0, (BATCH, CONTEXT + LEAD))

        def autocast():
            return torch.autocast("cpu", torch.bfloat16, enabled=arithmetic == "bfloat16")

        def train():
            optimizer.zero_grad()
            with autocast():
                loss = functional.mse_loss(network(data[:, :CONTEXT]).float(), data[:, 1:])
            loss.backward()
            optimizer.step()
            return loss.item()

        def forecast():
            with torch.no_grad(), autocast():
                return network(data[:, :CONTEXT])[0, -1, 0, 0, 0].item()

        self.train, self.forecast = train, forecast


CONTENDERS: dict[str, Callable[[], Any]] = {
    "ours, float32": lambda: Ours("float32"),
    "ours, float32, direct": lambda: Ours("float32", convolution="direct"),
    "ours, bfloat16": lambda: Ours("bfloat16"),
    "ours, bfloat16, direct": lambda: Ours("bfloat16", convolution="direct"),
    "keras.layers.ConvLSTM2D": KerasLayers,
    "PyTorch, float32": lambda: Torch("float32"),
    "PyTorch, bfloat16": lambda: Torch("bfloat16"),
}


def products() -> dict[str, float]:
    """Measure this machine's matrix products, GFLOP/s, in TensorFlow."""
    import tensorflow as tf

    found, size = {}, 2048
    for kind in (tf.float32, tf.bfloat16):
        one = tf.cast(tf.random.normal((size, size)), kind)
        multiply = tf.function(lambda one: tf.matmul(one, one), autograph=False)
        multiply(one)
        times = []
        for _ in range(5):
            begun = time.perf_counter()
            multiply(one)[0, 0].numpy()
            times.append(time.perf_counter() - begun)
        found[kind.name] = 2 * size**3 / min(times) / 1e9
    return found


def profile(step: Callable[[], Any]) -> dict[str, float]:
    """Return the seconds that the operations of one step took, by kind, the longest first."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    kinds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as directory:
        with tf.profiler.experimental.Profile(directory):
            step()
        (path,) = Path(directory).rglob("*.xplane.pb")
        planes = xplane_pb2.XSpace.FromString(path.read_bytes()).planes
    for plane in planes:
        for line in plane.lines:
            for event in line.events if line.name.startswith("tf_Compute") else ():
                name = plane.event_metadata[event.metadata_id].name
                if ":" in name and "::" not in name:  # "name:kind" of an operation
                    kind = name.split(":")[1]
                    kinds[kind] = kinds.get(kind, 0.0) + event.duration_ps / 1e12
    return dict(sorted(kinds.items(), key=lambda item: -item[1]))


def main() -> None:
    """Answer until the input ends."""
    contender = CONTENDERS[sys.argv[1]]()
    for word in map(str.strip, sys.stdin):
        if word == "products":
            answer: Any = products()
        elif word == "profile":
            answer = profile(contender.train)
        else:
            begun = time.perf_counter()
            loss = getattr(contender, word)()
            answer = time.perf_counter() - begun
            if not np.isfinite(loss):
                sys.exit(f"{sys.argv[1]}: {word} gave {loss}")
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
