"""Walltimes as Slurm writes them: ``[days-]hours:minutes:seconds``."""

import re

FORM = r"(?:(\d+)-)?(\d{1,2}):([0-5]\d):([0-5]\d)"


def seconds(text: str) -> int:
    """Return the seconds of a walltime.

    Raises:
        ValueError: it is not of this form.
    """
    match = re.fullmatch(FORM, text)
    if not match:
        raise ValueError(f"'{text}' is not a duration")
    days, hours, minutes, rest = (int(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest
