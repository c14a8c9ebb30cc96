"""vae: a variational autoencoder of sequences with a learned prior, whose decoder feeds on its own forecasts.

Denton & Fergus (2018), Stochastic Video Generation with a Learned Prior (SVG-LP), ICML. Each step from the frame x_t to
x_{t+1} has a code z of `nz` numbers:

    posterior   q(z | x_1 .. x_{t+1}) = N(m, s^2), from a ConvLSTM over pairs (x_t, x_{t+1})
    prior       p(z | x_1 .. x_t),                 from a ConvLSTM over x_t
    decoder     x'_{t+1} = f(x_t, z, state),       `models.conv_lstm_stack`, the code at every point of its input

Up to `init_time` the next frame is known, and the code is the posterior's mean, in training and forecast alike. From
there on the forecast draws its codes from the prior, and prior and decoder see forecasts only. In training the codes
of the lead frames are drawn from the posterior, which has seen the truth; decoder and prior still feed on forecasts.
The loss is

    weight_recon L(x, x') + kl_weight KL(q || p)

over the lead frames, `kl_weight` rising from 0 between the steps `kl_anneal_steps`. L is a mean over grid and
variables, KL a sum over the `nz` numbers, both are means over the lead frames. With the mean square for L, codes take
up the patterns whose mean square in a step is above kl_weight / (2 weight_recon) (as the principal components of
Tipping & Bishop 1999 do, so for a linear decoder); for less, prior and posterior become the same.

Ours: SVG-LP feeds true frames to the decoder in training and has the KL loss at every step, ours at the lead frames
(a code describes the true change from x_t to x_{t+1}, also where the decoder stands at a forecast of x_t); SVG-LP has
a convolutional encoder and decoder around vector LSTMs, and a fixed kl_weight. The VAE of the original AMBS sees the
truth in its forecasts and has no state: nothing of it is kept but names of hyper-parameters.
"""

from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from video_prediction_tools.models.base import DataSpec, Phase
from video_prediction_tools.models.conv_lstm_stack import (
    ConvLSTMStack,
    ConvLSTMStackHparams,
    make_cell,
    with_known,
)
from video_prediction_tools.models.hparams import hparam, two_steps
from video_prediction_tools.models.layers import gaussian
from video_prediction_tools.models.layers.noise import normal
from video_prediction_tools.models.layers.patches import to_patches
from video_prediction_tools.models.optimizers import adam
from video_prediction_tools.models.schedules import ramp_between


@dataclass
class VAEHparams(ConvLSTMStackHparams):
    """Hyper-parameters of vae."""

    nz: int = hparam(16, "numbers of a code", low=1, high=1024)
    latent_filters: int = hparam(16, "state channels of posterior and prior", low=1, high=1024)
    weight_recon: float = hparam(1.0, "weight of the forecast's loss", low=0.0, high=1e6)
    kl_weight: float = hparam(1e-3, "weight of the KL loss, in the end", low=0.0, high=1e6)
    kl_anneal_steps: list[int] = two_steps(
        [],
        "steps between which the weight of the KL loss rises from 0; empty: it is whole from the start",
    )


class VAE(ConvLSTMStack):
    """Video VAE with a learned prior; see the module's text."""

    Hparams = VAEHparams
    model_name = "vae"
    stochastic = True

    def __init__(self, spec: DataSpec, hparams: VAEHparams):
        super().__init__(spec, hparams)
        self.posterior = CodeDistribution(spec, hparams, name="posterior")
        self.prior = CodeDistribution(spec, hparams, name="prior")

    def build(self, shapes: Any) -> None:
        """Make the weights of the posterior, which a forecast from one context frame does not use."""
        pair = ops.zeros((1, self.spec.height, self.spec.width, 2 * self.spec.channels))
        self.posterior(to_patches(pair, self.hparams.patch_size), None)

    def forecast(self, context: Any, known: Any, seed: Any = 0) -> Any:
        """Draw one forecast of each sequence: [B, Tl, H, W, C]."""
        return self._draw(context, None, known, seed)[0]

    def phases(self, total_steps: int) -> list[Phase]:
        """Return the one update of all weights."""
        return [Phase("all", self.trainable_variables, adam(self.hparams, total_steps), self._bound)]

    def schedules_end(self) -> int:
        """Return the step at which the KL loss counts in full."""
        return max(self.hparams.kl_anneal_steps, default=0)

    def _bound(self, frames: Any, known: Any, step: Any, seed: Any) -> dict[str, Any]:
        split = self.spec.context_frames
        forecast, divergence = self._draw(frames[:, :split], frames[:, split:], known, seed)
        error = self.frame_loss(forecast, frames[:, split:])
        weight = self.hparams.kl_weight * ramp_between(step, self.hparams.kl_anneal_steps)
        loss = self.hparams.weight_recon * error + weight * divergence
        return {"loss": loss, "reconstruction": error, "kl": divergence}

    def _draw(self, context: Any, truth: Any, known: Any, seed: Any) -> tuple[Any, Any]:
        """Return lead frames, and the KL loss: with codes from the posterior, or from the prior without `truth`.

        Arguments:
            context: [B, Tc, H, W, C].
            truth: [B, Tl, H, W, C], or None.
            known: [B, Tc+Tl, H, W, K].
            seed: [B].
        """
        spec, patch, nz = self.spec, self.hparams.patch_size, self.hparams.nz
        noise = normal(seed, "codes", ops.shape(context)[0], (spec.lead_frames, nz))
        shown = context if truth is None else ops.concatenate([context, truth], axis=1)
        shown_patches = to_patches(shown, patch)
        known_patches = to_patches(known, patch) if spec.known else None
        states: list[Any] = [cell.initial_state(shown_patches[:, 0]) for cell in self.cells]
        prior_state = posterior_state = None
        frame, frames, divergences = context[:, 0], [], []
        for step in range(spec.context_frames + spec.lead_frames - 1):
            if step < spec.context_frames:
                frame, patches = context[:, step], shown_patches[:, step]
            else:
                patches = to_patches(frame, patch)
            inputs = with_known(patches, known_patches, step + 1)
            prior, prior_state = self.prior(inputs, prior_state)
            lead = step + 1 - spec.context_frames  # number of the lead frame, below 0 in the context
            if step + 1 < shown.shape[1]:
                pair = ops.concatenate([shown_patches[:, step], shown_patches[:, step + 1]], axis=-1)
                posterior, posterior_state = self.posterior(pair, posterior_state)
                code = gaussian.sample(*posterior, noise[:, lead]) if lead >= 0 else posterior[0]
                if lead >= 0:
                    divergences.append(gaussian.divergence(*posterior, *prior))
            else:
                code = gaussian.sample(*prior, noise[:, lead])
            frame = self.advance(frame, ops.concatenate([inputs, _everywhere(code, inputs)], axis=-1), states)
            if lead >= 0:
                frames.append(frame)
        divergence = sum(divergences) / spec.lead_frames if divergences else None
        return ops.stack(frames, axis=1), divergence


class CodeDistribution(keras.layers.Layer):
    """A ConvLSTM whose state, averaged over the grid, gives the distribution of a code.

    Arguments:
        spec, hparams: those of the model.

    Call arguments:
        inputs: [B, h, w, channels].
        state: of the step before, or None.

    Returns:
        (mean, log variance), each [B, nz], and the new state.
    """

    def __init__(self, spec: DataSpec, hparams: VAEHparams, **kwargs: Any):
        super().__init__(**kwargs)
        self.cell = make_cell(hparams.latent_filters, spec, hparams, "cell")
        self.parameters = keras.layers.Dense(2 * hparams.nz, name="parameters")

    def call(self, inputs: Any, state: Any) -> tuple[tuple[Any, Any], Any]:
        """Take one step."""
        state = self.cell(inputs, self.cell.initial_state(inputs) if state is None else state)
        return gaussian.moments(self.parameters(ops.mean(state[0], axis=(1, 2)))), state


def _everywhere(code: Any, like: Any) -> Any:
    """Return a code [B, nz] at every point of inputs [B, h, w, ..]: [B, h, w, nz]."""
    return ops.tile(ops.cast(code, like.dtype)[:, None, None], (1, *like.shape[1:3], 1))
