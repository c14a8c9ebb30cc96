"""Plots of a comparison: score curves of all products, skill, and who is ahead of whom."""

import textwrap
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from video_prediction_tools.meta_postprocess.comparison import Comparison
from video_prediction_tools.postprocess.metrics.metric import Metric
from video_prediction_tools.postprocess.plots import style
from video_prediction_tools.postprocess.plots.curves import draw_curves
from video_prediction_tools.postprocess.plots.scorecard import LEVEL, STATES, state


def draw_figures(comparison: Comparison, directory: Path, caption: str, synthetic: bool) -> dict[str, Path]:
    """Draw all plots; returns their paths by file name without suffix: ``score_``, ``skill_`` and ``pairs_``, each with
    variable and metric."""
    scores = comparison.scores
    paths = draw_curves(scores, directory, caption, synthetic, comparison.protocol)
    for variable in scores["variable"].values.tolist():
        for metric in comparison.metrics:
            if not scores["metric_units"].sel(metric=metric.name, variable=variable).item():
                continue  # not defined for this variable
            if np.isfinite(comparison.skill.sel(metric=metric.name, variable=variable)).any():
                paths.append(directory / f"skill_{variable}_{metric.name}.png")
                _skill(comparison, metric, variable, caption, synthetic, paths[-1])
            paths.append(directory / f"pairs_{variable}_{metric.name}.png")
            _pairs(comparison, metric, variable, caption, synthetic, paths[-1])
    return {path.stem: path for path in paths}


def _skill(
    comparison: Comparison, metric: Metric, variable: str, caption: str, synthetic: bool, path: Path
) -> None:
    skill = comparison.skill.sel(metric=metric.name, variable=variable)
    products = [one for one in skill["product"].values.tolist() if one != comparison.baseline]
    styles = style.of_products(products)
    lead = skill["lead_time"].values
    with matplotlib.rc_context(style.FONT):
        figure = Figure(figsize=(7.6, 4.8), layout="constrained")
        axes = figure.add_subplot()
        for product in products:
            values = skill.sel(product=product).values
            if np.isfinite(values).any():  # what is not defined is no number, and no point
                axes.plot(lead, values, label=product, markersize=4.5, **styles[product])
        axes.axhline(0.0, color="0.3", linewidth=1.0)
        axes.set(
            xlabel=comparison.protocol.words.axis,
            ylabel=f"skill of {metric.name} against {comparison.baseline}",
        )
        axes.set_ylim(top=1.02)
        if axes.get_ylim()[0] < -2.0:
            axes.set_ylim(bottom=-2.0)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True))
        axes.grid(color="0.9", linewidth=0.8)
        axes.set_axisbelow(True)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
        below = f"{caption}\n1: perfect, 0: as good as {comparison.baseline}, below: worse (cut off at -2)"
        style.head(figure, f"Skill, {metric.name} of {variable}", below, synthetic)
        style.save(figure, path)


def _pairs(
    comparison: Comparison, metric: Metric, variable: str, caption: str, synthetic: bool, path: Path
) -> None:
    pairs = comparison.pairs.sel(metric=metric.name, variable=variable)
    products = pairs["one"].values.tolist()
    with matplotlib.rc_context(style.FONT | {"axes.spines.left": False, "axes.spines.bottom": False}):
        side = 0.62 * len(products)
        figure = Figure(figsize=(side + 3.4, side + 2.6), layout="constrained")
        axes = figure.add_subplot()
        for row, one in enumerate(products):
            for column, other in enumerate(products):
                if row == column:
                    continue
                cell = pairs.sel(one=one, other=other)
                p_value = cell["p_value"].item()
                colour, sign, ink = STATES[state(cell["difference"].item(), p_value)]
                axes.add_patch(
                    Rectangle(
                        (column - 0.5, row - 0.5), 1, 1, facecolor=colour, edgecolor="white", linewidth=1.5
                    )
                )
                said = f"{sign}\n{p_value:.3f}" if np.isfinite(p_value) else sign
                axes.text(column, row, said, color=ink, ha="center", va="center", fontsize=7.5)
        axes.set(xlim=(-0.5, len(products) - 0.5), ylim=(len(products) - 0.5, -0.5))
        axes.set_yticks(range(len(products)), products)
        axes.set_xticks(range(len(products)), products, rotation=40, ha="right")
        axes.tick_params(length=0)
        lead = f"mean over {comparison.protocol.words.lead}s"
        below = textwrap.fill(caption, 12 + 9 * len(products)) + (
            "\n\u25b2 \u25b3: the row is better than the column, \u25bc \u25bd: worse"
            f"\nfilled: p below {LEVEL:g}; number: p"
        )
        style.head(figure, f"Who is ahead of whom, {metric.name} of {variable}, {lead}", below, synthetic)
        style.save(figure, path)
