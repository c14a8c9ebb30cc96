"""TFRecords: gap-free blocks of consecutive hours, one a file, and the index of them (docs/data_formats.md).

A block of T frames holds the sequences (windows of `sequence_length` frames) that begin in it; neighbouring
blocks of a run overlap by `sequence_length` - 1 frames, so that every sequence lies in exactly one block.
TensorFlow is imported by the functions that need it: to look at the index is quick.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np

from video_prediction_tools.datasets.hashing import HashedFile
from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.files import whole_file
from video_prediction_tools.metadata.names import step_that_makes
from video_prediction_tools.metadata.record import FILE_NAME, require_done

DIRECTORY = "tfrecords"
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Block:
    """One block of consecutive time steps.

    Arguments:
        path: its file.
        start: time of the first frame, seconds since 1970.
        frames: number of frames.
        sequences: number of sequences in it.
    """

    path: Path
    start: int
    frames: int
    sequences: int


@dataclass(frozen=True)
class BlockIndex:
    """What tfrecords/metadata.json says of the blocks.

    Arguments:
        directory: the tfrecords directory.
        dataset_fingerprint: of the data set that the blocks were made from; `read_block` wants it.
        fingerprint: of the TFRecords themselves.
        sequence_length: frames of a sequence.
        window_stride: frames from one sequence of a block to the next.
        step_hours: hours from one frame to the next.
        variables: short names of the channels.
        height, width: grid points from north to south and from west to east.
        blocks: by split, in order of time.
    """

    directory: Path
    dataset_fingerprint: str
    fingerprint: str
    sequence_length: int
    window_stride: int
    step_hours: int
    variables: tuple[str, ...]
    height: int
    width: int
    blocks: dict[str, tuple[Block, ...]]

    def n_sequences(self, split: str) -> int:
        """Return the number of sequences of a split."""
        return sum(block.sequences for block in self.blocks[split])

    def sequences(self, split: str) -> np.ndarray:
        """List every sequence of a split once, in order of time.

        Returns:
            int64 ``[N, 2]``: number of the block in ``blocks[split]``, and the sequence's first frame in that
            block.
        """
        parts = [
            np.stack(
                [np.full(block.sequences, number), np.arange(block.sequences) * self.window_stride], axis=1
            )
            for number, block in enumerate(self.blocks[split])
        ]
        return np.concatenate(parts).astype(np.int64) if parts else np.zeros((0, 2), np.int64)


def read_index(directory: Path, dataset_fingerprint: str | None = None) -> BlockIndex:
    """Read the index of a tfrecords directory; every file named must be there with its size.

    Arguments:
        directory: ``<data set>/tfrecords``.
        dataset_fingerprint: of the data set that they should belong to (None: not compared).

    Raises:
        InputError: preprocess 2 has not finished, the metadata are damaged, a file is missing or was cut
            short, or the TFRecords belong to another data set.
    """
    directory = Path(directory)
    record = require_done(directory, "tfrecords", step_that_makes(directory, "preprocess2"))
    details = record.details
    try:
        index = BlockIndex(
            directory,
            details["dataset_fingerprint"],
            record.fingerprint(),
            int(details["sequence_length"]),
            int(details["window_stride"]),
            int(details["step_hours"]),
            tuple(details["variables"]),
            int(details["height"]),
            int(details["width"]),
            {
                split: tuple(
                    Block(
                        directory / entry["file"],
                        int(entry["start"]),
                        int(entry["frames"]),
                        int(entry["sequences"]),
                    )
                    for entry in details["blocks"][split]
                )
                for split in SPLITS
            },
        )
        sizes = {directory / name: int(entry["bytes"]) for name, entry in record.outputs.items()}
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            directory / FILE_NAME, f"is damaged: no usable {error}", _remedy(directory)
        ) from None
    if dataset_fingerprint is not None and index.dataset_fingerprint != dataset_fingerprint:
        raise InputError(
            directory,
            "was made from another data set than the one in the directory above",
            _foreign_remedy(directory),
        )
    for block in (block for blocks in index.blocks.values() for block in blocks):
        if not block.path.is_file():
            raise InputError(block.path, "does not exist", _remedy(block.path))
        if block.path.stat().st_size != sizes.get(block.path):
            raise InputError(
                block.path, "has not the size that was written (damaged or exchanged)", _remedy(block.path)
            )
    return index


def write_block(
    path: Path, frames: np.ndarray, times: np.ndarray, dataset_fingerprint: str
) -> tuple[int, str]:
    """Write one block, whole or not at all, without TensorFlow (see `_example`).

    Arguments:
        path: the TFRecord file.
        frames: float32 ``[T, H, W, C]``, physical units.
        times: int64 ``[T]``, seconds since 1970.
        dataset_fingerprint: of the data set that the frames come from.

    Returns:
        Size in bytes and SHA-256 of the file: equal content gives equal bytes.
    """
    record = _example(
        frames=np.asarray(frames, "<f4").tobytes(),
        times=np.asarray(times, "<i8").tobytes(),
        shape=frames.shape,
        dataset=dataset_fingerprint.encode(),
    )
    length = sum(len(part) for part in record).to_bytes(8, "little")
    with whole_file(path) as temporary, open(temporary, "wb") as handle:
        sink = HashedFile(handle)
        for part in (length, _masked_crc([length]), *record, _masked_crc(record)):
            sink.write(part)
    return sink.size, sink.sha256()


def parse_block(record: Any) -> tuple[Any, Any, Any]:
    """Take a serialised block apart (TensorFlow operations, usable in ``tf.data``).

    Returns:
        times int64 ``[T]``, frames float32 ``[T, H, W, C]`` and the data set's fingerprint (string scalar).
    """
    import tensorflow as tf

    features = {name: tf.io.FixedLenFeature([], tf.string) for name in ("frames", "times", "dataset")}
    features["shape"] = tf.io.FixedLenFeature([4], tf.int64)
    example = tf.io.parse_single_example(record, features)
    frames = tf.reshape(tf.io.decode_raw(example["frames"], tf.float32), example["shape"])
    return tf.io.decode_raw(example["times"], tf.int64), frames, example["dataset"]


def read_block(path: Path, dataset_fingerprint: str) -> tuple[np.ndarray, np.ndarray]:
    """Read one block.

    Arguments:
        path: the TFRecord file.
        dataset_fingerprint: of the data set that it must belong to.

    Returns:
        times int64 ``[T]`` and frames float32 ``[T, H, W, C]`` (read-only views of TensorFlow's memory).

    Raises:
        InputError: the file is missing or damaged (every record has a check sum), no block of AMBS, or
            belongs to another data set.
    """
    import tensorflow as tf

    try:
        with tf.device("CPU:0"):
            record = next(iter(tf.data.TFRecordDataset(str(path))))
            times, frames, dataset = parse_block(record)
    except StopIteration:
        raise InputError(path, "holds no block", _remedy(path)) from None
    except tf.errors.NotFoundError:
        raise InputError(path, "does not exist", _remedy(path)) from None
    except tf.errors.DataLossError:
        raise InputError(path, "is damaged (its check sum does not fit)", _remedy(path)) from None
    except tf.errors.InvalidArgumentError:
        raise InputError(path, "is no block of AMBS data", _remedy(path)) from None
    if dataset.numpy().decode(errors="replace") != dataset_fingerprint:
        raise InputError(path, "belongs to another data set", _foreign_remedy(path))
    if times.shape[0] != frames.shape[0]:
        raise InputError(
            path, f"is damaged: {times.shape[0]} times for {frames.shape[0]} frames", _remedy(path)
        )
    return np.asarray(memoryview(times)), np.asarray(memoryview(frames))


def count_sequences(frames: int, sequence_length: int, window_stride: int) -> int:
    """Return the number of sequences in a block of so many frames."""
    return max(0, (frames - sequence_length) // window_stride + 1)


def block_entries(directory: Path, blocks: Sequence[Block]) -> list[dict[str, Any]]:
    """Return blocks as metadata.json lists them."""
    return [
        {
            "file": block.path.relative_to(directory).as_posix(),
            "start": block.start,
            "frames": block.frames,
            "sequences": block.sequences,
        }
        for block in blocks
    ]


def _remedy(path: Path) -> str:
    return f"run the step '{step_that_makes(path, 'preprocess2')}' again"


def _foreign_remedy(path: Path) -> str:
    return f"delete the directory '{DIRECTORY}' and run the step '{step_that_makes(path, 'preprocess2')}'"


def _example(**features: bytes | tuple[int, ...]) -> list[bytes]:
    """Serialise a ``tf.train.Example``, as parts to be written one after another (joining them would copy).

    A TFRecord file is a sequence of (length, check sum of it, record, check sum of it), and an Example is a
    protocol
    buffer: Example {1: Features {1: map entry {1: name, 2: Feature {1: bytes list {1: ..} or 3: int64 list
        {1: ..}}}}}
    (tensorflow/core/example/example.proto and feature.proto). To write that takes these lines; TensorFlow
    would take seconds to import and some 500 MB, on each rank of a step that has no other use for it. The
    tests read it with TensorFlow.
    """
    entries: list[bytes] = []
    for name, value in sorted(features.items()):
        if isinstance(value, tuple):
            feature = _field(3, _field(1, [b"".join(_varint(number) for number in value)]))
        else:
            feature = _field(1, _field(1, [value]))
        entries += _field(1, [*_field(1, [name.encode()]), *_field(2, feature)])
    return _field(1, entries)


def _field(number: int, parts: list[bytes]) -> list[bytes]:
    """Return a length-delimited field of a protocol buffer (wire type 2)."""
    return [_varint(number << 3 | 2) + _varint(sum(len(part) for part in parts)), *parts]


def _varint(number: int) -> bytes:
    """Write an integer in groups of seven bits, the lowest first; the eighth bit says that more follow."""
    groups = []
    while number > 127:
        groups.append(number & 127 | 128)
        number >>= 7
    return bytes([*groups, number])


def _masked_crc(parts: Sequence[bytes]) -> bytes:
    """Return the check sum of a record: CRC-32C, rotated and shifted as the TFRecord format wants it."""
    crc = 0
    for part in parts:
        crc = google_crc32c.extend(crc, part)
    return (((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF).to_bytes(4, "little")
