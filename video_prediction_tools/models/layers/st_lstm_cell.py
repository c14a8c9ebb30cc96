"""The spatiotemporal LSTM cell of PredRNN."""

from typing import Any

import keras
from keras import ops

EPSILON = 1e-12


class STLSTMCell(keras.layers.Layer):
    """One step of a spatiotemporal LSTM (Wang et al. 2023, arXiv 2103.09504), with * for convolutions.

        g, i, f    = tanh, sigmoid, sigmoid(W_x * X_t + W_h * H_{t-1} + b)        the first memory, C, is of its layer
        dC         = i g,       C_t = sigmoid(f + 1) C_{t-1} + dC
        g', i', f' = tanh, sigmoid, sigmoid(W'_x * X_t + W_m * M + b')            the second memory, M, is handed on
        dM         = i' g',     M'  = sigmoid(f' + 1) M + dM
        o          = sigmoid(W_xo * X_t + W_ho * H_{t-1} + W_co * [C_t, M'] + b_o)
        H_t        = o tanh(W_11 * [C_t, M'])                                     W_11 of width 1

    The 1 in the forget gates is that of the authors' code. With `layer_norm` each convolution but W_11 is normalised
    over grid and channels, with a scale and a shift for each channel (the authors' code has them for each grid point as
    well, which ties the weights to one grid).

    Arguments:
        filters: channels of the states, F.
        kernel_size: width of the convolutions, in grid points.
        layer_norm: whether they are normalised.

    Call arguments:
        inputs: [B, h, w, channels]; state: (H, C) of this layer; memory: M, of the layer below (of the top one, a step
        before, for the first layer); each [B, h, w, F].

    Returns:
        the new (H, C), M', and the increments (dC, dM).
    """

    def __init__(self, filters: int, kernel_size: int, layer_norm: bool, **kwargs: Any):
        super().__init__(**kwargs)
        self.filters = filters

        def convolution(gates: int, name: str, use_bias: bool = False) -> keras.layers.Conv2D:
            return keras.layers.Conv2D(
                gates * filters, kernel_size, padding="same", use_bias=use_bias, name=name
            )

        # a bias before a normalisation would be one too many
        self.convolutions = {
            "input": convolution(7, "input", use_bias=not layer_norm),
            "hidden": convolution(4, "hidden"),
            "memory": convolution(3, "memory"),
            "output": convolution(1, "output"),
        }
        self.norms = {
            name: keras.layers.GroupNormalization(groups=1, name=f"{name}_norm") if layer_norm else None
            for name in self.convolutions
        }
        self.joined = keras.layers.Conv2D(filters, 1, use_bias=False, name="joined")

    def initial_state(self, like: Any) -> Any:
        """Return zeros [B, h, w, F] for inputs [B, h, w, ...]: each of H, C and M begins as that."""
        zeros = ops.zeros_like(ops.repeat(like[..., :1], self.filters, axis=-1))
        return ops.cast(zeros, self.compute_dtype)

    def call(
        self, inputs: Any, state: tuple[Any, Any], memory: Any
    ) -> tuple[tuple[Any, Any], Any, tuple[Any, Any]]:
        """Take one step."""
        hidden, cell = state
        of_input = self._convolved("input", inputs)
        of_hidden = self._convolved("hidden", hidden)
        cut = 3 * self.filters
        cell, cell_change = _updated(cell, of_input[..., :cut] + of_hidden[..., :cut])
        memory, memory_change = _updated(
            memory, of_input[..., cut : 2 * cut] + self._convolved("memory", memory)
        )
        both = ops.concatenate([cell, memory], axis=-1)
        output = of_input[..., 2 * cut :] + of_hidden[..., cut:] + self._convolved("output", both)
        hidden = ops.sigmoid(output) * ops.tanh(self.joined(both))
        return (hidden, cell), memory, (cell_change, memory_change)

    def _convolved(self, name: str, inputs: Any) -> Any:
        features = self.convolutions[name](inputs)
        return features if self.norms[name] is None else self.norms[name](features)


def _updated(memory: Any, gates: Any) -> tuple[Any, Any]:
    g, i, f = ops.split(gates, 3, axis=-1)
    change = ops.sigmoid(i) * ops.tanh(g)
    return ops.sigmoid(f + 1.0) * memory + change, change


def alignment(first: Any, second: Any) -> Any:
    """Return how far two increments point the same way: |cosine| over the grid, mean over the channels, [B] float32.

    The memory decoupling of Wang et al. (2023; a sum over the channels there, a mean in the authors' code).

    Arguments:
        first, second: [B, h, w, F].
    """
    first, second = ops.cast(first, "float32"), ops.cast(second, "float32")
    product = ops.sum(first * second, axis=(1, 2))
    # within the root, so that increments of zero have a gradient
    lengths = [ops.sqrt(ops.sum(ops.square(one), axis=(1, 2)) + EPSILON) for one in (first, second)]
    return ops.mean(ops.abs(product / (lengths[0] * lengths[1])), axis=-1)
