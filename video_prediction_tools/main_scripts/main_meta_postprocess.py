"""Compare trained models by their results: ranking, skill, paired tests, tables and a report.

Results of different test data, splits, init times or ways of scoring are refused. Experiments that differ in their seed
only stand as one, with the spread over the seeds. Prints the output directory as its last line.
"""

import argparse
import sys
from pathlib import Path

from video_prediction_tools.main_scripts.program import Parser, run
from video_prediction_tools.progress import say


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the flags."""
    parser = Parser(__doc__)
    add = parser.add_argument
    add(
        "--results_dirs",
        type=Path,
        nargs="+",
        required=True,
        metavar="DIR",
        help="results of main_visualize_postprocess.py, <base>/Results/<data_name>/../<exp_id>, two or more",
    )
    add("--output_dir", type=Path, required=True, metavar="DIR", help="directory of the comparison")
    add(
        "--metrics",
        nargs="+",
        metavar="METRIC",
        help="metrics to compare (default: all that all results have)",
    )
    add(
        "--baseline",
        default="persistence",
        metavar="NAME",
        help="product that skill is measured against: a baseline or one of the models",
    )
    add(
        "--intersect",
        action="store_true",
        help="compare on the init times that all have, where they are not the same",
    )
    add("--bootstrap_draws", type=int, default=1000, metavar="N", help="draws of the bootstrap")
    return parser


def main(options: argparse.Namespace) -> None:
    """Check, compare, draw, report."""
    from video_prediction_tools.meta_postprocess.program import compare_results  # late: --help needs no numpy

    directory = compare_results(options)
    say(f"report: {directory / 'report.html'}")
    say(str(directory))


if __name__ == "__main__":
    sys.exit(run(main, build_parser()))
