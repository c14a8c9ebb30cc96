"""The digits of MNIST, read from the four original files and checked (LeCun et al. 1998)."""

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from video_prediction_tools.datasets.moving_digits import DIGIT
from video_prediction_tools.errors import InputError

_IMAGES, _LABELS = 2051, 2049  # the first four bytes of each kind of file
_KINDS = {_IMAGES: "images", _LABELS: "labels"}
_REMEDY = "put the original file there (train-images-idx3-ubyte and so on, .gz or not)"


@dataclass(frozen=True)
class Digits:
    """Digits with what they stand for.

    Arguments:
        images: uint8 ``[N, 28, 28]``, 0 is background.
        labels: uint8 ``[N]``, 0..9.
    """

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    def part(self, first: int, last: int) -> "Digits":
        """Return the digits from number `first` on, up to but without `last`."""
        return Digits(self.images[first:last], self.labels[first:last])

    def counts(self) -> list[int]:
        """Return how often each of 0..9 is there."""
        return np.bincount(self.labels, minlength=10).tolist()


def read_digits(directory: Path) -> tuple[Digits, Digits]:
    """Read the digits for training and those for tests (t10k).

    Arguments:
        directory: that of ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``, ``t10k-images-idx3-ubyte``
            and ``t10k-labels-idx1-ubyte``, each with or without ``.gz``.

    Raises:
        InputError: a file is missing, damaged, cut short or exchanged with another.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise InputError("--digits_dir", f"{directory} is no directory", "give that of the four MNIST files")
    train, test = (_read_pair(directory, name) for name in ("train", "t10k"))
    if len(train) < len(test):
        raise InputError(
            directory,
            f"the train files hold {len(train)} digits and the t10k files {len(test)}: they are exchanged",
            "give the files the names that they were published under",
        )
    return train, test


def _read_pair(directory: Path, name: str) -> Digits:
    images_file = _find(directory, f"{name}-images-idx3-ubyte")
    labels_file = _find(directory, f"{name}-labels-idx1-ubyte")
    images, labels = _read(images_file, _IMAGES), _read(labels_file, _LABELS)
    if len(images) != len(labels):
        raise InputError(
            labels_file,
            f"holds {len(labels)} labels, {images_file.name} {len(images)} images: they do not belong together",
            _REMEDY,
        )
    blank = np.flatnonzero(~images.any(axis=(1, 2)))
    if len(blank):
        raise InputError(
            images_file, f"{len(blank)} of its images are blank (the first is number {blank[0]})", _REMEDY
        )
    if len(labels) and labels.max() > 9:
        raise InputError(labels_file, f"holds the label {labels.max()}", "labels are 0 to 9: " + _REMEDY)
    return Digits(images, labels)


def _find(directory: Path, name: str) -> Path:
    for path in (directory / name, directory / f"{name}.gz"):
        if path.is_file():
            return path
    raise InputError(directory / name, "does not exist (nor with .gz)", _REMEDY)


def _read(path: Path, kind: int) -> np.ndarray:
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(path, f"is cut short or damaged ({error})", _REMEDY) from error
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", _REMEDY) from error
    magic = int.from_bytes(content[:4], "big")
    if magic != kind:
        holds = f"holds {_KINDS[magic]}" if magic in _KINDS else "is no file of MNIST (wrong magic number)"
        raise InputError(path, f"{holds}, {_KINDS[kind]} are expected", _REMEDY)
    head = 16 if kind == _IMAGES else 8
    if len(content) < head:
        raise InputError(path, f"is cut short: it has {len(content)} bytes", _REMEDY)
    header = np.frombuffer(content[4:head], ">u4").tolist()
    if header[1:] not in ([], [DIGIT, DIGIT]):
        size = " x ".join(map(str, header[1:]))
        raise InputError(path, f"holds images of {size} pixels, not {DIGIT} x {DIGIT}", _REMEDY)
    values = np.frombuffer(content, np.uint8)[head:]
    expected = int(np.prod(header, dtype=np.int64))
    if len(values) != expected:
        raise InputError(
            path,
            f"is {'cut short' if len(values) < expected else 'too long'}: {len(values)} bytes of "
            f"{_KINDS[kind]} where its head announces {expected}",
            _REMEDY,
        )
    return values.reshape(header)
