"""A stack of convolutional LSTM cells that steps through the context and then feeds on its own output.

Shi, Chen, Wang, Yeung, Wong & Woo (2015): Convolutional LSTM Network: A Machine Learning Approach for Precipitation
Nowcasting, NeurIPS 28. Ours: one stack for context and forecast with its output fed back (the paper copies the states
into a second stack), patches (section 2.1 of the paper), a residual output, and channels that are known ahead.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import keras
from keras import ops

from video_prediction_tools.models.base import DataSpec, VideoPredictionModel, require_smallest_grid
from video_prediction_tools.models.hparams import CommonHparams, hparam
from video_prediction_tools.models.layers import winograd
from video_prediction_tools.models.layers.conv_lstm_cell import ConvLSTMCell
from video_prediction_tools.models.layers.patches import from_patches, to_patches
from video_prediction_tools.models.layers.scheduled_sampling import choose


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


class ConvLSTMStack(VideoPredictionModel):
    """Base of the models that are made of such a stack; see the module's text.

    At the step from frame t to t+1, the first layer sees the frame t and the known channels of the frame t+1 (the one
    to be forecast: its local solar time, for example). Frames of the context are true ones, later ones are forecasts.
    """

    Hparams = ConvLSTMStackHparams
    model_name: ClassVar[str]
    Cell: ClassVar[type[ConvLSTMCell]] = ConvLSTMCell

    def __init__(self, spec: DataSpec, hparams: ConvLSTMStackHparams):
        super().__init__(spec, hparams, name=self.model_name)
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
            inputs = with_known(patches[:, step], known_patches, step + 1)
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
            inputs = with_known(to_patches(frame, patch), known_patches, step)
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


def with_known(patches: Any, known_patches: Any, number: int) -> Any:
    """Return the input of the first layer: patches of a frame, with those of the known channels of the next one."""
    if known_patches is None:
        return patches
    return ops.concatenate([patches, known_patches[:, number]], axis=-1)
