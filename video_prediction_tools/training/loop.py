"""The training loop: one for all models, on one device or many; killed at any step, it goes on exactly."""

import dataclasses
import math
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import keras
import tensorflow as tf

from video_prediction_tools.errors import Diverged, InputError, StoppedEarly
from video_prediction_tools.models import registry
from video_prediction_tools.models.base import DataSpec
from video_prediction_tools.progress import progress, say
from video_prediction_tools.training.arithmetic import layer_arithmetic
from video_prediction_tools.training.checkpoints import (
    Progress,
    best_file,
    last_file,
    read_progress,
    restore,
    save,
)
from video_prediction_tools.training.distribution import Cluster, require_shareable
from video_prediction_tools.training.experiment import Experiment
from video_prediction_tools.training.feed import Feed, training_feed, validation_batches, validation_feed
from video_prediction_tools.training.log import TrainingLog
from video_prediction_tools.training.steps import Steps
from video_prediction_tools.training.stop import StopRequest

LINE_EVERY = 50  # steps between two lines of training_log.csv within an epoch
_DIVERGED = "try a smaller lr or clip_norm in another directory, or there diverged_lr_factor=0.1"
_LOOK_EVERY = 10  # steps between two looks at the losses: to look is to wait for the device


def train(
    experiment: Experiment, strategy: tf.distribute.Strategy, cluster: Cluster, stop: StopRequest
) -> Progress:
    """Train until the end, from wherever an earlier attempt has got to.

    Returns:
        the `Progress` at the end.

    Raises:
        StoppedEarly: asked to stop; all is saved.
        Diverged: a loss or a gradient is no number any more.
        InputError: damaged data or checkpoint, no space left, not enough memory.
    """
    keras.utils.set_random_seed(experiment.seed)
    with layer_arithmetic(experiment.hparams.mixed_precision), _memory_errors_as_input_errors(experiment):
        trainer = _Trainer(experiment, strategy, cluster, stop)
        try:
            return trainer.run()
        finally:
            trainer.close()


def require_trainable(experiment: Experiment, strategy: tf.distribute.Strategy) -> None:
    """Check what only the model and the devices know of the hyper-parameters; nothing is made.

    Raises:
        InputError: they do not fit together.
    """
    hparams = experiment.hparams
    require_shareable(hparams.batch_size, strategy.num_replicas_in_sync, hparams.gradient_accumulation)
    with strategy.scope():
        registry.require_makeable(experiment.model, data_spec(experiment), hparams)


@contextmanager
def _memory_errors_as_input_errors(experiment: Experiment) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, (tf.errors.ResourceExhaustedError, MemoryError)):
            cause = cause.__cause__ or cause.__context__  # Keras and TensorFlow wrap errors of a layer
        if cause is None:
            raise
        raise InputError(
            "training",
            f"not enough memory for {experiment.model} with batch_size {experiment.hparams.batch_size}",
            "lower batch_size, or raise gradient_accumulation (the same training in pieces), or make the model smaller",
        ) from error


def data_spec(experiment: Experiment) -> DataSpec:
    """Return what the model must know of the data."""
    index = experiment.data.index
    return DataSpec(
        index.height,
        index.width,
        index.variables,
        experiment.known,
        experiment.hparams.context_frames,
        experiment.lead_frames,
    )


class _Trainer:
    def __init__(
        self, experiment: Experiment, strategy: tf.distribute.Strategy, cluster: Cluster, stop: StopRequest
    ):
        self.experiment, self.strategy, self.cluster, self.stop = experiment, strategy, cluster, stop
        self.hparams, self.batch_size = experiment.hparams, experiment.hparams.batch_size
        self.training, self.validation = (experiment.data.sequences(split) for split in ("train", "val"))
        self.total_steps = self.hparams.max_steps or -(
            -self.hparams.max_epochs * len(self.training) // self.batch_size
        )
        self.log: TrainingLog | None = None
        self.validation_feed: Feed | None = None
        self._begin(read_progress(last_file(experiment.directory)) or Progress())
        if self.hparams.diverged_lr_factor and not self.state.step:
            self._save_last()  # to begin anew from

    def _begin(self, progress: Progress) -> None:
        """Make the model, as the last checkpoint has it where there is one, and all that belongs to this attempt."""
        factor = progress.lr_factor
        hparams = dataclasses.replace(
            self.hparams, lr=factor * self.hparams.lr, end_lr=factor * self.hparams.end_lr
        )
        experiment, path = self.experiment, last_file(self.experiment.directory)
        with self.strategy.scope():
            model = registry.create(experiment.model, data_spec(experiment), hparams)
            self.steps = Steps(
                model,
                experiment.normalisation,
                experiment.data.region,
                experiment.seed,
                self.total_steps,
                self.strategy,
            )
        self.state = restore(path, self.steps.variables(), experiment.origin) if path.exists() else progress
        self.state.lr_factor = factor
        self.close()
        if self.cluster.is_chief:
            self.log = TrainingLog(experiment.directory, self.state.log_bytes, self.state.step)
        self.unseen: list[dict[str, Any]] = []  # losses of the latest steps, still on the device
        self.parts: dict[str, float] = {}
        self.seconds_before = self.state.seconds
        self.begun_at = self.saved_at = time.monotonic()
        self._begin_line()

    def close(self) -> None:
        if self.log:
            self.log.close()
        if self.validation_feed:
            self.validation_feed.close()
            self.validation_feed = None

    def run(self) -> Progress:
        self._introduce()
        if not self.steps.phases:
            self._end_without_steps()
            return self.state
        try:
            self._take_steps()
        except Diverged as error:
            if not self.hparams.diverged_lr_factor or self.state.lr_factor < 1.0:
                raise
            self._begin_with_lower_rate(error)
            self._take_steps()
        self._say(
            f"training ended: {self.state.finished}; lowest validation loss {self.state.best_val_loss:.6g} at step "
            f"{self.state.best_step}"
        )
        self._say_where_best_is_early()
        return self.state

    def _say_where_best_is_early(self) -> None:
        state, end = self.state, self.steps.model.schedules_end()
        if 0 <= state.best_step < end <= state.step:
            self._say(
                f"note: the weights of the lowest validation loss are from before step {end}, where the schedules of "
                f"the loss end; main_visualize_postprocess --checkpoint last takes those of step {state.step}"
            )

    def _begin_with_lower_rate(self, error: Diverged) -> None:
        """Go back to the last checkpoint, for a second attempt with a lower learning rate."""
        before = read_progress(last_file(self.experiment.directory)) or Progress()
        before.lr_factor = self.hparams.diverged_lr_factor
        self._say(f"{error}")
        self._say(
            f"going on once from step {before.step} with the learning rate times {before.lr_factor:g} "
            "(hyper-parameter diverged_lr_factor)"
        )
        self._begin(before)
        self._save_last()  # whoever goes on from here goes on with this rate

    def _take_steps(self) -> None:
        """Train to the end.

        Raises:
            StoppedEarly, Diverged: see `train`.
        """
        state = self.state
        compiled = False
        with (
            closing(
                training_feed(self.training, self.strategy, self.batch_size, self.experiment.seed, state.step)
            ) as feed,
            progress(
                "training steps", self.total_steps, done=state.step, enabled=self.cluster.is_chief
            ) as advance,
        ):
            while not state.finished and state.step < self.total_steps:
                losses = self.steps.train(*next(feed), tf.constant(state.step, tf.int64))
                state.step += 1
                self.unseen.append(losses)
                if not compiled:
                    compiled = True
                    self._say(f"compiled the training step in {time.monotonic() - self.begun_at:.0f} s")
                    self._begin_line()  # compiling does not count in the sequences per second
                stop, save_now, time_up = self._agreed_wishes()
                if len(self.unseen) >= _LOOK_EVERY:
                    self._look()
                advance(1, f"loss {state.loss_sum / state.loss_count:.4g}" if state.loss_count else "")
                if time_up:
                    state.finished = f"time budget of {self.hparams.max_seconds:g} s used up"
                at_end = bool(state.finished) or state.step == self.total_steps
                epoch_ended = self._epochs_done(state.step) > self._epochs_done(state.step - 1)
                if epoch_ended or at_end:
                    self._end_epoch(at_end)
                elif state.step % LINE_EVERY == 0:
                    self._add_line(None)
                if state.step == self.total_steps and not state.finished:
                    state.finished = f"all {'steps' if self.hparams.max_steps else 'epochs'} done"
                if epoch_ended or at_end or save_now or stop:
                    self._save_last()
                if stop and not state.finished:
                    raise StoppedEarly(
                        f"{self.stop.name or 'a signal'} came; step {state.step} of {self.total_steps} "
                        "is saved, start again to go on"
                    )

    def _end_without_steps(self) -> None:
        """Validate and save a model that has nothing to train."""
        state = self.state
        loss = self._validate()
        state.finished = "the model has nothing to train"
        self._save_last()
        self._say(f"training ended: {state.finished}; validation loss {loss:.6g}")

    def _introduce(self) -> None:
        model, replicas = self.steps.model, self.strategy.num_replicas_in_sync
        self._say(
            f"{self.experiment.model}: {model.count_params():,} weights; known channels: "
            f"{', '.join(self.experiment.known) or 'none'}"
        )
        steps = f"{self.total_steps} steps in {self._epochs} epochs" if self.steps.phases else "no steps"
        self._say(
            f"{len(self.training)} sequences for training, {len(self.validation)} for validation; "
            f"global batch size {self.batch_size} on {replicas} device{'s' * (replicas > 1)}; {steps}"
        )
        end = model.schedules_end()
        if self.steps.phases and end > self.total_steps:
            self._say(
                f"note: the schedules of the loss end at step {end}, after the training: until then true frames are "
                "shown, or weights of the loss still rise; give the hyper-parameters in steps smaller values"
            )
        if self.state.step:
            self._say(f"going on from step {self.state.step}")

    def _say(self, text: str) -> None:
        if self.cluster.is_chief:
            say(text)

    @property
    def _epochs(self) -> int:
        """Epochs that the training goes into, the last of them perhaps in part."""
        return self._epoch(self.total_steps) if self.hparams.max_steps else self.hparams.max_epochs

    def _epochs_done(self, step: int) -> int:
        return min(step * self.batch_size // len(self.training), self._epochs)

    def _agreed_wishes(self) -> tuple[bool, bool, bool]:
        """Return whether to stop, to save, and whether the time is up; all workers get the same answer."""
        now, limit = time.monotonic(), self.hparams.max_seconds
        self.state.seconds = self.seconds_before + now - self.begun_at
        wishes = (
            bool(self.stop),
            now - self.saved_at >= self.hparams.checkpoint_seconds,
            bool(limit) and self.state.seconds >= limit,
        )
        if not self.cluster.workers:
            return wishes
        mine = tf.constant(wishes[:1] + (wishes[1:] if self.cluster.is_chief else (False, False)))
        return tuple(self._sum_over_workers(tf.cast(mine, tf.float32)).numpy() > 0)

    @tf.function
    def _sum_over_workers(self, values: Any) -> Any:
        return self.strategy.reduce("sum", self.strategy.run(lambda: values), axis=None)

    def _look(self) -> None:
        """Fetch the losses of the latest steps from the device and add them up.

        Raises:
            Diverged: a loss or a gradient is no number any more.
        """
        state = self.state
        for number, losses in enumerate(self.unseen, state.step - len(self.unseen) + 1):
            loss = float(losses["loss"])
            # the gradient may be none where the loss still is a number
            for name, value in losses.items():
                if not math.isfinite(float(value)):
                    raise self._diverged(f"{name} is {float(value)}", number)
            state.loss_sum, state.loss_count = state.loss_sum + loss, state.loss_count + 1
        if self.unseen:
            self.parts = {name: float(value) for name, value in self.unseen[-1].items() if name != "loss"}
        self.unseen = []

    def _diverged(self, what: str, step: int) -> Diverged:
        last = read_progress(last_file(self.experiment.directory))
        kept = (
            f"the last good checkpoint, of step {last.step}, is kept"
            if last
            else "no checkpoint was made before"
        )
        return Diverged(f"the {what} at step {step}; {kept}; {_DIVERGED}")

    def _end_epoch(self, at_end: bool) -> None:
        state, every = self.state, self.hparams.validate_every
        done, before = self._epochs_done(state.step), self._epochs_done(state.step - 1)
        self._look()
        train_loss = state.loss_sum / max(state.loss_count, 1)
        # since the line before, which may be the last steps of the epoch only
        text = f"epoch {self._epoch(state.step)} of {self._epochs}, step {state.step}: loss {train_loss:.6g}"
        loss = None
        if at_end or done // every > before // every:
            loss = self._validate()
            text += (
                f", validation loss {loss:.6g}{' (lowest so far)' if state.best_step == state.step else ''}"
            )
        self._say(text)
        self._add_line(loss)
        patience = self.hparams.early_stopping
        if patience and state.validations_since_best >= patience and not state.finished:
            state.finished = f"no lower validation loss in {patience} validations"

    def _epoch(self, step: int) -> int:
        return (step - 1) * self.batch_size // len(self.training) + 1

    def _validate(self) -> float:
        """Work out the validation loss; keep the weights if it is the lowest."""
        begun = time.monotonic()
        self.validation_feed = self.validation_feed or validation_feed(
            self.validation, self.strategy, self.batch_size
        )
        sizes = validation_batches(self.validation, self.batch_size)
        self.steps.swap_averages()
        losses = [
            self.steps.validate(
                *next(self.validation_feed),
                tf.constant(number, tf.int64),
                tf.constant(size == self.batch_size),
            )
            for number, size in enumerate(sizes)
        ]
        loss = sum(size * float(one) for size, one in zip(sizes, losses, strict=True)) / sum(sizes)
        state = self.state
        if not math.isfinite(loss):
            raise self._diverged(f"validation loss is {loss}", state.step)
        state.validations_since_best += 1
        if loss < state.best_val_loss:
            state.best_val_loss, state.best_step, state.validations_since_best = loss, state.step, 0
            if self.cluster.is_chief:
                path, origin = best_file(self.experiment.directory), self.experiment.origin
                save(path, {"model": self.steps.model.variables}, state, origin)
        self.steps.swap_averages()
        self.line_at += time.monotonic() - begun  # it does not count in the sequences per second
        return loss

    def _begin_line(self) -> None:
        self.line_at, self.line_step = time.monotonic(), self.state.step

    def _add_line(self, val_loss: float | None) -> None:
        self._look()
        state, steps = self.state, self.state.step - self.line_step
        rate = steps * self.batch_size / max(time.monotonic() - self.line_at, 1e-9)
        if self.log:
            self.log.add(
                step=state.step,
                epoch=self._epoch(state.step),
                train_loss=state.loss_sum / state.loss_count,
                val_loss=val_loss,
                learning_rate=self.steps.learning_rate(),
                sequences_per_second=rate,
                parts=self.parts,
            )
            state.log_bytes = self.log.length
        state.loss_sum, state.loss_count = 0.0, 0
        self._begin_line()

    def _save_last(self) -> None:
        self._look()  # weights that gave no number must not replace the good checkpoint
        if self.cluster.is_chief:
            path, origin = last_file(self.experiment.directory), self.experiment.origin
            save(path, self.steps.variables(), self.state, origin)
        self.saved_at = time.monotonic()
