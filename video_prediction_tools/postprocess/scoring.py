"""From the numbers of all forecasts to scores: means, intervals, differences; and the files that hold them."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from video_prediction_tools.metadata.files import netcdf_errors_as_os_errors, whole_file
from video_prediction_tools.postprocess.bootstrap import MovingBlocks, defined_means, paired_difference
from video_prediction_tools.postprocess.metrics.errors import SquaredError
from video_prediction_tools.postprocess.metrics.metric import Metric, Statistic, statistics_of
from video_prediction_tools.postprocess.metrics.registry import METRICS
from video_prediction_tools.postprocess.protocol import WEATHER, Protocol
from video_prediction_tools.postprocess.reduction import ERROR_MAP, SQUARED_ERROR_MAP

OVER_LEADS = "mean"  # in place of the lead step in the rows of the mean over all of them
_TABLE = ("product", "metric", "variable", "lead_time")


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
