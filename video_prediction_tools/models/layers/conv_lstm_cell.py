"""The convolutional LSTM cell."""

from typing import Any

import keras
from keras import ops

from video_prediction_tools.models.layers import winograd


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
        minimal_filtering: convolve by `layers.winograd`.

    Call arguments:
        inputs: [B, h, w, channels].
        state: `initial_state`, or what the step before has returned (not in a loop of the graph: it has other entries).

    Returns:
        the new state: H and C, each [B, h, w, F], and the float32 kernel of both convolutions. All steps of a roll-out
        share it, so that it is joined, and transformed, once; it is of the weights at the first of them.
    """

    def __init__(self, filters: int, kernel_size: int, minimal_filtering: bool = False, **kwargs: Any):
        # of the kernel each step has a gradient, and their sum is too coarse in bfloat16: `gates` casts, not Keras
        super().__init__(autocast=False, **kwargs)
        self.filters, self.kernel_size, self.minimal_filtering = filters, kernel_size, minimal_filtering

    def build(self, inputs_shape: Any, state_shape: Any = None) -> None:
        """Make the weights."""
        gates, width = 4 * self.filters, (self.kernel_size, self.kernel_size)

        def weight(name: str, shape: tuple[int, ...], initializer: Any) -> Any:
            return self.add_weight(shape=shape, initializer=initializer, autocast=False, name=name)

        self.kernel = weight("kernel", (*width, inputs_shape[-1], gates), "glorot_uniform")
        self.recurrent_kernel = weight("recurrent_kernel", (*width, self.filters, gates), "orthogonal")
        self.bias = weight("bias", (gates,), self.first_bias)

    def first_bias(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        """Return the bias of a new cell: 1 for the forget gate, 0 for the others."""
        filters = shape[0] // 4
        return ops.concatenate(
            [ops.zeros(filters, dtype), ops.ones(filters, dtype), ops.zeros(2 * filters, dtype)]
        )

    def initial_state(self, like: Any) -> tuple[Any, ...]:
        """Return a zero state for inputs [B, h, w, ...]."""
        zeros = ops.zeros_like(ops.repeat(like[..., :1], self.filters, axis=-1))
        return zeros, zeros

    def call(self, inputs: Any, state: tuple[Any, ...]) -> tuple[Any, Any, Any]:
        """Take one step."""
        hidden, cell, *kernel = state
        inputs, hidden, cell = (ops.cast(one, self.compute_dtype) for one in (inputs, hidden, cell))
        (kernel,) = kernel or [self._joined_kernel()]
        i, f, g, o = ops.split(self.gates(ops.concatenate([inputs, hidden], axis=-1), kernel), 4, axis=-1)
        cell = ops.sigmoid(f) * cell + ops.sigmoid(i) * ops.tanh(g)
        return ops.sigmoid(o) * ops.tanh(cell), cell, kernel

    def gates(self, joined: Any, kernel: Any) -> Any:
        """Return the pre-activations [B, h, w, 4F].

        Arguments:
            joined: inputs and H, [B, h, w, channels + F].
            kernel: of the state.
        """
        if self.minimal_filtering:
            convolved = ops.cast(winograd.convolve(joined, kernel, self.kernel_size), joined.dtype)
        else:
            convolved = ops.conv(joined, ops.cast(kernel, joined.dtype), padding="same")
        return convolved + ops.cast(self.bias, joined.dtype)

    def _joined_kernel(self) -> Any:
        joined = ops.concatenate([self.kernel, self.recurrent_kernel], axis=2)
        return winograd.transformed(joined) if self.minimal_filtering else joined
