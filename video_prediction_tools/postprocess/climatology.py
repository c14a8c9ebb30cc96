"""Climatology of month and hour, reference of acc and a baseline: of the training period, or from a file."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import xarray as xr

from video_prediction_tools.datasets import times as time
from video_prediction_tools.datasets.month_hours import (
    hours_covered,
    hours_in_words,
    month_and_hour,
)
from video_prediction_tools.datasets.observations import Observations
from video_prediction_tools.errors import InputError
from video_prediction_tools.postprocess.grid_points import positions

DIMS = ("month", "hour", "lat", "lon")
_LAYOUT = (
    f"a climatology file holds one variable [{', '.join(DIMS)}] for each short name, "
    "months 1..12, hours 0..23 UTC"
)


class Climatology:
    """Mean field of each calendar month and hour of the day (UTC).

    Arguments:
        covered: bool [12, 24], which months and hours it has.
        load: returns the means [12, 24, H, W, C] in physical units; called when they are first needed.
        origin: where it comes from, in words, for the report.
        periods: first and last hour (seconds since 1970) of each part of what it is made of; None where not known.
    """

    def __init__(
        self,
        covered: np.ndarray,
        load: Callable[[], np.ndarray],
        origin: str,
        periods: tuple[tuple[int, int], ...] | None = None,
    ):
        self.covered, self._load, self.origin, self.periods = covered, load, origin, periods

    @cached_property
    def mean(self) -> np.ndarray:
        """Mean fields [12, 24, H, W, C]: months 1..12, hours 0..23; NaN where not covered."""
        return self._load()

    def at(self, times: np.ndarray) -> np.ndarray:
        """Return the mean fields for `times` (seconds since 1970, any shape): [.., H, W, C]."""
        month, hour = month_and_hour(times)
        return self.mean[month - 1, hour]

    def warnings(self, test_hours: np.ndarray) -> list[str]:
        """Say what it may know of the hours (seconds since 1970) that forecasts are judged on."""
        if self.periods is None:
            return [f"The climatology is {self.origin}; whether it knows the hours forecast is not known."]
        inside = int(time.within(test_hours, self.periods).sum())
        if not inside:
            return []
        return [
            f"The climatology is {self.origin} and holds {inside} of the {len(test_hours)} hours forecast: it knows a "
            "part of the answer."
        ]

    def missing(self, times: np.ndarray) -> str:
        """Say which months and hours of `times` are not covered (``month 4 at 00, 01 UTC``), '' for none."""
        return hours_in_words(hours_covered(times) & ~self.covered)


def training_climatology(observations: Observations) -> Climatology:
    """Return the climatology of a data set's training split."""
    times = observations.hours("train")
    first, last = np.datetime_as_string(times[[0, -1]].astype("datetime64[s]"), unit="h")
    return Climatology(
        hours_covered(times),
        observations.hourly_climatology,
        f"the training period ({len(times)} time steps from {first} to {last} UTC)",
        tuple(time.runs(times, observations.step_hours * time.HOUR)),
    )


def read_climatology(
    path: Path, variables: Sequence[str], units: Sequence[str], lat: np.ndarray, lon: np.ndarray
) -> Climatology:
    """Read a climatology from a NetCDF file and cut it to a grid.

    Arguments:
        path: dimensions month, hour, lat, lon; variables named by short names, with their units.
        variables, units: of the data set, in the order of the channels.
        lat, lon: the data set's grid; every point must be one of the file's (to 0.001 degrees).

    Raises:
        InputError: no such file, another layout, a variable, its unit or a part of the grid is missing.
    """
    flag = f"--climatology_file {path}"
    try:
        data = xr.open_dataset(path, engine="netcdf4", decode_times=False)
    except FileNotFoundError:
        raise InputError(flag, "does not exist", "give an existing file, or leave the flag out") from None
    except (OSError, ValueError) as error:
        raise InputError(flag, f"cannot be read as NetCDF ({error})", "give another file") from error
    with data:
        for name, unit in zip(variables, units, strict=True):
            if name not in data or set(data[name].dims) != set(DIMS):
                raise InputError(flag, f"holds no variable '{name}' [{', '.join(DIMS)}]", _LAYOUT)
            if data[name].attrs.get("units") != unit:
                raise InputError(
                    flag,
                    f"'{name}' has the unit {data[name].attrs.get('units')!r}, the data set has {unit!r}",
                    "convert it, and set the attribute 'units'",
                )
        rows, columns = positions(data, "lat", lat, flag), positions(data, "lon", lon, flag)
        cut = data[list(variables)].isel(lat=rows, lon=columns)
        mean = np.full((12, 24, len(lat), len(lon), len(variables)), np.nan)
        months, hours = _whole(data, "month", range(1, 13), flag), _whole(data, "hour", range(24), flag)
        for channel, name in enumerate(variables):
            values = cut[name].transpose(*DIMS).values
            place = np.ix_(months - 1, hours, range(len(lat)), range(len(lon)), [channel])
            mean[place] = values[..., np.newaxis]
        periods = _periods(data.attrs.get("periods"), flag)
    said = f" ({time.text(periods[0][0])} to {time.text(periods[-1][1])} UTC)" if periods else ""
    return Climatology(
        np.isfinite(mean).all(axis=(2, 3, 4)), lambda: mean, f"the file {Path(path).name}{said}", periods
    )


def _periods(written: str | None, flag: str) -> tuple[tuple[int, int], ...] | None:
    if not written:
        return None
    try:
        return time.read_periods(written)
    except ValueError as error:
        raise InputError(
            flag,
            f"its attribute 'periods' cannot be read ({error})",
            "write it as 1991-01-01T00/2020-12-31T23",
        ) from error


def _whole(data: xr.Dataset, dim: str, allowed: range, flag: str) -> np.ndarray:
    values = data[dim].values if dim in data.coords else np.array([])
    if not len(values) or not np.isin(values, list(allowed)).all() or len(np.unique(values)) != len(values):
        raise InputError(
            flag, f"its coordinate '{dim}' is not made of {allowed[0]}..{allowed[-1]}, each once", _LAYOUT
        )
    return values.astype(np.int64)
