"""Instance normalisation."""

from typing import Any

import keras
from keras import ops

EPSILON = 1e-3  # a channel that is nearly constant must not have its noise blown up


class InstanceNormalization(keras.layers.Layer):
    """Bring each channel of each sequence to mean 0 and variance 1 over the grid, then scale and shift it.

    Ulyanov, Vedaldi & Lempitsky (2016): Instance Normalization, equation 5. The same numbers as
    `keras.layers.GroupNormalization(groups=-1, epsilon=EPSILON)` with a fifth of its operations, which counts where a
    cell is traced for each of twenty steps.

    A shift that all grid points share (a code that is tiled over the grid, a clock) does not pass through it: such
    numbers are to be added behind it.

    Call arguments:
        features: [B, h, w, C].

    Returns:
        the same shape; means and variances are worked out in float32.
    """

    def build(self, shape: Any) -> None:
        """Make the scale (1 at first) and the shift (0 at first) of each channel."""
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones", name="scale")
        self.shift = self.add_weight(shape=(shape[-1],), initializer="zeros", name="shift")

    def call(self, features: Any) -> Any:
        """Normalise."""
        features = ops.cast(features, "float32")
        mean, variance = ops.moments(features, axes=(1, 2), keepdims=True)
        scale = ops.cast(self.scale, "float32") * ops.rsqrt(variance + EPSILON)
        return ops.cast((features - mean) * scale + ops.cast(self.shift, "float32"), self.compute_dtype)
