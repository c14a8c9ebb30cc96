"""Training sequences of Moving MNIST that are drawn afresh in every epoch, as the published models had them.

A sequence is a function of the data set, the seed of the training, the epoch and its number in the epoch, so that
a training that goes on, or has several workers, sees what one left alone would have seen.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np

from video_prediction_tools.datasets.moving_digits import Motion, MovingDigits
from video_prediction_tools.datasets.sequences import Batch

DIGITS_FILE = "digits.npy"  # uint8 [N, 28, 28]: the pool of training digits
_KEY = 3  # 0, 1 and 2 are the splits in the TFRecords


@dataclass(frozen=True)
class FreshSequences:
    """Sequences without end, in epochs of `number`; they are used like `datasets.sequences.Sequences`.

    Arguments:
        digits: uint8 ``[N, 28, 28]``.
        motion: what the sequences are like.
        data_seed: seed of the data set.
        number: sequences of an epoch.
        step_seconds: from one frame to the next.
    """

    digits: np.ndarray
    motion: Motion
    data_seed: int
    number: int
    step_seconds: int

    def __len__(self) -> int:
        return self.number

    @property
    def sequence_length(self) -> int:
        """T, frames of a sequence."""
        return self.motion.sequence_length

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        return self.motion.size, self.motion.size, 1

    def shuffled(
        self, batch_size: int, seed: int, first_batch: int = 0, parts: int = 1, part: Sequence[int] = (0,)
    ) -> Iterator[Batch]:
        """Yield batches without end; the arguments are those of `Sequences.shuffled`."""
        rows = batch_size // parts
        for batch in count(first_batch):
            for index in part:
                yield self._draw(seed, batch * batch_size + index * rows, rows)

    def _draw(self, seed: int, position: int, rows: int) -> Batch:
        length = self.sequence_length
        frames = np.empty((rows, length, *self.frame_shape), np.float32)
        times = np.empty((rows, length), np.int64)
        for row in range(rows):
            epoch, number = divmod(position + row, self.number)
            drawn = MovingDigits(self.digits, self.motion, (self.data_seed, _KEY, seed, epoch)).sequence(
                number
            )
            np.divide(drawn, np.float32(255), out=frames[row, ..., 0])
            times[row] = (number * length + np.arange(length)) * self.step_seconds
        return Batch(frames, times)
