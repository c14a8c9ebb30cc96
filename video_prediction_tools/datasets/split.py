"""The data split: which times are for training, validation and test (data_split.json)."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from video_prediction_tools.datasets import times as time
from video_prediction_tools.errors import InputError, did_you_mean
from video_prediction_tools.metadata.files import read_json

SPLITS = ("train", "val", "test")
FILE_NAME = "data_split.json"
_EXAMPLE = (
    'write for example {"train": {"2017": [1, 2, 3]}, "val": [["2019-03-01", "2019-03-10"]], '
    '"test": [["2019-03-11T00", "2019-03-20T23"]]}'
)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(T\d{2}(:00(:00)?)?)?")


@dataclass(frozen=True)
class Range:
    """A stretch of time ``start <= t < stop`` (seconds since 1970) and how the file names it."""

    start: int
    stop: int
    label: str


@dataclass(frozen=True)
class DataSplit:
    """The times of each split.

    Arguments:
        path: the file, for error messages.
        content: the file's content as given.
        ranges: by split, in order of time; they do not overlap.
    """

    path: Path
    content: dict[str, Any]
    ranges: dict[str, tuple[Range, ...]]

    def members(self, times: np.ndarray) -> dict[str, np.ndarray]:
        """Return for each split which of the times (int64 ``[N]``) belong to it (bool ``[N]``)."""
        times = np.asarray(times, np.int64)
        return {
            split: np.logical_or.reduce([(times >= part.start) & (times < part.stop) for part in ranges])
            for split, ranges in self.ranges.items()
        }

    def check_period(self, months: Iterable[tuple[int, int]], flag: str = "--years and --months") -> None:
        """Check that every range begins and ends within the months asked for.

        Raises:
            InputError: one does not.
        """
        months = sorted(months)
        start, stop = time.month_start(*months[0]), time.month_start(months[-1][0], months[-1][1] + 1)
        for split, part in self._all():
            if part.start < start or part.stop > stop:
                raise InputError(
                    self.path,
                    f"{split} {part.label} lies outside the data: {flag} ask for {_label(start, stop)}",
                    "change the split, or ask for more years or months",
                )

    def check_data(self, times: np.ndarray) -> None:
        """Check that every range holds some of the times that there are (int64 ``[N]``, ascending).

        Raises:
            InputError: one holds none.
        """
        for split, part in self._all():
            if not np.any((times >= part.start) & (times < part.stop)):
                raise InputError(
                    self.path,
                    f"{split} {part.label} lies outside the data, which cover "
                    f"{time.text(times[0])}..{time.text(times[-1])}",
                    f"take it out of {split}, or extract the data for it",
                )

    def _all(self) -> list[tuple[str, Range]]:
        return [(split, part) for split in SPLITS for part in self.ranges[split]]


def read_split(path: Path) -> DataSplit:
    """Read a data split.

    For each of train, val and test the file has either years with their months, ``{"2019": [1, 2]}``, or
    ranges of dates, ``[["2019-03-01", "2019-03-22T23"]]``, both ends included; a date alone as the end means
    its last hour.

    Raises:
        InputError: the file is missing, no such split, or its parts are empty or overlap.
    """
    path = Path(path)
    content = read_json(path, "give a JSON file (comments are not allowed in JSON)")
    if not isinstance(content, dict):
        raise InputError(path, "is not a data split", _EXAMPLE)
    _refuse_double_keys(path)
    for key in content:
        if key not in SPLITS:
            raise InputError(path, f"unknown key '{key}'", did_you_mean(key, SPLITS))
    for split in SPLITS:
        if split not in content:
            raise InputError(path, f"has no '{split}'", _EXAMPLE)
        if not content[split]:
            raise InputError(path, f"{split} is empty", "give it at least one month or range of dates")
    ranges = {
        split: tuple(sorted(_ranges(path, split, content[split]), key=lambda part: part.start))
        for split in SPLITS
    }
    split = DataSplit(path, content, ranges)
    for one, other in combinations(split._all(), 2):
        _refuse_overlap(path, *sorted((one, other), key=lambda named: named[1].start))
    return split


def _refuse_double_keys(path: Path) -> None:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        for name in names:
            if names.count(name) > 1:
                raise InputError(path, f"'{name}' is there twice", "put its entries together")
        return dict(pairs)

    json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=unique)


def _ranges(path: Path, split: str, entry: Any) -> list[Range]:
    if isinstance(entry, dict):
        return [part for year, months in entry.items() for part in _months(path, split, year, months)]
    if isinstance(entry, list):
        return [_dates(path, split, pair) for pair in entry]
    raise InputError(path, f"{split} is neither years with months nor ranges of dates", _EXAMPLE)


def _months(path: Path, split: str, year: str, months: Any) -> list[Range]:
    if not re.fullmatch(r"[12]\d{3}", year):
        raise InputError(path, f"{split}: '{year}' is not a year", _EXAMPLE)
    if not isinstance(months, list) or not months:
        raise InputError(path, f"{split}: {year} has no list of months", f'write "{year}": [1, 2, 3]')
    for month in months:
        if isinstance(month, bool) or not isinstance(month, int) or not 1 <= month <= 12:
            raise InputError(
                path, f"{split}: {year} has the month {json.dumps(month)}", "months are numbers from 1 to 12"
            )
    spans = [(time.month_start(int(year), month), time.month_start(int(year), month + 1)) for month in months]
    return [Range(*span, _label(*span)) for span in spans]


def _dates(path: Path, split: str, pair: Any) -> Range:
    if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(end, str) for end in pair)):
        raise InputError(path, f"{split}: {json.dumps(pair)} is not a range of dates", _EXAMPLE)
    try:
        for end in pair:
            if not _DATE.fullmatch(end):
                raise ValueError(f"'{end}' is not a date")
        start, stop = (time.seconds(end) for end in pair)
    except ValueError as error:
        raise InputError(
            path,
            f"{split}: {json.dumps(pair)} is not a range of dates ({error})",
            "write dates as 2019-03-22 or 2019-03-22T23 (UTC, whole hours)",
        ) from None
    stop += time.HOUR if "T" in pair[1] else 24 * time.HOUR
    if stop <= start:
        raise InputError(path, f"{split}: {pair[0]}..{pair[1]} ends before it begins", "exchange the two")
    return Range(start, stop, _label(start, stop))


def _refuse_overlap(path: Path, first: tuple[str, Range], second: tuple[str, Range]) -> None:
    """Refuse two ranges that share some time; `first` begins no later than `second`."""
    (one, early), (other, late) = first, second
    if late.start >= early.stop:
        return
    if one == other:
        remedy = "name every time once"
    elif late.stop > early.stop:
        remedy = f"let {other} begin at {_short(early.stop)}"
    else:
        remedy = f"take {late.label} out of {one} or out of {other}"
    raise InputError(path, f"{other} {late.label} overlaps {one} {early.label}", remedy)


def _label(start: int, stop: int) -> str:
    """Name a stretch of time shortly: 2019, 2019-03, 2019-03-01..22, 2019-03-01T06..2019-03-02T05."""
    (year, month), (stop_year, stop_month) = time.year_and_month(start), time.year_and_month(stop)
    if start == time.month_start(year, month) and stop == time.month_start(stop_year, stop_month):
        if stop == time.month_start(year, month + 1):
            return f"{year}-{month:02d}"
        if (month, stop_month) == (1, 1):
            return f"{year}" if stop_year == year + 1 else f"{year}..{stop_year - 1}"
    first, last = _short(start), _short(stop - time.HOUR, end=True)
    if first == last:
        return first
    days_only = len(first) == len(last) == len("2019-03-01")
    return f"{first}..{last[8:] if days_only and first[:8] == last[:8] else last}"


def _short(seconds: int, end: bool = False) -> str:
    written = time.text(seconds)
    return written.removesuffix("T23" if end else "T00")
