"""Make a data set of Moving MNIST: digits that fly through a frame, in TFRecords that training reads."""

import argparse
import sys
from pathlib import Path

from video_prediction_tools.main_scripts.program import Parser, run, seed
from video_prediction_tools.progress import say

PROGRAM = Path(__file__).name


def build_parser() -> Parser:
    """Return the parser of this program."""
    parser = Parser(
        __doc__
        + " Give --digits_dir, or --sequences_file, or both (the array is the test split then), or --glyphs."
    )
    add = parser.add_argument
    add(
        "--digits_dir",
        type=Path,
        default=None,
        help="directory of the four MNIST files (train-images-idx3-ubyte .., t10k-labels-idx1-ubyte; .gz or not): "
        "training and validation take train digits, each its own, tests t10k digits",
    )
    add(
        "--sequences_file",
        type=Path,
        default=None,
        help="the published array mnist_test_seq.npy, bytes [20, 10000, 64, 64]: the test split with --digits_dir; "
        "alone it is cut into train, val and test, in this order",
    )
    add(
        "--glyphs",
        action="store_true",
        help="draw digit-like glyphs here, for want of MNIST; the data are marked as synthetic",
    )
    add(
        "--destination_dir",
        type=Path,
        required=True,
        help="where the data set gets its directory (its data name), <base>/PreprocessedData",
    )
    add(
        "--n_train",
        type=int,
        help="number of sequences for training (default: 10000; 8000 where all are cut from --sequences_file); each "
        "takes 4 bytes a pixel, 328 kB with 20 frames of 64 x 64",
    )
    add("--n_val", type=int, help="number of sequences for validation (default: 1000)")
    add(
        "--n_test",
        type=int,
        help="number of sequences for tests (default: 1000; all of --sequences_file where there are digits too)",
    )
    add("--seed", type=seed, default=1, help="of all that is random (0 or more)")
    add("--n_digits", type=int, default=2, help="digits in a sequence")
    add("--size", type=int, default=64, help="height and width of a frame, in pixels")
    add("--sequence_length", type=int, default=20, help="context and lead frames of a sequence together")
    add(
        "--fresh_train",
        action="store_true",
        help="let training draw its sequences afresh in every epoch of --n_train sequences, as published models "
        "were trained",
    )
    return parser


def main(options: argparse.Namespace) -> None:
    """Check, plan, and write what is not there yet."""
    from video_prediction_tools.data_preprocess.moving_mnist import dataset, plan  # numpy takes a while
    from video_prediction_tools.datasets.moving_digits import Motion
    from video_prediction_tools.errors import InputError

    if options.glyphs and (options.digits_dir or options.sequences_file):
        raise InputError("--glyphs", "is given beside files of real digits", "give one of them")
    if not (options.glyphs or options.digits_dir or options.sequences_file):
        raise InputError(
            "--digits_dir",
            "is missing, and so are --sequences_file and --glyphs",
            "say where the digits come from",
        )
    planned = plan.make_plan(
        options.destination_dir,
        Motion(options.n_digits, options.size, options.sequence_length),
        {"train": options.n_train, "val": options.n_val, "test": options.n_test},
        options.seed,
        digits_dir=options.digits_dir,
        sequences_file=options.sequences_file,
        glyphs=options.glyphs,
        fresh=options.fresh_train,
    )
    dataset.say_plan(planned)
    dataset.write_dataset(planned, PROGRAM, options)
    say(str(planned.directory))


if __name__ == "__main__":
    sys.exit(run(main, build_parser()))
