"""Take forecasts of another program, to judge them as our models are judged, on the same hours.

Checks a NetCDF file of forecasts against a data set and puts it where a trained model would lie; then
main_visualize_postprocess.py takes the directory as --model_dir. Prints it as its last line.
"""

import argparse
import re
import shutil
import sys
from pathlib import Path

from video_prediction_tools.errors import InputError
from video_prediction_tools.main_scripts.program import Parser, run
from video_prediction_tools.progress import progress, say

PROGRAM = Path(__file__).name
AT_A_TIME = 16  # forecasts in memory


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the flags."""
    parser = Parser(__doc__)
    add = parser.add_argument
    add(
        "--forecasts_file",
        type=Path,
        required=True,
        metavar="FILE",
        help="<variable>_forecast [init_time, lead_time, (member,) lat, lon], see docs/metrics.md",
    )
    add("--name", required=True, help="what the forecasts are called in tables and plots, for example IFS")
    add(
        "--input_dir",
        type=Path,
        required=True,
        metavar="DIR",
        help="data set that they are for, <base>/PreprocessedData/<data_name>",
    )
    add(
        "--output_dir",
        type=Path,
        required=True,
        metavar="DIR",
        help="where they go, <base>/Models/<data_name>/<name>/<exp_id>",
    )
    add(
        "--context_frames",
        type=int,
        metavar="N",
        help="context of the models that they are compared with, so that init_times are the same (default: the "
        "length of the data set's sequences less the lead times)",
    )
    return parser


def main(options: argparse.Namespace) -> None:
    """Check, copy, note."""
    from video_prediction_tools.datasets.normalisation import Normalisation
    from video_prediction_tools.datasets.prepared import open_prepared  # late: --help needs no numpy
    from video_prediction_tools.metadata.files import sha256, whole_file, write_json
    from video_prediction_tools.metadata.record import arguments_of, is_there, running
    from video_prediction_tools.models.registry import MODELS
    from video_prediction_tools.postprocess.imported import NAME, ImportedForecasts
    from video_prediction_tools.training.experiment import HPARAMS_NAME, KIND, SPEC_NAME, describe_data

    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", options.name) or options.name in MODELS:
        raise InputError(
            "--name",
            f"'{options.name}' is no name for forecasts from elsewhere",
            "give one of letters, digits and underscores that is no model of AMBS",
        )
    data = open_prepared(options.input_dir)
    with ImportedForecasts(options.forecasts_file, data) as forecasts:
        lead, number, members = forecasts.lead_frames, len(forecasts.init_times), forecasts.members
    context = data.index.sequence_length - lead if options.context_frames is None else options.context_frames
    if context < 1 or context + lead > data.index.sequence_length:
        raise InputError(
            "--context_frames" if options.context_frames is not None else str(options.forecasts_file),
            f"{context} context and {lead} lead frames do not fit the sequences of {data.index.sequence_length}",
            "run the step 'preprocess2' with a longer --sequence_length, or give another --context_frames",
        )
    recipe = {
        "file": sha256(options.forecasts_file),
        "data": data.fingerprint,
        "name": options.name,
        "context": context,
    }
    directory = options.output_dir
    if is_there(directory, KIND, recipe, "--output_dir"):
        say("these forecasts are there already, whole; nothing to do")
        say(str(directory))
        return
    with ImportedForecasts(options.forecasts_file, data) as forecasts, progress("checked", number) as advance:
        for start in range(0, number, AT_A_TIME):
            some = forecasts.init_times[start : start + AT_A_TIME]
            forecasts.forecast(some)  # raises where a value is missing
            advance(len(some))
    arguments = arguments_of(vars(options))
    with running(
        directory,
        kind=KIND,
        name=directory.resolve().name,
        program=PROGRAM,
        arguments=arguments,
        inputs={str(data.directory): data.fingerprint, str(options.forecasts_file): recipe["file"]},
    ) as opened:
        details = {"model": options.name, "data_name": data.name, "seed": None, "imported": True}
        opened.record.details = {**details, "recipe": recipe}
        write_json(directory / HPARAMS_NAME, {})
        spec = {"context_frames": context, "lead_frames": lead, "known": []}
        spec["normalisation"] = Normalisation("zscore", data.index.variables, data.statistics).to_json()
        write_json(directory / SPEC_NAME, {**describe_data(data), **spec})
        with whole_file(directory / NAME) as temporary:
            shutil.copyfile(options.forecasts_file, temporary)
        for name in (HPARAMS_NAME, SPEC_NAME, NAME):
            opened.add_output(directory / name)
    ensemble = f", {members} members" if members else ""
    say(f"{number} init times, {lead} lead times of {data.index.step_hours} h{ensemble}")
    say(str(directory))


if __name__ == "__main__":
    sys.exit(run(main, build_parser()))
