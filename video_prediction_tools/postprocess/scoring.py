"""From forecasts to scores: one pass over forecasts.nc in chunks, then means, intervals and differences.

What is kept of a forecast is one number for each product, statistic, variable and lead hour, so memory does
not grow with the grid; maps of the model's error are summed up on the way.
"""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from video_prediction_tools.metadata.files import netcdf_errors_as_os_errors, whole_file
from video_prediction_tools.postprocess.baselines import Baseline
from video_prediction_tools.postprocess.bootstrap import MovingBlocks, defined_means, paired_difference
from video_prediction_tools.postprocess.climatology import Climatology
from video_prediction_tools.postprocess.forecasts import EPOCH, ForecastFile
from video_prediction_tools.postprocess.metrics import Metric, statistics_of
from video_prediction_tools.postprocess.statistics import Fields, Statistic
from video_prediction_tools.progress import progress

CSV_HEADER = ("variable", "product", "metric", "lead_hour", "value", "ci_low", "ci_high", "n_init")
_TABLE = ("product", "metric", "variable", "lead_time")


def reduce_forecasts(
    forecasts: ForecastFile,
    model: str,
    baselines: Sequence[Baseline],
    statistics: Sequence[type[Statistic]],
    weights: xr.DataArray,
    climatology: Climatology | None,
    chunk: int = 32,
) -> xr.Dataset:
    """Reduce every forecast of every product to its statistics.

    Arguments:
        forecasts: of the model, with truth.
        model: name of the product that the model is.
        baselines: the other products.
        statistics: what to work out.
        weights: [lat, lon], summing to 1.
        climatology: for the statistics that need one.
        chunk: init_times in memory at a time; the result does not depend on it.

    Returns:
        `grid_mean` [product, statistic, variable, init_time, lead_time], NaN where a product has no forecast;
        `error_map` and `squared_error_map` [variable, lead_time, lat, lon], means over init_time for the
        model.
    """
    products = [model, *(baseline.name for baseline in baselines)]
    grid, leads, number = forecasts.grid, len(forecasts.lead_hours), len(forecasts)
    result = np.full((len(products), len(statistics), len(grid.variables), number, leads), np.nan)
    error = np.zeros((leads, len(grid.lat), len(grid.lon), len(grid.variables)))
    squared = np.zeros_like(error)
    with progress("scores", number) as advance:
        for rows, forecast, truth, batch in forecasts.chunks(chunk):
            expected = climatology.at(batch.valid_times) if climatology else None
            for place, product in enumerate(products):
                fields = Fields(baselines[place - 1].forecast(batch) if place else forecast, truth, expected)
                for index, statistic in enumerate(statistics):
                    values = statistic()(fields, weights).transpose("variable", "init_time", "lead_time")
                    result[place, index, :, rows] = values
                if product == model:
                    # one by one: a sum over the chunk would be rounded differently for other chunks
                    for one in fields.error.values:
                        error += one
                        squared += one**2
            advance(len(batch.init_times))
    space = ("lead_time", "lat", "lon", "variable")
    return xr.Dataset(
        {
            "grid_mean": (("product", "statistic", "variable", "init_time", "lead_time"), result),
            "error_map": xr.DataArray(error / number, dims=space).transpose("variable", ...),
            "squared_error_map": xr.DataArray(squared / number, dims=space).transpose("variable", ...),
        },
        {
            "product": products,
            "statistic": [one.__name__ for one in statistics],
            "variable": list(grid.variables),
            "init_time": (
                "init_time",
                forecasts.init_times,
                {"units": EPOCH, "standard_name": "forecast_reference_time"},
            ),
            "lead_time": (
                "lead_time",
                forecasts.lead_hours,
                {"units": "hours", "standard_name": "forecast_period"},
            ),
            "lat": ("lat", grid.lat, {"units": "degrees_north", "standard_name": "latitude"}),
            "lon": ("lon", grid.lon, {"units": "degrees_east", "standard_name": "longitude"}),
        },
    )


def score(
    reduced: xr.Dataset, metrics: Sequence[Metric], blocks: MovingBlocks, units: Mapping[str, str]
) -> xr.Dataset:
    """Make scores, their intervals, and the model's differences to the baselines (paired by init_time).

    Arguments:
        reduced: of `reduce_forecasts`; the first product is the model.
        metrics: the scores to make.
        blocks: of the bootstrap, the same for all products and metrics.
        units: of the variables.

    Returns:
        `reduced` with `value`, `ci_low`, `ci_high`, `n_init` [product, metric, variable, lead_time] and with
        `difference`, `difference_ci_low`, `difference_ci_high` [baseline, metric, variable, lead_time]:
        distance of the model from the perfect score minus that of the baseline, negative where the model is
        better. Intervals are NaN where there are fewer than two blocks.
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
    shape = (len(products), len(metrics), len(variables), reduced.sizes["lead_time"])
    table = {name: np.full(shape, np.nan) for name in ("value", "ci_low", "ci_high")}
    number = np.zeros(shape, np.int64)
    difference = {
        name: np.full((len(products) - 1, *shape[1:]), np.nan) for name in ("", "_ci_low", "_ci_high")
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
                for name, values in zip(difference, found[:3], strict=True):
                    difference[name][place - 1, index] = values
    scored = reduced.assign({name: (_TABLE, values) for name, values in table.items()})
    scored = scored.assign(
        {f"difference{name}": (("baseline", *_TABLE[1:]), values) for name, values in difference.items()}
    )
    scored["n_init"] = (_TABLE, number)
    metric_units = [[metric.units(units[name]) for name in variables] for metric in metrics]
    return scored.assign_coords(
        metric=[metric.name for metric in metrics],
        baseline=products[1:],
        metric_units=(("metric", "variable"), metric_units),
        units=("variable", [units[name] for name in variables]),
    )


_LONG_NAMES = {
    "grid_mean": "mean over the grid for each forecast; the metrics are made of these",
    "error_map": "mean over init_time of forecast minus truth",
    "squared_error_map": "mean over init_time of the squared error",
    "value": "score",
    "ci_low": "lower end of the interval of the score",
    "ci_high": "upper end of the interval",
    "n_init": "number of init_times that the score is made of",
    "difference": "distance of the model from the perfect score minus that of the baseline "
    "(negative: model better)",
    "difference_ci_low": "lower end of its interval",
    "difference_ci_high": "upper end of its interval",
}


def write_scores(directory: Path, scores: xr.Dataset, attributes: Mapping[str, Any]) -> tuple[Path, Path]:
    """Write evaluation_metrics.nc and evaluation_metrics.csv; return their paths.

    Raises:
        InputError: no space left, or not writable.
    """
    netcdf, table = Path(directory) / "evaluation_metrics.nc", Path(directory) / "evaluation_metrics.csv"
    labelled = scores.copy()
    for name, text in _LONG_NAMES.items():
        labelled[name].attrs["long_name"] = text
    labelled.attrs = {"Conventions": "CF-1.8", **attributes}
    encoding = {
        name: {"zlib": True, "complevel": 1} for name in ("grid_mean", "error_map", "squared_error_map")
    }
    with whole_file(netcdf) as temporary, netcdf_errors_as_os_errors(temporary):
        labelled.to_netcdf(temporary, engine="netcdf4", encoding=encoding)
    with whole_file(table) as temporary, open(temporary, "w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(CSV_HEADER)
        for row in table_rows(scores):
            writer.writerow(row)
    return netcdf, table


def table_rows(scores: xr.Dataset) -> list[tuple]:
    """Return the rows of evaluation_metrics.csv; what is not defined or withheld is empty."""
    rows = []
    for variable in scores["variable"].values.tolist():
        for product in scores["product"].values.tolist():
            for metric in scores["metric"].values.tolist():
                one = scores.sel(variable=variable, product=product, metric=metric)
                numbers = (one[name].values.tolist() for name in ("lead_time", "value", "ci_low", "ci_high"))
                for lead, *values, n_init in zip(*numbers, one["n_init"].values.tolist(), strict=True):
                    rows.append((variable, product, metric, f"{lead:g}", *map(_cell, values), n_init))
    return rows


def _cell(value: float) -> str:
    return f"{value:.9g}" if np.isfinite(value) else ""


def choose_cases(scores: xr.Dataset, variable: str) -> dict[str, tuple[int, float]]:
    """Return position and rmse of the best, median and worst init_time of the model, over all lead hours."""
    model = scores["product"].values[0]
    squared = scores["grid_mean"].sel(product=model, statistic="SquaredError", variable=variable)
    rmse = np.sqrt(squared.mean("lead_time").values)
    order = np.argsort(rmse, kind="stable")
    chosen = {"best": order[0], "median": order[(len(order) - 1) // 2], "worst": order[-1]}
    return {name: (int(place), float(rmse[place])) for name, place in chosen.items()}
