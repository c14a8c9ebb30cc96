"""crps_ensemble: convLSTM with noise as a further input, trained on the CRPS of a few members, without an adversary.

A forecast is drawn by drawing noise. The generator is that of `models.conv_lstm`; at each step that forecasts a lead
frame it sees, beside the known channels, `noise_channels` fields of white noise (drawn anew at every step: what happens
here and now) and `nz` numbers that are the same at all points and steps (what goes on throughout a forecast). With the
members x'_1 .. x'_M of one context and the truth x, at each point, time and variable, the loss is the almost fair CRPS

    L = 1/M sum_i |x'_i - x| - (1 - e) / (2 M (M - 1)) sum_ij |x'_i - x'_j|,   e = (1 - `fairness`) / M

(Lang et al. 2024, AIFS-CRPS, equation 4; `fairness` 1: the fair CRPS, Ferro 2014, whose expectation is smallest where
the members are drawn from the distribution of the truth, however few they are). So the weather ensembles of today are
trained: NeuralGCM (Kochkov et al. 2024), AIFS-CRPS, FGN (Alet et al. 2025). Theirs are other networks, FGN's noise is
a vector alone that enters by conditional normalisation; ours is convLSTM, so that what the noise and the loss are worth
can be seen beside it.
"""

from dataclasses import dataclass
from typing import Any

from keras import ops

from video_prediction_tools.errors import InputError
from video_prediction_tools.models.base import DataSpec, Phase
from video_prediction_tools.models.conv_lstm import ConvLSTM, ConvLSTMStackHparams
from video_prediction_tools.models.hparams import hparam
from video_prediction_tools.models.layers.noise import normal
from video_prediction_tools.models.losses import almost_fair_crps
from video_prediction_tools.models.optimizers import adam


@dataclass
class CRPSEnsembleHparams(ConvLSTMStackHparams):
    """Hyper-parameters of crps_ensemble (`loss_fun` has no effect)."""

    members: int = hparam(2, "forecasts of each sequence in training, M", low=2, high=64)
    fairness: float = hparam(
        0.95, "1: fair CRPS, 0: CRPS of the members as they are (too narrow ensembles)", low=0.0, high=1.0
    )
    noise_channels: int = hparam(2, "fields of noise at every step", low=0, high=64)
    nz: int = hparam(4, "random numbers of a whole forecast", low=0, high=1024)


class CRPSEnsemble(ConvLSTM):
    """convLSTM with noise, trained on the CRPS; see the module's text."""

    Hparams = CRPSEnsembleHparams
    model_name = "crps_ensemble"
    stochastic = True

    def __init__(self, spec: DataSpec, hparams: CRPSEnsembleHparams):
        super().__init__(spec, hparams)
        if not hparams.noise_channels + hparams.nz:
            what = "noise_channels and nz are both 0: all members would be the same"
            raise InputError("hyper-parameters", what, "give one of them 1 or more")

    def forecast(self, context: Any, known: Any, seed: Any = 0) -> Any:
        """Draw one forecast of each sequence: [B, Tl, H, W, C]."""
        inputs = ops.concatenate([known, self._noise(context, seed)], axis=-1)
        return self.roll_out(context, inputs)[:, self.spec.context_frames - 1 :]

    def phases(self, total_steps: int) -> list[Phase]:
        """Return the one update of all weights."""
        return [Phase("all", self.trainable_variables, adam(self.hparams, total_steps), self._crps)]

    def schedules_end(self) -> int:
        """Return 0: there are no schedules."""
        return 0

    def _crps(self, frames: Any, known: Any, step: Any, seed: Any) -> dict[str, Any]:
        split = self.spec.context_frames
        ensemble = self.ensemble(frames[:, :split], known, seed, self.hparams.members)
        loss, spread = almost_fair_crps(ensemble, frames[:, split:], self.hparams.fairness, self.loss_weights)
        return {"loss": loss, "spread": spread}

    def _noise(self, context: Any, seed: Any) -> Any:
        """Return the noise of all frames, zero up to `init_time`: [B, Tc+Tl, H, W, noise_channels + nz]."""
        spec, fields, numbers = self.spec, self.hparams.noise_channels, self.hparams.nz
        rows, grid = ops.shape(context)[0], (spec.height, spec.width)
        drawn = ops.concatenate(
            [
                normal(seed, "fields", rows, (spec.lead_frames, *grid, fields)),
                ops.tile(normal(seed, "numbers", rows, (1, 1, 1, numbers)), (1, spec.lead_frames, *grid, 1)),
            ],
            axis=-1,
        )
        return ops.concatenate(
            [ops.zeros((rows, spec.context_frames, *grid, fields + numbers)), drawn], axis=1
        )
