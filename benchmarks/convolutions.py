"""From what size on minimal filtering (`models.layers.winograd`) is faster than an ordinary convolution in convLSTM.

python benchmarks/convolutions.py

Prints for some widths and numbers of filters the computing time [s] of a gradient and of a forecast, 10 frames from 10,
of two layers, 8 sequences, both ways in turn, and which of them `convolution=auto` takes.
"""

import itertools
import time
from collections.abc import Callable

import keras
import tensorflow as tf

from video_prediction_tools.models import registry
from video_prediction_tools.models.base import DataSpec
from video_prediction_tools.models.layers.winograd import is_chosen

BATCH, FRAMES, ROUNDS = 8, 10, 3
# width, filters, points in each direction
CASES = [(width, filters, 32) for width in (3, 5, 7) for filters in (16, 32, 64)] + [
    (5, 64, 5),
    (5, 64, 9),
    (6, 32, 32),
]


def functions(width: int, filters: int, side: int, way: str) -> list[Callable[[], tf.Tensor]]:
    """Return the gradient and the forecast of a new model."""
    spec = DataSpec(side, side, ("frame",), (), FRAMES, FRAMES)
    given = [f"convolution={way}", f"kernel_size={width}", f"filters={filters},{filters}"]
    hparams = registry.resolve_hparams("convLSTM", None, [*given, f"context_frames={FRAMES}"])
    model = registry.create("convLSTM", spec, hparams)
    (phase,) = model.phases(1)
    frames, known = tf.random.normal((BATCH, 2 * FRAMES, side, side, 1)), tf.zeros((BATCH, 1, side, side, 0))

    @tf.function(autograph=False)
    def gradient() -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = phase.loss(frames, known, 0, tf.range(BATCH))["loss"]
        gradients = tape.gradient(loss, [variable.value for variable in phase.variables])
        return tf.linalg.global_norm(gradients)

    @tf.function(autograph=False)
    def forecast() -> tf.Tensor:
        return tf.reduce_sum(model.forecast(frames[:, :FRAMES], known))

    return [gradient, forecast]


def cost(function: Callable[[], tf.Tensor]) -> float:
    """Return the computing time [s] of a call."""
    begun = time.process_time()
    function().numpy()
    return time.process_time() - begun


def main() -> None:
    """Measure and print."""
    print("width filters side   gradient: direct, winograd, ratio   forecast: direct, winograd, ratio   auto")
    for width, filters, side in CASES:
        ways = [functions(width, filters, side, way) for way in ("direct", "winograd")]
        costs: list[list[list[float]]] = [[[], []], [[], []]]
        for number in range(ROUNDS + 1):  # the first compiles
            for way, kind in itertools.product((0, 1), (0, 1)):
                took = cost(ways[way][kind])
                if number:
                    costs[way][kind].append(took)
        line = f"{width:5d}{filters:8d}{side:5d}"
        for kind in (0, 1):
            direct, minimal = (min(costs[way][kind]) for way in (0, 1))
            line += f"{direct:15.2f}{minimal:10.2f}{direct / minimal:10.2f}"
        taken = "winograd" if is_chosen("auto", width, filters, (side, side), "float32") else "direct"
        print(f"{line}    {taken}", flush=True)
        keras.backend.clear_session()


if __name__ == "__main__":
    main()
