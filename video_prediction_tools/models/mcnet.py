"""mcnet: motion is read from the differences of frames, content from the last frame, and a decoder joins them.

Villegas, Yang, Hong, Lin & Lee (2017): Decomposing Motion and Content for Natural Video Sequence Prediction, ICLR,
arXiv 1706.08033; layer sizes from the authors' code. With G = `gf_dim` (64 in the paper) and all convolutions followed
by a ReLU unless said otherwise:

    motion encoder    d_t = f_dyn(x_t - x_{t-1}, d_{t-1})   convolutions 5x5 G, 5x5 2G, 7x7 4G, each with a 2x2 maximum
                                                            pool behind it, then a ConvLSTM 3x3 4G
    content encoder   s_t = f_cont(x_t)                     3x3: G, G | 2G, 2G | 4G, 4G, 4G, a pool behind each group
    combination       f_t = g_comb([d_t, s_t])              3x3: 4G, 2G, 4G
    residuals         r_t^l = f_res([s_t^l, d_t^l])         3x3 twice at each of the three scales, l, on what the
                                                            encoders hold before the pool; the second is linear
    decoder           x_{t+1} = g_dec(f_t, r_t)             unpooling (zeros between the values), + r^l, ReLU, 3x3:
                                                            4G, 4G, 2G | 2G, G | G, and the linear output

The differences within the context set the motion encoder's state; from `init_time` on, frames and differences are the
model's own (the paper's multi-step prediction). Losses, as in the paper's training objective with p = 2 and lambda = 1:

    L      = alpha L_img + beta L_GAN,   L_img = L_p + L_gdl
    L_p    = mean |x - x'|^p             (`loss_fun`)
    L_gdl  = mean ||d_i x| - |d_i x'||^lambda, both directions i (Mathieu et al. 2016)
    L_GAN  = -log D([context, x'])
    L_disc = -log D([context, x]) - log(1 - D([context, x']))

The discriminator D sees all frames of a sequence stacked as channels: convolutions 5x5 with stride 2 of F, 2F, 4F and
8F channels (F = `df_dim`), normalised from the second on, leaky ReLU of slope 0.2. `beta` 0 makes no discriminator;
between the steps `gan_anneal_steps` it rises from 0.

Ours: differences of all variables (the paper: of the grey image); a linear output, added to the last frame where
`residual` (the paper: tanh); known channels of the frame to be forecast enter the content encoder; the discriminator
has group normalisation, since batch normalisation mixes sequences, and ends with a dense layer on the mean over all
places, so that its weights fit any grid; both players move at every step (the authors' training script skips the one
that is far ahead). Adam has beta_1 = 0.5 as in that script. The templates have G = 16, which a laptop trains, and clip
gradients.
"""

from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from video_prediction_tools.models.base import DataSpec, Phase, VideoPredictionModel, require_smallest_grid
from video_prediction_tools.models.hparams import CommonHparams, hparam
from video_prediction_tools.models.layers.conv_lstm_cell import ConvLSTMCell
from video_prediction_tools.models.layers.reflection import reflect_to_multiple
from video_prediction_tools.models.layers.video_discriminator import adversarial_loss
from video_prediction_tools.models.optimizers import adam
from video_prediction_tools.models.players import AdversarialHparams, judged_in_full, players
from video_prediction_tools.models.schedules import ramp_between

SCALES = 3
_FACTOR = 2**SCALES


@dataclass
class MCNetHparams(AdversarialHparams, CommonHparams):
    """Hyper-parameters of mcnet; names and defaults of the first four are the original's."""

    gf_dim: int = hparam(
        64, "channels of the generator's first scale; the others have 2 and 4 times as many", low=1, high=4096
    )
    df_dim: int = hparam(64, "channels of the discriminator's first layer", low=1, high=4096)
    alpha: float = hparam(1.0, "weight of the image loss", low=0.0, high=1e6)
    beta: float = hparam(0.0, "weight of the adversarial loss; 0: no discriminator", low=0.0, high=1e6)
    gdl_weight: float = hparam(
        1.0, "weight of the gradient-difference loss within the image loss", low=0.0, high=1e6
    )
    residual: bool = hparam(True, "the output is added to the last frame, instead of being the next frame")


class MCNet(VideoPredictionModel):
    """Motion-content network; see the module's text."""

    Hparams = MCNetHparams

    def __init__(self, spec: DataSpec, hparams: MCNetHparams):
        super().__init__(spec, hparams, name="mcnet")
        require_smallest_grid(
            spec, _FACTOR // 2, "mcnet"
        )  # edges are reflected, at most as many points as there are
        width = hparams.gf_dim
        self.motion_encoder = Encoder([[width], [2 * width], [4 * width]], (5, 5, 7), name="motion")
        self.motion_cell = ConvLSTMCell(4 * width, 3, name="motion_cell")
        self.content_encoder = Encoder(
            [2 * [width], 2 * [2 * width], 3 * [4 * width]], (3, 3, 3), name="content"
        )
        self.combination = [
            _convolution(filters, 3, f"combination_{index}")
            for index, filters in enumerate((4 * width, 2 * width, 4 * width))
        ]
        self.residuals = [
            [
                _convolution(filters, 3, f"residual_{scale}_0"),
                _convolution(filters, 3, f"residual_{scale}_1", activation=None),
            ]
            for scale, filters in enumerate((width, 2 * width, 4 * width))
        ]
        self.decoder = [
            [_convolution(filters, 3, f"decoder_{scale}_{index}") for index, filters in enumerate(widths)]
            for scale, widths in enumerate(([width], [2 * width, width], [4 * width, 4 * width, 2 * width]))
        ]
        # a residual output begins at zero: an untrained model is the persistence forecast
        self.output_convolution = keras.layers.Conv2D(
            spec.channels,
            3,
            padding="same",
            name="output",
            kernel_initializer="zeros" if hparams.residual else "glorot_uniform",
        )
        self.discriminator = Discriminator(hparams.df_dim, name="discriminator") if hparams.beta else None

    def build_weights(self) -> None:
        """Make all weights, those of the discriminator too."""
        if self.discriminator:
            spec = self.spec
            frames = spec.context_frames + spec.lead_frames
            self.discriminator(ops.zeros((1, frames, spec.height, spec.width, spec.channels)))
        super().build_weights()

    def forecast(self, context: Any, known: Any, seed: Any = 0) -> Any:
        """Forecast the lead frames; mcnet is deterministic and does not use `seed`."""
        spec = self.spec
        motion, scales, state = self._motion_of_context(context)
        before, frame, frames = None, context[:, -1], []
        # padded at each step anew: what a model forecasts beyond the edges is judged by no loss and would come back
        for lead in range(spec.lead_frames):
            if lead:
                motion, scales = self.motion_encoder(reflect_to_multiple(frame - before, _FACTOR))
                state = self.motion_cell(motion, state)
            inputs = frame
            if spec.known:
                inputs = ops.concatenate([frame, known[:, spec.context_frames + lead]], axis=-1)
            output = self._decode(
                state[0], scales, *self.content_encoder(reflect_to_multiple(inputs, _FACTOR))
            )
            output = ops.cast(output[:, : spec.height, : spec.width], frame.dtype)
            before, frame = frame, frame + output if self.hparams.residual else output
            frames.append(frame)
        return ops.stack(frames, axis=1)

    def _motion_of_context(self, context: Any) -> tuple[Any, list[Any], tuple[Any, ...]]:
        """Return the encoded last difference, what the encoder holds of it at each scale, and the state after it."""
        if self.spec.context_frames == 1:  # nothing is known of the motion
            differences = ops.zeros_like(context)
        else:
            differences = context[:, 1:] - context[:, :-1]
        steps = differences.shape[1]
        flat = ops.reshape(differences, (-1, *differences.shape[2:]))
        encoded, scales = self.motion_encoder(reflect_to_multiple(flat, _FACTOR))
        encoded, *scales = (ops.reshape(one, (-1, steps, *one.shape[1:])) for one in (encoded, *scales))
        state = self.motion_cell.initial_state(encoded[:, 0])
        for step in range(steps):
            state = self.motion_cell(encoded[:, step], state)
        return encoded[:, -1], [one[:, -1] for one in scales], state

    def _decode(self, motion: Any, motion_scales: list[Any], content: Any, content_scales: list[Any]) -> Any:
        """Join motion and content, and return the output of the decoder."""
        features = ops.concatenate([motion, content], axis=-1)
        for layer in self.combination:
            features = layer(features)
        for scale in reversed(range(SCALES)):
            residual = ops.concatenate([motion_scales[scale], content_scales[scale]], axis=-1)
            for layer in self.residuals[scale]:
                residual = layer(residual)
            features = ops.relu(unpool(features) + residual)
            for layer in self.decoder[scale]:
                features = layer(features)
        return self.output_convolution(features)

    @property
    def _judges(self) -> list["Discriminator"]:
        return [self.discriminator] if self.discriminator else []

    def phases(self, total_steps: int) -> list[Phase]:
        """Return the discriminator's update, where there is one, and the generator's."""
        return players(
            self,
            self._judges,
            lambda: adam(self.hparams, total_steps, beta_1=0.5),
            self._discriminator_loss,
            self._generator_loss,
        )

    def schedules_end(self) -> int:
        """Return the step at which the adversary counts in full."""
        return judged_in_full(self.hparams, self._judges)

    def _generator_loss(self, frames: Any, known: Any, step: Any, seed: Any) -> dict[str, Any]:
        context, truth = frames[:, : self.spec.context_frames], frames[:, self.spec.context_frames :]
        forecast = self.forecast(context, known, seed)
        error = self.frame_loss(forecast, truth)
        gradients = gradient_difference_loss(forecast, truth, self.loss_weights)
        parts = {"p": error, "gdl": gradients}
        loss = self.hparams.alpha * (error + self.hparams.gdl_weight * gradients)
        if self.discriminator:
            logits = self.discriminator(ops.concatenate([context, forecast], axis=1))
            parts["gan"] = adversarial_loss("GAN", logits, real=True)
            share = ramp_between(step, self.hparams.gan_anneal_steps)
            loss = loss + share * self.hparams.beta * parts["gan"]
        return {"loss": loss, **parts}

    def _discriminator_loss(self, frames: Any, known: Any, step: Any, seed: Any) -> dict[str, Any]:
        context = frames[:, : self.spec.context_frames]
        forecast = ops.stop_gradient(self.forecast(context, known, seed))
        real = adversarial_loss("GAN", self.discriminator(frames), real=True)
        logits = self.discriminator(ops.concatenate([context, forecast], axis=1))
        fake = adversarial_loss("GAN", logits, real=False)
        return {"loss": real + fake, "real": real, "fake": fake}


class Encoder(keras.layers.Layer):
    """Groups of convolutions, each group with a 2x2 maximum pool behind it.

    Arguments:
        widths: channels of the convolutions of each group.
        kernel_sizes: of each group, in grid points of its scale.

    Call arguments:
        frames: [B, H, W, C], H and W multiples of 2 to the number of groups.

    Returns:
        the last pool's output, and what each group holds before its pool, finest first.
    """

    def __init__(self, widths: list[list[int]], kernel_sizes: tuple[int, ...], **kwargs: Any):
        super().__init__(**kwargs)
        self.groups = [
            [
                _convolution(filters, size, f"convolution_{group}_{index}")
                for index, filters in enumerate(filters_of_group)
            ]
            for group, (filters_of_group, size) in enumerate(zip(widths, kernel_sizes, strict=True))
        ]

    def call(self, frames: Any) -> tuple[Any, list[Any]]:
        """Encode frames."""
        scales = []
        for layers in self.groups:
            for layer in layers:
                frames = layer(frames)
            scales.append(frames)
            frames = ops.max_pool(frames, (2, 2), (2, 2))
        return frames, scales


class Discriminator(keras.layers.Layer):
    """Tell true sequences from forecasts; see the module's text.

    Arguments:
        filters: channels of the first layer, F.

    Call arguments:
        frames: [B, T, H, W, C].

    Returns:
        logits [B], float32: positive where a sequence is held to be true.
    """

    def __init__(self, filters: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.convolutions = [
            keras.layers.Conv2D(filters * 2**index, 5, strides=2, padding="same", name=f"convolution_{index}")
            for index in range(4)
        ]
        # over all channels together: a small grid ends as one point, over which nothing else could be normalised
        self.normalisations = [
            keras.layers.GroupNormalization(groups=1, name=f"normalisation_{index}") for index in range(1, 4)
        ]
        self.judgement = keras.layers.Dense(1, name="judgement")

    def call(self, frames: Any) -> Any:
        """Judge sequences."""
        _, times, height, width, channels = frames.shape
        features = ops.reshape(ops.transpose(frames, (0, 2, 3, 1, 4)), (-1, height, width, times * channels))
        for index, convolution in enumerate(self.convolutions):
            features = convolution(features)
            if index:
                features = self.normalisations[index - 1](features)
            features = ops.leaky_relu(features, 0.2)
        return ops.cast(self.judgement(ops.mean(features, axis=(1, 2)))[:, 0], "float32")


def unpool(features: Any) -> Any:
    """Spread values [B, h, w, C] to [B, 2h, 2w, C] with zeros between them (each at the upper left of four)."""
    _, height, width, channels = features.shape
    spread = ops.reshape(features, (-1, height, 1, width, 1, channels))
    spread = ops.pad(spread, ((0, 0), (0, 0), (0, 1), (0, 0), (0, 1), (0, 0)))
    return ops.reshape(spread, (-1, 2 * height, 2 * width, channels))


def gradient_difference_loss(forecast: Any, truth: Any, weights: Any) -> Any:
    """Return the mean difference of the absolute differences of neighbours, rows and columns added up, float32.

    Mathieu, Couprie & LeCun (2016): Deep Multi-Scale Video Prediction Beyond Mean Square Error, with lambda = 1.

    Arguments:
        forecast, truth: [B, T, H, W, C], H and W at least 2.
        weights: [C], of the variables.
    """
    forecast, truth = ops.cast(forecast, "float32"), ops.cast(truth, "float32")
    rows = ops.abs(truth[:, :, 1:] - truth[:, :, :-1]) - ops.abs(forecast[:, :, 1:] - forecast[:, :, :-1])
    columns = ops.abs(truth[..., 1:, :] - truth[..., :-1, :]) - ops.abs(
        forecast[..., 1:, :] - forecast[..., :-1, :]
    )
    return ops.mean(ops.abs(rows) * weights) + ops.mean(ops.abs(columns) * weights)


def _convolution(filters: int, size: int, name: str, activation: str | None = "relu") -> keras.layers.Conv2D:
    return keras.layers.Conv2D(filters, size, padding="same", activation=activation, name=name)
