"""Errors by parts: hour of the day and month of the valid time, land and sea, sub-regions."""

from collections.abc import Iterator, Mapping

import numpy as np
import xarray as xr

from video_prediction_tools.postprocess.bootstrap import MovingBlocks, defined_means
from video_prediction_tools.postprocess.metrics.metric import Metric, Statistic
from video_prediction_tools.postprocess.metrics.registry import METRICS
from video_prediction_tools.postprocess.sequences import HOUR

PARTED = tuple(METRICS[name] for name in ("mse", "rmse", "mae", "bias"))
DIMS = ("product", "parted_metric", "variable", "group", "lead_time")


def breakdown(reduced: xr.Dataset, blocks: MovingBlocks) -> xr.Dataset:
    """Score the parts.

    Arguments:
        reduced: of `scoring.reduce_forecasts`.
        blocks: of the bootstrap; draws are those of all init_times, of which a part has some.

    Returns:
        `group_value`, `group_ci_low`, `group_ci_high`, `group_n_init` [product, parted_metric, variable, group,
        lead_time], with the coordinates `group` (``00`` .. ``23``, ``01`` .. ``12``, names) and `group_kind` (``hour``,
        ``month``, ``region``). Errors of the statistics that were not worked out are missing.
    """
    have = set(reduced["statistic"].values.tolist())
    metrics = [metric for metric in PARTED if {one.__name__ for one in metric.statistics} <= have]
    groups = list(_groups(reduced, metrics))
    shape = (
        reduced.sizes["product"],
        len(metrics),
        reduced.sizes["variable"],
        len(groups),
        reduced.sizes["lead_time"],
    )
    tables = {name: np.full(shape, np.nan) for name in ("group_value", "group_ci_low", "group_ci_high")}
    number = np.zeros(shape, np.int64)
    for place, (_, _, statistics) in enumerate(groups):
        means, draws = defined_means(statistics), blocks.means(statistics)
        for index, metric in enumerate(metrics):
            at = (slice(None), index, slice(None), place)
            present = [np.isfinite(statistics[one]).sum(axis=0) for one in metric.statistics]
            number[at] = np.min(present, axis=0)
            tables["group_value"][at] = metric.value(means)
            low, high = blocks.interval(metric.value(draws))
            enough = blocks.enough(number[at])
            tables["group_ci_low"][at] = np.where(enough, low, np.nan)
            tables["group_ci_high"][at] = np.where(enough, high, np.nan)
    return xr.Dataset(
        {name: (DIMS, values) for name, values in tables.items()} | {"group_n_init": (DIMS, number)},
        {
            **{name: reduced[name].values for name in ("product", "variable", "lead_time")},
            "parted_metric": [metric.name for metric in metrics],
            "group": [name for _, name, _ in groups],
            "group_kind": ("group", [kind for kind, _, _ in groups]),
        },
    )


def _groups(
    reduced: xr.Dataset, metrics: list[Metric]
) -> Iterator[tuple[str, str, Mapping[type[Statistic], np.ndarray]]]:
    """Yield kind, name and statistics [init_time, product, variable, lead_time] of each part, NaN outside of it."""
    kinds = {one.__name__: one for metric in metrics for one in metric.statistics}
    order = ("init_time", "product", "variable", "lead_time")
    whole = {
        kind: reduced["grid_mean"].sel(statistic=name).transpose(*order).values
        for name, kind in kinds.items()
    }
    seconds = reduced["init_time"].values[:, np.newaxis] + np.rint(reduced["lead_time"].values * HOUR).astype(
        np.int64
    )
    valid = seconds.astype("datetime64[s]")  # [init_time, lead_time]
    hours = (seconds // HOUR) % 24
    months = valid.astype("datetime64[M]").astype(np.int64) % 12 + 1
    for kind, of_valid in (("hour", hours), ("month", months)):
        for one in np.unique(of_valid):
            inside = (of_valid == one)[:, np.newaxis, np.newaxis]
            yield kind, f"{one:02d}", {key: np.where(inside, value, np.nan) for key, value in whole.items()}
    if "region_mean" in reduced:
        for region in reduced["region"].values.tolist():
            part = reduced["region_mean"].sel(region=region)
            yield (
                "region",
                region,
                {
                    kind: part.sel(region_statistic=name).transpose(*order).values
                    for name, kind in kinds.items()
                },
            )
