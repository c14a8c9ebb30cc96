"""Make the climatology that `acc` and the baseline 'climatology' compare with: means of each month and hour.

Of the training period of a data set, or, with --source_dir, of any extracted years. Prints the file as its last line;
give it to main_visualize_postprocess.py as --climatology_file.
"""

import argparse
import sys
from pathlib import Path

from video_prediction_tools.errors import InputError
from video_prediction_tools.main_scripts.program import Parser, run
from video_prediction_tools.metadata.record import arguments_of, is_there, running
from video_prediction_tools.progress import say

PROGRAM = Path(__file__).name
KIND = "climatology"


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the flags."""
    parser = Parser(__doc__)
    add = parser.add_argument
    add(
        "--input_dir",
        type=Path,
        required=True,
        metavar="DIR",
        help="data set whose grid and variables it is for, <base>/PreprocessedData/<data_name>",
    )
    add("--output_dir", type=Path, required=True, metavar="DIR", help="where climatology.nc goes")
    add(
        "--source_dir",
        type=Path,
        metavar="DIR",
        help="extracted data to take the means of, <base>/ExtractedData (default: the data set's training split)",
    )
    add("--years", type=int, nargs="+", help="years to take of --source_dir (default: all)")
    add(
        "--months", type=int, nargs="+", default=list(range(1, 13)), help="months of each year to take, 1..12"
    )
    return parser


def main(options: argparse.Namespace) -> None:
    """Check, take the means, write."""
    from video_prediction_tools.data_preprocess import climatology  # late: netCDF4 takes a second
    from video_prediction_tools.datasets.observations import Observations

    _require_choice(options)
    observations = Observations(options.input_dir)
    found = None
    if options.source_dir:
        found = climatology.find_extracted(options.source_dir, options.years, options.months, observations)
    recipe = {
        "data_set": observations.fingerprint,
        "source": found.fingerprint if found else "training split",
    }
    directory, path = options.output_dir, options.output_dir / climatology.NAME
    if is_there(directory, KIND, recipe, "--output_dir"):
        say("this climatology is there already, whole; nothing to do")
        say(str(path))
        return
    inputs = {str(options.input_dir): observations.fingerprint}
    if found:
        inputs[str(options.source_dir)] = found.fingerprint
    with running(
        directory,
        kind=KIND,
        name=directory.resolve().name,
        program=PROGRAM,
        arguments=arguments_of(vars(options)),
        inputs=inputs,
    ) as opened:
        opened.record.details = {"recipe": recipe}
        if found:
            means = climatology.extracted_means(found, observations.variables)
        else:
            means = climatology.training_means(observations)
        climatology.write_means(path, means, observations)
        opened.add_output(path)
    for line in climatology.coverage(means, found.missing if found and options.years else (), observations):
        say(line)
    say(str(path))


def _require_choice(options: argparse.Namespace) -> None:
    if options.years and not options.source_dir:
        raise InputError(
            "--years", "needs --source_dir: a data set has its training period", "give --source_dir"
        )
    wrong = [month for month in options.months if not 1 <= month <= 12]
    if wrong:
        raise InputError("--months", f"{wrong[0]} is none", "give numbers from 1 to 12")
    for flag, given in (("--years", options.years or []), ("--months", options.months)):
        if len(set(given)) < len(given):
            raise InputError(flag, "one is named twice", "name each once")


if __name__ == "__main__":
    sys.exit(run(main, build_parser()))
