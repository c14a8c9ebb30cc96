"""Errors by parts: by hour of the day, and of land, sea and sub-regions."""

from pathlib import Path

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from video_prediction_tools.postprocess.forecasts import standard_names
from video_prediction_tools.postprocess.plots import style

_REGIONS = ("#009E73", "#0072B2", "#E69F00", "#CC79A7", "#D55E00", "#56B4E9")
_MARKERS = "osD^vP"


def draw_parts(scores: xr.Dataset, variable: str, path: Path, caption: str, synthetic: bool) -> None:
    """Draw rmse by hour of the day at the last lead hour, all products, and by lead hour for each region, the model.

    Arguments:
        scores: with the arrays of `breakdown.breakdown`, rmse among them.
        variable: short name.
        path: of the PNG.
        caption: what the scores are made of.
        synthetic: mark the figure.
    """
    one = scores.sel(variable=variable, parted_metric="rmse")
    kinds = one["group_kind"].values
    by_hour, by_region = one.isel(group=kinds == "hour"), one.isel(group=kinds == "region")
    unit = style.in_brackets(str(one["units"].values))
    with matplotlib.rc_context(style.FONT):
        columns = 2 if by_region.sizes["group"] else 1
        figure = Figure(figsize=(5.2 * columns, 4.6), layout="constrained")
        panels = figure.subplots(1, columns, sharey=True, squeeze=False)[0]
        last = by_hour.isel(lead_time=-1)
        hours = [int(name) for name in last["group"].values]
        for product in one["product"].values.tolist():
            values = last["group_value"].sel(product=product).values
            if np.isfinite(values).any():
                panels[0].plot(hours, values, label=product, markersize=4, **style.of_product(product))
        panels[0].set(
            xlabel="hour of the valid time [UTC]",
            ylabel=f"rmse{unit}",
            title=f"by hour of the day, at +{last['lead_time'].item():g} h",
            ylim=(0.0, None),
        )
        panels[0].xaxis.set_major_locator(MultipleLocator(6))
        panels[0].legend(frameon=False, fontsize=8)
        if columns == 2:
            model = by_region.isel(product=0)
            for number, region in enumerate(model["group"].values.tolist()):
                line = {"color": _REGIONS[number % 6], "marker": _MARKERS[number % 6], "markersize": 4}
                at = model.sel(group=region)
                panels[1].plot(at["lead_time"], at["group_value"], label=region, **line)
                panels[1].fill_between(
                    at["lead_time"],
                    at["group_ci_low"],
                    at["group_ci_high"],
                    color=line["color"],
                    alpha=0.15,
                    linewidth=0,
                )
            panels[1].set(xlabel="lead time [hours]", title=f"by region, {model['product'].item()}")
            panels[1].legend(frameon=False, fontsize=8)
        for axes in panels:
            axes.grid(color="0.9", linewidth=0.8)
            axes.set_axisbelow(True)
        style.head(
            figure, f"Where and when it errs, {standard_names(variable)[1]} ({variable})", caption, synthetic
        )
        style.save(figure, path)
