"""What all programs share: the common flags, and how an error becomes one line and an exit code."""

import argparse
import signal
import sys
import traceback
from collections.abc import Callable, Sequence

from video_prediction_tools import __version__
from video_prediction_tools.errors import (
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_START_AGAIN,
    EXIT_WRONG_INPUT,
    Diverged,
    InputError,
    StoppedEarly,
)


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Says the default of each flag, except where there is none to say."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default in (None, False, []) else super()._get_help_string(action)


class Parser(argparse.ArgumentParser):
    """Argument parser with the flags that every program has; wrong use ends with one line and exit code 2."""

    def __init__(self, description: str):
        super().__init__(description=description, formatter_class=_Help, allow_abbrev=False)
        self.add_argument("--debug", action="store_true", help="show the traceback of an error")
        self.add_argument("--version", action="version", version=f"AMBS {__version__}")

    def error(self, message: str):
        """Report wrong use in the way of all other errors."""
        raise InputError(self.prog, message, f"see {self.prog} --help")


def seed(text: str) -> int:
    """Read a seed: the type of a flag for argparse."""
    number = int(text)
    if not 0 <= number < 2**31:
        raise argparse.ArgumentTypeError(f"{number} is not from 0 to {2**31 - 1}")
    return number


def run(
    main: Callable[[argparse.Namespace], None],
    parser: argparse.ArgumentParser,
    arguments: Sequence[str] | None = None,
) -> int:
    """Parse the arguments, call `main` with them, and return the exit code (design: 0, 1, 2, 75; 130 on Ctrl-C).

    SIGTERM ends a step as Ctrl-C does, so that its metadata say 'interrupted'; a program that can do better
    (training) sets its own handler.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    try:
        options = parser.parse_args(arguments)
        signal.signal(signal.SIGTERM, _as_interrupt)
        main(options)
    except InputError as error:
        return _report(f"ERROR: {error}", EXIT_WRONG_INPUT, debug)
    except Diverged as error:
        return _report(f"ERROR: {error}", EXIT_FAILED, debug)
    except StoppedEarly as error:
        return _report(f"stopped early: {error}", EXIT_START_AGAIN, debug)
    except KeyboardInterrupt:
        return _report("ERROR: interrupted; start again to go on", 130, debug)
    except Exception as error:  # a fault of ours: the traceback is what we need to mend it
        traceback.print_exc()
        return _report(f"ERROR: {type(error).__name__}: {error}", EXIT_FAILED, debug=False)
    return EXIT_DONE


def _as_interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _report(line: str, code: int, debug: bool) -> int:
    sys.stdout.flush()
    if debug:
        traceback.print_exc()
    print(line, file=sys.stderr, flush=True)
    return code
