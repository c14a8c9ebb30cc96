"""From forecasts to scores: one pass over forecasts.nc in chunks, then means, intervals and differences.

What is kept of a forecast is one number for each product, statistic, variable and lead hour, so memory does
not grow with the grid; maps of the model's error are summed up on the way.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from video_prediction_tools.metadata.files import netcdf_errors_as_os_errors, whole_file
from video_prediction_tools.postprocess.baselines import Baseline
from video_prediction_tools.postprocess.bootstrap import MovingBlocks, defined_means, paired_difference
from video_prediction_tools.postprocess.climatology import Climatology
from video_prediction_tools.postprocess.forecasts import ForecastFile
from video_prediction_tools.postprocess.metrics.errors import AbsoluteError, Error, SquaredError
from video_prediction_tools.postprocess.metrics.fields import Fields, Scale
from video_prediction_tools.postprocess.metrics.metric import Metric, Statistic, quotient, statistics_of
from video_prediction_tools.postprocess.metrics.profiles import Profile
from video_prediction_tools.postprocess.metrics.registry import METRICS
from video_prediction_tools.postprocess.protocol import WEATHER, Protocol
from video_prediction_tools.progress import progress

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


def reduce_forecasts(
    forecasts: ForecastFile,
    model: str,
    baselines: Sequence[Baseline],
    reduction: Reduction,
    chunk: int = 32,
) -> xr.Dataset:
    """Reduce every forecast of every product to its statistics.

    Arguments:
        forecasts: of the model, with truth.
        model: name of the product that the model is.
        baselines: the other products.
        reduction: what to work out.
        chunk: forecasts in memory at a time, members counted one by one; the result does not depend on it.

    Returns:
        `grid_mean` [product, statistic, variable, init_time, lead_time], NaN where a product has no forecast;
        `error_map` and `squared_error_map` [variable, lead_time, lat, lon], means over init_time for the model; the
        profiles [variable, lead_time, <axis>], likewise; with regions `region_mean` [product, region_statistic,
        variable, init_time, lead_time, region].
    """
    products = [model, *(baseline.name for baseline in baselines)]
    grid, leads, number = forecasts.grid, len(forecasts.lead_hours), len(forecasts)
    members = forecasts.members or 1
    statistics, weights, regions = reduction.statistics, reduction.weights, reduction.regions
    result = np.full((len(products), len(statistics), len(grid.variables), number, leads), np.nan)
    of_regions = (
        None
        if regions is None
        else np.full((len(products), len(ADDITIVE), *result.shape[2:], regions.sizes["region"]), np.nan)
    )
    space = (leads, len(grid.lat), len(grid.lon), len(grid.variables))
    error, squared = RunningMean(space), RunningMean(space)
    profiles = {
        profile: RunningMean((leads, len(grid.variables), len(profile.coordinate(reduction.scale, members))))
        for profile in reduction.profiles
    }
    with progress("scores", number) as advance:
        for rows, forecast, truth, batch in forecasts.chunks(max(1, chunk // members)):
            expected = reduction.climatology.at(batch.valid_times) if reduction.climatology else None
            for place, product in enumerate(products):
                made = baselines[place - 1].forecast(batch) if place else forecast
                fields = Fields(made, truth, expected, reduction.scale, batch.init_times)
                for index, statistic in enumerate(statistics):
                    values = statistic()(fields, weights).transpose("variable", "init_time", "lead_time")
                    result[place, index, :, rows] = values
                if of_regions is not None:
                    for index, statistic in enumerate(ADDITIVE):
                        values = statistic()(fields, regions)
                        of_regions[place, index, :, rows] = values.transpose(
                            "variable", "init_time", "lead_time", "region"
                        )
                if product == model:
                    error.add(fields.error.values)
                    squared.add(fields.error.values**2)
                    for profile, mean in profiles.items():
                        mean.add(profile(fields, weights))
            advance(len(batch.init_times))
    maps = ("lead_time", "lat", "lon", "variable")
    reduced = xr.Dataset(
        {
            "grid_mean": (("product", "statistic", "variable", "init_time", "lead_time"), result),
            "error_map": xr.DataArray(error.value(), dims=maps).transpose("variable", ...),
            "squared_error_map": xr.DataArray(squared.value(), dims=maps).transpose("variable", ...),
        },
        {
            "product": products,
            "statistic": [one.__name__ for one in statistics],
            "variable": list(grid.variables),
            "init_time": forecasts.init_times,
            "lead_time": forecasts.lead_hours,
            "lat": grid.lat,
            "lon": grid.lon,
        },
    )
    for profile, mean in profiles.items():
        reduced = reduced.assign_coords({profile.axis: profile.coordinate(reduction.scale, members)})
        reduced[profile.name] = (("variable", "lead_time", profile.axis), np.moveaxis(mean.value(), 1, 0))
        reduced[profile.name].attrs["long_name"] = profile.long_name
        reduced[profile.axis].attrs = {"long_name": profile.axis_name, "units": profile.axis_units}
    if of_regions is not None:
        reduced = reduced.assign_coords(
            region=regions["region"].values, region_statistic=[one.__name__ for one in ADDITIVE]
        )
        dims = ("product", "region_statistic", "variable", "init_time", "lead_time", "region")
        reduced["region_mean"] = (dims, of_regions)
    return reduced


class RunningMean:
    """Mean over init_time of arrays that come in chunks, without NaN; NaN where nothing is left.

    Arguments:
        shape: of one array.
    """

    def __init__(self, shape: tuple[int, ...]):
        self.total, self.number = np.zeros(shape), np.zeros(shape)

    def add(self, values: np.ndarray) -> None:
        """Add arrays [B, ..]."""
        # one by one: a sum over the chunk would be rounded differently for other chunks
        for one in values:
            present = np.isfinite(one)
            self.total += np.where(present, one, 0.0)
            self.number += present

    def value(self) -> np.ndarray:
        """Return the mean."""
        return quotient(self.total, self.number)


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
    encoding = {
        name: {"zlib": True, "complevel": 1}
        for name in ("grid_mean", "error_map", "squared_error_map", "region_mean")
        if name in labelled
    }
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
