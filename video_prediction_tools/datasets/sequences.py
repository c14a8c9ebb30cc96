"""Sequences (windows of context and lead frames) cut from blocks of frames, in order or shuffled.

Shuffling is a plan made before anything is read: in each epoch the blocks are dealt at random into pools that
fit in memory, and all windows of a pool are put in random order. The next pool is read while one is used, so
memory holds two pools however large the data set is. The order is a function of the data set, the seed and
the epoch, so that any place in it can be found again without reading what comes before.
"""

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import NamedTuple

import numpy as np

from video_prediction_tools.datasets.tfrecords import Block, read_block
from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.names import step_that_makes

POOL_BYTES = 512 * 2**20  # a part of the order: another value is another order
_READERS = 2
_ALIGNMENT = 64  # bytes; TensorFlow would copy any other array


class Batch(NamedTuple):
    """Sequences: `frames` float32 [B, T, H, W, C], physical units; `times` int64 [B, T], seconds since 1970."""

    frames: np.ndarray
    times: np.ndarray


@dataclass(frozen=True)
class Sequences:
    """All sequences of one split.

    Arguments:
        blocks: the files, in the order of time.
        sequence_length: T, frames of a sequence.
        window_stride: frames between the beginnings of two sequences of a block.
        frame_shape: (H, W, C).
        fingerprint: of the data set that the blocks must belong to.
        pool_bytes: memory of one of the two pools.
    """

    blocks: tuple[Block, ...]
    sequence_length: int
    window_stride: int
    frame_shape: tuple[int, int, int]
    fingerprint: str
    pool_bytes: int = POOL_BYTES

    def __len__(self) -> int:
        return int(self._counts.sum())

    @cached_property
    def _counts(self) -> np.ndarray:
        return np.array([block.sequences for block in self.blocks], np.int64)

    def order(self, seed: int | None, epoch: int) -> list[np.ndarray]:
        """Return the windows of an epoch in their order, one array for each pool.

        Arguments:
            seed: of the training; None: file order, the same in each epoch.
            epoch: 0, 1, ...

        Returns:
            int64 [n, 2]: block and first frame of each window.
        """
        # streams of their own, so that nothing else that is drawn from the seed can shift the order
        generator = None if seed is None else np.random.default_rng([seed, epoch])
        blocks = np.arange(len(self.blocks)) if generator is None else generator.permutation(len(self.blocks))
        sizes = np.array([self.blocks[block].frames for block in blocks]) * np.prod(self.frame_shape) * 4
        pools = max(1, -(-int(sizes.sum()) // self.pool_bytes))
        pool_of = (np.cumsum(sizes) - sizes) * pools // sizes.sum()
        return [self._windows(blocks[pool_of == pool], generator) for pool in range(pools)]

    def _windows(self, blocks: np.ndarray, generator: np.random.Generator | None) -> np.ndarray:
        each = [
            np.stack(
                [np.full(self._counts[block], block), np.arange(self._counts[block]) * self.window_stride], 1
            )
            for block in blocks
        ]
        windows = np.concatenate(each) if each else np.empty((0, 2), np.int64)
        return windows if generator is None else windows[generator.permutation(len(windows))]

    def shuffled(
        self, batch_size: int, seed: int, first_batch: int = 0, parts: int = 1, part: Sequence[int] = (0,)
    ) -> Iterator[Batch]:
        """Yield batches without end: the epochs' orders one after another, cut into batches of equal size.

        A batch may hold the last windows of an epoch and the first of the next, so that every window is seen
        once an epoch, all batches can be shared evenly, and the training step has one shape.

        Arguments:
            batch_size: B, sequences of a batch over all parts.
            first_batch: how many batches to leave out (nothing is read for them).
            parts, part: the batch is cut into so many equal parts, of which the named ones are yielded, each
                by itself.
        """
        rows = batch_size // parts
        windows, memory = self._stream(seed, first_batch * batch_size), _Memory()
        while True:
            for index in range(parts):
                taken = [next(windows) for _ in range(rows)]
                if index in part:
                    yield self._cut(taken, memory)

    def in_order(self, batch_size: int, passes: int | None = 1) -> Iterator[Batch]:
        """Yield all sequences in the order of time; the last batch of a pass may be smaller.

        Arguments:
            batch_size: B.
            passes: how often; None: without end.
        """
        windows, memory = self._stream(None, 0), _Memory()
        for _ in count() if passes is None else range(passes):
            for first in range(0, len(self), batch_size):
                yield self._cut([next(windows) for _ in range(min(batch_size, len(self) - first))], memory)

    def _cut(self, windows: list[tuple[Future, int]], memory: "_Memory") -> Batch:
        length = self.sequence_length
        frames = memory.empty((len(windows), length, *self.frame_shape))
        times = np.empty((len(windows), length), np.int64)
        for row, (block, first) in enumerate(windows):
            block_times, block_frames = block.result()
            np.copyto(frames[row], block_frames[first : first + length])
            times[row] = block_times[first : first + length]
        return Batch(frames, times)

    def _stream(self, seed: int | None, position: int) -> Iterator[tuple[Future, int]]:
        """Yield block and first frame of each window from `position` on, without end; two pools are held."""
        executor = ThreadPoolExecutor(_READERS, thread_name_prefix="blocks")
        try:
            pools = self._pools(seed, position)
            current = next(pools)
            held = self._request(executor, {}, current)
            for upcoming in pools:
                ahead = self._request(executor, held, upcoming)
                for block, first in current.tolist():
                    yield held[block], first
                current, held = upcoming, ahead
        finally:
            executor.shutdown(wait=False, cancel_futures=True)

    def _pools(self, seed: int | None, position: int) -> Iterator[np.ndarray]:
        epoch, left_out = divmod(position, len(self))
        for later in count(epoch):
            for pool in self.order(seed, later):
                rest = pool[min(left_out, len(pool)) :]
                left_out -= len(pool) - len(rest)
                if len(rest):
                    yield rest

    def _request(
        self, executor: ThreadPoolExecutor, held: dict[int, Future], pool: np.ndarray
    ) -> dict[int, Future]:
        needed = np.unique(pool[:, 0]).tolist()
        return {
            block: held[block] if block in held else executor.submit(self.read, block) for block in needed
        }

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Read one block: times int64 [T], frames float32 [T, H, W, C].

        Raises:
            InputError: it is damaged, or belongs to another data set.
        """
        block = self.blocks[index]
        times, frames = read_block(block.path, self.fingerprint)
        if frames.shape != (block.frames, *self.frame_shape) or times.shape != (block.frames,):
            raise InputError(
                block.path,
                f"holds frames of the shape {frames.shape}, metadata.json says "
                f"{(block.frames, *self.frame_shape)}",
                f"run the step '{step_that_makes(block.path, 'preprocess2')}' again",
            )
        return times, frames


class _Memory:
    """Memory for batches, used again when nobody holds the batch any more.

    Fresh memory costs the system more time than filling it does. TensorFlow takes an aligned array as it is.
    """

    def __init__(self):
        self._owners: list[np.ndarray] = []

    def empty(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return an aligned float32 array of any content."""
        size = int(np.prod(shape)) * 4
        owner = next((one for one in self._owners if one.nbytes >= size + _ALIGNMENT and _is_free(one)), None)
        if owner is None:
            owner = np.empty(size + _ALIGNMENT, np.uint8)
            self._owners = [one for one in self._owners if not _is_free(one)] + [owner]
        start = -owner.ctypes.data % _ALIGNMENT
        return owner[start : start + size].view(np.float32).reshape(shape)


def _is_free(owner: np.ndarray) -> bool:
    # every view of it, whoever made it, counts as a reference to the owner of the memory
    return sys.getrefcount(owner) <= _REFERENCES_OF_OURS


_REFERENCES_OF_OURS = (
    4  # of the list, of the loop over it, of the argument, and of getrefcount's own argument
)
