"""Batches on their way to the device: what comes out, where it goes on, and what goes wrong."""

import shutil
import threading
from itertools import islice

import numpy as np
import pytest

from video_prediction_tools.datasets.channels import clocks
from video_prediction_tools.datasets.prepared import open_prepared
from video_prediction_tools.errors import InputError


def test_training_feed_goes_on_where_it_is_told(prepared):
    """The n-th batch of the feed is the n-th of the order, with the clocks of its times."""
    import tensorflow as tf

    from video_prediction_tools.training.feed import training_feed

    sequences = open_prepared(prepared).sequences("train")
    expected = list(islice(sequences.shuffled(4, seed=5), 12))
    feed = training_feed(sequences, tf.distribute.get_strategy(), 4, 5, first_batch=7)
    for batch in expected[7:]:
        frames, clock = next(feed)
        np.testing.assert_array_equal(frames, batch.frames)
        np.testing.assert_array_equal(clock, clocks(batch.times))


def test_validation_feed_repeats_itself(prepared):
    """Each pass is the whole split in order, with a smaller last batch."""
    import tensorflow as tf

    from video_prediction_tools.training.feed import validation_batches, validation_feed

    sequences = open_prepared(prepared).sequences("val")
    sizes = validation_batches(sequences, 4)
    assert sizes == [4, 3]
    feed = validation_feed(sequences, tf.distribute.get_strategy(), 4)
    for _ in range(3):
        for size, expected in zip(sizes, sequences.in_order(4), strict=True):
            frames, _ = next(feed)
            assert len(frames) == size
            np.testing.assert_array_equal(frames, expected.frames)


def test_a_closed_feed_reads_no_more(prepared):
    """Though somebody still holds it, as the traceback of a failed training does."""
    import tensorflow as tf

    from video_prediction_tools.training.feed import Feed

    sequences, ended = open_prepared(prepared).sequences("train"), threading.Event()

    def batches(replicas, mine):
        try:
            yield from sequences.shuffled(4, 5)
        finally:
            ended.set()

    feed = Feed(sequences, tf.distribute.get_strategy(), 4, batches)
    next(feed)
    assert not ended.wait(1)
    feed.close()
    assert ended.wait(30)


def test_damage_comes_through(prepared, tmp_path):
    """What is wrong with a file is told as such, not as an error of tf.data."""
    import tensorflow as tf

    from video_prediction_tools.training.feed import training_feed

    data = tmp_path / prepared.name
    shutil.copytree(prepared, data)
    sequences = open_prepared(data).sequences("train")
    for block in sequences.blocks:
        content = bytearray(block.path.read_bytes())
        content[40] ^= 0xFF
        block.path.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        next(training_feed(sequences, tf.distribute.get_strategy(), 4, 5, 0))
