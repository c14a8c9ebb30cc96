"""predrnn: spatiotemporal LSTMs whose second memory runs in a zigzag through layers and steps (PredRNN-V2).

Wang, Wu, Zhang, Gao, Wang, Yu & Long (2023): PredRNN: A Recurrent Neural Network for Spatiotemporal Predictive
Learning, IEEE TPAMI 45(2), arXiv 2103.09504; numbers from the authors' code. In the step from frame t to t+1:

    layers    `num_layers` (4 in the paper) cells of `num_hidden` (128) channels, convolutions of width `filter_size`
              (5) on patches of `patch_size` (4) points; see `layers.st_lstm_cell`. The memory M goes up through the
              layers, and from the top layer to the lowest one of the next step (spatiotemporal memory flow)
    output    a convolution of width 1 on the top layer's H

    L           = L_frames + decouple_beta L_decouple
    L_frames    = mean loss of the frames 1 .. T-1: the one-step forecasts of the context count
    L_decouple  = mean over steps, layers and channels of |cos(A dC, A dM)|, with dC and dM the increments of the two
                  memories and A a convolution of width 1 that all layers share (memory decoupling)

Reverse scheduled sampling (`layers.scheduled_sampling`): in the beginning of a training half of the context frames,
drawn for each sequence, are the model's own, later all are true ones; of the lead frames half are true ones in the
beginning, and none later. Forecasts see the true context and then their own frames.

Ours: the output is the change since the last frame where `residual`; the convolutions of the inputs have a bias, as in
the paper's equations (not in the authors' code); channels that are known ahead, of the frame to be forecast, are inputs
of the first layer; edges are padded by reflection to whole patches. The paper trains 80,000 steps (`r_sampling_step_1`
25,000, `r_sampling_step_2` 50,000, `r_exp_alpha` 5,000; 2,500 in the authors' script for Moving MNIST, which also
trains on sequences backwards), the templates 400 (ERA5) and 25,000, with schedules scaled to that, fewer and smaller
layers, which a laptop trains, and clipped gradients.
"""

from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from video_prediction_tools.errors import InputError
from video_prediction_tools.models.base import DataSpec, Phase, VideoPredictionModel, require_smallest_grid
from video_prediction_tools.models.hparams import CommonHparams, hparam
from video_prediction_tools.models.layers.patches import from_patches, to_patches
from video_prediction_tools.models.layers.scheduled_sampling import choose, reverse_shown, with_unseen_lead
from video_prediction_tools.models.layers.st_lstm_cell import STLSTMCell, alignment
from video_prediction_tools.models.optimizers import adam


@dataclass
class PredRNNHparams(CommonHparams):
    """Hyper-parameters of predrnn; names are those of the authors' code."""

    num_layers: int = hparam(4, "number of layers", low=1, high=100)
    num_hidden: int = hparam(64, "state channels of each layer", low=1, high=4096)
    filter_size: int = hparam(5, "width of the convolutions, in patches", low=1, high=31)
    patch_size: int = hparam(4, "grid points per patch, in each direction", low=1, high=64)
    layer_norm: bool = hparam(False, "whether the convolutions are normalised over grid and channels")
    residual: bool = hparam(True, "the output is added to the last frame, instead of being the next frame")
    decouple_beta: float = hparam(
        0.1, "weight of the loss that keeps the two memories apart; 0: none", low=0.0, high=1e6
    )
    reverse_scheduled_sampling: bool = hparam(
        True,
        "in training, some frames of the context are its own and some of the forecast true ones, at first",
    )
    r_sampling_step_1: int = hparam(
        25_000, "step until which half of the frames are shown as they truly are", low=0, high=1_000_000_000
    )
    r_sampling_step_2: int = hparam(
        50_000, "step from which all of the context and none of the forecast are", low=0, high=1_000_000_000
    )
    r_exp_alpha: float = hparam(
        5_000.0, "steps in which the own share of the context falls to 1/e", low=1e-6, high=1e9
    )


class PredRNN(VideoPredictionModel):
    """PredRNN-V2; see the module's text."""

    Hparams = PredRNNHparams

    def __init__(self, spec: DataSpec, hparams: PredRNNHparams):
        super().__init__(spec, hparams, name="predrnn")
        if hparams.reverse_scheduled_sampling and hparams.r_sampling_step_2 < hparams.r_sampling_step_1:
            raise InputError(
                "hyper-parameter r_sampling_step_2",
                f"{hparams.r_sampling_step_2} is before r_sampling_step_1, {hparams.r_sampling_step_1}",
                "give a later step",
            )
        if hparams.xla:
            # TensorFlow's scan does not say how often it turns, without which XLA has no gradient
            raise InputError("hyper-parameter xla", "XLA cannot compile predrnn", "leave it at false")
        # edges are padded by reflection, at most by as many points as there are
        require_smallest_grid(
            spec, max(2, -(-hparams.patch_size // 2)), f"predrnn with patch_size {hparams.patch_size}"
        )
        self.cells = [
            STLSTMCell(hparams.num_hidden, hparams.filter_size, hparams.layer_norm, name=f"cell_{index}")
            for index in range(hparams.num_layers)
        ]
        self.adapter = None
        if hparams.decouple_beta:
            self.adapter = keras.layers.Conv2D(hparams.num_hidden, 1, use_bias=False, name="adapter")
        # a residual output begins at zero: an untrained model is the persistence forecast
        self.output_convolution = keras.layers.Conv2D(
            hparams.patch_size**2 * spec.channels,
            1,
            name="output",
            kernel_initializer="zeros" if hparams.residual else "glorot_uniform",
        )

    def build_weights(self) -> None:
        """Make all weights by one step (a forecast has twenty)."""
        spec = self.spec
        frame = ops.zeros((1, spec.height, spec.width, spec.channels))
        known = (
            self._patches(ops.zeros((1, spec.height, spec.width, len(spec.known)))) if spec.known else None
        )
        self._step(frame, known, *self._initial_states(frame), self.adapter is not None)
        self.built = True

    def forecast(self, context: Any, known: Any, seed: Any = 0) -> Any:
        """Forecast the lead frames; predrnn is deterministic and does not use `seed`."""
        return self.roll_out(context, known)[0][:, self.spec.context_frames - 1 :]

    def roll_out(self, frames: Any, known: Any, shown: Any = None, decouple: bool = False) -> tuple[Any, Any]:
        """Return the forecasts of the frames 1 .. Tc+Tl-1, each from what was before, and the decoupling loss.

        Arguments:
            frames: [B, Tc, H, W, C], or [B, Tc+Tl, H, W, C] where some of the lead are `shown`.
            known: [B, Tc+Tl, H, W, K].
            shown: [B, Tc+Tl-1], 1 where the true frame is fed and 0 where its own is; None: the context is.
            decouple: whether L_decouple is worked out.

        Returns:
            [B, Tc+Tl-1, H, W, C], and L_decouple of each sequence, [B] (zeros where it is not worked out).
        """
        spec = self.spec
        frames = ops.cast(frames, "float32")
        true, shown = with_unseen_lead(frames, shown, spec.context_frames, spec.lead_frames)
        series = [true, shown]
        if spec.known:
            series.append(to_patches(known[:, 1:], self.hparams.patch_size))

        def step(carried: Any, now: Any) -> tuple[Any, Any]:
            frame, states, memory, total = carried
            frame, states, memory, aligned = self._step(
                choose(now[1], now[0], frame), now[2] if spec.known else None, states, memory, decouple
            )
            carried = (frame, states, memory, total + aligned)
            return carried, carried  # all backends stack what is carried, and nothing else

        start = (frames[:, 0], *self._initial_states(frames[:, 0]), ops.zeros_like(shown[:, 0]))
        (_, _, _, total), (made, *_) = ops.scan(step, start, [ops.swapaxes(one, 0, 1) for one in series])
        return ops.swapaxes(made, 0, 1), total / true.shape[1]

    def _step(
        self, frame: Any, known: Any, states: list[Any], memory: Any, decouple: bool
    ) -> tuple[Any, list[Any], Any, Any]:
        """Return the next frame, the new states and memory, and L_decouple of this step (or 0)."""
        features = self._patches(frame)
        if known is not None:
            features = ops.concatenate([features, known], axis=-1)
        new_states, aligned = [], 0.0
        for cell, state in zip(self.cells, states, strict=True):
            state, memory, changes = cell(features, state, memory)
            features = state[0]
            new_states.append(state)
            if decouple:
                aligned += alignment(*(self.adapter(change) for change in changes)) / len(self.cells)
        output = from_patches(
            self.output_convolution(features),
            self.hparams.patch_size,
            self.spec.height,
            self.spec.width,
        )
        output = ops.cast(output, frame.dtype)
        frame = frame + output if self.hparams.residual else output
        return frame, new_states, memory, aligned

    def _initial_states(self, frame: Any) -> tuple[list[Any], Any]:
        """Return (H, C) of each layer and M, all zero."""
        zeros = self.cells[0].initial_state(self._patches(frame))
        return [(zeros, zeros) for _ in self.cells], zeros

    def _patches(self, frame: Any) -> Any:
        return to_patches(frame[:, None], self.hparams.patch_size)[:, 0]

    def phases(self, total_steps: int) -> list[Phase]:
        """Return the one update of all weights."""
        return [Phase("all", self.trainable_variables, adam(self.hparams, total_steps), self._loss)]

    def schedules_end(self) -> int:
        """Return the step from which all of the context and none of the forecast are shown."""
        return self.hparams.r_sampling_step_2 if self.hparams.reverse_scheduled_sampling else 0

    def _loss(self, frames: Any, known: Any, step: Any, seed: Any) -> dict[str, Any]:
        hparams = self.hparams
        shown = self._shown(ops.shape(frames)[0], step, seed)
        made, alignments = self.roll_out(frames, known, shown, decouple=self.adapter is not None)
        error = self.frame_loss(made, frames[:, 1:])
        if self.adapter is None:
            return {"loss": error}
        decoupling = ops.mean(alignments)
        return {
            "loss": error + hparams.decouple_beta * decoupling,
            "frames": error,
            "decoupling": decoupling,
        }

    def _shown(self, batch: Any, step: Any, seed: Any) -> Any:
        spec, hparams = self.spec, self.hparams
        if not hparams.reverse_scheduled_sampling:
            return None
        return reverse_shown(
            spec.context_frames,
            spec.lead_frames,
            batch,
            step,
            seed,
            hparams.r_sampling_step_1,
            hparams.r_sampling_step_2,
            hparams.r_exp_alpha,
        )
