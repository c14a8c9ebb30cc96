"""What to ask the Copernicus Climate Data Store (CDS) for: one request a month and data set, within its cost
limit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from video_prediction_tools.data_extraction.period import Month
from video_prediction_tools.metadata.variables import Variable

# The CDS refuses requests above a cost: the number of fields, variables x levels x days x hours (cads-
# adaptors,
# costing.py). It publishes no binding figure and changes it: the web form says 60,000 for ERA5 in GRIB; in
# NetCDF the limit
# was lowered in April 2025 (forum.ecmwf.int/t/12477) to 12,000 by its documentation, of which users measured
# that 5,952
# pass and 8,928 are refused. Below this figure nobody was refused; the client asks the CDS for the cost of
# each request
# besides, and halves what is refused all the same.
MOST_FIELDS = 5900
NATIVE_GRID = 0.25  # degrees; the CDS sends it when no grid is asked for
CONSTANT_DAY = ("2020", "01", "01")  # any day will do
SINGLE_LEVELS = "reanalysis-era5-single-levels"


@dataclass(frozen=True)
class DataRequest:
    """One request.

    Arguments:
        dataset: its name at the CDS.
        inputs: as cdsapi takes it.
    """

    dataset: str
    inputs: dict[str, Any]

    def fields(self) -> int:
        """Return the number of fields, which is what the CDS counts as cost."""
        return prod(
            len(self.inputs[key])
            for key in ("variable", "day", "time", "pressure_level")
            if key in self.inputs
        )

    def halves(self) -> list["DataRequest"]:
        """Return two requests that together ask for the same; [] when it is a single variable of a single
        day.
        """
        key = "day" if len(self.inputs["day"]) > 1 else "variable"
        values = self.inputs[key]
        if len(values) < 2:
            return []
        middle = len(values) // 2
        return [
            DataRequest(self.dataset, {**self.inputs, key: part})
            for part in (values[:middle], values[middle:])
        ]


def requests_of_month(
    month: Month,
    variables: Sequence[Variable],
    area: Sequence[float],
    grid: float,
    step_hours: int,
    data_format: str,
) -> list[DataRequest]:
    """Return the requests for one month: one for each data set, or several where the cost limit asks for it.

    Arguments:
        area: N, W, S, E in degrees; the CDS cuts to it.
        grid: distance of grid points in degrees.
        data_format: ``grib`` or ``netcdf``.
    """
    days = [f"{day:02d}" for day in range(1, month.days + 1)]
    times = [f"{hour:02d}:00" for hour in range(0, 24, step_hours)]
    found = []
    for dataset in dict.fromkeys(one.dataset for one in variables):
        mine = [one for one in variables if one.dataset == dataset]
        date = {"year": [f"{month.year:04d}"], "month": [f"{month.month:02d}"], "day": days, "time": times}
        found += _within_limit(_request(dataset, mine, date, area, grid, data_format))
    return found


def request_of_constants(
    variables: Sequence[Variable], area: Sequence[float], grid: float, data_format: str
) -> DataRequest:
    """Return the request for the fields that do not change in time."""
    year, month, day = CONSTANT_DAY
    date = {"year": [year], "month": [month], "day": [day], "time": ["00:00"]}
    return _request(SINGLE_LEVELS, variables, date, area, grid, data_format)


def _request(
    dataset: str,
    variables: Sequence[Variable],
    date: dict[str, list[str]],
    area: Sequence[float],
    grid: float,
    data_format: str,
) -> DataRequest:
    levels = sorted({one.pressure for one in variables if one.pressure is not None})
    inputs: dict[str, Any] = {
        "product_type": ["reanalysis"],
        "variable": list(dict.fromkeys(one.copernicus for one in variables)),
        **date,
    }
    if levels:
        inputs["pressure_level"] = [str(level) for level in levels]
    inputs.update(area=list(area), data_format=data_format, download_format="unarchived")
    if grid != NATIVE_GRID:
        inputs["grid"] = f"{grid:g}/{grid:g}"  # as text: the CDS counts a list of two as two requests in one
    return DataRequest(dataset, inputs)


def _within_limit(request: DataRequest) -> list[DataRequest]:
    halves = request.halves() if request.fields() > MOST_FIELDS else []
    return [part for half in halves for part in _within_limit(half)] or [request]
