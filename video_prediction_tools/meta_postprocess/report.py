"""report.html of a comparison."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from video_prediction_tools.meta_postprocess.comparison import Comparison, mean_over_leads
from video_prediction_tools.meta_postprocess.tables import interval, table_of
from video_prediction_tools.postprocess.metrics.metric import Metric
from video_prediction_tools.postprocess.page import picture, write_page
from video_prediction_tools.postprocess.plots import style
from video_prediction_tools.postprocess.plots.scorecard import LEVEL
from video_prediction_tools.postprocess.report import command

NAME = "report.html"
_TEMPLATE = Path(__file__).with_name("report.html.j2")


def write_report(
    comparison: Comparison,
    figures: Mapping[str, Path],
    directory: Path,
    notes: list[str],
    synthetic: bool,
    arguments: Mapping[str, Any],
) -> Path:
    """Write the report; return its path.

    Arguments:
        comparison: what it is about.
        figures: plots by name without suffix.
        directory: where it goes.
        notes: what a reader of the scores must know.
        synthetic: mark it.
        arguments: of the program.
    """
    scores, words = comparison.scores, comparison.protocol.words
    main = main_metric(comparison)
    first = comparison.groups[0].experiments[0]
    content = {
        "names": [one.name for one in comparison.groups],
        "synthetic": synthetic,
        "words": words,
        "data_name": first.scores.attrs["data_name"],
        "sample": sample(comparison),
        "verdicts": [verdict(comparison, main, name) for name in scores["variable"].values.tolist()],
        "notes": notes,
        "main_metric": main.name,
        "interval": f"Intervals: {interval(comparison)}",
        "variables": [
            _variable(comparison, name, main, figures) for name in scores["variable"].values.tolist()
        ],
        "experiments": [
            (group.name, one.record.name, str(one.record.details.get("seed", "")), str(one.directory))
            for group in comparison.groups
            for one in group.experiments
        ],
        "command": command("main_meta_postprocess.py", arguments),
    }
    return write_page(_TEMPLATE, content, directory / NAME)


def main_metric(comparison: Comparison) -> Metric:
    """Return the metric that is ranked by: the protocol's where the results have it."""
    by_name = {metric.name: metric for metric in comparison.metrics}
    return by_name.get(comparison.protocol.main_metric, comparison.metrics[0])


def sample(comparison: Comparison) -> str:
    """Say in a line what the scores are made of."""
    split = comparison.groups[0].experiments[0].scores.attrs["split"]
    return style.sample(split, comparison.scores["init_time"].values, comparison.protocol)


def ranking(comparison: Comparison, metric: Metric, variable: str) -> list[tuple[str, float, float]]:
    """Return product, value (mean over lead times) and p-value to the one before, the best first."""
    products = comparison.scores["product"].values.tolist()
    values = {one: mean_over_leads(comparison.scores, metric, one, variable) for one in products}
    order = sorted(
        (one for one in products if np.isfinite(values[one])), key=lambda one: metric.distance(values[one])
    )
    ranked = []
    for place, product in enumerate(order):
        p_value = np.nan
        if place:
            at = {"one": product, "other": order[place - 1], "metric": metric.name, "variable": variable}
            p_value = comparison.pairs["p_value"].sel(at).item()
        ranked.append((product, values[product], p_value))
    return ranked


def verdict(comparison: Comparison, metric: Metric, variable: str) -> str:
    """Say who is ahead, and whether by more than chance."""
    ranked = ranking(comparison, metric, variable)
    if len(ranked) < 2:
        return f"{variable}: {metric.name} is not defined for two products."
    (best, value, _), (second, other, p_value), *_ = ranked
    unit = comparison.scores["metric_units"].sel(metric=metric.name, variable=variable).item()
    numbers = f"{metric.name} {value:.3g} against {other:.3g} {style.pretty_unit(unit)}".strip()
    if not np.isfinite(p_value):
        how = "whether by more than chance cannot be said (intervals withheld)"
    elif p_value < LEVEL:
        how = f"by more than chance (p = {p_value:.3f})"
    else:
        how = f"but it may be chance (p = {p_value:.2f})"
    leads = f"the mean over {comparison.protocol.words.lead}s"
    return f"{variable}: {best} is ahead of {second} in {leads} ({numbers}), {how}."


def _variable(
    comparison: Comparison, variable: str, main: Metric, figures: Mapping[str, Path]
) -> dict[str, Any]:
    seeds = {one.name: len(one.experiments) for one in comparison.groups}
    units = comparison.scores["metric_units"].sel(variable=variable)
    rows = [
        {
            "product": product,
            "value": f"{value:.4g}",
            "seeds": seeds.get(product, ""),
            "p_value": f"{p_value:.3f}" if np.isfinite(p_value) else "",
            "said": "not worse" if p_value >= LEVEL else "",
            "is_model": product in seeds,
        }
        for product, value, p_value in ranking(comparison, main, variable)
    ]
    metrics = []
    for metric in sorted(comparison.metrics, key=lambda one: one.name != main.name):
        name = f"{variable}_{metric.name}"
        if f"score_{name}" in figures:
            head, table = table_of(comparison, metric, variable)
            unit = style.in_brackets(units.sel(metric=metric.name).item())
            metrics.append(
                {
                    "name": metric.name,
                    "title": f"{metric.long_name[0].upper()}{metric.long_name[1:]} ({metric.name}){unit}",
                    "head": head,
                    "rows": table,
                    "curve": picture(figures[f"score_{name}"]),
                    "skill": picture(figures[f"skill_{name}"]) if f"skill_{name}" in figures else "",
                    "pairs": picture(figures[f"pairs_{name}"]),
                }
            )
    unit = style.pretty_unit(units.sel(metric=main.name).item())
    return {"name": variable, "unit": unit, "ranking": rows, "metrics": metrics}
