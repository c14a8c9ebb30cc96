"""Cut a region from the extracted months, split it by time, work out the training statistics (MPI)."""

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path

from video_prediction_tools.main_scripts.program import Parser
from video_prediction_tools.main_scripts.program_on_ranks import run_on_ranks
from video_prediction_tools.metadata.record import arguments_of, require_done, running
from video_prediction_tools.progress import progress, say
from video_prediction_tools.ranks import Ranks

PROGRAM = Path(__file__).name


def build_parser() -> Parser:
    """Return the parser of this program."""
    parser = Parser(
        __doc__ + " Runs on any number of MPI ranks (mpirun -n 4 ..), one included, with the same result."
    )
    add = parser.add_argument
    add("--source_dir", type=Path, required=True, help="extracted data, <base>/ExtractedData")
    add(
        "--destination_dir",
        type=Path,
        required=True,
        help="where the data set gets its directory (its data name), <base>/PreprocessedData",
    )
    add("--years", type=int, nargs="+", required=True, help="years to take")
    add(
        "--months", type=int, nargs="+", default=list(range(1, 13)), help="months of each year to take, 1..12"
    )
    add(
        "--variables",
        nargs="+",
        required=True,
        help="short names in the order of the channels, for example 2t msl gph500 (all of them are forecast)",
    )
    add(
        "--sw_corner",
        type=float,
        nargs=2,
        required=True,
        metavar=("LAT", "LON"),
        help="south-west corner, degrees north and east (negative: south, west); the nearest grid point",
    )
    add(
        "--nyx",
        type=int,
        nargs=2,
        required=True,
        metavar=("NY", "NX"),
        help="grid points from south to north and from west to east",
    )
    add(
        "--data_split",
        type=Path,
        required=True,
        help='JSON file: for train, val and test each years with months {"2019": [1, 2]} or ranges of days '
        '[["2019-03-01", "2019-03-22T23"]]',
    )
    add(
        "--fill",
        nargs="+",
        default=None,
        metavar="HOW",
        help="how to fill missing values, refused otherwise: mean (of the region's other values of the same "
        "hour), nearest (grid point with a value in the same hour), or one number for each variable in its "
        "unit; the statistics count filled values as any others",
    )
    return parser


def main(options: argparse.Namespace, ranks: Ranks) -> None:
    """Check, plan, cut the months that are not done yet, and write statistics and metadata."""
    extracted = ranks.first_tells(lambda: require_done(options.source_dir, "extracted_data", "extract"))
    from video_prediction_tools.data_preprocess import dataset, report  # netCDF4 takes a second

    plan = dataset.plan_on_ranks(options, extracted, ranks)
    directory, numbers = plan.request.directory, range(len(plan.request.files))
    if ranks.is_first:
        report.say_plan(plan, options.sw_corner, ranks.size)
    kept, is_whole = dataset.kept_months(plan, ranks)
    with ExitStack() as stack:
        if is_whole:
            report.say_whole(ranks, f"all {len(numbers)} months are there and whole")
        else:
            opened = ranks.first_does(
                lambda: stack.enter_context(
                    running(
                        directory,
                        kind="dataset",
                        name=directory.name,
                        program=PROGRAM,
                        arguments=arguments_of(vars(options)),
                        inputs={str(options.source_dir.resolve()): plan.recipe["source"]},
                    )
                )
            )
            ranks.first_does(lambda: dataset.begin(plan, opened, kept))
            advance = stack.enter_context(
                progress("months", len(numbers), done=len(kept), enabled=ranks.is_first)
            )

            def note(done: list[tuple[int, dict]]) -> None:
                dataset.note_months(plan, opened, done)
                advance(len(done))

            todo = [number for number in numbers if number not in kept]
            ranks.share_out(todo, dataset.MonthCutter(plan, ranks.own(todo)).cut, note)
            ranks.first_does(lambda: report.say_statistics(plan, dataset.finish(plan, opened), opened))
    if ranks.is_first:
        say(str(directory))


if __name__ == "__main__":
    sys.exit(run_on_ranks(main, build_parser()))
