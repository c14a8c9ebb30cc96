"""An animation (GIF) of some forecasts of weather: truth, forecast and difference from hour to hour."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from video_prediction_tools.postprocess.forecasts import ForecastFile
from video_prediction_tools.postprocess.plots import style
from video_prediction_tools.postprocess.plots.gif import write_gif
from video_prediction_tools.postprocess.plots.maps import PROJECTION, Fields3, compare

_MILLISECONDS = 600
_DPI = 80


def write_map_animation(
    forecasts: ForecastFile,
    places: Mapping[str, int],
    variable: str,
    model: str,
    path: Path,
    synthetic: bool,
) -> None:
    """Write the animation, whole or not at all; equal inputs give equal bytes.

    Arguments:
        forecasts: the file.
        places: number of each init_time in it, by the words for it.
        variable: short name.
        model: name of the model.
        path: of the GIF.
        synthetic: mark it.
    """
    channel = forecasts.grid.variables.index(variable)
    cases, begun = {}, []
    for case, place in places.items():
        forecast, truth, batch = forecasts.read(slice(place, place + 1))
        begun.append(f"{case}: from {style.utc(batch.init_times[0])}")
        cases[case] = (forecast[0, ..., channel], truth[0, ..., channel], batch.valid_times[0])
    pictures = []
    for lead, hours in enumerate(forecasts.lead_hours):
        rows = {
            f"{case}\n{style.utc(valid[lead]).replace(' ', chr(10), 1)}": Fields3(forecast, truth, lead)
            for case, (forecast, truth, valid) in cases.items()
        }
        with matplotlib.rc_context(style.FONT):
            figure = compare(forecasts.grid, variable, rows)
            below = f"{'; '.join(begun)}\n{PROJECTION}"
            title = f"{model}{forecasts.members_clause}; {variable}, +{hours:g} h"
            style.head(figure, title, below, synthetic)
            figure.set_dpi(_DPI)
            canvas = FigureCanvasAgg(figure)
            canvas.draw()
        pictures.append(Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy()))
    # one table of colours for all, so that nothing flickers, from the first and the last
    both = Image.fromarray(np.concatenate([np.asarray(pictures[0]), np.asarray(pictures[-1])]))
    table = both.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    pictures = [one.quantize(palette=table, dither=Image.Dither.NONE) for one in pictures]
    write_gif(pictures, path, _MILLISECONDS)
