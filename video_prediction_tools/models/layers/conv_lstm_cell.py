"""The convolutional LSTM cell."""

from typing import Any

import keras
from keras import ops


class ConvLSTMCell(keras.layers.Layer):
    """One step of a convolutional LSTM (Shi et al. 2015, equation 3, without the peephole terms).

        i, f, g, o = split(W_x * X_t + W_h * H_{t-1} + b)
        C_t = sigmoid(f) C_{t-1} + sigmoid(i) tanh(g)
        H_t = sigmoid(o) tanh(C_t)

    The pre-activations are linear. The peephole weights of the paper are tied to one grid size and are left out, as in
    `keras.layers.ConvLSTM2D`, whose gate order (i, f, g, o) and weights this cell shares. The forget bias starts at 1
    (Jozefowicz et al. 2015).

    Arguments:
        filters: channels of the state, F.
        kernel_size: width of both convolutions, in grid points.

    Call arguments:
        projected: [B, h, w, 4F], `project` of the input.
        state: (H, C), each [B, h, w, F].

    Returns:
        the new (H, C).
    """

    def __init__(self, filters: int, kernel_size: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.filters, self.kernel_size = filters, kernel_size
        # named after the cell: it is used outside of the cell's own call
        self.input_convolution = keras.layers.Conv2D(
            4 * filters,
            kernel_size,
            padding="same",
            name=f"{self.name}_input",
            bias_initializer=_forget_bias_one,
        )
        self.state_convolution = keras.layers.Conv2D(
            4 * filters,
            kernel_size,
            padding="same",
            use_bias=False,
            kernel_initializer="orthogonal",
            name="state",
        )

    def build(self, projected_shape: Any, state_shape: Any = None) -> None:
        """Make the weights of the state convolution (the input's are made by its first use)."""
        self.state_convolution.build((None, None, None, self.filters))
        self.built = True

    def project(self, inputs: Any) -> Any:
        """Convolve inputs [B, h, w, channels]."""
        return self.input_convolution(inputs)

    def initial_state(self, like: Any) -> tuple[Any, Any]:
        """Return a zero state for inputs [B, h, w, ...]."""
        zeros = ops.zeros_like(ops.repeat(like[..., :1], self.filters, axis=-1))
        return zeros, zeros

    def call(self, projected: Any, state: tuple[Any, Any]) -> tuple[Any, Any]:
        """Take one step."""
        hidden, cell = state
        gates = projected + self.state_convolution(hidden)
        i, f, g, o = ops.split(gates, 4, axis=-1)
        cell = ops.sigmoid(f) * cell + ops.sigmoid(i) * ops.tanh(g)
        return ops.sigmoid(o) * ops.tanh(cell), cell


def _forget_bias_one(shape: tuple[int, ...], dtype: Any = None) -> Any:
    filters = shape[0] // 4
    return ops.concatenate(
        [ops.zeros(filters, dtype), ops.ones(filters, dtype), ops.zeros(2 * filters, dtype)]
    )
