"""The months that are asked for. Nothing here imports numpy, so that wrong flags are found at once."""

from calendar import monthrange
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from video_prediction_tools.errors import InputError

FIRST_YEAR, LAST_YEAR = 1940, 2200  # ERA5 begins in 1940; the last year only catches slips of the finger


class Month(NamedTuple):
    """One calendar month (UTC)."""

    year: int
    month: int

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.month:02d}"

    @property
    def days(self) -> int:
        """Number of days."""
        return monthrange(self.year, self.month)[1]

    @property
    def start(self) -> int:
        """Its first second, in seconds since 1970-01-01T00:00Z."""
        return int(datetime(self.year, self.month, 1, tzinfo=UTC).timestamp())

    @property
    def end(self) -> int:
        """The first second after it, in seconds since 1970-01-01T00:00Z."""
        return self.start + self.days * 86400


def months_of(years: Sequence[int], months: Sequence[int] | None) -> list[Month]:
    """Return the months asked for, in the order of time.

    Arguments:
        years: the flag --years.
        months: the flag --months, used in every year; None for all twelve.

    Raises:
        InputError: a year or a month that there is not, or one named twice.
    """
    for flag, values, first, last in (
        ("--years", years, FIRST_YEAR, LAST_YEAR),
        ("--months", months or (), 1, 12),
    ):
        for value in values:
            if not first <= value <= last:
                raise InputError(flag, f"{value} is not between {first} and {last}", "correct it")
            if list(values).count(value) > 1:
                raise InputError(flag, f"{value} is named twice", f"name every {flag[2:-1]} once")
    return sorted(Month(year, month) for year in years for month in (months or range(1, 13)))


def iso(seconds: float) -> str:
    """Write a time (seconds since 1970-01-01T00:00Z) as users read it, to the minute."""
    return datetime.fromtimestamp(float(seconds), UTC).strftime("%Y-%m-%dT%H:%MZ")
