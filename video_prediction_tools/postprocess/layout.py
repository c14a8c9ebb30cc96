"""What the axes of the result files are called: times and places for weather, numbers for separate sequences.

Inside the program the four dimensions of a field always have the names that weather gives them (`DIMS` of
`statistics`); only what is written to a file, and read from it, has the names of its layout.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

EPOCH = "seconds since 1970-01-01 00:00:00"


@dataclass(frozen=True)
class Axis:
    """A dimension of a result file with its coordinate.

    Arguments:
        name: of both.
        kind: type of the coordinate in NetCDF.
        attributes: of the coordinate.
    """

    name: str
    kind: str
    attributes: Mapping[str, str]


@dataclass(frozen=True)
class Layout:
    """The axes of forecasts.nc and evaluation_metrics.nc.

    Arguments:
        start: one entry a forecast (``init_time`` inside the program).
        lead: lead frames (``lead_time``).
        rows, columns: of the grid (``lat`` and ``lon``).
        context: context frames, where forecasts.nc keeps all of them; None: it keeps the last one.
    """

    start: Axis
    lead: Axis
    rows: Axis
    columns: Axis
    context: Axis | None = None

    @property
    def has_times(self) -> bool:
        """Whether forecasts have times: otherwise they have numbers."""
        return self.start.name == "init_time"

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The four axes of a field."""
        return self.start, self.lead, self.rows, self.columns

    @property
    def file_names(self) -> dict[str, str]:
        """Names of the dimensions in files, by their names inside the program."""
        return {
            "init_time": self.start.name,
            "lead_time": self.lead.name,
            "lat": self.rows.name,
            "lon": self.columns.name,
        }

    def describe_start(self, start: int) -> str:
        """Say which forecast it is: ``init_time 2019-03-25T20`` or ``sequence 17``."""
        if not self.has_times:
            return f"{self.start.name} {int(start)}"
        return f"{self.start.name} {np.datetime_as_string(np.datetime64(int(start), 's'), unit='h')}"


ON_EARTH = Layout(
    Axis(
        "init_time",
        "f8",  # CF-1.8 knows no 64-bit integers
        {
            "standard_name": "forecast_reference_time",
            "long_name": "time of the last context frame",
            "units": EPOCH,
            "calendar": "standard",
            "axis": "T",
        },
    ),
    Axis(
        "lead_time",
        "f8",
        {"standard_name": "forecast_period", "long_name": "time since init_time", "units": "hours"},
    ),
    Axis(
        "lat",
        "f8",
        {"standard_name": "latitude", "long_name": "latitude", "units": "degrees_north", "axis": "Y"},
    ),
    Axis(
        "lon",
        "f8",
        {"standard_name": "longitude", "long_name": "longitude", "units": "degrees_east", "axis": "X"},
    ),
)

FRAMES = Layout(
    Axis("sequence", "i4", {"long_name": "number of the sequence in its split, from 0", "units": "1"}),
    Axis("lead_frame", "i4", {"long_name": "number of the lead frame, from 1", "units": "1"}),
    Axis("y", "i4", {"long_name": "pixel, from the top", "units": "1", "axis": "Y"}),
    Axis("x", "i4", {"long_name": "pixel, from the left", "units": "1", "axis": "X"}),
    Axis(
        "context_frame", "i4", {"long_name": "number of the context frame; 0 is the last one", "units": "1"}
    ),
)
