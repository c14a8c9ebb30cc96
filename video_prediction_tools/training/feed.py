"""Batches on their way to the device(s): read and cut in the background while a step runs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from video_prediction_tools.datasets.channels import clocks
from video_prediction_tools.datasets.sequences import Batch, Sequences
from video_prediction_tools.errors import InputError

_AHEAD = 2  # batches


class Feed:
    """An endless iterator of ``(frames, clock)`` for `Steps`; with several replicas, of their shares.

    Arguments:
        sequences: what to read.
        strategy: of `tf.distribute`.
        rows: sequences of a replica's share of a batch; None: whatever `batches` yields.
        batches: ``batches(replicas, mine)`` -> iterator of the shares of the replicas `mine` (numbers), in
            turn.
    """

    def __init__(
        self,
        sequences: Sequences,
        strategy: tf.distribute.Strategy,
        rows: int | None,
        batches: Callable[[int, range], Iterator[Batch]],
    ):
        self.failure: InputError | None = None
        length = sequences.sequence_length
        signature = (
            tf.TensorSpec((rows, length, *sequences.frame_shape), tf.float32),
            tf.TensorSpec((rows, length, 2), tf.float32),
        )

        def dataset(context: tf.distribute.InputContext) -> tf.data.Dataset:
            replicas = context.num_replicas_in_sync
            each = replicas // context.num_input_pipelines
            first = context.input_pipeline_id * each
            made = tf.data.Dataset.from_generator(
                lambda: self._noting_failure(batches(replicas, range(first, first + each))),
                output_signature=signature,
            )
            return made.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)).prefetch(
                _AHEAD
            )

        self._iterator = iter(strategy.distribute_datasets_from_function(dataset))

    def __next__(self) -> tuple[Any, Any]:
        with self._own_errors():
            return next(self._iterator)

    def close(self) -> None:
        """Stop reading ahead.

        What still reads when Python ends can wait for Python, and Python for it: the traceback of a failed training
        would keep it alive until then.
        """
        self._iterator = None

    def _noting_failure(self, batches: Iterator[Batch]) -> Iterator[tuple[Any, Any]]:
        try:
            for batch in batches:
                yield batch.frames, clocks(batch.times)
        except InputError as error:
            self.failure = error
            raise

    @contextmanager
    def _own_errors(self) -> Iterator[None]:
        """Give back the `InputError` that tf.data wraps in an error of its own."""
        try:
            yield
        except tf.errors.OpError:
            if self.failure is not None:
                raise self.failure from None
            raise


def training_feed(
    sequences: Sequences, strategy: tf.distribute.Strategy, batch_size: int, seed: int, first_batch: int
) -> Feed:
    """Return the shuffled batches from `first_batch` on."""
    return Feed(
        sequences,
        strategy,
        batch_size // strategy.num_replicas_in_sync,
        lambda replicas, mine: sequences.shuffled(batch_size, seed, first_batch, replicas, mine),
    )


def validation_feed(sequences: Sequences, strategy: tf.distribute.Strategy, batch_size: int) -> Feed:
    """Return all sequences in order, again and again; for the length of a pass see `validation_batches`.

    A last batch that is smaller goes to every replica as a whole: the mean over the replicas is then its
    mean, too.
    """

    def shares(replicas: int, mine: range) -> Iterator[Batch]:
        rows = batch_size // replicas
        for frames, times in sequences.in_order(batch_size, passes=None):
            for replica in mine:
                part = (
                    slice(replica * rows, (replica + 1) * rows) if len(frames) == batch_size else slice(None)
                )
                yield Batch(frames[part], times[part])

    return Feed(sequences, strategy, None, shares)


def validation_batches(sequences: Sequences, batch_size: int) -> list[int]:
    """Return the number of sequences of each batch of one validation pass."""
    whole, rest = divmod(len(sequences), batch_size)
    return [batch_size] * whole + [rest] * bool(rest)
