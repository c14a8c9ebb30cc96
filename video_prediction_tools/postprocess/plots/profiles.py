"""Spectra, rank histograms and reliability diagrams of the model's forecasts."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter, ScalarFormatter

from video_prediction_tools.postprocess.conditional_quantiles import FEWEST
from video_prediction_tools.postprocess.forecasts import standard_names
from video_prediction_tools.postprocess.metrics.errors import squared
from video_prediction_tools.postprocess.plots import style

# of several lead times, from the first to the last
_LEADS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")
_LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))


def _line(number: int) -> dict:
    return {
        "color": _LEADS[number % len(_LEADS)],
        "linestyle": _LINES[number % len(_LINES)],
        "linewidth": 1.8,
    }


def draw_spectrum(
    scores: xr.Dataset, variable: str, leads: Sequence[int], path: Path, caption: str, synthetic: bool
) -> None:
    """Draw power by wavelength of forecast and truth, and below it their ratio.

    Arguments:
        scores: with `spectrum` and `spectrum_truth`.
        variable: short name.
        leads: numbers of the lead times.
        path: of the PNG.
        caption: what the scores are made of.
        synthetic: mark the figure.
    """
    one = scores.sel(variable=variable)
    lengths, unit = one["wavelength"].values, str(one["units"].values)
    with matplotlib.rc_context(style.FONT):
        figure = Figure(figsize=(7.6, 6.4), layout="constrained")
        power, ratio = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        truth = one["spectrum_truth"].mean("lead_time").values
        power.loglog(lengths, truth, color="black", linewidth=2.2, label="truth")
        for number, lead in enumerate(leads):
            at = one.isel(lead_time=lead)
            label = f"forecast, +{at['lead_time'].item():g} h"
            power.loglog(lengths, at["spectrum"], label=label, **_line(number))
            ratio.semilogx(
                lengths,
                at["spectrum"] / at["spectrum_truth"].where(at["spectrum_truth"] > 0.0),
                **_line(number),
            )
        ratio.axhline(1.0, color="0.3", linewidth=1.0)
        ratio.set(xlabel="wavelength [km]", ylabel="forecast / truth", ylim=(0.0, None))
        power.set_ylabel(f"variance{style.in_brackets(squared(unit))}")
        ratio.invert_xaxis()
        ratio.xaxis.set_major_formatter(ScalarFormatter())
        ratio.xaxis.set_minor_formatter(NullFormatter() if len(lengths) > 6 else ScalarFormatter())
        for axes in (power, ratio):
            axes.grid(color="0.9", linewidth=0.8)
            axes.set_axisbelow(True)
        power.legend(frameon=False)
        style.head(
            figure, f"Power by wavelength, {standard_names(variable)[1]} ({variable})", caption, synthetic
        )
        style.save(figure, path)


def draw_rank_histogram(
    scores: xr.Dataset, variable: str, leads: Sequence[int], path: Path, caption: str, synthetic: bool
) -> None:
    """Draw how often the truth has each rank among the members; arguments as for `draw_spectrum`."""
    one = scores.sel(variable=variable)
    ranks = one["rank"].values
    with matplotlib.rc_context(style.FONT):
        figure = Figure(figsize=(2.9 * len(leads) + 0.6, 3.7), layout="constrained")
        panels = figure.subplots(1, len(leads), sharey=True, squeeze=False)[0]
        for axes, lead in zip(panels, leads, strict=True):
            at = one.isel(lead_time=lead)
            axes.bar(ranks, at["rank_histogram"], width=0.9, color=style.MODEL["color"])
            axes.axhline(1.0 / len(ranks), color="black", linestyle="--", linewidth=1.2)
            axes.set_title(f"+{at['lead_time'].item():g} h", loc="left")
            axes.set_xlabel("members below the truth")
            axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
        panels[0].set_ylabel("share of cases")
        title = f"Rank of the truth, {standard_names(variable)[1]} ({variable})"
        below = f"{caption}\ndashed: reliable; high at both ends: the ensemble is too narrow; high at one end: biased"
        style.head(figure, title, below, synthetic)
        style.save(figure, path)


def draw_reliability(
    scores: xr.Dataset, variable: str, leads: Sequence[int], path: Path, caption: str, synthetic: bool
) -> None:
    """Draw the observed frequency of frost by its forecast probability; arguments as for `draw_spectrum`.

    A probability that was forecast less than `FEWEST` times has no frequency.
    """
    one = scores.sel(variable=variable)
    cases = scores.sizes["init_time"] * scores.sizes["lat"] * scores.sizes["lon"]
    probability = one["probability"].values
    with matplotlib.rc_context(style.FONT):
        figure = Figure(figsize=(6.2, 6.6), layout="constrained")
        axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        axes.plot([0, 1], [0, 1], color="0.3", linewidth=1.0)
        for number, lead in enumerate(leads):
            at = one.isel(lead_time=lead)
            share, with_frost = at["frost_probability"].values, at["frost_probability_with_frost"].values
            frequency = with_frost / np.where(share * cases >= FEWEST, share, np.nan)
            label = f"+{at['lead_time'].item():g} h"
            axes.plot(probability, frequency, marker="o", markersize=4.5, label=label, **_line(number))
            below.semilogy(
                probability, np.where(share > 0.0, share, np.nan), marker="o", markersize=3, **_line(number)
            )
        axes.set(ylabel="observed frequency of frost", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        below.set(xlabel="forecast probability of frost (share of members)", ylabel="share of cases")
        for each in (axes, below):
            each.grid(color="0.9", linewidth=0.8)
            each.set_axisbelow(True)
        axes.legend(frameon=False, title="lead time")
        title = f"Reliability of frost (below 273.15 K), {standard_names(variable)[1]} ({variable})"
        style.head(figure, title, caption, synthetic)
        style.save(figure, path)
