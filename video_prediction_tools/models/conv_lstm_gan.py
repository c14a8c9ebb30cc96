"""convLSTM_gan: convLSTM, trained against a video discriminator as well.

The generator is `models.conv_lstm`'s; the discriminator (`layers.video_discriminator`) sees whole sequences, the
context with the true or with the forecast lead frames. With w = `recon_weight` and x' the forecast:

    L      = w L_forecast(x, x') + (1 - w) L_GAN,   L_GAN = -log D([context, x'])
    L_disc = -log D([context, x]) - log(1 - D([context, x']))

`gan_loss_type` LSGAN takes squared distances instead (Mao et al. 2017). Between the steps `gan_anneal_steps` the
weight of L_GAN rises from 0. Ours: in the original AMBS L_disc is multiplied by 1 - w, its discriminator sees the lead
frames alone and normalises over the batch, its forecasts pass a sigmoid, and its template has w = 0.6. The generator
has no noise: one context has one forecast, and the discriminator serves its sharpness only.
"""

from dataclasses import dataclass
from typing import Any

from keras import ops

from video_prediction_tools.models.base import DataSpec, Phase
from video_prediction_tools.models.conv_lstm import ConvLSTM, ConvLSTMHparams
from video_prediction_tools.models.hparams import hparam
from video_prediction_tools.models.layers.video_discriminator import (
    ADVERSARIAL_LOSSES,
    VideoDiscriminator,
    adversarial_loss,
)
from video_prediction_tools.models.optimizers import adam
from video_prediction_tools.models.players import AdversarialHparams, judged_in_full, players
from video_prediction_tools.models.schedules import ramp_between


@dataclass
class ConvLSTMGANHparams(AdversarialHparams, ConvLSTMHparams):
    """Hyper-parameters of convLSTM_gan."""

    recon_weight: float = hparam(
        0.99,
        "weight w of the forecast's loss, 1 - w that of the adversary; 1: no discriminator",
        low=0.0,
        high=1.0,
    )
    ndf: int = hparam(32, "channels of the discriminator's first layer", low=1, high=1024)
    gan_loss_type: str = hparam(
        "GAN", "loss of the judgements: cross entropy or least squares", choices=ADVERSARIAL_LOSSES
    )


class ConvLSTMGAN(ConvLSTM):
    """convLSTM with a video discriminator; see the module's text."""

    Hparams = ConvLSTMGANHparams
    model_name = "convLSTM_gan"

    def __init__(self, spec: DataSpec, hparams: ConvLSTMGANHparams):
        super().__init__(spec, hparams)
        adversary = hparams.recon_weight < 1.0
        self.discriminator = VideoDiscriminator(hparams.ndf, name="discriminator") if adversary else None

    def build_weights(self) -> None:
        """Make all weights, those of the discriminator too."""
        if self.discriminator:
            spec = self.spec
            self.discriminator(ops.zeros((1, 2, spec.height, spec.width, spec.channels)))
        super().build_weights()

    @property
    def _judges(self) -> list[VideoDiscriminator]:
        return [self.discriminator] if self.discriminator else []

    def phases(self, total_steps: int) -> list[Phase]:
        """Return the discriminator's update, where there is one, and the generator's."""
        return players(
            self,
            self._judges,
            lambda: adam(self.hparams, total_steps),
            self._discriminator_loss,
            self._generator_loss,
        )

    def schedules_end(self) -> int:
        """Return the step at which true frames are no longer shown and the adversary counts in full."""
        return max(super().schedules_end(), judged_in_full(self.hparams, self._judges))

    def after_step(self) -> None:
        """Update the spectral normalisation."""
        if self.discriminator:
            self.discriminator.after_step()

    def _generator_loss(self, frames: Any, known: Any, step: Any, seed: Any) -> dict[str, Any]:
        rolled = self._training_roll_out(frames, known, step, seed)
        parts = self._loss_of(rolled, frames)
        loss = self.hparams.recon_weight * parts.pop("loss")
        if self.discriminator:
            judgements, _ = self.discriminator(self._with_forecast(frames, rolled))
            parts["gan"] = adversarial_loss(self.hparams.gan_loss_type, judgements, real=True)
            share = ramp_between(step, self.hparams.gan_anneal_steps)
            loss = loss + share * (1.0 - self.hparams.recon_weight) * parts["gan"]
        return {"loss": loss, **parts}

    def _discriminator_loss(self, frames: Any, known: Any, step: Any, seed: Any) -> dict[str, Any]:
        rolled = ops.stop_gradient(self._training_roll_out(frames, known, step, seed))
        kind = self.hparams.gan_loss_type
        judgements, _ = self.discriminator(ops.concatenate([frames, self._with_forecast(frames, rolled)]))
        true, faked = ops.split(judgements, 2)
        parts = {
            "true": adversarial_loss(kind, true, real=True),
            "forecast": adversarial_loss(kind, faked, real=False),
        }
        return {"loss": parts["true"] + parts["forecast"], **parts}

    def _with_forecast(self, frames: Any, rolled: Any) -> Any:
        """Return the true context with the forecast lead frames behind it."""
        split = self.spec.context_frames
        return ops.concatenate([frames[:, :split], rolled[:, split - 1 :]], axis=1)
