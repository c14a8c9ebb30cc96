"""How a program ends other than well: the exit codes of every step and the errors that carry them."""

import difflib
from collections.abc import Iterable

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_WRONG_INPUT = 2
EXIT_START_AGAIN = 75  # EX_TEMPFAIL: stopped early after saving; generated scripts go back to the queue


class InputError(Exception):
    """Wrong use or wrong input; the program ends with exit code 2 and the line ``ERROR: where: what; remedy``.

    Arguments:
        where: the file or the flag that is wrong.
        what: what is wrong with it.
        remedy: what the user can do.
    """

    def __init__(self, where: object, what: str, remedy: str):
        super().__init__(where, what, remedy)
        self.where, self.what, self.remedy = str(where), what, remedy

    def __str__(self) -> str:
        line = " ".join(f"{self.where}: {self.what}; {self.remedy}".split())
        # a value that is named must not clear the screen, or turn the line round
        return "".join(one if one.isprintable() else repr(one)[1:-1] for one in line)


class Diverged(Exception):
    """A training whose losses or gradients are no numbers any more (exit code 1)."""


class StoppedEarly(Exception):
    """The work was saved before its end and is to be started again (exit code 75)."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Say the known word nearest to `word` as ``did you mean 'x'?``, or list all known words when none is near."""
    known = sorted(known)
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.55)
    if not near:  # a difference of case only scores low with difflib
        near = [name for name in known if name.lower() == word.lower()]
    return f"did you mean '{near[0]}'?" if near else f"known are: {', '.join(known)}"
