"""What every source delivers, whatever it reads from: months of weather on one grid, and the fields that stay
the same.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from video_prediction_tools.data_extraction.grids import Grid
from video_prediction_tools.data_extraction.period import Month
from video_prediction_tools.metadata.variables import Variable


@dataclass(frozen=True)
class WeatherMonth:
    """The hours of one month, read lazily.

    Arguments:
        month: which one.
        times: [T] int64, seconds since 1970-01-01T00:00Z, strictly ascending.
        grid: the points, H x W.
        read: ``read(short_name, start, stop)`` -> [stop - start, H, W] in the unit of variables.toml, NaN
            where missing.
        origin: ``origin(short_name, index)`` -> where that hour comes from (a file), for error messages.
    """

    month: Month
    times: np.ndarray
    grid: Grid
    read: Callable[[str, int, int], np.ndarray]
    origin: Callable[[str, int], str]


@dataclass(frozen=True)
class ConstantField:
    """A field that does not change in time, [H, W] in the unit of variables.toml, and where it comes from."""

    values: np.ndarray
    origin: str


class Source(Protocol):
    """Where weather comes from.

    Attributes:
        text: what it is, for the CF attribute `source`, the metadata and the report.
        synthetic: it is no real weather.
        attributes: more global attributes of the files (acknowledgement, licence).
        step_hours: hours from one field to the next; None when only constants are to be fetched.
        grid: the points; None when only the first month tells (Copernicus).
        months: the months that it has, of those asked for, in the order of time.
    """

    text: str
    synthetic: bool
    attributes: dict[str, Any]
    step_hours: int | None
    grid: Grid | None
    months: Sequence[Month]

    def open_month(self, month: Month, variables: Sequence[Variable]) -> AbstractContextManager[WeatherMonth]:
        """Deliver one month; what it needed meanwhile (downloads) is gone afterwards."""

    def constants(self, variables: Sequence[Variable], grid: Grid) -> dict[str, ConstantField]:
        """Deliver the constant fields that it has, on `grid`, by short name."""
