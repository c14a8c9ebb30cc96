"""Sequences: every window once an epoch, an order that is a function of seed and epoch, bounded memory."""

from collections import Counter
from itertools import islice

import numpy as np
import pytest

from video_prediction_tools.datasets.sequences import Sequences
from video_prediction_tools.datasets.tfrecords import Block, write_block
from video_prediction_tools.errors import InputError

LENGTH, SHAPE, FRAMES = 5, (2, 3, 1), (12, 7, 12, 5, 9, 12)  # blocks of 8, 3, 8, 1, 5 and 8 windows
FRAME_BYTES = 24
WINDOWS = 33


@pytest.fixture(scope="module")
def blocks(tmp_path_factory):
    """Blocks whose frames hold their own time."""
    directory = tmp_path_factory.mktemp("blocks")
    made = []
    for number, frames in enumerate(FRAMES):
        times = 1000 * number + np.arange(frames, dtype=np.int64)
        path = directory / f"{number}.tfrecord"
        write_block(
            path,
            np.broadcast_to(times[:, None, None, None], (frames, *SHAPE)).astype(np.float32),
            times,
            "fp",
        )
        made.append(Block(path, int(times[0]), frames, frames - LENGTH + 1))
    return tuple(made)


@pytest.fixture(params=[10**9, 15 * FRAME_BYTES], ids=["one pool", "several pools"])
def sequences(blocks, request):
    """All blocks, with room for all of them or only for one or two at a time."""
    return Sequences(blocks, LENGTH, 1, SHAPE, "fp", request.param)


def first_times(batches):
    """Return the first time of each sequence."""
    return [int(time) for batch in batches for time in batch.times[:, 0]]


ALL = sorted(
    1000 * number + first for number, frames in enumerate(FRAMES) for first in range(frames - LENGTH + 1)
)


def test_every_window_once_an_epoch(sequences):
    """Four epochs of a stream in batches that do not divide them: each epoch holds each window once."""
    assert len(sequences) == WINDOWS
    seen = first_times(islice(sequences.shuffled(4, seed=3), WINDOWS))  # 33 batches of 4: 4 epochs
    for epoch in range(4):
        assert sorted(seen[epoch * WINDOWS : (epoch + 1) * WINDOWS]) == ALL
    assert seen[:WINDOWS] != seen[WINDOWS : 2 * WINDOWS]


def test_frames_and_times_belong_together(sequences):
    """A sequence holds consecutive frames, and the times are theirs."""
    for frames, times in islice(sequences.shuffled(4, seed=0), 10):
        assert frames.shape == (4, LENGTH, *SHAPE) and frames.dtype == np.float32 and times.dtype == np.int64
        np.testing.assert_array_equal(np.diff(times, axis=1), 1)
        np.testing.assert_array_equal(frames, np.broadcast_to(times[..., None, None, None], frames.shape))


def test_order_is_a_function_of_seed_and_epoch(sequences):
    """The same seed gives the same order; batch size and place of entry change nothing."""
    whole = first_times(islice(sequences.shuffled(3, seed=1), 33))
    assert first_times(islice(sequences.shuffled(3, seed=1), 33)) == whole
    assert first_times(islice(sequences.shuffled(9, seed=1), 11)) == whole
    assert first_times(islice(sequences.shuffled(3, seed=2), 33)) != whole
    for first in (1, 10, 11, 12, 25):
        assert (
            first_times(islice(sequences.shuffled(3, seed=1, first_batch=first), 5))
            == whole[3 * first : 3 * first + 15]
        )


def test_shares_of_workers_make_the_batch(sequences):
    """What two workers with two devices each get is the batch of one."""
    whole = first_times(islice(sequences.shuffled(8, seed=1), 6))
    workers = [
        iter(first_times(islice(sequences.shuffled(8, seed=1, parts=4, part=part), 12)))
        for part in (range(0, 2), range(2, 4))
    ]
    together = [time for _ in range(6) for worker in workers for time in islice(worker, 4)]
    assert together == whole


def test_entering_late_reads_only_what_is_needed(blocks, monkeypatch):
    """To go on in the middle of the 1000th epoch, only the pools there and ahead are read."""
    read = Counter()
    original = Sequences.read
    monkeypatch.setattr(
        Sequences, "read", lambda self, index: (read.update([index]), original(self, index))[1]
    )
    sequences = Sequences(blocks, LENGTH, 1, SHAPE, "fp", 15 * FRAME_BYTES)
    next(sequences.shuffled(1, seed=0, first_batch=1000 * WINDOWS + 5))
    assert sum(read.values()) <= 4


def test_pools_fit_in_memory(blocks):
    """A pool holds its share of the bytes and at most one block more; together they hold all windows."""
    limit = 15 * FRAME_BYTES
    pools = Sequences(blocks, LENGTH, 1, SHAPE, "fp", limit).order(7, 0)
    assert len(pools) == 4
    for pool in pools:
        assert sum(FRAMES[block] for block in np.unique(pool[:, 0])) * FRAME_BYTES <= limit + 12 * FRAME_BYTES
    assert len(np.unique(np.concatenate(pools), axis=0)) == WINDOWS


def test_blocks_that_fit_are_read_once(blocks, monkeypatch):
    """A data set that fits in memory is not read again each epoch."""
    read = Counter()
    original = Sequences.read
    monkeypatch.setattr(
        Sequences, "read", lambda self, index: (read.update([index]), original(self, index))[1]
    )
    list(islice(Sequences(blocks, LENGTH, 1, SHAPE, "fp").shuffled(11, seed=0), 12))
    assert read == Counter(range(6))


def test_shuffles_across_blocks(blocks):
    """Neighbours in the order are seldom neighbours in time, and each part of an epoch sees most blocks."""
    order = np.concatenate(Sequences(blocks, LENGTH, 1, SHAPE, "fp").order(0, 0))
    together = np.mean((np.diff(order[:, 0]) == 0) & (np.abs(np.diff(order[:, 1])) == 1))
    assert together < 0.2
    assert len(np.unique(order[:11, 0])) >= 4


def test_in_order(sequences):
    """File order; the last batch of a pass is smaller; a second pass is the same."""
    batches = list(sequences.in_order(8))
    assert [len(batch.frames) for batch in batches] == [8, 8, 8, 8, 1]
    assert first_times(batches) == ALL
    assert first_times(sequences.in_order(8, passes=2)) == ALL + ALL


def test_stride(blocks):
    """Data made of separate sequences: windows begin every `window_stride` frames."""
    block = Block(blocks[0].path, 0, 12, 2)
    assert first_times(Sequences((block,), LENGTH, LENGTH, SHAPE, "fp").in_order(4)) == [0, 5]


def test_memory_is_used_again_but_never_while_it_is_held(blocks):
    """Batches, parts of them and TensorFlow's tensors keep their content; what nobody holds is used again."""
    import tensorflow as tf

    batches = Sequences(blocks, LENGTH, 1, SHAPE, "fp").shuffled(16, seed=0)
    held, expected, places = [], [], set()
    for number in range(30):
        frames, times = next(batches)
        places.add(frames.ctypes.data)
        if number % 3 == 0:
            view = [frames, frames[3:5, 1:], tf.constant(frames), tf.data.Dataset.from_tensors(frames)][
                number // 3 % 4
            ]
            view = next(iter(view)) if number // 3 % 4 == 3 else view
            held.append(view)
            expected.append(np.array(view))
    del frames
    for view, content in zip(held, expected, strict=True):
        np.testing.assert_array_equal(np.asarray(view), content)
    assert len(places) < 20


def test_damage_is_told(blocks, tmp_path):
    """A flipped byte, another data set, and an index that does not fit become one clear error each."""
    content = bytearray(blocks[0].path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path = tmp_path / "damaged.tfrecord"
    path.write_bytes(content)
    for damaged, fingerprint, match in (
        (Block(path, 0, 12, 8), "fp", "damaged"),
        (blocks[0], "other", "another data set"),
        (Block(blocks[0].path, 0, 11, 7), "fp", "metadata.json says"),
    ):
        with pytest.raises(InputError, match=match):
            next(Sequences((damaged,), LENGTH, 1, SHAPE, fingerprint).shuffled(2, seed=0))
