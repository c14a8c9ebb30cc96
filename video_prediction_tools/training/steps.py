"""One training step and one validation step on the device(s): physical frames in, losses out."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from video_prediction_tools.datasets.channels import Region, known_channels
from video_prediction_tools.datasets.normalisation import Normalisation
from video_prediction_tools.models.base import VideoPredictionModel
from video_prediction_tools.models.layers.noise import mix


class Steps:
    """The compiled steps of a model; make it in the strategy's scope.

    All replicas together do what one device would: each works out the mean loss of its share of the batch,
    divided by the number of replicas, and the optimizer adds the gradients up (an all-reduce inside
    `optimizer.apply`).

    Arguments:
        model: with its weights made.
        normalisation, region: of the data.
        seed: of sampling; the numbers of a sequence are a function of it, the step and its place in the batch.
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
        self._gradient = tf.function(self._loss_and_gradient, autograph=False, jit_compile=model.hparams.xla)
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

    @tf.function(autograph=False)
    def train(self, frames: Any, clock: Any, step: Any) -> Mapping[str, Any]:
        """Do one step.

        Arguments:
            frames: physical units, [B, T, H, W, C] (under a strategy: per replica).
            clock: [B, T, 2], see `channels.clocks`.
            step: int64 scalar, steps done before.

        Returns:
            scalars, means over all replicas: ``loss`` (sum over the phases), ``<phase>/<part>`` and
            ``<phase>/gradient_norm``.
        """
        parts = self.strategy.run(self._train_replica, (frames, clock, step))
        self.model.after_step()
        self._update_averages(step)
        return {name: self.strategy.reduce("mean", part, axis=None) for name, part in parts.items()}

    def _train_replica(self, frames: Any, clock: Any, step: Any) -> dict[str, Any]:
        inputs = self._inputs(frames, clock, step, tf.constant(True))
        replicas = self.strategy.num_replicas_in_sync
        logged, total = {}, 0.0
        for number, (phase, clip_norm) in enumerate(zip(self.phases, self._clip_norms, strict=True)):
            parts, gradients = self._accumulated(number, inputs, step)
            gradients = [
                gradient if gradient is None else gradient / replicas for gradient in gradients
            ]  # its share of the mean over the replicas
            gradients, norm = _clipped(gradients, clip_norm, replicas)
            phase.optimizer.apply(gradients, phase.variables)
            total += parts["loss"]
            logged |= {f"{phase.name}/{name}": value for name, value in parts.items()}
            logged[f"{phase.name}/gradient_norm"] = norm
        return {"loss": total, **logged}

    def _accumulated(
        self, number: int, inputs: tuple[Any, ...], step: Any
    ) -> tuple[dict[str, Any], list[Any]]:
        """Return the parts of a phase's loss and its gradient, means over the parts that the batch is cut into."""
        pieces = self.model.hparams.gradient_accumulation
        if pieces == 1:
            return self._gradient(number, *inputs, step)
        rows = inputs[0].shape[0] // pieces
        sums = None
        for piece in range(pieces):
            ready = [] if sums is None else [one for one in tf.nest.flatten(sums) if one is not None]
            # one after the other: that is what saves memory
            with tf.control_dependencies(ready):
                part = [tf.identity(one[piece * rows : (piece + 1) * rows]) for one in inputs]
            result = self._gradient(number, *part, step)
            sums = result if sums is None else tf.nest.map_structure(_sum, sums, result)
        return tf.nest.map_structure(lambda one: one if one is None else one / pieces, sums)

    def _loss_and_gradient(
        self, number: int, frames: Any, known: Any, seed: Any, step: Any
    ) -> tuple[dict[str, Any], list[Any]]:
        phase = self.phases[number]
        with tf.GradientTape() as tape:
            parts = phase.loss(frames, known, step, seed)
        gradients = tape.gradient(parts["loss"], [variable.value for variable in phase.variables])
        return parts, gradients

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

    @tf.function(autograph=False)
    def validate(self, frames: Any, clock: Any, batch: Any, shared: Any) -> Any:
        """Return the validation loss, a mean over sequences.

        Arguments:
            frames, clock: as for `train`.
            batch: number of the batch.
            shared: whether each replica has a share of the batch; False where each has the whole.
        """
        losses = self.strategy.run(self._validate_replica, (frames, clock, batch, shared))
        return self.strategy.reduce("mean", losses, axis=None)

    def _validate_replica(self, frames: Any, clock: Any, batch: Any, shared: Any) -> Any:
        frames, known, seed = self._inputs(frames, clock, batch, shared)
        return tf.cast(self.model.validation_loss(frames, known, seed), tf.float32)

    def _inputs(self, frames: Any, clock: Any, number: Any, shared: Any) -> tuple[Any, Any, Any]:
        """Return normalised frames, known channels, and a seed for each sequence."""
        spec = self.model.spec
        known = known_channels(spec.known, clock, self.region, spec.height, spec.width)
        replica = tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.int32)
        rows = tf.shape(frames)[0]
        places = tf.range(rows) + tf.where(shared, replica * rows, 0)
        seed = tf.cast(mix(self.seed, tf.cast(number, tf.int32), places), tf.int32)
        return self.normalisation.normalise(frames), known, seed

    def swap_averages(self) -> None:
        """Exchange the weights and their running means, where there are any (twice: as before)."""
        for average, weight in zip(self.averages, self.model.trainable_variables, strict=False):
            held = tf.identity(average)
            average.assign(weight.value)
            weight.assign(held)


def _sum(one: Any, other: Any) -> Any:
    return one if one is None else one + other


def _take_clip_norm(optimizer: keras.optimizers.Optimizer) -> float:
    """Take the clipping away from the optimizer: it would clip each replica's share before the sum."""
    norm, optimizer.global_clipnorm = optimizer.global_clipnorm or 0.0, None
    return norm


def _clipped(gradients: list[Any], limit: float, replicas: int) -> tuple[list[Any], Any]:
    """Clip by the global norm of the whole batch's gradient, where there is a limit.

    Returns:
        this replica's share of the result, and the norm before.
    """
    if replicas > 1:
        present = [index for index, gradient in enumerate(gradients) if gradient is not None]
        summed = tf.distribute.get_replica_context().all_reduce(
            "sum", [gradients[index] for index in present]
        )
        for index, whole in zip(present, summed, strict=True):
            gradients[index] = whole
    norm = tf.linalg.global_norm(gradients)
    if limit:
        gradients, _ = tf.clip_by_global_norm(gradients, limit, use_norm=norm)
    return [gradient if gradient is None else gradient / replicas for gradient in gradients], norm
