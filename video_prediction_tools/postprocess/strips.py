"""Strips: context, truth, forecast and difference of one sequence, frame by frame."""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from video_prediction_tools.postprocess import style
from video_prediction_tools.postprocess.forecasts import ForecastFile

_MOST_COLUMNS = 12  # of longer sequences some frames are left out, and that is said
_PANEL = 0.82  # inches


def draw_strip(
    forecasts: ForecastFile, place: int, variable: str, title: str, path: Path, synthetic: bool
) -> None:
    """Draw one sequence: a row each of context, truth, forecast, and forecast minus truth.

    Arguments:
        forecasts: the file.
        place: place of the sequence in it.
        variable: name of the channel.
        title: which case it is, in words.
        path: of the PNG.
        synthetic: mark the figure.
    """
    channel = forecasts.grid.variables.index(variable)
    forecast, truth, batch = forecasts.read(slice(place, place + 1))
    context, truth, forecast = (one[0, ..., channel] for one in (batch.context, truth, forecast))
    before, after = _chosen(len(context)), _chosen(len(truth))
    rows = (
        ("context", context[before], [f"{number - len(context) + 1:d}" for number in before]),
        ("truth", truth[after], [f"+{number + 1:d}" for number in after]),
        ("forecast", forecast[after], []),
        ("difference", forecast[after] - truth[after], []),
    )
    columns = max(len(before), len(after))
    with matplotlib.rc_context(style.FONT):
        figure = Figure(figsize=(_PANEL * columns + 1.0, _PANEL * len(rows) + 1.6), layout="compressed")
        axes = figure.subplots(len(rows), columns, squeeze=False)
        for axis in axes.flat:
            axis.set_axis_off()
        for row, (name, frames, labels) in enumerate(rows):
            difference = name == "difference"
            for column, frame in enumerate(frames):
                axis = axes[row, column]
                axis.set_axis_on()
                axis.set(xticks=[], yticks=[])
                axis.spines[:].set(visible=True, color="0.6", linewidth=0.6)
                axis.imshow(
                    frame,
                    cmap=style.DIFFERENCE_COLOURS if difference else "gray",
                    vmin=-1.0 if difference else 0.0,
                    vmax=1.0,
                    interpolation="nearest",
                )
                if labels:
                    axis.set_title(labels[column], fontsize=8, pad=2)
            axes[row, 0].set_ylabel(name, fontsize=9)
        left_out = "" if columns == max(len(context), len(truth)) else "; some frames are left out"
        below = (
            f"sequence {batch.init_times[0]}; context frames counted to 0, lead frames from +1{left_out}; "
            "grey 0 to 1; difference: red too bright, blue too dark"
        )
        style.head(figure, title, below, synthetic)
        style.save(figure, path)


def _chosen(number: int) -> np.ndarray:
    """Return the frames to show: all, or some at equal distances with the first and the last."""
    return np.unique(np.linspace(0, number - 1, min(number, _MOST_COLUMNS)).round().astype(int))
