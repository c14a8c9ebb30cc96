"""convLSTM: stacked convolutional LSTM cells that step through the context and then feed on their own output.

Shi, Chen, Wang, Yeung, Wong & Woo (2015): Convolutional LSTM Network: A Machine Learning Approach for Precipitation
Nowcasting, NeurIPS 28. Ours: one stack for context and forecast with its output fed back (the paper copies the states
into a second stack), patches (section 2.1 of the paper), a residual output, and channels that are known ahead.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import keras
from keras import ops

from video_prediction_tools.errors import InputError
from video_prediction_tools.models.base import DataSpec, Phase, VideoPredictionModel, require_smallest_grid
from video_prediction_tools.models.hparams import CommonHparams, hparam
from video_prediction_tools.models.layers import winograd
from video_prediction_tools.models.layers.conv_lstm_cell import ConvLSTMCell
from video_prediction_tools.models.layers.patches import from_patches, to_patches
from video_prediction_tools.models.layers.scheduled_sampling import choose, forecast_shown
from video_prediction_tools.models.optimizers import adam
from video_prediction_tools.models.schedules import inverse_sigmoid_ends


@dataclass
class ConvLSTMStackHparams(CommonHparams):
    """Hyper-parameters of the network."""

    filters: list[int] = hparam([32, 32], "state channels of each layer", low=1, high=4096, entries=1)
    kernel_size: int = hparam(3, "width of the convolutions, in patches", low=1, high=31)
    patch_size: int = hparam(1, "grid points per patch, in each direction", low=1, high=64)
    convolution: str = hparam(
        "auto",
        "how the cells convolve inputs and states; winograd: with fewer multiplications, in float32, on CPUs; "
        "auto: that where it is faster",
        choices=winograd.CHOICES,
    )
    residual: bool = hparam(True, "the output is added to the last frame, instead of being the next frame")


@dataclass
class ConvLSTMHparams(ConvLSTMStackHparams):
    """Hyper-parameters of convLSTM: those of the network and of its training."""

    context_loss_weight: float = hparam(
        0.0, "weight of the one-step forecasts within the context in the loss", low=0.0, high=100.0
    )
    schedule_sampling_k: float = hparam(
        0.0,
        "k, in steps: in training, true frames are shown to the forecast with probability k / (k + exp(step / k)); "
        "0: never",
        low=0.0,
        high=1e7,
    )


def make_cell(
    filters: int,
    spec: DataSpec,
    hparams: ConvLSTMStackHparams,
    name: str,
    kind: type[ConvLSTMCell] = ConvLSTMCell,
) -> ConvLSTMCell:
    """Return a cell of so many filters that convolves patches as the hyper-parameters say."""
    width, patch = hparams.kernel_size, hparams.patch_size
    grid = (-(-spec.height // patch), -(-spec.width // patch))
    minimal = winograd.is_chosen(hparams.convolution, width, filters, grid, hparams.mixed_precision)
    return kind(filters, width, minimal, name=name)


class ConvLSTM(VideoPredictionModel):
    """Stacked ConvLSTM; see the module's text.

    At the step from frame t to t+1, the first layer sees the frame t and the known channels of the frame t+1 (the one
    to be forecast: its local solar time, for example). Frames of the context are true ones, later ones are forecasts.
    """

    Hparams = ConvLSTMHparams
    model_name: ClassVar[str] = "convLSTM"
    Cell: ClassVar[type[ConvLSTMCell]] = ConvLSTMCell

    def __init__(self, spec: DataSpec, hparams: ConvLSTMStackHparams):
        super().__init__(spec, hparams, name=self.model_name)
        weighed = isinstance(hparams, ConvLSTMHparams) and hparams.context_loss_weight > 0.0
        if weighed and spec.context_frames == 1:
            what = "one context frame has no forecasts within the context"
            raise InputError("hyper-parameter context_loss_weight", what, "give 0")
        # edges are padded by reflection, at most by as many points as there are
        require_smallest_grid(
            spec,
            max(2, -(-hparams.patch_size // 2)),
            f"{self.model_name} with patch_size {hparams.patch_size}",
        )
        self.cells = [
            make_cell(filters, spec, hparams, f"cell_{index}", self.Cell)
            for index, filters in enumerate(hparams.filters)
        ]
        depth = hparams.patch_size**2 * spec.channels
        # a residual output begins at zero: an untrained model is the persistence forecast
        self.output_convolution = keras.layers.Conv2D(
            depth, 1, name="output", kernel_initializer="zeros" if hparams.residual else "glorot_uniform"
        )

    def roll_out(self, frames: Any, known: Any, shown: Any = None) -> Any:
        """Return the one-step forecasts of the context and the forecast: frames 1 .. Tc+Tl-1, [B, Tc+Tl-1, H, W, C].

        Arguments:
            frames: [B, Tc, H, W, C], or [B, Tc+Tl, H, W, C] where some of the lead are `shown`.
            known: [B, Tc+Tl, H, W, K].
            shown: [B, Tc+Tl-1], 1 where a true frame of the lead is fed instead of its own (see
                `scheduled_sampling.draw_shown`; that is not asked within the context); None: none is.
        """
        split = self.spec.context_frames
        within, states = self.through_context(frames[:, :split], known[:, :split])
        true_ones = None if shown is None else (shown[:, split:], frames[:, split:])
        return ops.stack(
            within + self.onward(frames[:, split - 1], known[:, split:], states, true_ones), axis=1
        )

    def through_context(self, context: Any, known: Any) -> tuple[list[Any], list[Any]]:
        """Return the one-step forecasts of the context, frames 1 .. Tc-1, and the states of all layers after them.

        Arguments:
            context: [B, Tc, H, W, C]; known: of the context, [B, Tc, H, W, K].
        """
        patches = to_patches(context, self.hparams.patch_size)
        known_patches = to_patches(known, self.hparams.patch_size) if known.shape[-1] else None
        states: list[Any] = [cell.initial_state(patches[:, 0]) for cell in self.cells]
        made = []
        for step in range(self.spec.context_frames - 1):
            inputs = _with_known(patches[:, step], known_patches, step + 1)
            made.append(self.advance(context[:, step], inputs, states))
        return made, states

    def onward(self, frame: Any, known: Any, states: list[Any], true_ones: Any = None) -> list[Any]:
        """Return the lead frames, each [B, H, W, C].

        Arguments:
            frame: the last one of the context, [B, H, W, C].
            known: of the lead, [B, Tl, H, W, K].
            states: of all layers, which change.
            true_ones: those of the lead, [B, Tl, H, W, C], behind where they are fed, [B, Tl-1]; None: nowhere.
        """
        patch, made = self.hparams.patch_size, []
        known_patches = to_patches(known, patch) if known.shape[-1] else None
        for step in range(self.spec.lead_frames):
            if true_ones is not None and step:
                shown, truth = true_ones
                frame = choose(shown[:, step - 1], truth[:, step - 1], frame)
            inputs = _with_known(to_patches(frame, patch), known_patches, step)
            frame = self.advance(frame, inputs, states)
            made.append(frame)
        return made

    def advance(self, frame: Any, inputs: Any, states: list[Any]) -> Any:
        """Return the next frame [B, H, W, C], and put the new states into `states`.

        Arguments:
            frame: the last frame, [B, H, W, C].
            inputs: of the first layer, in patches: [B, h, w, channels].
            states: of all layers.
        """
        for index, cell in enumerate(self.cells):
            states[index] = cell(inputs, states[index])
            inputs = states[index][0]
        spec = self.spec
        change = from_patches(
            self.output_convolution(inputs), self.hparams.patch_size, spec.height, spec.width
        )
        change = ops.cast(change, frame.dtype)
        return frame + change if self.hparams.residual else change

    def forecast(self, context: Any, known: Any, seed: Any = 0) -> Any:
        """Forecast the lead frames; convLSTM is deterministic and does not use `seed`."""
        return self.roll_out(context, known)[:, self.spec.context_frames - 1 :]

    def phases(self, total_steps: int) -> list[Phase]:
        """Return the one update of all weights."""
        return [Phase("all", self.trainable_variables, adam(self.hparams, total_steps), self._loss)]

    def _loss(self, frames: Any, known: Any, step: Any, seed: Any) -> dict[str, Any]:
        return self._loss_of(self._training_roll_out(frames, known, step, seed), frames)

    def schedules_end(self) -> int:
        """Return the step at which true frames are no longer shown."""
        return inverse_sigmoid_ends(self.hparams.schedule_sampling_k)

    def _training_roll_out(self, frames: Any, known: Any, step: Any, seed: Any) -> Any:
        """Roll out with scheduled sampling."""
        spec, k = self.spec, self.hparams.schedule_sampling_k
        if not k:
            return self.roll_out(frames, known)
        rows = ops.shape(frames)[0]
        shown = forecast_shown(spec.context_frames, spec.lead_frames, rows, step, seed, k)
        return self.roll_out(frames, known, shown)

    def _loss_of(self, rolled: Any, frames: Any) -> dict[str, Any]:
        split = self.spec.context_frames - 1
        loss = self.frame_loss(rolled[:, split:], frames[:, split + 1 :])
        if self.hparams.context_loss_weight:
            within = self.frame_loss(rolled[:, :split], frames[:, 1 : split + 1])
            return {
                "loss": loss + self.hparams.context_loss_weight * within,
                "forecast": loss,
                "context": within,
            }
        return {"loss": loss}


def _with_known(patches: Any, known_patches: Any, number: int) -> Any:
    """Return the input of the first layer: patches of a frame, with those of the known channels of the next one."""
    if known_patches is None:
        return patches
    return ops.concatenate([patches, known_patches[:, number]], axis=-1)
