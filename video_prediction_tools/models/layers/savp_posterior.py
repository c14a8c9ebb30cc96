"""The posterior of savp: what code leads from a frame to the next."""

from typing import Any

import keras
from keras import ops

from video_prediction_tools.models.layers import gaussian
from video_prediction_tools.models.layers.instance_norm import InstanceNormalization


class SAVPPosterior(keras.layers.Layer):
    """The posterior of a code from two frames; see the text of `models.savp`.

    Arguments:
        filters: channels of the first layer.
        code_size: nz.
        layers: number of convolutions.

    Call arguments:
        pairs: [B, H, W, 2C], frames t and t+1.

    Returns:
        mu and log sigma^2 (within +-10), each [B, nz], float32.
    """

    def __init__(self, filters: int, code_size: int, layers: int, **kwargs: Any):
        # means are taken, and read, in float32: in bfloat16 those of two frames would be the same too often
        super().__init__(autocast=False, **kwargs)
        self.convolutions = [
            # a bias before a normalisation would be taken away again
            keras.layers.Conv2D(
                filters * 2**index,
                4,
                strides=2,
                padding="same",
                use_bias=index == 0,
                name=f"convolution_{index}",
            )
            for index in range(layers)
        ]
        self.norms = [InstanceNormalization(name=f"norm_{index}") for index in range(1, layers)]
        self.moments = keras.layers.Dense(2 * code_size, dtype="float32", name="moments")

    def call(self, pairs: Any) -> tuple[Any, Any]:
        """Encode pairs of frames."""
        features, means = pairs, [ops.mean(ops.cast(pairs, "float32"), axis=(1, 2))]
        for index, convolution in enumerate(self.convolutions):
            features = convolution(features)
            if index:
                features = self.norms[index - 1](features)
            features = ops.leaky_relu(features, 0.2)
            if index in (0, len(self.convolutions) - 1):
                means.append(ops.mean(ops.cast(features, "float32"), axis=(1, 2)))
        return gaussian.moments(self.moments(ops.concatenate(means, axis=-1)))
