"""Experiments side by side: scores, skill against a baseline, paired tests of all pairs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from video_prediction_tools.errors import InputError, did_you_mean
from video_prediction_tools.meta_postprocess.experiments import Experiment
from video_prediction_tools.postprocess.bootstrap import MovingBlocks, defined_means, paired_difference
from video_prediction_tools.postprocess.metrics.ensembles import FairCRPS
from video_prediction_tools.postprocess.metrics.errors import AbsoluteError
from video_prediction_tools.postprocess.metrics.metric import Metric, Statistic, statistics_of
from video_prediction_tools.postprocess.protocol import Protocol
from video_prediction_tools.postprocess.scoring import score


@dataclass(frozen=True)
class Group:
    """Experiments that differ in their seed only, one product of the comparison.

    Arguments:
        name: of the product.
        experiments: of it.
    """

    name: str
    experiments: tuple[Experiment, ...]


@dataclass(frozen=True)
class Comparison:
    """The whole comparison.

    Arguments:
        groups: the models, in the order of the tables.
        metrics: that all have.
        left_out: names of metrics that only some have.
        scores: as `scoring.score` makes them, products the groups (mean over their seeds) and the baselines.
        seed_spread: [product, metric, variable, lead_time], standard deviation over seeds, NaN for fewer than two.
        skill: [product, metric, variable, lead_time], against the baseline; NaN where it is not defined.
        mean_seed_spread, mean_skill: [product, metric, variable], of the mean over all lead times; None where the
            protocol does not have it.
        pairs: differences of all pairs of products in the mean over lead times: `difference` (of the distance from the
            perfect score; below 0: `one` is better), `low`, `high`, `p_value` [one, other, metric, variable].
        baseline: of the skill.
        blocks: of the bootstrap.
        protocol: how the data are judged.
    """

    groups: list[Group]
    metrics: list[Metric]
    left_out: list[str]
    scores: xr.Dataset
    seed_spread: xr.DataArray
    skill: xr.DataArray
    mean_seed_spread: xr.DataArray | None
    mean_skill: xr.DataArray | None
    pairs: xr.Dataset
    baseline: str
    blocks: MovingBlocks
    protocol: Protocol


def compare(
    experiments: Sequence[Experiment], asked: Sequence[str] | None, baseline: str, draws: int
) -> Comparison:
    """Compare experiments of the same test data (see `experiments.require_comparable`).

    Arguments:
        experiments: two or more, with the same init_times.
        asked: names of metrics, or None for all that all of them have.
        baseline: reference of the skill.
        draws: of the bootstrap.

    Raises:
        InputError: a metric or the baseline is not there.
    """
    first = experiments[0]
    groups, protocol = group(experiments), first.protocol
    names = [one.name for one in groups]
    # a model can be a baseline itself, and is then none of the products beside it
    baselines = [name for name in protocol.baselines if name not in names and _with(experiments, name)]
    if baseline not in (*names, *baselines):
        raise InputError(
            "--baseline",
            f"there is no product '{baseline}' in the results",
            did_you_mean(baseline, [*names, *baselines]),
        )
    metrics, left_out = _common_metrics(experiments, asked, protocol)
    reduced = _side_by_side(groups, [(name, _with(experiments, name)) for name in baselines], metrics)
    blocks = MovingBlocks(
        reduced.sizes["init_time"], int(first.scores.attrs["bootstrap_block_length"]), draws
    )
    units = {
        name: first.scores["units"].sel(variable=name).item() for name in reduced["variable"].values.tolist()
    }
    scores = score(reduced, metrics, blocks, units, protocol.mean_over_leads)
    return Comparison(
        groups,
        metrics,
        left_out,
        scores,
        _seed_spread(groups, scores["value"], metrics),
        _skill(scores["value"], metrics, baseline),
        _seed_spread(groups, scores["mean_value"], metrics) if protocol.mean_over_leads else None,
        _skill(scores["mean_value"], metrics, baseline) if protocol.mean_over_leads else None,
        _pairs(reduced, metrics, blocks),
        baseline,
        blocks,
        protocol,
    )


def group(experiments: Sequence[Experiment]) -> list[Group]:
    """Put experiments together that differ in their seed only, and name them.

    A group is called by its model; where several have the same one, by model and the text of the experiment as well.
    """
    by_key: dict[object, list[Experiment]] = {}
    for one in experiments:
        key = one.record.details.get("training_key") or one.directory.resolve()
        seeds = [other.record.details.get("seed") for other in by_key.get(key, [])]
        if one.record.details.get("seed") in seeds:  # the same training twice: not two seeds
            key = one.directory.resolve()
        by_key.setdefault(key, []).append(one)
    found = list(by_key.values())
    names = [members[0].model for members in found]
    for several in (lambda one: f"{one.model}, {one.text}", lambda one: f"{one.model}, {one.record.name}"):
        names = [
            several(members[0]) if names.count(name) > 1 else name
            for name, members in zip(names, found, strict=True)
        ]
    names = [name if names.count(name) == 1 else f"{name} ({number})" for number, name in enumerate(names, 1)]
    return [Group(name, tuple(members)) for name, members in zip(names, found, strict=True)]


def _common_metrics(
    experiments: Sequence[Experiment], asked: Sequence[str] | None, protocol: Protocol
) -> tuple[list[Metric], list[str]]:
    have = [_metrics_of(one, protocol) for one in experiments]
    common = set.intersection(*have)
    for name in asked or ():
        if name not in protocol.metrics:
            raise InputError("--metrics", f"unknown metric '{name}'", did_you_mean(name, protocol.metrics))
        if name not in common:
            without = next(
                one.directory for one, names in zip(experiments, have, strict=True) if name not in names
            )
            raise InputError(
                f"--metrics {name}",
                f"{without} does not have it",
                f"evaluate it again with --eval_metrics {name} ..",
            )
    chosen = [metric for name, metric in protocol.metrics.items() if name in (asked or common)]
    if not chosen:
        raise InputError(
            "--results_dirs", "the results have no metric in common", "evaluate them with the same metrics"
        )
    return chosen, sorted(set.union(*have) - common) if not asked else []


def _metrics_of(one: Experiment, protocol: Protocol) -> set[str]:
    """Return the names of the metrics that results can have: of a single forecast crps is its mae."""
    statistics = _statistics_of(one)
    return {
        name
        for name, metric in protocol.metrics.items()
        if all(kind.__name__ in statistics for kind in metric.statistics)
        and (name in one.scores["metric"].values or name == "crps")
    }


def _statistics_of(one: Experiment) -> dict[str, str]:
    """Return under which name each statistic stands in the file."""
    names = {name: name for name in one.scores["statistic"].values.tolist()}
    if AbsoluteError.__name__ in names and not one.is_ensemble:
        names.setdefault(FairCRPS.__name__, AbsoluteError.__name__)
    return names


def _with(experiments: Sequence[Experiment], product: str) -> Experiment | None:
    """Return the first of the experiments whose results hold a product."""
    return next((one for one in experiments if product in one.scores["product"].values), None)


def _side_by_side(
    groups: Sequence[Group], baselines: Sequence[tuple[str, Experiment]], metrics: Sequence[Metric]
) -> xr.Dataset:
    """Return `grid_mean` [product, statistic, variable, init_time, lead_time] of groups and baselines."""
    kinds = [one.__name__ for one in statistics_of(metrics)]
    rows = [
        sum(_row(one, one.model, kinds) for one in each.experiments) / len(each.experiments)
        for each in groups
    ]
    rows += [_row(one, name, kinds) for name, one in baselines]
    products = [*(one.name for one in groups), *(name for name, _ in baselines)]
    together = xr.concat(rows, "product").assign_coords(product=products)
    return together.to_dataset(name="grid_mean")


def _row(one: Experiment, product: str, kinds: Sequence[str]) -> xr.DataArray:
    names = _statistics_of(one)
    rows = [one.scores["grid_mean"].sel(product=product, statistic=names[kind], drop=True) for kind in kinds]
    return xr.concat(rows, "statistic").assign_coords(statistic=list(kinds))


def _seed_spread(groups: Sequence[Group], values: xr.DataArray, metrics: Sequence[Metric]) -> xr.DataArray:
    """Return the standard deviation over the seeds of scores like `values`, with or without a lead time."""
    spread = xr.full_like(values, np.nan)
    kinds = [one.__name__ for one in statistics_of(metrics)]
    for each in groups:
        if len(each.experiments) > 1:
            rows = [_row(one, one.model, kinds).transpose("init_time", ...) for one in each.experiments]
            if "lead_time" not in values.dims:
                rows = [row.mean("lead_time") for row in rows]
            for metric in metrics:
                by_seed = [
                    metric.value(
                        defined_means(
                            {kind: row.sel(statistic=kind.__name__).values for kind in metric.statistics}
                        )
                    )
                    for row in rows
                ]
                spread.loc[{"product": each.name, "metric": metric.name}] = np.std(by_seed, axis=0, ddof=1)
    return spread


def _skill(values: xr.DataArray, metrics: Sequence[Metric], baseline: str) -> xr.DataArray:
    """Return 1 - d / d_baseline, d the distance from the perfect score; NaN where that or d_baseline gives none."""
    skill = xr.full_like(values, np.nan)
    for metric in metrics:
        if np.isfinite(metric.best):
            distance = abs(values.sel(metric=metric.name) - metric.best)
            reference = distance.sel(product=baseline)
            skill.loc[{"metric": metric.name}] = 1.0 - distance / reference.where(reference > 0.0)
    return skill


def _pairs(reduced: xr.Dataset, metrics: Sequence[Metric], blocks: MovingBlocks) -> xr.Dataset:
    products, variables = reduced["product"].values.tolist(), reduced["variable"].values.tolist()
    over_leads = (
        reduced["grid_mean"].mean("lead_time").transpose("init_time", "variable", "product", "statistic")
    )
    shape = (len(products), len(products), len(metrics), len(variables))
    tables = {name: np.full(shape, np.nan) for name in ("difference", "low", "high", "p_value")}
    for index, metric in enumerate(metrics):
        for one in range(len(products)):
            for other in range(one):
                found = paired_difference(
                    blocks,
                    *(_of(over_leads, metric, place) for place in (one, other)),
                    lambda mean, of=metric: of.distance(of.value(mean)),
                )
                tables["difference"][one, other, index] = found.value
                tables["difference"][other, one, index] = -found.value
                tables["low"][one, other, index], tables["high"][one, other, index] = found.low, found.high
                tables["low"][other, one, index], tables["high"][other, one, index] = -found.high, -found.low
                tables["p_value"][one, other, index] = tables["p_value"][other, one, index] = found.p_value
    dims = ("one", "other", "metric", "variable")
    names = [metric.name for metric in metrics]
    coordinates = {"one": products, "other": products, "metric": names, "variable": variables}
    return xr.Dataset({name: (dims, values) for name, values in tables.items()}, coordinates)


def _of(over_leads: xr.DataArray, metric: Metric, product: int) -> dict[type[Statistic], np.ndarray]:
    return {
        kind: over_leads.isel(product=product).sel(statistic=kind.__name__).values
        for kind in metric.statistics
    }


def mean_over_leads(scores: xr.Dataset, metric: Metric, product: str, variable: str) -> float:
    """Return the score of the mean statistics over all init_times and lead times."""
    of = scores["grid_mean"].sel(product=product, variable=variable).mean("lead_time")
    return float(
        metric.value(
            defined_means({kind: of.sel(statistic=kind.__name__).values for kind in metric.statistics})
        )
    )
