"""How all plots look: colours for colour-blind readers too, units, times, the mark of synthetic data."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from video_prediction_tools.metadata.files import whole_file
from video_prediction_tools.postprocess.protocol import Protocol

DPI = 130
FONT = {
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.labelsize": 10,
    "legend.fontsize": 9,
    "figure.dpi": DPI,
    "font.family": "DejaVu Sans",
    "axes.spines.top": False,
    "axes.spines.right": False,
}

# Okabe and Ito (2008), "Color Universal Design"; line styles and markers tell the lines apart in print as
# well
MODEL = {"color": "#0072B2", "linestyle": "-", "marker": "o", "linewidth": 2.4, "zorder": 5}
PRODUCTS = {
    "persistence": {"color": "#D55E00", "linestyle": "--", "marker": "s"},
    "persistence_24h": {"color": "#009E73", "linestyle": "-.", "marker": "^"},
    "climatology": {"color": "#7F7F7F", "linestyle": ":", "marker": "D"},
    "mean_frame": {"color": "#7F7F7F", "linestyle": ":", "marker": "D"},
    "black_frame": {"color": "#000000", "linestyle": "-.", "marker": "^"},
    "linear_regression": {"color": "#CC79A7", "linestyle": (0, (5, 1, 1, 1, 1, 1)), "marker": "v"},
}
# several models side by side: Tol's "muted" and "bright" (2021), for colour-blind readers
MODELS = (
    "#0072B2",
    "#AA3377",
    "#228833",
    "#EE6677",
    "#882255",
    "#66CCEE",
    "#BBAA00",
    "#332288",
    "#CC6677",
    "#117733",
)
_MARKERS = "oPXv<>*hdp"
FIELD_COLOURS, DIFFERENCE_COLOURS = "viridis", "RdBu_r"

_RAISED = str.maketrans("-0123456789", "\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")

# maps are drawn in the unit that forecasters read; scores stay in the unit of the data
_MAP_UNITS = {"Pa": ("hPa", 0.01)}


def of_product(product: str) -> dict:
    """Return the line style of a product: the model has one of its own."""
    return PRODUCTS.get(product, MODEL)


def of_products(products: Sequence[str]) -> dict[str, dict]:
    """Return the line styles of products among which are several models: each of these has a colour and a marker."""
    models = [one for one in products if one not in PRODUCTS]
    if len(models) < 2:
        return {one: of_product(one) for one in products}
    styles = {
        model: MODEL
        | {
            "color": MODELS[number % len(MODELS)],
            "marker": _MARKERS[number % len(_MARKERS)],
            "linewidth": 2.0,
        }
        for number, model in enumerate(models)
    }
    return {one: styles.get(one) or PRODUCTS[one] | {"alpha": 0.7} for one in products}


def map_unit(unit: str) -> tuple[str, float]:
    """Return the unit of a map and the factor from the data's unit to it."""
    return _MAP_UNITS.get(unit, (unit, 1.0))


def pretty_unit(unit: str) -> str:
    """Write a unit for print: ``K2`` and ``m s-1`` with raised exponents, ``1`` as an empty text."""
    if unit == "1":
        return ""
    return re.sub(r"(?<=[A-Za-z)])-?\d+", lambda power: power[0].translate(_RAISED), unit)


def in_brackets(unit: str) -> str:
    """Return `` [unit]`` for an axis label, or nothing for a number without unit."""
    return f" [{pretty_unit(unit)}]" if pretty_unit(unit) else ""


def utc(time: int, to: str = "m") -> str:
    """Write seconds since 1970 as ``2019-03-25 09:00 UTC``."""
    return np.datetime_as_string(np.datetime64(int(time), "s"), unit=to).replace("T", " ") + " UTC"


def sample(split: str, starts: Sequence[int], protocol: Protocol) -> str:
    """Say in a line what scores are made of.

    Arguments:
        split: name of the split.
        starts: `init_time` of all forecasts, seconds since 1970 (of a protocol without times: their numbers).
        protocol: of the scores.
    """
    said = f"{split} split, {len(starts)} {protocol.words.start}s"
    return f"{said}, {utc(starts[0])} to {utc(starts[-1])}" if protocol.layout.has_times else said


def leave_room(figure: Figure, inches: float, synthetic: bool) -> float:
    """Keep the layout out of the top of a figure; the mark of synthetic data gets a strip of its own there.

    Returns:
        where the room for headings begins, in inches from the top.
    """
    strip = 0.3 if synthetic else 0.0
    height = figure.get_figheight()
    figure.get_layout_engine().set(rect=(0.0, 0.0, 1.0, 1.0 - (inches + strip) / height))
    if synthetic:
        figure.text(
            0.995,
            1.0 - 0.05 / height,
            "SYNTHETIC DATA",
            ha="right",
            va="top",
            color="white",
            fontsize=10,
            fontweight="bold",
            bbox={"facecolor": "#B00020", "edgecolor": "none", "boxstyle": "square,pad=0.3"},
        )
    return strip


def head(figure: Figure, title: str, below: str, synthetic: bool) -> None:
    """Write the title and smaller lines below it, into room that the layout leaves free at the top."""
    room = 0.62 + 0.17 * below.count("\n")
    start, height = leave_room(figure, room, synthetic), figure.get_figheight()
    figure.text(
        0.012, 1.0 - (start + 0.07) / height, title, ha="left", va="top", fontsize=11, fontweight="bold"
    )
    figure.text(0.012, 1.0 - (start + 0.35) / height, below, ha="left", va="top", fontsize=8.5, color="0.3")


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole or not at all, without anything that differs from run to run."""
    FigureCanvasAgg(figure)
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})
