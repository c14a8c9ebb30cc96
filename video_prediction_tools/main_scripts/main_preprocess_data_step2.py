"""Write a data set's hours to TFRecords, in blocks that training cuts into sequences (MPI)."""

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
    add(
        "--source_dir",
        type=Path,
        required=True,
        help="data set of preprocess 1, <base>/PreprocessedData/<data_name>; the "
        "TFRecords are written to the directory tfrecords in it",
    )
    add(
        "--sequence_length",
        type=int,
        default=20,
        help="context and lead frames of a sequence together, in time steps",
    )
    add(
        "--block_length",
        type=int,
        default=None,
        help="most time steps in one file; neighbouring files overlap by a "
        "sequence length less one, so short blocks take more space (default: 12 sequence lengths)",
    )
    return parser


def main(options: argparse.Namespace, ranks: Ranks) -> None:
    """Check, plan, write the blocks that are not done yet, and their index."""
    dataset = ranks.first_tells(lambda: require_done(options.source_dir, "dataset", "preprocess1"))
    from video_prediction_tools.data_preprocess import blocks, report  # numpy takes a while
    from video_prediction_tools.datasets.observations import Observations

    observations = ranks.first_tells(lambda: Observations(options.source_dir))
    plan = ranks.first_tells(
        lambda: blocks.make_plan(
            options.source_dir, dataset, observations, options.sequence_length, options.block_length
        )
    )
    if ranks.is_first:
        report.say_blocks(plan, ranks.size)
    kept, is_whole = blocks.kept_blocks(plan, ranks)
    with ExitStack() as stack:
        if is_whole:
            report.say_whole(ranks, f"all {len(plan.blocks)} blocks are there and whole")
        else:
            opened = ranks.first_does(
                lambda: stack.enter_context(
                    running(
                        plan.directory,
                        kind="tfrecords",
                        name=dataset.name,
                        program=PROGRAM,
                        arguments=arguments_of(vars(options)),
                        inputs={str(options.source_dir.resolve()): observations.fingerprint},
                    )
                )
            )
            ranks.first_does(lambda: blocks.begin(plan, opened, kept))
            advance = stack.enter_context(
                progress("blocks", len(plan.blocks), done=len(kept), enabled=ranks.is_first)
            )

            def note(done: list[tuple[int, dict]]) -> None:
                blocks.note_blocks(plan, opened, done)
                advance(len(done))

            todo = [number for number in range(len(plan.blocks)) if number not in kept]
            ranks.share_out(todo, lambda number: blocks.make_block(plan, observations, number), note)
            ranks.first_does(lambda: report.say_size(blocks.finish(plan, opened)))
    if ranks.is_first:
        say(str(plan.directory))


if __name__ == "__main__":
    sys.exit(run_on_ranks(main, build_parser()))
