"""Spectrally normalised convolutions in space and time."""

from typing import Any

import keras
from keras import ops

_EPSILON = 1e-12


class SpectralConv3D(keras.layers.Layer):
    """A convolution whose kernel W is divided by (an estimate of) its largest singular value.

    Miyato, Kataoka, Koyama & Yoshida (2018): Spectral Normalization for Generative Adversarial Networks, ICLR,
    algorithm 1, with W as the matrix [kernel points * input channels, filters]:

        v = W u / |W u|,   u' = W^T v / |W^T v|,   sigma = v^T W u',   kernel = W / sigma

    v and u' count as constants in the gradient. A call does not change u, so that a loss is a function of its
    arguments; `update` (once after each training step) does, by one step of the power iteration.

    Arguments:
        filters: output channels.
        kernel_size, strides: in time, latitude and longitude.

    Call arguments:
        inputs: [B, T, H, W, C].
    """

    def __init__(
        self,
        filters: int,
        kernel_size: tuple[int, int, int],
        strides: tuple[int, int, int] = (1, 1, 1),
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.filters, self.kernel_size, self.strides = filters, kernel_size, strides

    def build(self, shape: Any) -> None:
        """Make kernel, bias and the first guess of u."""
        # an estimate in bfloat16 would be too coarse: `call` casts, not Keras
        self.kernel = self.add_weight(
            shape=(*self.kernel_size, shape[-1], self.filters), autocast=False, name="kernel"
        )
        self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")
        self.direction = self.add_weight(
            shape=(self.filters, 1),
            initializer=keras.initializers.RandomNormal(stddev=1.0),
            trainable=False,
            autocast=False,
            name="direction",
        )

    def call(self, inputs: Any) -> Any:
        """Convolve, with the borders padded by zeros."""
        kernel = ops.cast(self.normalised_kernel(), self.compute_dtype)
        outputs = ops.conv(inputs, kernel, strides=self.strides, padding="same")
        return outputs + ops.cast(self.bias, self.compute_dtype)

    def normalised_kernel(self) -> Any:
        """Return W / sigma, float32."""
        matrix = self._matrix()
        left, right = self._power_iteration(matrix)
        sigma = ops.sum(left * ops.matmul(matrix, right))
        return ops.reshape(matrix / sigma, self.kernel.shape)

    def update(self) -> None:
        """Move u towards the first right singular vector of W."""
        self.direction.assign(self._power_iteration(self._matrix())[1])

    def _matrix(self) -> Any:
        return ops.reshape(self.kernel, (-1, self.filters))

    def _power_iteration(self, matrix: Any) -> tuple[Any, Any]:
        matrix = ops.stop_gradient(matrix)
        left = _unit(ops.matmul(matrix, self.direction))
        return left, _unit(ops.matmul(ops.transpose(matrix), left))


def _unit(vector: Any) -> Any:
    return vector / (ops.sqrt(ops.sum(ops.square(vector))) + _EPSILON)
