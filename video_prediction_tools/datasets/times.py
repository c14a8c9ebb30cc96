"""Times as AMBS keeps them (int64 seconds since 1970-01-01T00:00Z), their text, and gap-free runs of them."""

from collections.abc import Iterable
from datetime import UTC, datetime

import numpy as np

HOUR = 3600


def text(seconds: int) -> str:
    """Write a time as ``2019-03-01T00`` (UTC; minutes are added only where there are any)."""
    moment = datetime.fromtimestamp(int(seconds), UTC)
    return moment.strftime("%Y-%m-%dT%H" if seconds % HOUR == 0 else "%Y-%m-%dT%H:%M")


def seconds(written: str) -> int:
    """Read a time that `text` wrote, or any ISO 8601 time; without a time zone it is UTC.

    Raises:
        ValueError: it is not a time.
    """
    moment = datetime.fromisoformat(written)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def month_start(year: int, month: int) -> int:
    """Return the first second of a month; month 13 is January of the next year."""
    return int(datetime(year + (month - 1) // 12, (month - 1) % 12 + 1, 1, tzinfo=UTC).timestamp())


def year_and_month(seconds_: int) -> tuple[int, int]:
    """Return the year and the month (1..12) that a time lies in."""
    moment = datetime.fromtimestamp(int(seconds_), UTC)
    return moment.year, moment.month


def runs(times: np.ndarray, step: int) -> list[tuple[int, int]]:
    """Split ascending times into gap-free runs.

    Arguments:
        times: int64 ``[N]``, strictly ascending.
        step: seconds from one time to the next inside a run.

    Returns:
        First and last time of each run, in order.
    """
    times = np.asarray(times, np.int64)
    if not len(times):
        return []
    breaks = np.flatnonzero(np.diff(times) != step)
    first = times[np.concatenate([[0], breaks + 1])]
    last = times[np.concatenate([breaks, [len(times) - 1]])]
    return list(zip(first.tolist(), last.tolist(), strict=True))


def compact(seconds_: int) -> str:
    """Write a time for file names, ``20190301T00`` (UTC)."""
    return datetime.fromtimestamp(int(seconds_), UTC).strftime("%Y%m%dT%H")


def as_slice(positions: np.ndarray) -> slice | np.ndarray:
    """Return positions (int ``[N]``) as a slice where they follow each other: a slice needs no copy."""
    if len(positions) and np.array_equal(positions, np.arange(positions[0], positions[0] + len(positions))):
        return slice(int(positions[0]), int(positions[0]) + len(positions))
    return positions


def periods_text(periods: Iterable[tuple[int, int]]) -> str:
    """Write periods (first and last time) as ISO 8601 intervals, ``2019-03-01T00/2019-03-22T23 ..``."""
    return " ".join(f"{text(first)}/{text(last)}" for first, last in periods)


def read_periods(written: str) -> tuple[tuple[int, int], ...]:
    """Read what `periods_text` wrote.

    Raises:
        ValueError: it is something else.
    """
    pairs = (interval.split("/") for interval in written.split())
    return tuple((seconds(first), seconds(last)) for first, last in pairs)


def within(times: np.ndarray, periods: Iterable[tuple[int, int]]) -> np.ndarray:
    """Say which times (int64 ``[N]``) lie in one of the periods, first and last included (bool ``[N]``)."""
    inside = np.zeros(len(times), bool)
    for first, last in periods:
        inside |= (times >= first) & (times <= last)
    return inside
