"""The observed fields of a data set by time, whatever split they lie in; read from the monthly pickles.

Postprocessing takes its truth, the persistence of the day before and the climatology from here: the hours
before a test sequence may lie in another split, which is no leak for a field that is not forecast.
"""

from collections import OrderedDict
from pathlib import Path

import numpy as np

from video_prediction_tools.datasets import times as time
from video_prediction_tools.datasets.pickles import read_month
from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.names import month_pickle
from video_prediction_tools.metadata.record import FILE_NAME, require_done

_REMEDY = "run the step 'preprocess1' again"
_MONTHS_KEPT = 3  # a forecast over the turn of a month and the day before it


class Observations:
    """Physical fields of a preprocessed data set.

    Arguments:
        data_directory: the data name's directory, finished by preprocess 1.

    Attributes:
        variables: short names of the C channels.
        lat, lon: degrees north ``[H]`` (north to south) and degrees east ``[W]`` (west to east).
        step_hours: hours from one time to the next.
        fingerprint: of the data set.

    Raises:
        InputError: the directory is not whole; a pickle is missing or damaged (when it is read).
    """

    def __init__(self, data_directory: Path):
        self.directory = Path(data_directory)
        record = require_done(self.directory, "dataset", "preprocess1")
        self.fingerprint, self._outputs = record.fingerprint(), record.outputs
        try:
            details = record.details
            self.variables = tuple(details["variables"])
            self.lat, self.lon = (np.asarray(details[name], np.float64) for name in ("lat", "lon"))
            self.step_hours = int(details["step_hours"])
            step = self.step_hours * time.HOUR
            self._hours = {split: _expand(entry["runs"], step) for split, entry in details["splits"].items()}
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(self.directory / FILE_NAME, f"is damaged: no usable {error}", _REMEDY) from None
        self._all_hours = np.sort(np.concatenate(list(self._hours.values())))
        self._months: OrderedDict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = OrderedDict()

    @property
    def shape(self) -> tuple[int, int, int]:
        """H, W and C of the fields."""
        return len(self.lat), len(self.lon), len(self.variables)

    def hours(self, split: str) -> np.ndarray:
        """Return the times of a split (int64 ``[N]``, ascending)."""
        return self._hours[split]

    def has(self, times: np.ndarray) -> np.ndarray:
        """Say which of the times (int64 ``[N]``) there are, in any split (bool ``[N]``)."""
        return np.isin(np.asarray(times, np.int64), self._all_hours)

    def fields(self, times: np.ndarray) -> np.ndarray:
        """Return the fields at the given times, in any order and from any split.

        Arguments:
            times: int64 ``[N]``, seconds since 1970.

        Returns:
            float32 ``[N, H, W, C]``, physical units; NaN where the data set has no such hour.
        """
        times = np.asarray(times, np.int64)
        found = np.empty((len(times), *self.shape), np.float32)
        there = self.has(times)
        found[~there] = np.nan
        there = np.flatnonzero(there)
        months = np.array([time.year_and_month(moment) for moment in times[there]], np.int64).reshape(-1, 2)
        for month in np.unique(months, axis=0):
            wanted = there[(months == month).all(axis=1)]
            month_times, data = self._month(*month.tolist())
            found[time.as_slice(wanted)] = data[time.as_slice(np.searchsorted(month_times, times[wanted]))]
        return found

    def hourly_climatology(self) -> np.ndarray:
        """Return the mean field of each month and hour of the day over the training split.

        The pickles are read one by one: memory holds one month and the result.

        Returns:
            float32 ``[12, 24, H, W, C]``, physical units, month 1..12 and hour 0..23 UTC; NaN where there are
            no data.
        """
        sums = np.zeros((12, 24, *self.shape), np.float64)
        counts = np.zeros((12, 24), np.int64)
        for year, month in _months(self._hours["train"]):
            content = self._read("train", year, month)
            hours = content["times"] // time.HOUR % 24
            for hour in np.unique(hours):
                chosen = content["data"][hours == hour]
                sums[month - 1, hour] += chosen.sum(axis=0, dtype=np.float64)
                counts[month - 1, hour] += len(chosen)
        with np.errstate(invalid="ignore"):
            return (sums / counts[..., None, None, None]).astype(np.float32)

    def _month(self, year: int, month: int) -> tuple[np.ndarray, np.ndarray]:
        """Return times and fields of one month, all splits together, from the few months kept in memory."""
        key = (year, month)
        if key not in self._months:
            start, stop = time.month_start(year, month), time.month_start(year, month + 1)
            splits = [
                split for split, hours in self._hours.items() if np.any((hours >= start) & (hours < stop))
            ]
            parts = [self._read(split, year, month) for split in splits]
            times = np.concatenate([part["times"] for part in parts])
            data = parts[0]["data"] if len(parts) == 1 else np.concatenate([part["data"] for part in parts])
            order = np.argsort(times, kind="stable")
            self._months[key] = (times[order], data if len(parts) == 1 else data[order])
            while len(self._months) > _MONTHS_KEPT:
                self._months.popitem(last=False)
        self._months.move_to_end(key)
        return self._months[key]

    def _read(self, split: str, year: int, month: int) -> dict:
        path = month_pickle(self.directory, split, year, month)
        content = read_month(
            path, self._outputs.get(path.relative_to(self.directory).as_posix(), {}).get("sha256", "")
        )
        start, stop = time.month_start(year, month), time.month_start(year, month + 1)
        hours = self._hours[split]
        if (
            content["variables"] != list(self.variables)
            or content["data"].shape[1:] != self.shape
            or not np.array_equal(content["times"], hours[(hours >= start) & (hours < stop)])
        ):
            raise InputError(path, "does not fit the data set's metadata.json", _REMEDY)
        return content


def _expand(runs: list[list[str]], step: int) -> np.ndarray:
    """Return the times (int64 ``[N]``) of runs given by their first and last hour."""
    parts = [
        np.arange(time.seconds(first), time.seconds(last) + 1, step, dtype=np.int64) for first, last in runs
    ]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def _months(times: np.ndarray) -> list[tuple[int, int]]:
    """Return the months (year, month) that the times lie in, in order."""
    return sorted({time.year_and_month(moment) for moment in times})
