"""crps_ensemble: convLSTM with noise as a further input, trained on the CRPS of a few members, without an adversary.

A forecast is drawn by drawing noise. The generator is that of `models.conv_lstm_stack`; at each step that forecasts a
lead frame it sees, beside the known channels, `noise_channels` fields of white noise (drawn anew at every step: what
happens here and now) and `nz` numbers that are the same at all points and steps (what goes on throughout a forecast).
With the members x'_1 .. x'_M of one context and the truth x, at each point, time and variable, the loss is the almost
fair CRPS

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
from video_prediction_tools.models.base import DataSpec, Phase, member_seeds
from video_prediction_tools.models.conv_lstm_stack import ConvLSTMStack, ConvLSTMStackHparams
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


class CRPSEnsemble(ConvLSTMStack):
    """A stack of ConvLSTM with noise, trained on the CRPS; see the module's text."""

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
        return self._drawn(context, known, seed, 1)

    def ensemble(self, context: Any, known: Any, seed: Any, members: int) -> Any:
        """Draw several forecasts of each sequence, [M, B, Tl, H, W, C]; all go through the context together."""
        rows = ops.shape(context)[0]
        forecasts = self._drawn(context, known, member_seeds(seed, rows, members), members)
        return ops.reshape(forecasts, (members, rows, *forecasts.shape[1:]))

    def _drawn(self, context: Any, known: Any, seed: Any, members: int) -> Any:
        """Return forecasts [M*B, Tl, H, W, C], the first members of all sequences first; `seed`: [M*B]."""
        split, rows = self.spec.context_frames, ops.shape(context)[0]
        noise = self._noise(members * rows, seed)
        none_yet = ops.zeros((rows, split, *noise.shape[2:]))
        _, states = self.through_context(context, ops.concatenate([known[:, :split], none_yet], axis=-1))

        def of_each_member(one: Any) -> Any:
            return ops.tile(one, (members, *[1] * (len(one.shape) - 1)))

        # the third part of a state, the kernel, is the same for all sequences
        states = [(*map(of_each_member, state[:2]), *state[2:]) for state in states]
        known = ops.concatenate([of_each_member(known[:, split:]), noise], axis=-1)
        return ops.stack(self.onward(of_each_member(context[:, -1]), known, states), axis=1)

    def phases(self, total_steps: int) -> list[Phase]:
        """Return the one update of all weights."""
        return [Phase("all", self.trainable_variables, adam(self.hparams, total_steps), self._crps)]

    def _crps(self, frames: Any, known: Any, step: Any, seed: Any) -> dict[str, Any]:
        split = self.spec.context_frames
        ensemble = self.ensemble(frames[:, :split], known, seed, self.hparams.members)
        loss, spread = almost_fair_crps(ensemble, frames[:, split:], self.hparams.fairness, self.loss_weights)
        return {"loss": loss, "spread": spread}

    def _noise(self, rows: int, seed: Any) -> Any:
        """Return the noise of the lead frames, [rows, Tl, H, W, noise_channels + nz]; `seed`: [rows]."""
        spec, fields, numbers = self.spec, self.hparams.noise_channels, self.hparams.nz
        grid = (spec.height, spec.width)
        return ops.concatenate(
            [
                normal(seed, "fields", rows, (spec.lead_frames, *grid, fields)),
                ops.tile(normal(seed, "numbers", rows, (1, 1, 1, numbers)), (1, spec.lead_frames, *grid, 1)),
            ],
            axis=-1,
        )
