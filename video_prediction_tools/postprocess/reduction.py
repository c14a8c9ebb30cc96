"""From forecasts to one number for each of them: one pass over forecasts.nc, in chunks, on all cores and MPI ranks.

What is kept of a forecast is one number for each product, statistic, variable and lead hour, so memory does not grow
with the grid; maps of the model's error are summed up on the way. Neither the size of the chunks nor the number of
ranks changes a digit.
"""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock

import numpy as np
import xarray as xr

from video_prediction_tools.postprocess.baselines import Baseline
from video_prediction_tools.postprocess.climatology import Climatology
from video_prediction_tools.postprocess.forecasts import ForecastFile
from video_prediction_tools.postprocess.metrics.errors import AbsoluteError, Error, SquaredError
from video_prediction_tools.postprocess.metrics.fields import Fields, Observed, Scale
from video_prediction_tools.postprocess.metrics.metric import Statistic, quotient
from video_prediction_tools.postprocess.metrics.profiles import Profile
from video_prediction_tools.progress import progress
from video_prediction_tools.ranks import Ranks

ADDITIVE = (Error, AbsoluteError, SquaredError)  # the statistics that parts of the area have
INIT_TIMES_A_PART = 64  # what is shared out over the ranks
CHUNK_BYTES = 4e6  # of one array: the arrays that are worked on at a time stay in the processor's cache
MOST_THREADS = 8  # each has a chunk in memory, some twenty arrays
ERROR_MAP, SQUARED_ERROR_MAP = "error_map", "squared_error_map"


@dataclass(frozen=True)
class Reduction:
    """What forecasts are reduced to.

    Arguments:
        statistics: one number of each forecast, from which the metrics are made.
        weights: [lat, lon], summing to 1 for means over the area, all 1 for sums over a frame.
        climatology: for the statistics that need one.
        scale: of the numbers, for the statistics and profiles that need it.
        profiles: means over init_time of the model's forecasts by wavelength, rank or probability.
        regions: weights [region, lat, lon] of parts of the area, whose errors are worked out besides; None: none.
    """

    statistics: Sequence[type[Statistic]]
    weights: xr.DataArray
    climatology: Climatology | None = None
    scale: Scale | None = None
    profiles: Sequence[Profile] = ()
    regions: xr.DataArray | None = None


@dataclass
class Part:
    """What some init_times, one behind the other, are reduced to.

    Arguments:
        grid_mean: [product, statistic, variable, init_time, lead_time].
        region_mean: [product, statistic, variable, init_time, lead_time, region], or None.
        sums: of the model's maps and profiles by name, over the init_times.
    """

    grid_mean: np.ndarray
    region_mean: np.ndarray | None
    sums: "dict[str, Sum]"


def reduce_forecasts(
    forecasts: ForecastFile,
    model: str,
    baselines: Sequence[Baseline],
    reduction: Reduction,
    chunk: int | None = None,
    ranks: Ranks | None = None,
) -> xr.Dataset | None:
    """Reduce every forecast of every product to its statistics.

    Arguments:
        forecasts: of the model, with truth.
        model: name of the product that the model is.
        baselines: the other products.
        reduction: what to work out.
        chunk: forecasts in memory at a time, members counted one by one (None: some megabytes); the result does not
            depend on it.
        ranks: that share the work; the result does not depend on how many, and the first one gets it.

    Returns:
        `grid_mean` [product, statistic, variable, init_time, lead_time], NaN where a product has no forecast;
        `error_map` and `squared_error_map` [variable, lead_time, lat, lon], means over init_time for the model; the
        profiles [variable, lead_time, <axis>], likewise; with regions `region_mean` [product, region_statistic,
        variable, init_time, lead_time, region].
    """
    ranks, number, sums = ranks or Ranks(), len(forecasts), Sums()
    if chunk is None:
        grid = forecasts.grid
        frame = len(grid.lat) * len(grid.lon) * len(grid.variables) * 8
        chunk = int(CHUNK_BYTES / (frame * len(forecasts.lead_hours)))
    chunk = max(1, chunk // (forecasts.members or 1))
    rows = [
        range(start, min(start + INIT_TIMES_A_PART, number)) for start in range(0, number, INIT_TIMES_A_PART)
    ]
    with progress("scores", number, enabled=ranks.is_first) as advance:

        def note(done: list[tuple[range, Part]]) -> None:
            for part, result in done:
                sums.add(part.start // INIT_TIMES_A_PART, result.sums)
                result.sums = {}  # maps of the whole area need not be kept for every part
                advance(len(part))

        parts = ranks.share_out(
            rows, lambda part: _reduce_part(forecasts, part, baselines, reduction, chunk), note
        )
    products = [model, *(one.name for one in baselines)]
    return ranks.first_does(lambda: _joined(parts, sums.total(), forecasts, products, reduction))


def _reduce_part(
    forecasts: ForecastFile,
    rows: range,
    baselines: Sequence[Baseline],
    reduction: Reduction,
    chunk: int,
) -> Part:
    """Reduce the forecasts of some init_times, chunk by chunk, on all cores that this process has."""
    chunks = [rows[start : start + chunk] for start in range(0, len(rows), chunk)]
    reading = Lock()  # the NetCDF library, and what observations keep in memory, are for one thread at a time
    grid_mean, region_mean, sums = [], [], {}
    with ThreadPoolExecutor(min(len(os.sched_getaffinity(0)), MOST_THREADS)) as threads:
        for done in threads.map(
            lambda one: _reduce_chunk(forecasts, one, baselines, reduction, reading), chunks
        ):
            grid_mean.append(done.grid_mean)
            region_mean.append(done.region_mean)
            for name, values in done.of_model.items():
                sums.setdefault(name, Sum.nothing(values.shape[1:])).add(values)
    return Part(
        np.concatenate(grid_mean, axis=3),
        None if reduction.regions is None else np.concatenate(region_mean, axis=3),
        sums,
    )


@dataclass(frozen=True)
class _Chunk:
    """What the forecasts of a chunk are reduced to: as `Part`, but the arrays that are to be summed up [B, ..]."""

    grid_mean: np.ndarray
    region_mean: np.ndarray | None
    of_model: dict[str, np.ndarray]


def _reduce_chunk(
    forecasts: ForecastFile, rows: range, baselines: Sequence[Baseline], reduction: Reduction, reading: Lock
) -> _Chunk:
    with reading:
        forecast, truth, batch = forecasts.read_members(slice(rows[0], rows[-1] + 1))
        made = [forecast, *(baseline.forecast(batch) for baseline in baselines)]
        expected = reduction.climatology.at(batch.valid_times) if reduction.climatology else None
    observed = Observed(truth, expected, reduction.scale, batch.init_times)
    grid_mean, region_mean, of_model = [], [], {}
    for place, one in enumerate(made):
        fields = Fields(one, observed)
        grid_mean.append([statistic()(fields, reduction.weights) for statistic in reduction.statistics])
        if reduction.regions is not None:
            region_mean.append([statistic()(fields, reduction.regions) for statistic in ADDITIVE])
        if place == 0:
            of_model = {ERROR_MAP: fields.error, SQUARED_ERROR_MAP: fields.squared_error}
            of_model |= {profile.name: profile(fields, reduction.weights) for profile in reduction.profiles}
    # [product, statistic, init_time, lead_time, variable, ..] -> variable before init_time
    return _Chunk(
        np.moveaxis(np.array(grid_mean), 4, 2),
        np.moveaxis(np.array(region_mean), 4, 2) if region_mean else None,
        of_model,
    )


def _joined(
    parts: Sequence[Part],
    sums: "Mapping[str, Sum]",
    forecasts: ForecastFile,
    products: list[str],
    reduction: Reduction,
) -> xr.Dataset:
    """Put the parts together."""
    grid = forecasts.grid
    means = {name: np.moveaxis(one.mean(), 1, 0) for name, one in sums.items()}  # variable first
    maps = ("variable", "lead_time", "lat", "lon")
    reduced = xr.Dataset(
        {
            "grid_mean": (
                ("product", "statistic", "variable", "init_time", "lead_time"),
                np.concatenate([part.grid_mean for part in parts], axis=3),
            ),
            **{name: (maps, means[name]) for name in (ERROR_MAP, SQUARED_ERROR_MAP)},
        },
        {
            "product": products,
            "statistic": [one.__name__ for one in reduction.statistics],
            "variable": list(grid.variables),
            "init_time": forecasts.init_times,
            "lead_time": forecasts.lead_hours,
            "lat": grid.lat,
            "lon": grid.lon,
        },
    )
    for profile in reduction.profiles:
        axis = profile.coordinate(reduction.scale, forecasts.members or 1)
        reduced = reduced.assign_coords({profile.axis: axis})
        reduced[profile.name] = (("variable", "lead_time", profile.axis), means[profile.name])
        reduced[profile.name].attrs["long_name"] = profile.long_name
        reduced[profile.axis].attrs = {"long_name": profile.axis_name, "units": profile.axis_units}
    if reduction.regions is not None:
        reduced = reduced.assign_coords(
            region=reduction.regions["region"].values, region_statistic=[one.__name__ for one in ADDITIVE]
        )
        dims = ("product", "region_statistic", "variable", "init_time", "lead_time", "region")
        reduced["region_mean"] = (dims, np.concatenate([part.region_mean for part in parts], axis=3))
    return reduced


@dataclass
class Sum:
    """Sum of arrays, without NaN.

    Arguments:
        total: of what is there.
        number: how many are there at each place.
    """

    total: np.ndarray
    number: np.ndarray

    @classmethod
    def nothing(cls, shape: tuple[int, ...]) -> "Sum":
        """Return the sum of no arrays of a shape."""
        return cls(np.zeros(shape), np.zeros(shape, np.int32))

    def add(self, values: np.ndarray) -> None:
        """Add arrays [B, ..]."""
        whole = np.isfinite(values).all()
        # one by one: a sum over the chunk would be rounded differently for other chunks
        for one in values:
            if whole:
                self.total += one
                self.number += 1
            else:
                present = np.isfinite(one)
                self.total += np.where(present, one, 0.0)
                self.number += present

    def join(self, other: "Sum") -> None:
        """Add another sum."""
        self.total += other.total
        self.number += other.number

    def mean(self) -> np.ndarray:
        """Return the mean, NaN where nothing is there."""
        return quotient(self.total, self.number)


class Sums:
    """Sums of parts that come in any order, added up two by two.

    Which are added to which depends on their numbers alone, so that rounding does not depend on the number of ranks;
    and as two make one at once, only a few are kept.
    """

    def __init__(self):
        self._kept: dict[tuple[int, int], dict[str, Sum]] = {}  # by level and number

    def add(self, number: int, sums: dict[str, Sum]) -> None:
        """Take the sums of a part (they are changed)."""
        level = 0
        while (neighbour := self._kept.pop((level, number ^ 1), None)) is not None:
            sums = _added(neighbour, sums) if number % 2 else _added(sums, neighbour)
            level, number = level + 1, number // 2
        self._kept[level, number] = sums

    def total(self) -> dict[str, Sum]:
        """Return the sums of all parts."""
        first, *others = (
            sums for _, sums in sorted(self._kept.items(), key=lambda item: item[0][1] << item[0][0])
        )
        for other in others:
            first = _added(first, other)
        return first


def _added(one: dict[str, Sum], other: Mapping[str, Sum]) -> dict[str, Sum]:
    for name, each in one.items():
        each.join(other[name])
    return one
