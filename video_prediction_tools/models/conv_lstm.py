"""convLSTM: the stack of `models.conv_lstm_stack`, trained on the error of its forecasts.

Shi, Chen, Wang, Yeung, Wong & Woo (2015): Convolutional LSTM Network: A Machine Learning Approach for Precipitation
Nowcasting, NeurIPS 28.
"""

from dataclasses import dataclass
from typing import Any

from keras import ops

from video_prediction_tools.errors import InputError
from video_prediction_tools.models.base import DataSpec, Phase
from video_prediction_tools.models.conv_lstm_stack import ConvLSTMStack, ConvLSTMStackHparams
from video_prediction_tools.models.hparams import hparam
from video_prediction_tools.models.layers.scheduled_sampling import forecast_shown
from video_prediction_tools.models.optimizers import adam
from video_prediction_tools.models.schedules import inverse_sigmoid_ends


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


class ConvLSTM(ConvLSTMStack):
    """Stacked ConvLSTM; see the module's text."""

    Hparams = ConvLSTMHparams
    model_name = "convLSTM"

    def __init__(self, spec: DataSpec, hparams: ConvLSTMHparams):
        super().__init__(spec, hparams)
        if hparams.context_loss_weight > 0.0 and spec.context_frames == 1:
            what = "one context frame has no forecasts within the context"
            raise InputError("hyper-parameter context_loss_weight", what, "give 0")

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
