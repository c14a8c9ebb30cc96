"""Conditional quantile plots, both factorisations."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from video_prediction_tools.postprocess.conditional_quantiles import JointHistogram, conditional_quantiles
from video_prediction_tools.postprocess.forecasts import standard_names
from video_prediction_tools.postprocess.plots import style

_COLOUR = style.MODEL["color"]


def draw_quantiles(
    histogram: JointHistogram,
    variable: str,
    unit: str,
    lead_hours: Sequence[float],
    path: Path,
    caption: str,
    synthetic: bool,
) -> None:
    """Draw a row for each lead time: the truth given the forecast, and the forecast given the truth.

    Arguments:
        histogram: of the lead times.
        variable, unit: what it is.
        lead_hours: of the rows.
        path: of the PNG.
        caption: what the plot is made of.
        synthetic: mark the figure.
    """
    with matplotlib.rc_context(style.FONT):
        figure = Figure(figsize=(8.6, 3.7 * len(lead_hours) + 1.0), layout="constrained")
        panels = figure.subplots(len(lead_hours), 2, squeeze=False, sharex=True, sharey=True)
        for row, lead in enumerate(lead_hours):
            counts = histogram.counts[row]
            for axes, one, (given, target) in (
                (panels[row, 0], counts, ("forecast", "truth")),
                (panels[row, 1], counts.T, ("truth", "forecast")),
            ):
                _panel(axes, one, histogram.edges)
                axes.set_title(f"{target} given {given}, +{lead:g} h", loc="left")
                axes.set(
                    xlabel=f"{given}{style.in_brackets(unit)}", ylabel=f"{target}{style.in_brackets(unit)}"
                )
        handles, labels = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
        title = f"Conditional quantiles, {standard_names(variable)[1]} ({variable})"
        below = f"{caption}\nleft: calibration-refinement, right: likelihood-base rate (Murphy et al. 1989)"
        style.head(figure, title, below, synthetic)
        style.save(figure, path)


def _panel(axes: Axes, counts: np.ndarray, edges: np.ndarray) -> None:
    middle, quantiles, number = conditional_quantiles(counts, edges)
    used = number > 0
    if used.any():
        span = np.flatnonzero(used)[[0, -1]]
        width = middle[1] - middle[0] if len(middle) > 1 else 1.0
        low, high = middle[span[0]] - width, middle[span[1]] + width
        axes.set_xlim(low, high)
        axes.plot([low, high], [low, high], color="0.3", linewidth=1.0, label="perfect")
        behind = axes.twinx()
        behind.bar(middle, np.where(used, number, np.nan), width=width, color="0.88")
        behind.set_yscale("log")
        behind.set_ylim(0.5, 30.0 * number.max() ** 1.5)  # low bars, below the lines
        behind.set_yticks([])
        behind.minorticks_off()
        behind.spines[:].set_visible(False)
        axes.set_zorder(behind.get_zorder() + 1)
        axes.patch.set_visible(False)
    axes.fill_between(
        middle, quantiles[:, 0], quantiles[:, 4], color=_COLOUR, alpha=0.15, linewidth=0, label="5 to 95 %"
    )
    axes.fill_between(
        middle, quantiles[:, 1], quantiles[:, 3], color=_COLOUR, alpha=0.3, linewidth=0, label="25 to 75 %"
    )
    axes.plot(
        middle,
        quantiles[:, 2],
        color=_COLOUR,
        linewidth=2.0,
        label="median (grey bars: how often, logarithmic)",
    )
