"""The motion of Moving MNIST, worked out by hand and with a second implementation, and sequences drawn afresh."""

import gzip
import itertools

import numpy as np
import pytest

from video_prediction_tools.datasets.fresh import FreshSequences
from video_prediction_tools.datasets.moving_digits import Motion, MovingDigits, trajectory

DOT = np.zeros((1, 28, 28), np.uint8)  # a digit whose place can be read from the frame
DOT[0, 0, 0], DOT[0, 27, 27] = 200, 255


@pytest.fixture(scope="module")
def digits(shared_data) -> np.ndarray:
    """The 60,000 training digits, read without the reader of AMBS."""
    content = gzip.decompress((shared_data / "mnist" / "train-images-idx3-ubyte.gz").read_bytes())
    return np.frombuffer(content, np.uint8, offset=16).reshape(-1, 28, 28)


def places(frames: np.ndarray) -> np.ndarray:
    """Return row and column of the `DOT` in each frame, int ``[T, 2]``."""
    return np.stack([np.argwhere(frame == 200)[0] for frame in frames])


def test_a_trajectory_worked_out_by_hand():
    # 0.65 0.75 0.85 0.95, then over the border: put on it, turned round: 1 0.9 0.8; of 36 pixels, cut
    assert trajectory(0.55, 1.0, Motion(sequence_length=7)) == [23, 27, 30, 34, 36, 32, 28]
    # 0.07 0.02, border: 0, 0.05, 0.1; of 72 pixels
    assert trajectory(0.12, -0.5, Motion(size=100, sequence_length=5)) == [5, 1, 0, 3, 7]
    assert trajectory(0.3, 0.0, Motion(sequence_length=3)) == [10, 10, 10]


def test_digits_fly_straight_between_bounces_at_one_speed():
    motion, speeds, stretches = Motion(n_digits=1, sequence_length=40), [], 0
    for number in range(200):
        place = places(MovingDigits(DOT, motion, (7,)).sequence(number))
        assert place.min() >= 0 and place.max() <= 36
        touched = np.flatnonzero(((place == 0) | (place == 36)).any(axis=1))
        for first, last in itertools.pairwise([-1, *touched, 40]):
            free = place[first + 1 : last]
            if len(free) < 5:
                continue
            stretches += 1
            # the straight line through both ends, within the pixel that cutting can take away
            line = free[0] + (free[-1] - free[0]) * (np.arange(len(free)) / (len(free) - 1))[:, None]
            assert np.abs(free - line).max() <= 1.0 + 1e-9
            speeds.append(np.hypot(*(free[-1] - free[0]) / (len(free) - 1)))
    assert stretches > 200
    assert np.mean(speeds) == pytest.approx(3.6, abs=0.02)
    assert (
        np.abs(np.array(speeds) - 3.6).max() < 2**0.5 / 4 + 1e-9
    )  # a pixel of error over four steps or more


def plainly(starts: np.ndarray, angles: np.ndarray, length: int) -> np.ndarray:
    """The published protocol for many digits at once, float: shares of the room ``[length, N, 2]``."""
    place, speed = starts.copy(), 0.1 * np.stack([np.sin(angles), np.cos(angles)], -1)
    shown = []
    for _ in range(length):
        place = place + speed
        out = (place <= 0) | (place >= 1)
        place = np.clip(place, 0, 1)
        speed = np.where(out, -speed, speed)
        shown.append(place)
    return np.stack(shown)


def test_places_and_bounces_are_those_of_the_published_protocol():
    """Against a second implementation: how often a digit is on the border, and where it is on average."""
    motion = Motion(n_digits=1)
    mine = np.stack([places(MovingDigits(DOT, motion, (3,)).sequence(number)) for number in range(3000)], 1)
    generator = np.random.default_rng(11)
    other = plainly(generator.random((60000, 2)), 2 * np.pi * generator.random(60000), 20)
    other = np.trunc(36 * other)
    for what in (
        lambda place: place == 36,
        lambda place: place == 0,
        lambda place: place,
        lambda place: abs(place - 18),
    ):
        here, there = what(mine).astype(float), what(other).astype(float)
        error = here.mean(axis=(0, 2)).std() / np.sqrt(here.shape[1])
        assert abs(here.mean() - there.mean()) < 4 * error
    turned = np.diff(np.sign(np.diff(mine, axis=0)), axis=0) != 0
    assert turned.any()


def test_the_brighter_pixel_is_seen_where_digits_overlap(digits):
    motion = Motion(n_digits=2, sequence_length=10)
    both = MovingDigits(digits, motion, (5, 0)).sequence(17)
    generator = np.random.default_rng([5, 0, 17])
    chosen, drawn = generator.integers(len(digits), size=2), generator.random((2, 3))
    expected = np.zeros((10, 64, 64), np.uint8)
    for digit, (x, y, turn) in zip(chosen, drawn, strict=True):
        place = plainly(np.array([[y, x]]), np.array([2 * np.pi * turn]), 10)[:, 0]
        for frame, (row, column) in enumerate((36 * place).astype(int)):
            single = np.zeros((64, 64), np.uint8)
            single[row : row + 28, column : column + 28] = digits[digit]
            expected[frame] = np.where(single > expected[frame], single, expected[frame])
    np.testing.assert_array_equal(both, expected)


def test_mean_intensity(digits):
    """One digit covers what its pixels sum up to; two cover twice that, but for their overlap (a few percent)."""
    single = digits.mean() / 255 * 784 / 4096
    one, two = (
        np.mean([MovingDigits(digits, Motion(n), (1, 0)).sequence(number).mean() for number in range(400)])
        / 255
        for n in (1, 2)
    )
    assert one == pytest.approx(single, rel=0.05)
    assert 0.93 * 2 * single < two < 2 * single * 1.03


def test_a_sequence_does_not_depend_on_others(digits):
    drawn = MovingDigits(digits, Motion(), (1, 0))
    later = drawn.sequence(5)
    for number in range(5):
        drawn.sequence(number)
    np.testing.assert_array_equal(drawn.sequence(5), later)
    different = {
        MovingDigits(digits, Motion(), key).sequence(5).tobytes()
        for key in ((1, 0), (1, 1), (2, 0), (1, 3, 0, 0))
    }
    assert len(different) == 4


@pytest.fixture
def fresh(digits) -> FreshSequences:
    return FreshSequences(digits[:500], Motion(sequence_length=6), data_seed=1, number=10, step_seconds=3600)


def take(batches, number: int) -> list[np.ndarray]:
    return [frames for frames, _ in itertools.islice(batches, number)]


def test_fresh_sequences_go_on_where_they_stopped(fresh):
    whole = take(fresh.shuffled(4, seed=2), 12)
    for frames, again in zip(whole[7:], take(fresh.shuffled(4, seed=2, first_batch=7), 5), strict=True):
        np.testing.assert_array_equal(frames, again)
    frames, times = next(fresh.shuffled(4, seed=2, first_batch=2))
    assert frames.shape == (4, 6, 64, 64, 1) and frames.dtype == np.float32 and frames.max() <= 1
    assert (times[:, 0] / 3600).tolist() == [
        48,
        54,
        0,
        6,
    ]  # the last two of the epoch, the first two of the next


def test_no_fresh_sequence_comes_twice(fresh):
    seen = [frame.tobytes() for batch in take(fresh.shuffled(10, seed=2), 20) for frame in batch]
    seen += [frame.tobytes() for batch in take(fresh.shuffled(10, seed=3), 20) for frame in batch]
    assert len(set(seen)) == 400


def test_workers_share_a_batch_of_fresh_sequences(fresh):
    whole = take(fresh.shuffled(4, seed=2, first_batch=1), 5)
    halves = [take(fresh.shuffled(4, 2, 1, parts=2, part=(one,)), 5) for one in (0, 1)]
    for frames, first, second in zip(whole, *halves, strict=True):
        np.testing.assert_array_equal(frames, np.concatenate([first, second]))
    both = take(fresh.shuffled(4, 2, 1, parts=2, part=(0, 1)), 10)
    np.testing.assert_array_equal(np.concatenate(both), np.concatenate(whole))
