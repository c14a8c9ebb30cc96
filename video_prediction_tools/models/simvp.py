"""simvp: convolutions only: an encoder of single frames, a translator of all of them at once, and a decoder (v2, gSTA).

Tan, Gao, Li & Li (2022): SimVP: Towards Simple yet Powerful Spatiotemporal Predictive Learning, arXiv 2211.12509;
numbers from the authors' code (OpenSTL). From the frames 0 .. Tc-1 to the frames Tc .. 2 Tc - 1 in one pass:

    encoder     each frame by itself: `N_S` (4) convolutions 3x3 of `hid_S` (64) channels, each second one with stride
                2, group normalisation (2 groups) and SiLU behind each
    translator  all frames side by side as Tc hid_S channels: `N_T` (8) blocks of gated spatiotemporal attention
                (`layers.gated_attention`) with `hid_T` (512) channels behind the first and Tc hid_S behind the last;
                `mlp_ratio` (8)
    decoder     the encoder backwards, with a pixel shuffle (convolution to 4 hid_S channels, depth to space) for each
                stride; the last layer reads its input plus the first layer of the encoder (from frame t to frame
                Tc + t); a convolution of width 1 makes the frame

    L = the loss of the forecast frames

Where Tl < Tc the first Tl frames are taken; where Tl > Tc the forecast frames are the next context, and so on.

Ours: each frame is the last context frame and a change where `residual`; known channels of the frame Tc + t enter the
encoder with frame t (those of the last frame again, where the pass has more frames than the forecast); edges are
padded by reflection; the translator normalises each sequence by itself (the authors: over the batch); no drop path. The
templates clip gradients and are smaller than the paper's, which has hid_S 64, hid_T 512, N_S 4, N_T 8 for Moving
MNIST, and hid_S 32, hid_T 256, N_S 2, N_T 8 for WeatherBench.
"""

from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from video_prediction_tools.errors import InputError
from video_prediction_tools.models.base import DataSpec, Phase, VideoPredictionModel, require_smallest_grid
from video_prediction_tools.models.hparams import CommonHparams, hparam
from video_prediction_tools.models.layers.gated_attention import GatedAttentionBlock
from video_prediction_tools.models.layers.patches import from_patches
from video_prediction_tools.models.layers.reflection import reflect_to_multiple
from video_prediction_tools.models.optimizers import adam

GROUPS = 2  # of the encoder's and decoder's normalisation


@dataclass
class SimVPHparams(CommonHparams):
    """Hyper-parameters of simvp; names are those of OpenSTL."""

    hid_S: int = hparam(64, "channels of encoder and decoder; even", low=2, high=4096)  # noqa: N815
    hid_T: int = hparam(256, "channels of the translator", low=1, high=16384)  # noqa: N815
    N_S: int = hparam(4, "layers of encoder and of decoder; each second one halves the grid", low=1, high=12)
    N_T: int = hparam(8, "blocks of the translator", low=2, high=100)
    mlp_ratio: float = hparam(
        8.0, "channels within the perceptron of a block, as a multiple of the block's", low=0.01, high=64.0
    )
    residual: bool = hparam(
        True, "the output is added to the last context frame, instead of being the frame itself"
    )


class SimVP(VideoPredictionModel):
    """SimVP v2 with gated spatiotemporal attention; see the module's text."""

    Hparams = SimVPHparams

    def __init__(self, spec: DataSpec, hparams: SimVPHparams):
        super().__init__(spec, hparams, name="simvp")
        if hparams.hid_S % GROUPS:
            raise InputError("hyper-parameter hid_S", f"{hparams.hid_S} is odd", "give an even number")
        self.factor = 2 ** (hparams.N_S // 2)
        # edges are padded by reflection, at most by as many points as there are
        require_smallest_grid(spec, max(2, self.factor // 2), f"simvp with N_S {hparams.N_S}")
        halved = [index % 2 == 1 for index in range(hparams.N_S)]
        self.encoder = [
            ConvolutionNormSiLU(hparams.hid_S, -1 if coarser else 0, name=f"encoder_{index}")
            for index, coarser in enumerate(halved)
        ]
        widths = [hparams.hid_T] * (hparams.N_T - 1) + [spec.context_frames * hparams.hid_S]
        self.translator = [
            GatedAttentionBlock(width, hparams.mlp_ratio, name=f"translator_{index}")
            for index, width in enumerate(widths)
        ]
        self.decoder = [
            ConvolutionNormSiLU(hparams.hid_S, 1 if finer else 0, name=f"decoder_{index}")
            for index, finer in enumerate(reversed(halved))
        ]
        # a residual output begins at zero: an untrained model is the persistence forecast
        self.output_convolution = keras.layers.Conv2D(
            spec.channels,
            1,
            name="output",
            kernel_initializer="zeros" if hparams.residual else "glorot_uniform",
        )

    def forecast(self, context: Any, known: Any, seed: Any = 0) -> Any:
        """Forecast the lead frames; simvp is deterministic and does not use `seed`."""
        spec, made = self.spec, []
        times = spec.context_frames
        passes = -(-spec.lead_frames // times)
        ahead = None
        if spec.known:
            spare = passes * times - spec.lead_frames
            ahead = known[:, times:]
            ahead = ops.concatenate([ahead, ops.repeat(ahead[:, -1:], spare, axis=1)], axis=1)
        for index in range(passes):
            part = None if ahead is None else ahead[:, index * times : (index + 1) * times]
            context = self._pass(context, part)
            made.append(context)
        return ops.concatenate(made, axis=1)[:, : spec.lead_frames]

    def _pass(self, context: Any, ahead: Any) -> Any:
        """Forecast the frames Tc .. 2 Tc - 1.

        Arguments:
            context: [B, Tc, H, W, C]; ahead: [B, Tc, H, W, K], known channels of the frames to be forecast, or None.
        """
        spec, times, width = self.spec, self.spec.context_frames, self.hparams.hid_S
        inputs = context if ahead is None else ops.concatenate([context, ops.cast(ahead, context.dtype)], -1)
        features = reflect_to_multiple(ops.reshape(inputs, (-1, *inputs.shape[2:])), self.factor)
        skip = features = self.encoder[0](features)
        for layer in self.encoder[1:]:
            features = layer(features)
        grid = features.shape[1:3]
        # [B Tc, h, w, S] to [B, h, w, Tc S] and back
        features = ops.transpose(ops.reshape(features, (-1, times, *grid, width)), (0, 2, 3, 1, 4))
        features = ops.reshape(features, (-1, *grid, times * width))
        for block in self.translator:
            features = block(features)
        features = ops.transpose(ops.reshape(features, (-1, *grid, times, width)), (0, 3, 1, 2, 4))
        features = ops.reshape(features, (-1, *grid, width))
        for layer in self.decoder[:-1]:
            features = layer(features)
        output = self.output_convolution(self.decoder[-1](features + skip))
        output = ops.reshape(output[:, : spec.height, : spec.width], (-1, *context.shape[1:]))
        output = ops.cast(output, context.dtype)
        return context[:, -1:] + output if self.hparams.residual else output

    def phases(self, total_steps: int) -> list[Phase]:
        """Return the one update of all weights."""
        return [Phase("all", self.trainable_variables, adam(self.hparams, total_steps), self._loss)]

    def _loss(self, frames: Any, known: Any, step: Any, seed: Any) -> dict[str, Any]:
        return {"loss": self.validation_loss(frames, known, seed)}


class ConvolutionNormSiLU(keras.layers.Layer):
    """A convolution 3x3, group normalisation and SiLU, on the same, half, or twice the grid.

    Arguments:
        filters: channels of the result.
        scaling: -1 for half the grid (stride 2), 1 for twice the grid (pixel shuffle), 0 for the same.

    Call arguments:
        features: [B, h, w, channels].
    """

    def __init__(self, filters: int, scaling: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.scaling = scaling
        self.convolution = keras.layers.Conv2D(
            4 * filters if scaling > 0 else filters,
            3,
            strides=2 if scaling < 0 else 1,
            padding="same",
            name="convolution",
        )
        self.norm = keras.layers.GroupNormalization(groups=GROUPS, name="norm")

    def call(self, features: Any) -> Any:
        """Convolve."""
        height, width = features.shape[1:3]
        features = self.convolution(features)
        if self.scaling > 0:
            features = from_patches(features, 2, 2 * height, 2 * width)
        return ops.silu(self.norm(features))
