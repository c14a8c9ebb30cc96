"""TFRecord blocks: TensorFlow reads what is written without it, and damaged or foreign files are refused."""

import hashlib

import numpy as np
import pytest
import tensorflow as tf

from video_prediction_tools.datasets.tfrecords import (
    Block,
    BlockIndex,
    block_entries,
    count_sequences,
    read_block,
    read_index,
    write_block,
)
from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.record import running

FINGERPRINT = "f" * 64


@pytest.fixture
def block(tmp_path):
    """A written block: path, frames, times, size and digest."""
    frames = np.random.default_rng(0).normal(280, 5, (200, 5, 6, 2)).astype(np.float32)
    times = 1551398400 + 3600 * np.arange(200, dtype=np.int64)
    path = tmp_path / "20190301T00_to_20190309T07.tfrecord"
    return path, frames, times, write_block(path, frames, times, FINGERPRINT)


def test_a_block_comes_back_as_it_was_written(block):
    path, frames, times, (size, digest) = block
    found_times, found = read_block(path, FINGERPRINT)
    assert (found.dtype, found_times.dtype) == (np.float32, np.int64)
    np.testing.assert_array_equal(found, frames)
    np.testing.assert_array_equal(found_times, times)
    assert (size, digest) == (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())


def test_the_bytes_are_those_that_tensorflow_writes(block, tmp_path):
    path, frames, times, _ = block

    def of_bytes(value):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    example = tf.train.Example(
        features=tf.train.Features(
            feature={
                "frames": of_bytes(frames.tobytes()),
                "times": of_bytes(times.tobytes()),
                "dataset": of_bytes(FINGERPRINT.encode()),
                "shape": tf.train.Feature(int64_list=tf.train.Int64List(value=frames.shape)),
            }
        )
    )
    with tf.io.TFRecordWriter(str(tmp_path / "tensorflow")) as writer:
        writer.write(example.SerializeToString(deterministic=True))
    assert (tmp_path / "tensorflow").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw[:1000],
        lambda raw: raw[:5000] + b"x" + raw[5001:],
        lambda raw: b"\x01" + raw[1:],
        lambda raw: b"",
        lambda raw: b"hello" * 100,
    ],
)
def test_a_damaged_file_is_refused_by_name(block, damage):
    path = block[0]
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=r"T07.tfrecord: (is damaged|holds no block)"):
        read_block(path, FINGERPRINT)


def test_blocks_of_another_data_set_and_foreign_records_are_refused(block, tmp_path):
    with pytest.raises(InputError, match="belongs to another data set; delete the directory 'tfrecords'"):
        read_block(block[0], "0" * 64)
    with tf.io.TFRecordWriter(str(tmp_path / "foreign.tfrecord")) as writer:
        writer.write(b"something else")
    with pytest.raises(InputError, match="foreign.tfrecord: is no block of AMBS data"):
        read_block(tmp_path / "foreign.tfrecord", FINGERPRINT)
    with pytest.raises(InputError, match="does not exist"):
        read_block(tmp_path / "none.tfrecord", FINGERPRINT)


@pytest.fixture
def tfrecords(tmp_path):
    """A tfrecords directory with two training blocks and one for each other split."""
    directory = tmp_path / "tfrecords"
    lengths = {"train": [30, 25], "val": [20], "test": [21]}
    with running(directory, kind="tfrecords", name="x", program="test", arguments={}) as opened:
        blocks = {}
        for split, frames in lengths.items():
            blocks[split] = [
                Block(directory / split / f"{number}.tfrecord", 3600 * number, n, count_sequences(n, 20, 1))
                for number, n in enumerate(frames)
            ]
            for block in blocks[split]:
                write_block(
                    block.path, np.zeros((block.frames, 2, 3, 1)), np.arange(block.frames), FINGERPRINT
                )
                opened.add_output(block.path)
        opened.record.details = {
            "sequence_length": 20,
            "window_stride": 1,
            "step_hours": 1,
            "variables": ["2t"],
            "height": 2,
            "width": 3,
            "dataset_fingerprint": FINGERPRINT,
            "n_sequences": {},
            "blocks": {split: block_entries(directory, these) for split, these in blocks.items()},
        }
    return directory


def test_the_index_lists_every_sequence_once(tfrecords):
    index = read_index(tfrecords, FINGERPRINT)
    assert isinstance(index, BlockIndex)
    assert {split: index.n_sequences(split) for split in index.blocks} == {"train": 17, "val": 1, "test": 2}
    assert index.sequences("train").tolist() == [[0, n] for n in range(11)] + [[1, n] for n in range(6)]
    assert index.sequences("test").tolist() == [[0, 0], [0, 1]]
    assert index.blocks["train"][1].path == tfrecords / "train" / "1.tfrecord"


@pytest.mark.parametrize(
    "frames, length, stride, expected",
    [(20, 20, 1, 1), (19, 20, 1, 0), (30, 20, 1, 11), (60, 20, 20, 3), (59, 20, 20, 2)],
)
def test_number_of_sequences(frames, length, stride, expected):
    assert count_sequences(frames, length, stride) == expected


def test_the_index_refuses_what_does_not_belong_together(tfrecords):
    with pytest.raises(InputError, match="was made from another data set"):
        read_index(tfrecords, "0" * 64)
    path = tfrecords / "val" / "0.tfrecord"
    raw = path.read_bytes()
    path.write_bytes(raw[:-1])
    with pytest.raises(InputError, match="val/0.tfrecord: has not the size that was written"):
        read_index(tfrecords)
    path.unlink()
    with pytest.raises(InputError, match="val/0.tfrecord: does not exist; run the step 'preprocess2' again"):
        read_index(tfrecords)
    (tfrecords / "metadata.json").unlink()
    with pytest.raises(InputError, match="holds no metadata.json; run the step 'preprocess2' first"):
        read_index(tfrecords)
