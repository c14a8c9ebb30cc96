"""Train a model on prepared data: TFRecords -> a model directory with its weights."""

import argparse
import os
import sys
from contextlib import nullcontext
from pathlib import Path

from video_prediction_tools.datasets.prepared import open_prepared
from video_prediction_tools.main_scripts.program import Parser, run, seed
from video_prediction_tools.metadata.names import dataset_of
from video_prediction_tools.models import registry
from video_prediction_tools.progress import say
from video_prediction_tools.training.distribution import find_cluster, make_strategy
from video_prediction_tools.training.experiment import (
    begun_hparams,
    find_begun,
    note_results,
    plan,
    recorded,
    require_same,
    require_writable,
)
from video_prediction_tools.training.stop import StopRequest


def build_parser() -> Parser:
    """Return the parser of the program's flags."""
    parser = Parser(__doc__)
    parser.add_argument(
        "--input_dir", type=Path, required=True, help="prepared data: <base>/PreprocessedData/<data_name>"
    )
    parser.add_argument(
        "--output_dir",
        type=Path,
        required=True,
        help="model directory: <base>/Models/<data_name>/<model>/<exp_id>; an unfinished training goes on",
    )
    parser.add_argument("--model", required=True, help=f"one of: {', '.join(registry.names())}")
    parser.add_argument(
        "--model_hparams",
        type=Path,
        metavar="FILE",
        default=None,
        help="JSON file of hyper-parameters; without it those that the model directory was begun "
        "with, or the model's template in video_prediction_tools/hparams",
    )
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="hyper-parameters that differ from the file, for example lr=0.0005 filters=32,32",
    )
    parser.add_argument(
        "--seed", type=seed, default=1, help="of weights, order of the data and random numbers (0 or more)"
    )
    parser.add_argument("--check", action="store_true", help="check all inputs, then end without training")
    return parser


def main(options: argparse.Namespace) -> None:
    """Check, plan, train, and write the metadata."""
    stop = StopRequest()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    registry.require_known(options.model)
    cluster = find_cluster()
    if cluster.is_chief:
        say("checking the inputs")
    data = open_prepared(options.input_dir)
    require_writable(options.output_dir)
    record = find_begun(options.output_dir, options.model, options.seed)
    hparams = registry.resolve_hparams(
        options.model,
        # a template may change between two attempts, a training may not
        options.model_hparams or begun_hparams(options.output_dir, record),
        options.set,
        dataset_of(data.name),
    )
    experiment = plan(options.output_dir, options.model, hparams, options.seed, data)
    require_same(experiment, record)
    if record and record.state == "done":
        say(f"this training is finished: {record.details['finished']}; nothing to do")
    else:
        # late: TensorFlow takes seconds
        from video_prediction_tools.training.loop import require_trainable, train

        strategy = make_strategy(cluster)
        require_trainable(experiment, strategy)
        if options.check:
            say("all inputs are fine")
        else:
            with (
                recorded(experiment, arguments=vars(options)) if cluster.is_chief else nullcontext() as opened
            ):
                progress = train(experiment, strategy, cluster, stop)
                if opened:
                    note_results(opened, progress)
    if cluster.is_chief:
        say(str(options.output_dir))


if __name__ == "__main__":
    sys.exit(run(main, build_parser()))
