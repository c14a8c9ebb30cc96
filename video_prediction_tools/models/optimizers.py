"""Optimizers and learning-rate schedules from the common hyper-parameters."""

import math
from typing import Any

import keras
from keras import ops

from video_prediction_tools.models.hparams import CommonHparams

ONE_CYCLE_RISE = 0.3  # share of the steps over which the rate of a one-cycle schedule rises
ONE_CYCLE_START = 1 / 25  # its first rate, as a share of the highest one


@keras.saving.register_keras_serializable("ambs")
class LearningRate(keras.optimizers.schedules.LearningRateSchedule):
    """Learning rate by step.

    A linear rise over `warmup_steps`, then ``constant``, or a ``linear`` or half-``cosine`` fall to `end` between the
    steps `decay_steps` (Loshchilov & Hutter 2017, SGDR, without restarts). ``one_cycle``: half cosines up from a 25th
    of `peak` over three tenths of all steps and down to `end` (Smith & Topin 2019, Super-Convergence; shares as in
    PyTorch's OneCycleLR).
    """

    def __init__(
        self,
        kind: str,
        peak: float,
        end: float,
        warmup_steps: int,
        total_steps: int,
        decay_steps: tuple[int, int] | None = None,
    ):
        self.kind, self.peak, self.end = kind, peak, end
        self.warmup_steps, self.total_steps, self.decay_steps = warmup_steps, total_steps, decay_steps

    def __call__(self, step: Any) -> Any:
        """Return the learning rate of a step (0, 1, ...)."""
        step = ops.cast(step, "float32")
        warmed_up = ops.minimum(1.0, (step + 1.0) / (self.warmup_steps + 1.0))
        if self.kind == "constant":
            return self.peak * warmed_up
        if self.kind == "one_cycle":
            top = max(round(ONE_CYCLE_RISE * self.total_steps) - 1, 1)
            rising = 1.0 - _half_cosine(step / top) * (1.0 - ONE_CYCLE_START)
            fallen = _half_cosine((step - top) / max(self.total_steps - 1 - top, 1))
            falling = self.end + (self.peak - self.end) * fallen
            return ops.where(step < top, self.peak * rising, falling) * warmed_up
        first, last = self.decay_steps or (self.warmup_steps, self.total_steps)
        done = ops.clip((step - first) / max(last - first, 1), 0.0, 1.0)
        share = 1.0 - done if self.kind == "linear" else _half_cosine(done)
        return (self.end + (self.peak - self.end) * share) * warmed_up

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return dict(
            kind=self.kind,
            peak=self.peak,
            end=self.end,
            warmup_steps=self.warmup_steps,
            total_steps=self.total_steps,
            decay_steps=self.decay_steps,
        )


def _half_cosine(done: Any) -> Any:
    """Return 1 at 0 and before, 0 at 1 and behind, a half cosine between them."""
    return 0.5 * (1.0 + ops.cos(math.pi * ops.clip(done, 0.0, 1.0)))


def adam(
    hparams: CommonHparams,
    total_steps: int,
    *,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
) -> keras.optimizers.Optimizer:
    """Return Adam (Kingma & Ba 2015), with decoupled weight decay (Loshchilov & Hutter 2019) where asked for."""
    decay = tuple(hparams.decay_steps)
    rate = LearningRate(
        hparams.lr_schedule, hparams.lr, hparams.end_lr, hparams.warmup_steps, total_steps, decay or None
    )
    clip = {"global_clipnorm": hparams.clip_norm} if hparams.clip_norm else {}
    if hparams.weight_decay:
        return keras.optimizers.AdamW(
            rate, weight_decay=hparams.weight_decay, beta_1=beta_1, beta_2=beta_2, **clip
        )
    return keras.optimizers.Adam(rate, beta_1=beta_1, beta_2=beta_2, **clip)
