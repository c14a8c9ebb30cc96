"""One training step and one validation step on the device(s): physical frames in, losses out."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from video_prediction_tools.datasets.channels import Region, known_channels
from video_prediction_tools.datasets.normalisation import Normalisation
from video_prediction_tools.models.base import VideoPredictionModel


class Steps:
    """The compiled steps of a model; make it in the strategy's scope.

    All replicas together do what one device would: each works out the mean loss of its share of the batch,
    divided by the number of replicas, and the optimizer adds the gradients up (an all-reduce inside
    `optimizer.apply`).

    Arguments:
        model: with its weights made.
        normalisation, region: of the data.
        seed: of dropout and sampling; the numbers of a step are a function of it, the step and the replica.
        total_steps: of the whole training, for the schedules.
        strategy: of `tf.distribute`.
    """

    def __init__(
        self,
        model: VideoPredictionModel,
        normalisation: Normalisation,
        region: Region,
        seed: int,
        total_steps: int,
        strategy: tf.distribute.Strategy,
    ):
        self.model, self.normalisation, self.region = model, normalisation, region
        self.seed, self.strategy = seed, strategy
        self.phases = model.phases(total_steps)
        self._clip_norms = [_take_clip_norm(phase.optimizer) for phase in self.phases]
        for phase in self.phases:
            phase.optimizer.build(phase.variables)
        self.ema_decay = model.hparams.ema_decay
        weights = model.trainable_variables if self.ema_decay else []
        self.averages = [
            tf.Variable(weight.value, trainable=False, name=f"average_{weight.path}") for weight in weights
        ]

    def variables(self) -> dict[str, list[Any]]:
        """Return everything that a step changes, for checkpoints."""
        optimizers = {f"optimizer of {phase.name}": phase.optimizer.variables for phase in self.phases}
        return {"model": self.model.variables, "averages": self.averages, **optimizers}

    def learning_rate(self) -> float:
        """Return the learning rate of the next step (of the first phase)."""
        return float(self.phases[0].optimizer.learning_rate)

    @tf.function(reduce_retracing=False)
    def train(self, frames: Any, clock: Any, step: Any) -> Mapping[str, Any]:
        """Do one step.

        Arguments:
            frames: physical units, [B, T, H, W, C] (under a strategy: per replica).
            clock: [B, T, 2], see `channels.clocks`.
            step: int64 scalar, steps done before.

        Returns:
            scalars, means over all replicas: ``loss`` (sum over the phases) and ``<phase>/<part>``.
        """
        parts = self.strategy.run(self._train_replica, (frames, clock, step))
        self._update_averages(step)
        return {name: self.strategy.reduce("mean", part, axis=None) for name, part in parts.items()}

    def _train_replica(self, frames: Any, clock: Any, step: Any) -> dict[str, Any]:
        frames, known, seed = self._inputs(frames, clock, step)
        replicas = self.strategy.num_replicas_in_sync
        logged, total = {}, 0.0
        for phase, clip_norm in zip(self.phases, self._clip_norms, strict=True):
            with tf.GradientTape() as tape:
                parts = phase.loss(frames, known, step, seed)
                share = parts["loss"] / replicas
            variables = [variable.value for variable in phase.variables]
            gradients = tape.gradient(share, variables)
            if clip_norm:
                gradients = _clipped(gradients, clip_norm, replicas)
            phase.optimizer.apply(gradients, phase.variables)
            total += parts["loss"]
            logged |= {f"{phase.name}/{name}": value for name, value in parts.items()}
        return {"loss": total, **logged}

    def _update_averages(self, step: Any) -> None:
        # a shorter memory at the beginning (as tf.train.ExponentialMovingAverage has): else the first weights
        # linger
        done = tf.cast(step, tf.float32)
        decay = tf.minimum(self.ema_decay, (1.0 + done) / (10.0 + done))
        for average, weight in zip(self.averages, self.model.trainable_variables, strict=False):
            self.strategy.extended.update(
                average,
                lambda mean, new, decay: mean.assign(decay * mean + (1.0 - decay) * new),
                args=(weight.value, decay),
            )

    @tf.function(reduce_retracing=False)
    def validate(self, frames: Any, clock: Any, batch: Any) -> Any:
        """Return the validation loss, a mean over sequences; arguments as for `train`, `batch` its number."""
        losses = self.strategy.run(self._validate_replica, (frames, clock, batch))
        return self.strategy.reduce("mean", losses, axis=None)

    def _validate_replica(self, frames: Any, clock: Any, batch: Any) -> Any:
        frames, known, seed = self._inputs(frames, clock, batch)
        return tf.cast(self.model.validation_loss(frames, known, seed), tf.float32)

    def _inputs(self, frames: Any, clock: Any, number: Any) -> tuple[Any, Any, Any]:
        spec = self.model.spec
        known = known_channels(spec.known, clock, self.region, spec.height, spec.width)
        replica = tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.int64)
        place = tf.cast(number, tf.int64) * self.strategy.num_replicas_in_sync + replica
        seed = tf.random.stateless_uniform((), (tf.cast(self.seed, tf.int64), place), 0, 2**31 - 1, tf.int32)
        return self.normalisation.normalise(frames), known, seed

    def swap_averages(self) -> None:
        """Exchange the weights and their running means, where there are any (twice: as before)."""
        for average, weight in zip(self.averages, self.model.trainable_variables, strict=False):
            held = tf.identity(average)
            average.assign(weight.value)
            weight.assign(held)


def _take_clip_norm(optimizer: keras.optimizers.Optimizer) -> float:
    """Take the clipping away from the optimizer: it would clip each replica's share before the sum."""
    norm, optimizer.global_clipnorm = optimizer.global_clipnorm or 0.0, None
    return norm


def _clipped(gradients: list[Any], norm: float, replicas: int) -> list[Any]:
    """Clip by the global norm of the whole batch's gradient; return this replica's share of the result."""
    if replicas > 1:
        present = [index for index, gradient in enumerate(gradients) if gradient is not None]
        summed = tf.distribute.get_replica_context().all_reduce(
            "sum", [gradients[index] for index in present]
        )
        for index, whole in zip(present, summed, strict=True):
            gradients[index] = whole
    clipped, _ = tf.clip_by_global_norm(gradients, norm)
    return [gradient if gradient is None else gradient / replicas for gradient in clipped]
