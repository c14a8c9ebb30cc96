"""Moving MNIST: sequences made a second against those that training takes, and statistics of the motion.

    python benchmarks/moving_mnist.py --digits_dir ../shared/data/mnist

Training is main_train_models.py with convLSTM, on sequences drawn afresh, once with the recommended
hyper-parameters and once with a model so small that hardly a faster one is of use; batches are made alone, as the
training's input makes them, best of several tries. The statistics are set beside those of the published protocol
(Srivastava et al. 2015), written down here a second time for many digits at once.
"""

import argparse
import csv
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from video_prediction_tools.data_preprocess.moving_mnist.digits import read_digits
from video_prediction_tools.datasets.moving_digits import DIGIT, STEP, Motion, MovingDigits
from video_prediction_tools.datasets.prepared import open_prepared

PROGRAMS = Path(__file__).resolve().parents[1] / "video_prediction_tools" / "main_scripts"
BATCH, STEPS = 16, 6  # of the trainings; docs/models.md has the seconds of a step of convLSTM
TRIES, BATCHES = 5, 20  # of making sequences alone
SEQUENCES = 2000  # for the statistics
ROOM = 64 - DIGIT
MODELS = {"recommended convLSTM": (), "convLSTM with filters=8": ("filters=8",)}


def run(name: str, *args: object) -> str:
    """Run a program and return the last line that it printed."""
    command = [sys.executable, str(PROGRAMS / f"main_{name}.py"), *map(str, args)]
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ}
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    if result.returncode:
        sys.exit(result.stderr)
    return result.stdout.splitlines()[-1]


def made_a_second(directory: Path) -> float:
    """Return how many sequences the training's input makes a second, on one core."""
    batches, best = open_prepared(directory).sequences("train").shuffled(BATCH, seed=1), float("inf")
    for _ in range(TRIES):
        begun = time.perf_counter()
        for _ in range(BATCHES):
            next(batches)
        best = min(best, time.perf_counter() - begun)
    return BATCHES * BATCH / best


def taken_a_second(directory: Path, output: Path, changes: tuple[str, ...]) -> float:
    """Return how many sequences a training takes a second (that of its last line, without compiling)."""
    given = ("--input_dir", directory, "--output_dir", output, "--model", "convLSTM")
    run("train_models", *given, "--set", f"batch_size={BATCH}", "max_epochs=1", *changes)
    with open(output / "training_log.csv", newline="") as file:
        return float(list(csv.DictReader(file))[-1]["sequences_per_second"])


def published_places(digits: int, length: int) -> np.ndarray:
    """The published protocol: rows and columns in pixels, int ``[length, digits, 2]``."""
    generator = np.random.default_rng(2)
    place, angle = generator.random((digits, 2)), 2 * np.pi * generator.random(digits)
    speed = STEP * np.stack([np.sin(angle), np.cos(angle)], -1)
    places = []
    for _ in range(length):
        place = place + speed
        speed = np.where((place <= 0) | (place >= 1), -speed, speed)
        place = np.clip(place, 0, 1)
        places.append((ROOM * place).astype(int))
    return np.stack(places)


def our_places(digits: int, length: int) -> np.ndarray:
    """Rows and columns of our digits, read from the frames of one bright pixel, int ``[length, digits, 2]``."""
    dot = np.zeros((1, DIGIT, DIGIT), np.uint8)
    dot[0, 0, 0] = 255
    drawn = MovingDigits(dot, Motion(1, sequence_length=length), (1,))
    return np.stack([np.argwhere(drawn.sequence(number))[:, 1:] for number in range(digits)], axis=1)


def motion_statistics(places: np.ndarray) -> dict[str, float]:
    """Return what tells one motion from another."""
    on_border = (places == 0) | (places == ROOM)
    moved = np.diff(places, axis=0)
    free = ~(on_border.any(-1))
    speeds = []  # over ten frames without a bounce
    for first in range(len(places) - 10):
        straight = free[first : first + 11].all(axis=0)
        speeds.append(np.hypot(*(places[first + 10] - places[first])[straight].T) / 10)
    speed = np.concatenate(speeds)
    back = (moved[1:] * moved[:-1] < 0).any(-1)
    return {
        "speed, pixels a frame: mean": speed.mean(),
        "speed: 1st percentile": np.percentile(speed, 1),
        "speed: 99th percentile": np.percentile(speed, 99),
        "directions: mean |dx| / mean |dy|": np.abs(moved[..., 1]).mean() / np.abs(moved[..., 0]).mean(),
        "frames with a digit on the border": on_border.any(-1).mean(),
        "frames in which a digit turns round": back.mean(),
        "mean distance from the middle, pixels": np.abs(places - ROOM / 2).mean(),
    }


def mean_intensity(digits: np.ndarray, places: np.ndarray) -> float:
    """Return the mean of frames with two of the digits at these places, values 0..1."""
    generator, sums = np.random.default_rng(3), 0.0
    for first, second in zip(places[:, ::2].swapaxes(0, 1), places[:, 1::2].swapaxes(0, 1), strict=True):
        two = digits[generator.integers(len(digits), size=2)]
        for here in zip(first, second, strict=True):
            frame = np.zeros((2, 64, 64), np.uint8)
            for layer, digit, (row, column) in zip(frame, two, here, strict=True):
                layer[row : row + DIGIT, column : column + DIGIT] = digit
            sums += frame.max(axis=0).mean() / 255
    return sums / (places.shape[1] // 2 * len(places))


def likeness(sequences: np.ndarray) -> float:
    """Return the mean difference of neighbours in time over that of neighbouring sequences (``[N, T, H, W]``)."""
    values = sequences.astype(np.int16)
    return np.abs(np.diff(values, axis=1)).mean() / np.abs(np.diff(values, axis=0)).mean()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--digits_dir", type=Path, required=True, help="directory of the four MNIST files")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="ambs_benchmark_mnist_") as scratch:
        numbers = ("--n_train", STEPS * BATCH, "--n_val", BATCH, "--n_test", BATCH, "--fresh_train")
        source = ("--digits_dir", options.digits_dir, "--destination_dir", scratch)
        directory = Path(run("preprocess_moving_mnist", *source, *numbers))
        made = made_a_second(directory)
        print(f"sequences made a second (two digits, 64 x 64, 20 frames, one core): {made:.0f}")
        for number, (name, changes) in enumerate(MODELS.items()):
            taken = taken_a_second(directory, Path(scratch) / f"model{number}", changes)
            print(
                f"{name}: training takes {taken:.1f} a second; making them is {made / taken:.0f} times as fast"
            )
        train_mean = json.loads((directory / "statistics.json").read_text())["variables"]["digits"]["mean"]

    train, test = read_digits(options.digits_dir)
    ours, published = our_places(SEQUENCES, 20), published_places(100 * SEQUENCES, 20)
    print(f"{'':40} {'ours':>9} {'published protocol':>19}")
    here, there = motion_statistics(ours), motion_statistics(published)
    for name in here:
        print(f"{name:40} {here[name]:9.3f} {there[name]:19.3f}")
    drawn = MovingDigits(test.images, Motion(), (1, 2))
    sequences = np.stack([drawn.sequence(number) for number in range(SEQUENCES)])
    mean = sequences.mean() / 255
    print(
        f"{'mean intensity, t10k digits':40} {mean:9.4f} {mean_intensity(test.images, published[:, :4000]):19.4f}"
    )
    print(f"mean intensity of the {STEPS * BATCH} training sequences: {train_mean:.4f}")
    print(
        f"mean intensity, if digits never overlapped: {2 * test.images.mean() / 255 * DIGIT**2 / 64**2:.4f}"
    )
    parts = [likeness(part) for part in itertools.islice(np.split(sequences, SEQUENCES // 100), 20)]
    print(
        f"neighbours in time over neighbouring sequences, mean difference: {min(parts):.2f} to {max(parts):.2f}"
    )


if __name__ == "__main__":
    main()
