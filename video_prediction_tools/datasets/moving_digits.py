"""Moving MNIST: digits that fly through a frame and bounce at its border (Srivastava et al. 2015, arXiv:1502.04681).

The motion is that of the published test set and of the code that made it: a digit of 28 x 28 pixels starts
anywhere in the frame, uniformly, and flies in any direction, uniformly. A step is 0.1 of the room that it has
(3.6 pixels of the 36 in a frame of 64), the same for all digits. The first frame shows it after one step. A
digit that a step takes over the border is put on the border, and its speed across it is turned round: what it
would have gone further is lost. Positions are cut to whole pixels (not rounded), and where digits overlap, the
brighter pixel is seen.

Others differ: Shi et al. (2015, arXiv:1506.04214) draw speeds from 3 to 5 pixels a step and let digits rotate in
one variant; Denton and Fergus (2018, arXiv:1802.07687) draw whole speeds of 0 to 4 pixels in each direction, draw
them anew at every bounce, and add overlapping digits and cut the sum at 1; some generators reflect the way beyond
the border back into the frame. Scores on such data are not comparable with those on the published test set.
"""

from dataclasses import dataclass

import numpy as np

DIGIT = 28  # pixels, height and width
STEP = 0.1  # of the room that a digit has, in a frame


@dataclass(frozen=True)
class Motion:
    """What the sequences are like.

    Arguments:
        n_digits: digits in a sequence.
        size: height and width of a frame, more than 28 pixels.
        sequence_length: T, frames of a sequence.
    """

    n_digits: int = 2
    size: int = 64
    sequence_length: int = 20


class MovingDigits:
    """Sequences drawn from a pool of digits, each from a random stream of its own.

    A sequence is a function of the pool, the motion, the key and its number; which others were made before
    does not matter.

    Arguments:
        digits: uint8 ``[N, 28, 28]``.
        motion: what the sequences are like.
        key: numbers (0 or more) that set these sequences apart from others, such as the seed and the split.
    """

    def __init__(self, digits: np.ndarray, motion: Motion, key: tuple[int, ...]):
        self._digits, self.motion, self._key = digits, motion, key

    def sequence(self, number: int) -> np.ndarray:
        """Return the frames of one sequence, uint8 ``[T, H, W]``."""
        motion = self.motion
        generator = np.random.default_rng([*self._key, number])
        chosen = generator.integers(len(self._digits), size=motion.n_digits)
        drawn = generator.random((motion.n_digits, 3))
        frames = np.zeros((motion.sequence_length, motion.size, motion.size), np.uint8)
        for digit, (x, y, turn) in zip(self._digits[chosen], drawn.tolist(), strict=True):
            columns = trajectory(x, np.cos(2 * np.pi * turn), motion)
            rows = trajectory(y, np.sin(2 * np.pi * turn), motion)
            for frame, row, column in zip(frames, rows, columns, strict=True):
                there = frame[row : row + DIGIT, column : column + DIGIT]
                np.maximum(there, digit, out=there)
        return frames


def trajectory(start: float, speed: float, motion: Motion) -> list[int]:
    """Return the position along one axis in every frame: pixels of the digit's upper or left edge.

    Arguments:
        start: where it is one step before the first frame, as a share (0..1) of the room that it has.
        speed: part of a step that goes along this axis, -1..1.
    """
    room, position, step, positions = motion.size - DIGIT, start, STEP * speed, []
    for _ in range(motion.sequence_length):
        position += step
        if not 0.0 < position < 1.0:
            position, step = (0.0 if position <= 0.0 else 1.0), -step
        positions.append(int(room * position))
    return positions
