"""What data set of Moving MNIST is to be made: where each split's sequences come from, and their names.

The digits of a split are its own: those for validation are the last sixth of MNIST's training digits (10,000 of
60,000), those for tests the t10k digits, and a digit that stands in two of the three is refused.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from video_prediction_tools.data_preprocess.moving_mnist.array import (
    RecordedSequences,
    is_published,
    open_array,
)
from video_prediction_tools.data_preprocess.moving_mnist.digits import Digits, read_digits
from video_prediction_tools.data_preprocess.moving_mnist.glyphs import draw_glyphs
from video_prediction_tools.datasets.moving_digits import DIGIT, Motion, MovingDigits
from video_prediction_tools.datasets.tfrecords import SPLITS
from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.files import sha256
from video_prediction_tools.metadata.names import MovingMnistName

PROTOCOL = 1  # another number is another way to make sequences from the same digits and seed
_DRAWN = {"train": 10_000, "val": 1000, "test": 1000}  # sequences, where nothing else is asked for
_CUT = {
    "train": 8000,
    "val": 1000,
    "test": 1000,
}  # of an array that is all there is: the published one has 10,000
_MOST = {"n_digits": 10, "size": 1024, "sequence_length": 10_000}  # as the generator asks
_DIGIT_BRIGHTNESS = 0.0253 * 64**2  # of MNIST, summed over its pixels
_ROOM = 4  # pixels that a digit must at least be able to move
_MOST_FRAMES = 50_000_000  # of a split: an hour each, they stay within the years that dates can have
_OF_TRAIN_FOR_VAL = 6  # one digit in so many
_WHO = {"train": "for training", "val": "for validation", "test": "for tests"}
RECIPE_NAMES = {
    "protocol": "way to draw sequences",
    "digits": "content of the digits' files",
    "sequences_file": "content of the sequences' file",
}


@dataclass(frozen=True)
class Plan:
    """A data set to be made.

    Arguments:
        name: its data name, which holds all that was asked for.
        directory: ``<destination>/<data_name>``.
        motion: what the sequences are like.
        splits: the sequences of each split: ``sequence(number)`` gives uint8 ``[T, H, W]``.
        pools: digits of each split that is drawn.
        notes: what a user should know of the array.
        recipe: what decides about the sequences beside the name.
        inputs: SHA-256 by file, for the metadata.
    """

    name: MovingMnistName
    directory: Path
    motion: Motion
    splits: Mapping[str, MovingDigits | RecordedSequences]
    pools: Mapping[str, Digits]
    notes: list[str]
    recipe: dict[str, Any]
    inputs: dict[str, str]

    @property
    def numbers(self) -> dict[str, int]:
        """Number of sequences of each split."""
        return {split: getattr(self.name, f"n_{split}") for split in SPLITS}


def make_plan(
    destination: Path,
    motion: Motion,
    numbers: Mapping[str, int | None],
    seed: int,
    *,
    digits_dir: Path | None = None,
    sequences_file: Path | None = None,
    glyphs: bool = False,
    fresh: bool = False,
) -> Plan:
    """Read and check what the sequences are made from, and plan the data set.

    Arguments:
        destination: parent of the data set's directory.
        motion: what the sequences are like.
        numbers: of the sequences of each split; None: all of an array for the tests where it is for tests only,
            8,000, 1,000 and 1,000 of an array that is all there is, else 10,000, 1,000 and 1,000.
        seed: of all that is random.
        digits_dir: directory of the MNIST files.
        sequences_file: the published array. With digits it becomes the test split; alone it is cut into all
            three, in its order.
        glyphs: draw digits here.
        fresh: training sequences will be drawn afresh in every epoch.

    Raises:
        InputError: numbers that do not go, missing or damaged files, too few digits or sequences, a digit in two
            splits.
    """
    if motion.n_digits < 1:
        raise InputError("--n_digits", f"{motion.n_digits} is too few", "give 1 or more")
    if motion.size < DIGIT + _ROOM:
        raise InputError(
            "--size",
            f"digits of {DIGIT} pixels cannot move in {motion.size}",
            f"give {DIGIT + _ROOM} or more",
        )
    if motion.sequence_length < 2:
        raise InputError("--sequence_length", f"{motion.sequence_length} is too short", "give 2 or more")
    for flag, most in _MOST.items():
        if getattr(motion, flag) > most:
            raise InputError(f"--{flag}", f"{getattr(motion, flag)} is too large", f"give {most} or less")
    array = open_array(sequences_file, motion) if sequences_file else None
    drawn = bool(digits_dir or glyphs)
    if fresh and not drawn:
        raise InputError(
            "--fresh_train", "without digits nothing can be drawn", "give --digits_dir too, or leave it out"
        )
    usual = _DRAWN if drawn else _CUT
    if drawn and array is not None:
        usual = {**usual, "test": array.shape[1]}
    numbers = {split: usual[split] if number is None else number for split, number in numbers.items()}
    for split, number in numbers.items():
        if not 1 <= number * motion.sequence_length <= _MOST_FRAMES:
            most = _MOST_FRAMES // motion.sequence_length
            raise InputError(f"--n_{split}", f"{number} is not a possible number", f"give 1 to {most}")
    pools = {}
    if drawn:
        train, test = draw_glyphs(seed) if glyphs else read_digits(digits_dir)
        pools = _pools(digits_dir or "--glyphs", train, test, motion)
    recorded = _recorded(sequences_file, array, numbers, drawn=drawn) if array is not None else {}
    pools = {split: digits for split, digits in pools.items() if split not in recorded}
    splits = {
        split: recorded.get(split) or MovingDigits(pools[split].images, motion, (seed, SPLITS.index(split)))
        for split in SPLITS
    }
    source = "glyphs" if glyphs else "mnist" if array is None else "published" if pools else "sequences"
    name = MovingMnistName(
        source,
        motion.n_digits,
        motion.size,
        motion.sequence_length,
        *(numbers[split] for split in SPLITS),
        seed,
        fresh,
    )
    recipe = {
        "protocol": PROTOCOL,
        "digits": {split: _digest(digits) for split, digits in pools.items()},
        "sequences_file": sha256(sequences_file) if sequences_file else "",
    }
    inputs = {}
    if digits_dir:
        inputs[str(Path(digits_dir).resolve())] = hashlib.sha256(
            "".join(recipe["digits"].values()).encode()
        ).hexdigest()
    if sequences_file:
        inputs[str(Path(sequences_file).resolve())] = recipe["sequences_file"]
    notes = _notes(sequences_file, array, motion) if array is not None else []
    return Plan(name, Path(destination) / str(name), motion, splits, pools, notes, recipe, inputs)


def _notes(path: Path, array: np.ndarray, motion: Motion) -> list[str]:
    """Say how an array differs from what it is likely taken for."""
    said = []
    if not is_published(path, array):
        said.append(
            f"{path.name} is not the published array: scores on it compare with those on the same file only"
        )
    brightness = float(array[:, : array.shape[1] // 10 + 10].mean()) / 255
    expected = motion.n_digits * _DIGIT_BRIGHTNESS / motion.size**2
    if not 0.7 < brightness / expected < 1.3:
        said.append(
            f"frames of {path.name} have the mean {brightness:.3f}, {motion.n_digits} digits of MNIST about "
            f"{expected:.3f}: is --n_digits right?"
        )
    return said


def _pools(where: object, train: Digits, test: Digits, motion: Motion) -> dict[str, Digits]:
    edge = len(train) - len(train) // _OF_TRAIN_FOR_VAL
    pools = {"train": train.part(0, edge), "val": train.part(edge, len(train)), "test": test}
    for split, digits in pools.items():
        if len(digits) < motion.n_digits:
            raise InputError(
                where,
                f"has {len(digits)} digits {_WHO[split]}, a sequence needs {motion.n_digits}",
                "give the whole MNIST files, or a smaller --n_digits",
            )
    contents = {split: {image.tobytes() for image in digits.images} for split, digits in pools.items()}
    for one, other in combinations(SPLITS, 2):
        both = len(contents[one] & contents[other])
        if both:
            raise InputError(
                where,
                f"{both} of the digits {_WHO[other]} stand among those {_WHO[one]} too, and scores would flatter",
                "give the original MNIST files, in which each digit stands once",
            )
    return pools


def _recorded(
    path: Path, array: np.ndarray, numbers: Mapping[str, int], *, drawn: bool
) -> dict[str, RecordedSequences]:
    wanted = ["test"] if drawn else list(SPLITS)
    total = sum(numbers[split] for split in wanted)
    if total > array.shape[1]:
        flags = ", ".join(f"--n_{split}" for split in wanted)
        raise InputError(path, f"holds {array.shape[1]} sequences, {total} are asked for", f"lower {flags}")
    first, recorded = 0, {}
    for split in wanted:
        recorded[split] = RecordedSequences(array, first)
        first += numbers[split]
    return recorded


def _digest(digits: Digits) -> str:
    return hashlib.sha256(digits.images.tobytes() + digits.labels.tobytes()).hexdigest()
