"""A program on several MPI ranks: one of them speaks, and a failure of any ends all (see also `program`)."""

import argparse
import io
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext, redirect_stderr

from video_prediction_tools.errors import EXIT_FAILED, InputError
from video_prediction_tools.main_scripts.program import run
from video_prediction_tools.ranks import Ranks, find_ranks


def run_on_ranks(
    main: Callable[[argparse.Namespace, Ranks], None],
    parser: argparse.ArgumentParser,
    arguments: Sequence[str] | None = None,
) -> int:
    """Run a program as `program.run` does, on all ranks; only the first one speaks.

    A failure that all ranks know of is reported by the first. One that a rank meets alone (a signal, a fault
    of ours outside of the shared work) is reported by that rank, which then ends the others: they would wait
    for it for ever.
    """
    try:
        ranks = find_ranks()
    except InputError as error:
        return run(_raiser(error), parser, arguments)

    def guarded(options: argparse.Namespace) -> None:
        try:
            main(options, ranks)
        except BaseException as error:
            if ranks.size > 1 and error is not ranks.shared_failure:
                alone.append(error)
            raise

    alone: list[BaseException] = []
    said = io.StringIO()
    with nullcontext() if ranks.is_first else redirect_stderr(said):
        code = run(guarded, parser, arguments)
    if alone:
        if not ranks.is_first:
            print(said.getvalue(), end="", file=sys.stderr, flush=True)
        ranks.abort(code or EXIT_FAILED)
    return code


def _raiser(error: InputError) -> Callable[[argparse.Namespace], None]:
    def main(options: argparse.Namespace) -> None:
        raise error

    return main
