"""What a video-prediction model is: a Keras 3 model that forecasts lead frames from context frames.

A model knows neither files nor units: everything that it sees is normalised. Its forward pass uses Keras layers and
`keras.ops` only, so that it runs on any Keras backend.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import keras
from keras import ops

from video_prediction_tools.errors import InputError
from video_prediction_tools.models.hparams import CommonHparams
from video_prediction_tools.models.layers.noise import mix
from video_prediction_tools.models.losses import almost_fair_crps, reconstruction_loss, variable_weights


@dataclass(frozen=True)
class DataSpec:
    """What the data of a model look like.

    Arguments:
        height, width: grid points from north to south (H) and from west to east (W).
        variables: short names of the C forecast variables.
        known: names of the K channels that are known ahead (constants, clocks); may be empty.
        context_frames, lead_frames: Tc and Tl, the frames before and after `init_time`.
    """

    height: int
    width: int
    variables: tuple[str, ...]
    known: tuple[str, ...]
    context_frames: int
    lead_frames: int

    @property
    def channels(self) -> int:
        """Number of forecast variables, C."""
        return len(self.variables)


@dataclass
class Phase:
    """One update within a training step; most models have one, adversarial ones have one for each player.

    Arguments:
        name: for logs and checkpoints.
        variables: the Keras variables that it updates.
        optimizer: its own optimizer, not yet built.
        loss: ``loss(frames [B, Tc+Tl, H, W, C], known [B, Tc+Tl, H, W, K], step, seed)`` -> dict with the scalar
            ``"loss"`` (a mean over the sequences) and any parts worth logging. `step` counts the steps done before,
            `seed` [B] holds one integer for each sequence (see `layers.noise`). It changes no variable: that is
            for the optimizer and for `VideoPredictionModel.after_step`.
    """

    name: str
    variables: list[Any]
    optimizer: keras.optimizers.Optimizer
    loss: Callable[..., dict[str, Any]]


class VideoPredictionModel(keras.Model):
    """Base of all models.

    Arguments:
        spec: what the data look like.
        hparams: an instance of the model's `Hparams`.

    Raises:
        InputError: `opt_var` names a variable that the data do not have, or hyper-parameters do not fit together.
    """

    Hparams: ClassVar[type[CommonHparams]] = CommonHparams
    stochastic: ClassVar[bool] = False

    def __init__(self, spec: DataSpec, hparams: CommonHparams, **kwargs: Any):
        super().__init__(**kwargs)
        self.spec, self.hparams = spec, hparams
        self.loss_weights = variable_weights(hparams.opt_var, spec.variables)

    def forecast(self, context: Any, known: Any, seed: Any = 0) -> Any:
        """Forecast the lead frames.

        Arguments:
            context: [B, Tc, H, W, C], the last context frame is that of `init_time`.
            known: [B, Tc+Tl, H, W, K].
            seed: [B] integers, one for each sequence (or one integer for all, see `layers.noise`); the same seed
                gives the same forecast, whatever else is in the batch.

        Returns:
            [B, Tl, H, W, C].
        """
        raise NotImplementedError

    def phases(self, total_steps: int) -> list[Phase]:
        """Return the updates of one training step, in their order.

        Arguments:
            total_steps: steps of the whole training, for the schedules.
        """
        raise NotImplementedError

    def validation_loss(self, frames: Any, known: Any, seed: Any = 0) -> Any:
        """Return the scalar (mean over the sequences) by which the best checkpoint is chosen: as in a forecast.

        It is the loss (`loss_fun`) of the lead frames; of a stochastic model the fair CRPS of two of its forecasts
        (Ferro 2014, Fair scores for ensemble forecasts): the error of a single one would be lowest where all are alike.

        Arguments:
            frames: [B, Tc+Tl, H, W, C]; known: [B, Tc+Tl, H, W, K].
            seed: as for `forecast`.
        """
        context, truth = frames[:, : self.spec.context_frames], frames[:, self.spec.context_frames :]
        if not self.stochastic:
            return self.frame_loss(self.forecast(context, known, seed), truth)
        members = self.ensemble(context, known, seed, members=2)
        return almost_fair_crps(members, truth, 1.0, self.loss_weights)[0]

    def ensemble(self, context: Any, known: Any, seed: Any, members: int) -> Any:
        """Draw several forecasts of each sequence, [M, B, Tl, H, W, C]; arguments as for `forecast`."""
        rows = ops.shape(context)[0]
        seeds = member_seeds(seed, rows, members)
        context, known = (ops.tile(one, (members, 1, 1, 1, 1)) for one in (context, known))
        forecasts = self.forecast(context, known, seeds)
        return ops.reshape(forecasts, (members, rows, *forecasts.shape[1:]))

    def frame_loss(self, frames: Any, truth: Any) -> Any:
        """Return the loss `loss_fun` of frames [B, T, H, W, C]; see `losses.reconstruction_loss`."""
        return reconstruction_loss(self.hparams.loss_fun, frames, truth, self.loss_weights)

    def schedules_end(self) -> int:
        """Return the step at which the schedules of the loss have ended (that of the learning rate is not meant)."""
        return 0

    def after_step(self) -> None:
        """Change what no optimizer changes (the state of a spectral normalisation), once after each training step.

        It depends on weights only, so that all replicas do the same.
        """

    def call(self, inputs: Any) -> Any:
        """Forecast from ``(context, known)``; builds the weights of a new model."""
        context, known = inputs
        return self.forecast(context, known)

    def build_weights(self) -> None:
        """Make all weights, so that they can be loaded or handed to an optimizer."""
        spec = self.spec
        frame = (1, spec.height, spec.width)
        context = ops.zeros((frame[0], spec.context_frames, *frame[1:], spec.channels))
        known = ops.zeros((frame[0], spec.context_frames + spec.lead_frames, *frame[1:], len(spec.known)))
        self((context, known))


def member_seeds(seed: Any, rows: int, members: int) -> Any:
    """Return a seed for each member of each sequence, [M*B]: those of the first members, of the second ones, ..

    Arguments:
        seed: [B], or one for all.
        rows: number of the sequences, B.
        members: M.
    """
    seeds = ops.cast(seed, "int32")
    if not len(seeds.shape):
        seeds = mix(seeds, ops.arange(rows, dtype="int32"))
    mixed = mix(seeds[None], ops.arange(members, dtype="int32")[:, None])
    return ops.reshape(ops.cast(mixed, "int32"), (-1,))


def require_smallest_grid(spec: DataSpec, smallest: int, model: str) -> None:
    """Refuse grids that a model cannot work on.

    Raises:
        InputError: fewer than `smallest` grid points in a direction.
    """
    if min(spec.height, spec.width) < smallest:
        raise InputError(
            "--model",
            f"{model} needs at least {smallest} x {smallest} grid points, the data have "
            f"{spec.height} x {spec.width}",
            "choose a larger region",
        )
