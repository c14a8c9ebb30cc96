"""Strips: context, truth, forecast and difference of one sequence, frame by frame."""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from video_prediction_tools.postprocess.forecasts import ForecastFile
from video_prediction_tools.postprocess.plots import style

_MOST_COLUMNS = 12  # of longer sequences some frames are left out, and that is said
_FRAME = 0.82  # inches
_BORDER, _GAP = 0.6, 1.0  # grey and white


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
        ("context", context[before], [f"{number - len(context) + 1}" for number in before]),
        ("truth", truth[after], [f"+{number + 1}" for number in after]),
        ("forecast", forecast[after], []),
        ("difference", forecast[after] - truth[after], []),
    )
    columns = max(len(before), len(after))
    left_out = "" if columns == max(len(context), len(truth)) else "; some frames are left out"
    with matplotlib.rc_context(style.FONT):
        figure = Figure(
            figsize=(max(_FRAME * columns + 0.6, 6.4), _FRAME * len(rows) + 1.75), layout="constrained"
        )
        for axis, (name, frames, labels) in zip(figure.subplots(len(rows), 1), rows, strict=True):
            tiles, centres = _tiles(frames, columns, difference=name == "difference")
            axis.imshow(tiles, interpolation="nearest")
            axis.set_anchor("W")
            axis.set_ylabel(name, fontsize=9)
            axis.set_yticks([])
            axis.set_xticks(centres if labels else [], labels, fontsize=8)
            axis.tick_params(top=False, labeltop=True, bottom=False, labelbottom=False, length=0, pad=1)
            axis.spines[:].set_visible(False)
        below = (
            f"sequence {batch.init_times[0]}; context frames counted to 0, lead frames from +1{left_out}\n"
            "grey: 0 to 1; difference: forecast minus truth, red too bright, blue too dark"
        )
        style.head(figure, title, below, synthetic)
        style.save(figure, path)


def _chosen(number: int) -> np.ndarray:
    """Return the frames to show: all, or some at equal distances with the first and the last."""
    return np.unique(np.linspace(0, number - 1, min(number, _MOST_COLUMNS)).round().astype(int))


def _tiles(frames: np.ndarray, columns: int, difference: bool) -> tuple[np.ndarray, np.ndarray]:
    """Lay frames [n, H, W] side by side, each with a border, as colours; return also the middle of each."""
    number, height, width = frames.shape
    gap = max(2, width // 12)
    low, colours = (-1.0, style.DIFFERENCE_COLOURS) if difference else (0.0, "gray")
    painted = matplotlib.colormaps[colours](Normalize(low, 1.0, clip=True)(frames))[..., :3]
    step = width + 2 + gap
    tiles = np.full((height + 2, columns * step - gap, 3), _GAP)
    for place in range(number):
        left = place * step
        tiles[:, left : left + width + 2] = _BORDER
        tiles[1:-1, left + 1 : left + 1 + width] = painted[place]
    return tiles, np.arange(number) * step + (width + 1) / 2
