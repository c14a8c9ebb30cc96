"""linear_regression: least squares from the context frames of a grid point to its lead frames, the same everywhere.

For the lead frame l, with x_t [C] the frames of one grid point (t = 1 .. Tc in the context), k_l [K] the known channels
of the lead frame and z_l the regressors:

    z_l = (x_Tc, x_Tc - x_{Tc-1}, .., x_2 - x_1, k_l, 1)                F = Tc C + K + 1 numbers
    y_l = x_{Tc+l} - x_Tc                                               C numbers
    forecast_l = x_Tc + A_l' z_l,    A_l = (mean z_l z_l' + R)^-1 mean z_l y_l'

The mean is over all sequences and grid points of the training; R is the ridge, `ridge` times the mean square of each
regressor (Hoerl & Kennard 1970, with regressors of unit size). Differences stand in place of earlier frames: they
span the same forecasts, and frames of successive hours are so alike that float32 would not tell them apart.

It is solved, not descended to. What is trained are the moments M_l = mean g g' of g = (z_l, y_l): the loss is half
the squared distance from M to the moments of a sequence, which is least at their mean, and gradient descent at the
rate 1 / (steps + 1) walks through the running mean exactly. So one epoch is all it takes, and stopping, resuming,
workers and the parts of a batch are those of every other training. `train_loss` is that distance; how good the
forecasts are is said by the validation loss.
"""

from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from video_prediction_tools.errors import InputError
from video_prediction_tools.models.base import DataSpec, Phase, VideoPredictionModel
from video_prediction_tools.models.hparams import CommonHparams, hparam


@dataclass
class LinearRegressionHparams(CommonHparams):
    """Hyper-parameters of linear_regression.

    Those of gradient descent (`lr` and its course, `clip_norm`, `weight_decay`) have no effect; `loss_fun` and
    `opt_var` count in the validation only.
    """

    ridge: float = hparam(
        1e-5, "ridge of the regression, as a part of each regressor's mean square", low=1e-7, high=1e6
    )


@keras.saving.register_keras_serializable("ambs")
class RunningMeanRate(keras.optimizers.schedules.LearningRateSchedule):
    """The rate 1 / (step + 1), at which gradient descent to a mean is the running mean."""

    def __call__(self, step: Any) -> Any:
        """Return the rate of a step (0, 1, ...)."""
        return 1.0 / (ops.cast(step, "float32") + 1.0)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments: none."""
        return {}


class LinearRegression(VideoPredictionModel):
    """Linear regression for each lead frame; see the module's text."""

    Hparams = LinearRegressionHparams

    def __init__(self, spec: DataSpec, hparams: LinearRegressionHparams):
        # the equations are solved in float32 whatever `mixed_precision` says: bfloat16 cannot tell them apart
        super().__init__(spec, hparams, name="linear_regression", dtype="float32")
        if hparams.ema_decay:
            raise InputError(
                "hyper-parameter ema_decay",
                "linear_regression is a mean itself",
                "leave it at 0 for this model",
            )
        self.regressors = spec.context_frames * spec.channels + len(spec.known) + 1
        size = self.regressors + spec.channels
        self.moments = self.add_weight(
            name="moments", shape=(spec.lead_frames, size, size), initializer="zeros", dtype="float32"
        )

    def coefficients(self) -> Any:
        """Return A, [Tl, F, C]; zero before the training, which is the persistence forecast."""
        number = self.regressors
        squares, products = self.moments[:, :number, :number], self.moments[:, :number, number:]
        # of unit size, else the ridge would weigh on large regressors less; those that are always zero stay zero
        size = ops.sqrt(ops.maximum(ops.diagonal(squares, axis1=1, axis2=2), 1e-12))  # [Tl, F]
        scaled = squares / (size[:, :, None] * size[:, None, :]) + self.hparams.ridge * ops.eye(number)
        return ops.solve(scaled, products / size[:, :, None]) / size[:, :, None]

    def forecast(self, context: Any, known: Any, seed: Any = 0) -> Any:
        """Forecast the lead frames; `seed` is not used."""
        change = ops.einsum("blhwf,lfc->blhwc", self._regressors(context, known), self.coefficients())
        return context[:, -1:] + change

    def phases(self, total_steps: int) -> list[Phase]:
        """Return the update of the moments."""
        return [Phase("moments", [self.moments], keras.optimizers.SGD(RunningMeanRate()), self._loss)]

    def _regressors(self, context: Any, known: Any) -> Any:
        """Return z, [B, Tl, H, W, F]."""
        spec, leads = self.spec, self.spec.lead_frames
        last = context[:, -1]
        earlier = [context[:, t] - context[:, t - 1] for t in range(spec.context_frames - 1, 0, -1)]
        shared = ops.concatenate([last, *earlier, ops.ones_like(last[..., :1])], axis=-1)
        shared = ops.repeat(shared[:, None], leads, axis=1)
        return ops.concatenate([shared, known[:, spec.context_frames :]], axis=-1)

    def _loss(self, frames: Any, known: Any, step: Any, seed: Any) -> dict[str, Any]:
        context, truth = frames[:, : self.spec.context_frames], frames[:, self.spec.context_frames :]
        both = ops.concatenate([self._regressors(context, known), truth - context[:, -1:]], axis=-1)
        points = self.spec.height * self.spec.width
        moments = ops.einsum("blhwf,blhwg->blfg", both, both) / points
        distance = ops.sum(ops.square(self.moments - moments), axis=(1, 2, 3))
        return {"loss": 0.5 * ops.mean(distance)}
