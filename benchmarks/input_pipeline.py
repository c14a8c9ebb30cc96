"""Sequences per second of the shuffled training input, against a plain memory copy of the same bytes.

    python benchmarks/input_pipeline.py            # one year, hourly, 56 x 92 points, 3 variables

The year's TFRecords are made first (random numbers), one block after another as preprocess 2 writes them.
Then an epoch is taken through the pipeline as training gets it (shuffled, cut into batches, as TensorFlow
tensors), once with blocks that are kept in memory (the default where they fit), and once with pools so small
that every block is read again. The copy goes from arrays that lie in memory to one that is used again and
again: nothing can be faster with one thread. Each side is measured several times in turn and the best counts,
since the machine may have other work.
"""

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from video_prediction_tools.datasets.sequences import Sequences  # noqa: E402
from video_prediction_tools.datasets.tfrecords import Block, write_block  # noqa: E402
from video_prediction_tools.training.feed import training_feed  # noqa: E402

SHAPE = (56, 92, 3)
LENGTH = 20
BLOCK_FRAMES = 139


def make_blocks(directory: Path, hours: int) -> tuple[Block, ...]:
    """Write the blocks of a gap-free run of hours."""
    generator = np.random.default_rng(0)
    blocks = []
    for first in range(0, hours - LENGTH + 1, BLOCK_FRAMES - LENGTH + 1):
        count = min(BLOCK_FRAMES, hours - first)
        times = 3600 * np.arange(first, first + count, dtype=np.int64)
        path = directory / f"{first:06d}.tfrecord"
        write_block(path, generator.standard_normal((count, *SHAPE), np.float32), times, "benchmark")
        blocks.append(Block(path, int(times[0]), count, count - LENGTH + 1))
    return tuple(blocks)


def pipeline_seconds(sequences: Sequences, batch_size: int, batches: int) -> Callable[[], float]:
    """Return a function that takes an epoch's batches (after the pools that are read before the first)."""
    feed = training_feed(sequences, tf.distribute.get_strategy(), batch_size, seed=1, first_batch=0)

    def measure() -> float:
        begun = time.perf_counter()
        for _ in range(batches):
            next(feed)
        return time.perf_counter() - begun

    measure()
    return measure


def copy_seconds(batch_size: int, batches: int) -> Callable[[], float]:
    """Return a function that copies the bytes of as many batches."""
    sources = np.ones((20, batch_size, LENGTH, *SHAPE), np.float32)  # more than a processor's cache
    target = np.zeros_like(sources[0])

    def measure() -> float:
        begun = time.perf_counter()
        for index in range(batches):
            np.copyto(target, sources[index % len(sources)])
        return time.perf_counter() - begun

    measure()
    return measure


def main() -> None:
    """Make the data, measure all sides in turn, print the ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hours", type=int, default=8760, help="length of the data (default: 8760, a year)")
    parser.add_argument("--batch_size", type=int, default=16, help="sequences of a batch (default: 16)")
    parser.add_argument("--repeat", type=int, default=5, help="measurements of each side (default: 5)")
    options = parser.parse_args()

    directory = Path(tempfile.mkdtemp(prefix="ambs_benchmark_input_"))
    try:
        blocks = make_blocks(directory, options.hours)
        common = (blocks, LENGTH, 1, SHAPE, "benchmark")
        in_memory, re_read = Sequences(*common, pool_bytes=2**40), Sequences(*common, pool_bytes=128 * 2**20)
        batches = len(in_memory) // options.batch_size
        sides = {
            "memory copy": copy_seconds(options.batch_size, batches),
            "blocks kept in memory": pipeline_seconds(in_memory, options.batch_size, batches),
            "blocks read each epoch": pipeline_seconds(re_read, options.batch_size, batches),
        }
        best = dict.fromkeys(sides, float("inf"))
        for _ in range(options.repeat):
            for name, measure in sides.items():
                best[name] = min(best[name], measure())
    finally:
        shutil.rmtree(directory)

    count, sequence_bytes = batches * options.batch_size, LENGTH * int(np.prod(SHAPE)) * 4
    print(
        f"{count} sequences of {sequence_bytes / 1e6:.2f} MB, "
        f"batches of {options.batch_size}, {len(blocks)} blocks"
    )
    for name, seconds in best.items():
        print(
            f"{name:24} {count / seconds:8.0f} sequences/s  "
            f"{count * sequence_bytes / seconds / 1e9:6.2f} GB/s  "
            f"{best['memory copy'] / seconds:5.2f} of the memory copy"
        )


if __name__ == "__main__":
    main()
