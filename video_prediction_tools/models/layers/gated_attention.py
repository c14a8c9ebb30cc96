"""The gated spatiotemporal attention (gSTA) block of SimVP."""

from typing import Any

import keras
from keras import ops


class DepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """Keras' layer with strides of 1, whose bias has its gradient also in bfloat16.

    Keras adds the bias by `tf.nn.bias_add`, whose gradient TensorFlow adds up in bfloat16 on CPUs: over the points of a
    batch, half of it and more is lost. (Behind other convolutions oneDNN works it out, in float32.)
    """

    def call(self, inputs: Any) -> Any:
        """Convolve."""
        outputs = ops.depthwise_conv(
            inputs, self.kernel, padding=self.padding, dilation_rate=self.dilation_rate
        )
        return outputs + self.bias


class GatedAttention(keras.layers.Layer):
    """Attention as a product of two convolutions of large width, with a shortcut (Tan et al. 2022, arXiv 2211.12509).

        u      = GELU(W_in x)
        f, g   = split(W_fg (dilated * (local * u)))        local: depthwise 5x5; dilated: depthwise 7x7, dilation 3
        y      = x + W_out (sigmoid(g) f)

    All W are convolutions of width 1. The two depthwise ones see 23 x 23 points, nearly those of one of width 21 (as in
    the large-kernel attention of Guo et al. 2022).

    Call arguments:
        features: [B, h, w, F].

    Returns:
        the same shape.
    """

    def build(self, shape: Any) -> None:
        """Make the layers, whose channels are those of the features."""
        filters = shape[-1]
        self.into = keras.layers.Conv2D(filters, 1, name="into")
        self.local = DepthwiseConv2D(5, padding="same", name="local")
        self.dilated = DepthwiseConv2D(7, padding="same", dilation_rate=3, name="dilated")
        self.gates = keras.layers.Conv2D(2 * filters, 1, name="gates")
        self.out = keras.layers.Conv2D(filters, 1, name="out")
        self.built = True

    def call(self, features: Any) -> Any:
        """Attend."""
        inner = ops.gelu(self.into(features), approximate=False)
        values, gates = ops.split(self.gates(self.dilated(self.local(inner))), 2, axis=-1)
        return features + self.out(ops.sigmoid(gates) * values)


class GatedAttentionBlock(keras.layers.Layer):
    """Gated attention, then a multilayer perceptron, each behind a normalisation and on a shortcut.

        x = x + s_1 attention(norm_1(x))
        x = x + s_2 W_2 GELU(depthwise 3x3 * (W_1 norm_2(x)))

    The scales s (one number for each channel) start at 0.01. The normalisation is over grid and channels together, as
    in PoolFormer (Yu et al. 2022); the authors normalise over the batch, which mixes sequences.

    Arguments:
        filters: channels of the result; where they differ from those of the features, a convolution of width 1 follows.
        mlp_ratio: channels within the perceptron, as a multiple of those of the features.

    Call arguments:
        features: [B, h, w, channels].

    Returns:
        [B, h, w, filters].
    """

    def __init__(self, filters: int, mlp_ratio: float, **kwargs: Any):
        super().__init__(**kwargs)
        self.filters, self.mlp_ratio = filters, mlp_ratio
        self.attention_norm = keras.layers.GroupNormalization(groups=1, name="attention_norm")
        self.attention = GatedAttention(name="attention")
        self.mlp_norm = keras.layers.GroupNormalization(groups=1, name="mlp_norm")

    def build(self, shape: Any) -> None:
        """Make the layers whose channels depend on those of the features."""
        channels = shape[-1]
        hidden = max(int(channels * self.mlp_ratio), 1)
        self.widening = keras.layers.Conv2D(hidden, 1, name="widening")
        self.mixing = DepthwiseConv2D(3, padding="same", name="mixing")
        self.narrowing = keras.layers.Conv2D(channels, 1, name="narrowing")
        self.scales = [
            self.add_weight(
                shape=(channels,), initializer=keras.initializers.Constant(0.01), name=f"{part}_scale"
            )
            for part in ("attention", "mlp")
        ]
        self.changing = None
        if channels != self.filters:
            self.changing = keras.layers.Conv2D(self.filters, 1, name="changing")
        self.built = True

    def call(self, features: Any) -> Any:
        """Take one block."""
        features = features + self.scales[0] * self.attention(self.attention_norm(features))
        hidden = self.mixing(self.widening(self.mlp_norm(features)))
        hidden = self.narrowing(ops.gelu(hidden, approximate=False))
        features = features + self.scales[1] * hidden
        return features if self.changing is None else self.changing(features)
