"""From forecasts to scores: one pass over forecasts.nc in chunks, then means, intervals and differences.

What is kept of a forecast is one number for each product, statistic, variable and lead hour, so memory does
not grow with the grid; maps of the model's error are summed up on the way.
"""

import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import xarray as xr

from video_prediction_tools.metadata.files import netcdf_errors_as_os_errors, whole_file
from video_prediction_tools.postprocess.baselines import Baseline
from video_prediction_tools.postprocess.bootstrap import MovingBlocks, defined_means, paired_difference
from video_prediction_tools.postprocess.climatology import Climatology
from video_prediction_tools.postprocess.forecasts import ForecastFile
from video_prediction_tools.postprocess.metrics.errors import AbsoluteError, Error, SquaredError
from video_prediction_tools.postprocess.metrics.fields import Fields, Observed, Scale
from video_prediction_tools.postprocess.metrics.metric import Metric, Statistic, quotient, statistics_of
from video_prediction_tools.postprocess.metrics.profiles import Profile
from video_prediction_tools.postprocess.metrics.registry import METRICS
from video_prediction_tools.postprocess.protocol import WEATHER, Protocol
from video_prediction_tools.progress import progress
from video_prediction_tools.ranks import Ranks

ADDITIVE = (Error, AbsoluteError, SquaredError)  # the statistics that parts of the area have
OVER_LEADS = "mean"  # in place of the lead step in the rows of the mean over all of them
_TABLE = ("product", "metric", "variable", "lead_time")


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


# What is shared out over the ranks; sums over init_times are made part by part, see `Sums`.
INIT_TIMES_A_PART = 64
CHUNK_BYTES = 4e6  # of one array: the arrays that are worked on at a time stay in the processor's cache
MOST_THREADS = 8  # each has a chunk in memory, some twenty arrays
ERROR_MAP, SQUARED_ERROR_MAP = "error_map", "squared_error_map"


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


def score(
    reduced: xr.Dataset,
    metrics: Sequence[Metric],
    blocks: MovingBlocks,
    units: Mapping[str, str],
    mean_over_leads: bool = False,
) -> xr.Dataset:
    """Make scores, their intervals, and the model's differences to the baselines (paired by init_time).

    Arguments:
        reduced: of `reduce_forecasts`; the first product is the model.
        metrics: the scores to make.
        blocks: of the bootstrap, the same for all products and metrics.
        units: of the variables.
        mean_over_leads: make the scores of the mean over all lead steps as well.

    Returns:
        `reduced` with `value`, `ci_low`, `ci_high`, `n_init` [product, metric, variable, lead_time] and with
        `difference`, `difference_ci_low`, `difference_ci_high`, `difference_p_value` [baseline, metric, variable,
        lead_time]: distance of the model from the perfect score minus that of the baseline, negative where the model
        is better. Intervals and p-values are NaN where there are fewer than two blocks. With `mean_over_leads` the same
        names with ``mean_`` before them, without lead_time; a forecast's mean is that of its defined lead steps.
    """
    products = reduced["product"].values.tolist()
    variables = reduced["variable"].values.tolist()
    kinds = {one.__name__: one for one in statistics_of(metrics)}
    by_product = [
        {
            kind: reduced["grid_mean"]
            .sel(product=product, statistic=name)
            .transpose("init_time", "variable", "lead_time")
            .values
            for name, kind in kinds.items()
        }
        for product in products
    ]
    scored = reduced.assign(_tables(by_product, metrics, blocks))
    if mean_over_leads:
        over = [
            {kind: value[..., np.newaxis] for kind, value in _over_leads(statistics).items()}
            for statistics in by_product
        ]
        for name, (dims, values) in _tables(over, metrics, blocks).items():
            scored[f"mean_{name}"] = (dims[:-1], values[..., 0])
    # "" where a metric is not defined for a variable
    metric_units = [
        [metric.units(units[name]) if metric.applies_to(name) else "" for name in variables]
        for metric in metrics
    ]
    return scored.assign_coords(
        metric=[metric.name for metric in metrics],
        baseline=products[1:],
        metric_units=(("metric", "variable"), metric_units),
        units=("variable", [units[name] for name in variables]),
    )


def _over_leads(statistics: Mapping[type[Statistic], np.ndarray]) -> dict[type[Statistic], np.ndarray]:
    """Return the mean over the last axis of each array, without NaN."""
    return defined_means({kind: np.moveaxis(value, -1, 0) for kind, value in statistics.items()})


def _tables(
    by_product: Sequence[Mapping[type[Statistic], np.ndarray]],
    metrics: Sequence[Metric],
    blocks: MovingBlocks,
) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    """Make the tables of `score` of statistics [init_time, variable, lead_time], with their dimensions."""
    shape = (len(by_product), len(metrics), *next(iter(by_product[0].values())).shape[1:])
    table = {name: np.full(shape, np.nan) for name in ("value", "ci_low", "ci_high")}
    number = np.zeros(shape, np.int64)
    difference = {
        name: np.full((len(by_product) - 1, *shape[1:]), np.nan)
        for name in ("", "_ci_low", "_ci_high", "_p_value")
    }
    for place, statistics in enumerate(by_product):
        means, draws = defined_means(statistics), blocks.means(statistics)
        for index, metric in enumerate(metrics):
            at = (place, index)
            number[at] = np.min(
                [np.isfinite(statistics[kind]).sum(axis=0) for kind in metric.statistics], axis=0
            )
            table["value"][at] = metric.value(means)
            low, high = blocks.interval(metric.value(draws))
            enough = blocks.enough(number[at])
            table["ci_low"][at], table["ci_high"][at] = (
                np.where(enough, low, np.nan),
                np.where(enough, high, np.nan),
            )
            if place:
                used = [
                    {kind: one[kind] for kind in metric.statistics} for one in (by_product[0], statistics)
                ]
                found = paired_difference(blocks, *used, lambda mean, of=metric: of.distance(of.value(mean)))
                tables = (found.value, found.low, found.high, found.p_value)
                for name, values in zip(difference, tables, strict=True):
                    difference[name][place - 1, index] = values
    return {
        **{name: (_TABLE, values) for name, values in table.items()},
        **{f"difference{name}": (("baseline", *_TABLE[1:]), values) for name, values in difference.items()},
        "n_init": (_TABLE, number),
    }


def _long_names(protocol: Protocol) -> dict[str, str]:
    """Return what the variables of evaluation_metrics.nc are, in words."""
    start = protocol.layout.start.name
    tables = {
        "value": "score",
        "ci_low": "lower end of the interval of the score",
        "ci_high": "upper end of the interval",
        "n_init": f"number of {start}s that the score is made of",
        "difference": "distance of the model from the perfect score minus that of the baseline "
        "(negative: model better)",
        "difference_ci_low": "lower end of its interval",
        "difference_ci_high": "upper end of its interval",
        "difference_p_value": "p-value of no difference (two-sided, from the same draws)",
    }
    over_leads = f"mean over all {protocol.words.lead}s"
    parts = (
        {
            "group_value": "score of a part (hour of the day or month of the valid time, land, sea, sub-region)",
            "group_ci_low": "lower end of the interval of the score of a part",
            "group_ci_high": "upper end of the interval of the score of a part",
            "group_n_init": f"number of {start}s that the score of a part is made of",
        }
        if protocol.layout.has_times
        else {}
    )
    return {
        **parts,
        "grid_mean": "mean over the grid for each forecast; the metrics are made of these"
        if protocol.layout.has_times
        else "statistic of each frame (errors: summed over it); the metrics are made of these",
        "region_mean": "mean over a part of the area for each forecast",
        "error_map": f"mean over {start} of forecast minus truth",
        "squared_error_map": f"mean over {start} of the squared error",
        **tables,
        **(
            {f"mean_{name}": f"{over_leads}: {text}" for name, text in tables.items()}
            if protocol.mean_over_leads
            else {}
        ),
    }


def write_scores(
    directory: Path, scores: xr.Dataset, attributes: Mapping[str, Any], protocol: Protocol = WEATHER
) -> list[Path]:
    """Write evaluation_metrics.nc and .csv and, where there are parts, evaluation_breakdown.csv; return their paths.

    Raises:
        InputError: no space left, or not writable.
    """
    netcdf, table = Path(directory) / "evaluation_metrics.nc", Path(directory) / "evaluation_metrics.csv"
    labelled = scores.copy()
    for name, text in _long_names(protocol).items():
        if name in labelled:
            labelled[name].attrs["long_name"] = text
    labelled.attrs = {"Conventions": "CF-1.8", **attributes}
    labelled = labelled.rename(
        {inside: name for inside, name in protocol.layout.file_names.items() if inside != name}
    )
    for axis in protocol.layout.axes:
        labelled[axis.name] = labelled[axis.name].astype(axis.kind)
        labelled[axis.name].attrs = dict(axis.attributes)
    # CF-1.8: no 64-bit integers, no fill values in coordinates
    encoding = {name: {"_FillValue": None} for name in labelled.coords}
    for name, values in labelled.variables.items():
        if values.dtype == np.int64:
            encoding.setdefault(name, {})["dtype"] = "int32"
    for name in ("grid_mean", ERROR_MAP, SQUARED_ERROR_MAP, "region_mean"):
        if name in labelled:
            encoding[name] = {"zlib": True, "complevel": 1}
    with whole_file(netcdf) as temporary, netcdf_errors_as_os_errors(temporary):
        labelled.to_netcdf(temporary, engine="netcdf4", encoding=encoding)
    numbers = (protocol.words.column, "value", "ci_low", "ci_high", "n_init")
    _write_table(table, ("variable", "product", "metric", *numbers), table_rows(scores))
    if "group_value" not in scores:
        return [netcdf, table]
    parts = Path(directory) / "evaluation_breakdown.csv"
    head = ("variable", "product", "metric", "group_kind", "group", *numbers)
    _write_table(parts, head, breakdown_rows(scores))
    return [netcdf, table, parts]


def _write_table(path: Path, head: Sequence[str], rows: Iterable[tuple]) -> None:
    with whole_file(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)


def table_rows(scores: xr.Dataset) -> list[tuple]:
    """Return the rows of evaluation_metrics.csv; what is not defined or withheld is empty.

    The mean over all lead steps, where there is one, comes last, with the word `OVER_LEADS` for the lead step.
    """
    rows = []
    columns = ("value", "ci_low", "ci_high", "n_init")
    for variable in scores["variable"].values.tolist():
        for product in scores["product"].values.tolist():
            for metric in scores["metric"].values.tolist():
                one = scores.sel(variable=variable, product=product, metric=metric)
                if not one["metric_units"].item():
                    continue
                leads = [f"{lead:g}" for lead in one["lead_time"].values]
                numbers = [one[name].values.tolist() for name in columns]
                if "mean_value" in one:
                    leads.append(OVER_LEADS)
                    for name, values in zip(columns, numbers, strict=True):
                        values.append(one[f"mean_{name}"].item())
                for lead, *values, n_init in zip(leads, *numbers, strict=True):
                    rows.append((variable, product, metric, lead, *map(_cell, values), n_init))
    return rows


def breakdown_rows(scores: xr.Dataset) -> list[tuple]:
    """Return the rows of evaluation_breakdown.csv."""
    rows = []
    for variable in scores["variable"].values.tolist():
        for product in scores["product"].values.tolist():
            for metric in scores["parted_metric"].values.tolist():
                one = scores.sel(variable=variable, product=product, parted_metric=metric)
                tables = [one[f"group_{name}"].values for name in ("value", "ci_low", "ci_high", "n_init")]
                for place, (kind, group) in enumerate(
                    zip(one["group_kind"].values, one["group"].values, strict=True)
                ):
                    for index, lead in enumerate(one["lead_time"].values):
                        *values, n_init = (table[place, index] for table in tables)
                        if n_init:
                            cells = (*map(_cell, values), n_init)
                            rows.append((variable, product, metric, kind, group, f"{lead:g}", *cells))
    return rows


def _cell(value: float) -> str:
    return f"{value:.9g}" if np.isfinite(value) else ""


def choose_cases(
    scores: xr.Dataset, variable: str, metric: Metric = METRICS["rmse"]
) -> dict[str, tuple[int, float]]:
    """Return position and score of the best, median and worst forecast of the model, over all lead steps.

    Arguments:
        metric: chosen by; one of the mean squared error alone.
    """
    model = scores["product"].values[0]
    squared = scores["grid_mean"].sel(product=model, statistic=SquaredError.__name__, variable=variable)
    error = metric.value({SquaredError: squared.mean("lead_time").values})
    order = np.argsort(error, kind="stable")
    chosen = {"best": order[0], "median": order[(len(order) - 1) // 2], "worst": order[-1]}
    return {name: (int(place), float(error[place])) for name, place in chosen.items()}
