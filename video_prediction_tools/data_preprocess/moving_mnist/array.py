"""The published sequences: an array of bytes [T, N, H, W] in a .npy file, as mnist_test_seq.npy holds them."""

import hashlib
from pathlib import Path

import numpy as np

from video_prediction_tools.datasets.moving_digits import Motion
from video_prediction_tools.errors import InputError

PUBLISHED_SHAPE = (20, 10000, 64, 64)
# of mnist_test_seq.npy, as torchvision.datasets.MovingMNIST has it
_PUBLISHED_MD5 = "be083ec986bfe91a449d63653c411eb2"
_TOGETHER = 100  # sequences that are checked at a time
_BRIGHT = 191  # mean above which the background cannot be 0
_REMEDY = (
    "give the published file (mnist_test_seq.npy, [20, 10000, 64, 64], bytes), or bring yours into its form"
)


class RecordedSequences:
    """Sequences of an array.

    Arguments:
        array: uint8 ``[T, N, H, W]``.
        first: number in the array of the sequence that is number 0 here.
    """

    def __init__(self, array: np.ndarray, first: int):
        self._array, self._first = array, first

    def sequence(self, number: int) -> np.ndarray:
        """Return the frames of one sequence, uint8 ``[T, H, W]``."""
        return np.ascontiguousarray(self._array[:, self._first + number])


def open_array(path: Path, motion: Motion) -> np.ndarray:
    """Open an array of sequences and check it; it stays on the disk.

    Arguments:
        path: the .npy file.
        motion: what the sequences must be like.

    Returns:
        uint8 ``[T, N, H, W]``.

    Raises:
        InputError: it is missing, damaged, or not such an array.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError("--sequences_file", f"{path} is no file", _REMEDY)
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror or error})", _REMEDY) from error
    except (ValueError, EOFError) as error:
        what = "holds Python objects" if "allow_pickle" in str(error) else str(error)
        raise InputError(path, f"is cut short, or no .npy file of an array ({what})", _REMEDY) from error
    if not isinstance(array, np.ndarray):
        raise InputError(path, "holds several arrays", _REMEDY)
    if array.dtype != np.uint8:
        raise InputError(path, f"holds values of the type {array.dtype}, not bytes (uint8) 0..255", _REMEDY)
    length, size = motion.sequence_length, motion.size
    if array.ndim != 4 or array.size == 0:
        raise InputError(path, f"has the shape {list(array.shape)}, not [T, N, H, W]", _REMEDY)
    if array.shape[2:] != (size, size):
        raise InputError(
            path,
            f"has frames of {array.shape[2]} x {array.shape[3]} pixels, not {size} x {size}",
            f"give --size {array.shape[2]}" if array.shape[2] == array.shape[3] else _REMEDY,
        )
    if array.shape[0] != length:
        swapped = array.shape[1] == length
        raise InputError(
            path,
            f"has {array.shape[0]} frames a sequence (its shape is {list(array.shape)}), not {length}",
            "it is [N, T, H, W]: exchange the first two axes"
            if swapped
            else f"give --sequence_length {array.shape[0]}",
        )
    for first in range(0, array.shape[1], _TOGETHER):
        _check_values(path, array[:, first : first + _TOGETHER], first)
    _check_axes(path, array[:, :_TOGETHER].astype(np.int16))
    return array


def is_published(path: Path, array: np.ndarray) -> bool:
    """Say whether an array is the published one, byte by byte."""
    if array.shape != PUBLISHED_SHAPE:
        return False
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
    return digest.hexdigest() == _PUBLISHED_MD5


def _check_values(path: Path, part: np.ndarray, first: int) -> None:
    """Check that each sequence, the first of them number `first`, holds bright digits on a dark background."""
    largest = part.max(axis=(0, 2, 3))
    if largest.min() < 128:
        number = int(largest.argmin())
        what = f"holds values up to {largest[number]}, not 0..255, in sequence {first + number}"
        raise InputError(path, what, _REMEDY)
    brightness = part.mean(axis=(0, 2, 3))
    if brightness.max() > _BRIGHT:
        number = first + int(brightness.argmax())
        raise InputError(path, f"is nearly white in sequence {number}: the background must be 0", _REMEDY)


def _check_axes(path: Path, part: np.ndarray) -> None:
    """Check that the first axis is time."""
    if part.shape[1] > 1:
        in_time, across = (np.abs(np.diff(part, axis=axis)).mean() for axis in (0, 1))
        if not across:
            raise InputError(path, "holds the same sequence again and again", _REMEDY)
        if in_time >= across:
            raise InputError(
                path,
                "neighbours on its first axis are less alike than on its second: the first is not time",
                _REMEDY,
            )
