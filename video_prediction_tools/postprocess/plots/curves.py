"""Score curves: each metric of each variable over lead hours or frames, all products, with their intervals."""

from pathlib import Path

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from video_prediction_tools.postprocess.forecasts import standard_names
from video_prediction_tools.postprocess.plots import style
from video_prediction_tools.postprocess.protocol import Protocol


def draw_curves(
    scores: xr.Dataset, directory: Path, caption: str, synthetic: bool, protocol: Protocol
) -> list[Path]:
    """Draw one figure for each variable and metric.

    Arguments:
        scores: of `scoring.score`.
        directory: where the PNGs go.
        caption: what the scores are made of (period, number, interval), for below the title.
        synthetic: mark the figures.
        protocol: how the data are judged.

    Returns:
        the files, ``score_<variable>_<metric>.png``.
    """
    paths = []
    for variable in scores["variable"].values.tolist():
        for metric in scores["metric"].values.tolist():
            path = Path(directory) / f"score_{variable}_{metric}.png"
            one = scores.sel(variable=variable, metric=metric)
            if not one["metric_units"].item():
                continue  # not defined for this variable
            with matplotlib.rc_context(style.FONT):
                style.save(_curve(one, variable, metric, caption, synthetic, protocol), path)
            paths.append(path)
    return paths


def _curve(
    one: xr.Dataset, variable: str, metric: str, caption: str, synthetic: bool, protocol: Protocol
) -> Figure:
    figure = Figure(figsize=(7.6, 4.8), layout="constrained")
    axes = figure.add_subplot()
    lead, styles = one["lead_time"].values, style.of_products(one["product"].values.tolist())
    for product in one["product"].values.tolist():
        drawn = one.sel(product=product)
        if not np.isfinite(drawn["value"]).any():
            continue  # not defined, such as acc of the climatology itself; the table says so
        line = {"linewidth": 1.8, "markersize": 4.5, **styles[product]}
        axes.fill_between(
            lead, drawn["ci_low"], drawn["ci_high"], color=line["color"], alpha=0.15, linewidth=0
        )
        axes.plot(lead, drawn["value"], label=product, **line)
    about = protocol.metrics[metric]
    unit = about.units(str(one["units"].values))
    axes.set(xlabel=protocol.words.axis, ylabel=f"{metric}{style.in_brackets(unit)}", xlim=_limits(lead))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True))
    axes.grid(color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    if about.two_sided:
        axes.axhline(about.best, color="0.3", linewidth=1.0)
    elif about.best == 1.0:
        axes.set_ylim(top=1.02)
    elif about.best == 0.0:
        axes.set_ylim(bottom=0.0)
    long_name, of_what = about.long_name, standard_names(variable)[1]
    named = of_what if of_what == variable else f"{of_what} ({variable})"
    axes.set_title(
        f"{long_name[0].upper()}{long_name[1:]}, {named}",
        loc="left",
        fontweight="bold",
        fontsize=11,
        pad=24,
    )
    axes.text(0.0, 1.02, caption, transform=axes.transAxes, fontsize=8, color="0.3", va="bottom")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    style.leave_room(figure, 0.0, synthetic)
    return figure


def _limits(lead: np.ndarray) -> tuple[float, float]:
    margin = 0.03 * (lead[-1] - lead[0]) or 0.5
    return lead[0] - margin, lead[-1] + margin
