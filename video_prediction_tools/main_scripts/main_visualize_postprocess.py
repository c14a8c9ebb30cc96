"""Judge a trained model: forecasts of the test split, baselines, scores with intervals, plots and a report.

Prints the directory of the results as its last line.
"""

import argparse
import os
import sys
from pathlib import Path

from video_prediction_tools.main_scripts.program import Parser
from video_prediction_tools.main_scripts.program_on_ranks import run_on_ranks
from video_prediction_tools.progress import say
from video_prediction_tools.ranks import Ranks


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the flags."""
    parser = Parser(
        __doc__ + " Runs on any number of MPI ranks, which share the scoring; the result is the same."
    )
    add = parser.add_argument
    add(
        "--model_dir",
        type=Path,
        required=True,
        metavar="DIR",
        help="directory of a finished training, <base>/Models/<data_name>/<model>/<exp_id>",
    )
    add(
        "--input_dir",
        type=Path,
        metavar="DIR",
        help="data set to forecast, <base>/PreprocessedData/<data_name>; same variables and step as that "
        "of the training (default: the data set that the model was trained on)",
    )
    add(
        "--results_dir", type=Path, required=True, metavar="DIR", help="parent of all results, <base>/Results"
    )
    add("--split", choices=("train", "val", "test"), default="test", help="split to forecast")
    add(
        "--checkpoint",
        choices=("best", "last"),
        default="best",
        help="weights to use: those of the lowest validation loss, or the last",
    )
    add(
        "--num_stochastic_samples",
        type=int,
        metavar="N",
        help="ensemble members of a stochastic model (default: 10; a deterministic model makes one forecast)",
    )
    add("--seed", type=int, default=1, metavar="N", help="seed of the ensemble members")
    add(
        "--stride",
        type=int,
        default=1,
        metavar="N",
        help="hours between two init_times, counted from the first; up to the step of the data: all. Moving "
        "MNIST: every N-th sequence",
    )
    add("--batch_size", type=int, default=16, metavar="N", help="forecasts made at a time")
    add(
        "--climatology_file",
        type=Path,
        metavar="FILE",
        help="NetCDF file with means of month and hour, [month, hour, lat, lon] by variable, see "
        "docs/metrics.md (default: made from the training split)",
    )
    add(
        "--eval_metrics",
        nargs="+",
        metavar="METRIC",
        help="names as in docs/metrics.md (default for weather: mse, rmse, mae, bias, acc, ssim, gradient_ratio, "
        "spectral_ratio, of an ensemble crps and spread_skill as well; for Moving MNIST all)",
    )
    add(
        "--no_latitude_weights",
        action="store_true",
        help="give all grid points the same weight, not cos(latitude)",
    )
    add(
        "--subregion",
        action="append",
        metavar="NAME=N,W,S,E",
        help="score a part of the area by itself, degrees north and east (may be given several times; land and sea "
        "are scored where the data have a land-sea mask)",
    )
    add(
        "--plot_lead_hours",
        type=float,
        nargs="+",
        metavar="HOUR",
        help="lead hours that maps, spectra and the like show (default: the first, middle and last one)",
    )
    add(
        "--block_hours",
        type=int,
        metavar="HOURS",
        help="length of the blocks of the bootstrap (default: found from the errors of persistence, 24 at least); "
        "sequences of Moving MNIST are drawn one by one",
    )
    add("--bootstrap_draws", type=int, default=1000, metavar="N", help="draws of the bootstrap")
    return parser


def main(options: argparse.Namespace, ranks: Ranks) -> None:
    """Check, plan, forecast, score, draw, report."""
    from video_prediction_tools.postprocess.evaluation import evaluate  # late: --help needs no numpy
    from video_prediction_tools.postprocess.plan import make_plan

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    plan = ranks.first_does(lambda: make_plan(options))
    if plan is None:  # what is wrong has been said; the other ranks read the same files
        plan = make_plan(options)
    for warning in plan.warnings if ranks.is_first else ():
        say(f"note: {warning}")
    is_done = ranks.first_tells(plan.is_done)
    if not is_done:
        evaluate(plan, ranks)
    if ranks.is_first:
        say(
            "these results are there already, whole; nothing to do"
            if is_done
            else f"report: {plan.directory / 'report.html'}"
        )
        say(str(plan.directory))


if __name__ == "__main__":
    sys.exit(run_on_ranks(main, build_parser()))
