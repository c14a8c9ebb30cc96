"""A discriminator of video clips, and the losses that are made of its judgements."""

from typing import Any

import keras
from keras import ops

from video_prediction_tools.models.layers import noise
from video_prediction_tools.models.layers.spectral_norm import SpectralConv3D

ADVERSARIAL_LOSSES = ("LSGAN", "GAN")


class VideoDiscriminator(keras.layers.Layer):
    """Tell true clips from forecast ones by spectrally normalised convolutions in space and time.

    Lee et al. (2018), appendix A; with F = `filters` (32 in the paper): F 3x3x3, 2F 4x4x4 with stride (1, 2, 2),
    2F 3x3x3, 4F 4x4x4 (1, 2, 2), 4F 3x3x3, 8F 4x4x4 (2, 2, 2), 8F 3x3x3, each with a leaky ReLU of slope 0.1.
    The last layer judges each place, and the judgement is the mean over all places (the paper: a dense layer over all
    of them), so that the weights fit any grid and length.

    Call arguments:
        clips: [B, T, H, W, C].

    Returns:
        judgements [B], float32, and the features of each layer (for `feature_distance`).
    """

    def __init__(self, filters: int, **kwargs: Any):
        super().__init__(**kwargs)
        small, large, in_space = (3, 3, 3), (4, 4, 4), (1, 2, 2)
        self.convolutions = [
            SpectralConv3D(filters * factor, size, strides, name=f"convolution_{index}")
            for index, (factor, size, strides) in enumerate(
                [
                    (1, small, (1, 1, 1)),
                    (2, large, in_space),
                    (2, small, (1, 1, 1)),
                    (4, large, in_space),
                    (4, small, (1, 1, 1)),
                    (8, large, (2, 2, 2)),
                    (8, small, (1, 1, 1)),
                ]
            )
        ]
        self.judgement = SpectralConv3D(1, (1, 1, 1), name="judgement")

    def call(self, clips: Any) -> tuple[Any, list[Any]]:
        """Judge clips."""
        features, layers = clips, []
        for convolution in self.convolutions:
            features = ops.leaky_relu(convolution(features), 0.1)
            layers.append(features)
        places = ops.cast(self.judgement(features), "float32")
        return ops.mean(places, axis=(1, 2, 3, 4)), layers

    def after_step(self) -> None:
        """Update the spectral normalisation."""
        for layer in [*self.convolutions, self.judgement]:
            layer.update()


def random_clips(sequences: list[Any], length: int, seed: Any) -> list[Any]:
    """Cut `length` frames out of sequences [B, T, H, W, C], the same ones out of each; all where T is not larger.

    Arguments:
        seed: [B], see `layers.noise`; where a sequence's clip begins depends on its seed.
    """
    batch, frames = sequences[0].shape[:2]
    if frames <= length:
        return sequences
    starts = frames - length + 1
    drawn = noise.uniform(seed, "clip", batch, (1,))
    start = ops.cast(ops.floor(drawn * starts), "int32")
    chosen = ops.one_hot(start + ops.arange(length, dtype="int32"), frames, dtype="float32")
    return [ops.einsum("bst,bthwc->bshwc", chosen, ops.cast(one, "float32")) for one in sequences]


def adversarial_loss(kind: str, judgements: Any, real: bool) -> Any:
    """Return the mean cost of judgements [B] that should say true (`real`) or false.

    Arguments:
        kind: ``LSGAN``, the squared distance to 1 or 0 (Mao et al. 2017, equation 9), or ``GAN``, the cross entropy of
            the judgements as logits (Goodfellow et al. 2014, with the generator's loss -log D).
    """
    if kind == "LSGAN":
        return ops.mean(ops.square(judgements - 1.0 if real else judgements))
    return ops.mean(ops.softplus(-judgements if real else judgements))


def feature_distance(true: list[Any], forecast: list[Any]) -> Any:
    """Return the sum over layers of the mean cosine distance, 1 - a.b / (|a| |b|), of features [B, ..., C].

    Larsen et al. (2016), Autoencoding beyond pixels, with the distance of Lee et al. (2018), appendix A.
    """
    total = 0.0
    for one, other in zip(true, forecast, strict=True):
        one, other = (_unit(ops.cast(features, "float32")) for features in (one, other))
        total = total + 1.0 - ops.mean(ops.sum(one * other, axis=-1))
    return total


def _unit(features: Any) -> Any:
    # the square root has no gradient at zero, where a ReLU may leave all channels
    return features * ops.rsqrt(ops.sum(ops.square(features), axis=-1, keepdims=True) + 1e-8)
