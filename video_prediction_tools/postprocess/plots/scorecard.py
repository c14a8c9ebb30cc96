"""Scorecard: against each baseline and at each lead time, is the model better, and by more than chance?"""

from pathlib import Path

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from video_prediction_tools.postprocess.plots import style
from video_prediction_tools.postprocess.protocol import Protocol

LEVEL = 0.05  # p-values below it count
# colour and sign, so that it reads in grey and for the colour-blind, too
STATES = {
    "better, by more than chance": ("#0072B2", "\u25b2", "white"),
    "better": ("#A9D1EA", "\u25b3", "black"),
    "worse": ("#F6CDB0", "\u25bd", "black"),
    "worse, by more than chance": ("#D55E00", "\u25bc", "white"),
    "not defined": ("#EEEEEE", "\u2013", "#555555"),
}


def state(difference: float, p_value: float) -> str:
    """Return which of `STATES` a difference is (below 0: the model is better); without a p-value it may be chance."""
    if not np.isfinite(difference) or difference == 0.0:
        return "not defined"
    beyond = ", by more than chance" if p_value < LEVEL else ""
    return ("better" if difference < 0 else "worse") + beyond


def draw_scorecard(
    scores: xr.Dataset, variable: str, path: Path, caption: str, synthetic: bool, protocol: Protocol
) -> None:
    """Draw it: a panel for each baseline, a row for each metric, a column for each lead time."""
    one = scores.sel(variable=variable)
    metrics = one["metric"].values[one["metric_units"].values != ""].tolist()
    baselines, leads = one["baseline"].values.tolist(), one["lead_time"].values
    labels = [protocol.words.label(lead).strip() for lead in leads]
    with matplotlib.rc_context(style.FONT | {"axes.spines.left": False, "axes.spines.bottom": False}):
        height = 0.3 * len(metrics) * len(baselines) + 0.45 * len(baselines) + 1.6
        figure = Figure(figsize=(8.2, height), layout="constrained")
        panels = figure.subplots(len(baselines), 1, sharex=True, squeeze=False)[:, 0]
        for axes, baseline in zip(panels, baselines, strict=True):
            for row, metric in enumerate(metrics):
                cell = one.sel(baseline=baseline, metric=metric)
                both = zip(cell["difference"].values, cell["difference_p_value"].values, strict=True)
                for column, (difference, p_value) in enumerate(both):
                    colour, sign, ink = STATES[state(difference, p_value)]
                    axes.add_patch(
                        Rectangle(
                            (column - 0.5, row - 0.5),
                            1,
                            1,
                            facecolor=colour,
                            edgecolor="white",
                            linewidth=1.5,
                        )
                    )
                    axes.text(column, row, sign, color=ink, ha="center", va="center", fontsize=9)
            axes.set(xlim=(-0.5, len(leads) - 0.5), ylim=(len(metrics) - 0.5, -0.5))
            axes.set_yticks(range(len(metrics)), metrics)
            axes.set_xticks(range(len(leads)), labels)
            axes.tick_params(length=0, labelsize=9)
            axes.set_title(f"against {baseline}", loc="left", fontsize=9.5)
        panels[-1].set_xlabel(protocol.words.lead)
        handles = [
            Patch(facecolor=colour, label=f"{sign} {name}") for name, (colour, sign, _) in STATES.items()
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
        title = f"Where {scores['product'].values[0]} is ahead, {variable}"
        style.head(
            figure, title, f"{caption}\nby more than chance: paired p-value below {LEVEL:g}", synthetic
        )
        style.save(figure, path)
