"""Optimizers and learning-rate schedules from the common hyper-parameters."""

import math
from typing import Any

import keras
from keras import ops

from video_prediction_tools.models.hparams import CommonHparams


@keras.saving.register_keras_serializable("ambs")
class LearningRate(keras.optimizers.schedules.LearningRateSchedule):
    """Learning rate by step: a linear rise over `warmup_steps`, then constant, linear or half-cosine to `end`.

    The half cosine is that of Loshchilov & Hutter (2017), SGDR, without restarts.
    """

    def __init__(self, kind: str, peak: float, end: float, warmup_steps: int, total_steps: int):
        self.kind, self.peak, self.end = kind, peak, end
        self.warmup_steps, self.total_steps = warmup_steps, total_steps

    def __call__(self, step: Any) -> Any:
        """Return the learning rate of a step (0, 1, ...)."""
        step = ops.cast(step, "float32")
        span = max(self.total_steps - self.warmup_steps, 1)
        done = ops.clip((step - self.warmup_steps) / span, 0.0, 1.0)
        share = {"constant": 1.0, "linear": 1.0 - done, "cosine": 0.5 * (1.0 + ops.cos(math.pi * done))}[
            self.kind
        ]
        rate = self.end + (self.peak - self.end) * share if self.kind != "constant" else self.peak
        return rate * ops.minimum(1.0, (step + 1.0) / (self.warmup_steps + 1.0))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return dict(
            kind=self.kind,
            peak=self.peak,
            end=self.end,
            warmup_steps=self.warmup_steps,
            total_steps=self.total_steps,
        )


def adam(
    hparams: CommonHparams,
    total_steps: int,
    *,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
) -> keras.optimizers.Optimizer:
    """Return Adam (Kingma & Ba 2015), with decoupled weight decay (Loshchilov & Hutter 2019) where asked for."""
    rate = LearningRate(hparams.lr_schedule, hparams.lr, hparams.end_lr, hparams.warmup_steps, total_steps)
    clip = {"global_clipnorm": hparams.clip_norm} if hparams.clip_norm else {}
    if hparams.weight_decay:
        return keras.optimizers.AdamW(
            rate, weight_decay=hparams.weight_decay, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon, **clip
        )
    return keras.optimizers.Adam(rate, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon, **clip)
