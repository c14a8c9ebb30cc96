"""An animation (GIF) of some sequences: context, then truth beside forecast."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from video_prediction_tools.postprocess.forecasts import ForecastFile
from video_prediction_tools.postprocess.plots.gif import write_gif

_SIDE = 192  # pixels of a panel, at least (small frames are shown several pixels a pixel)
_GAP, _LINE = 12, 26
_MILLISECONDS = 250
_TEXT, _SOFT, _PAPER, _SYNTHETIC = (28, 39, 51), (90, 103, 117), (255, 255, 255), (176, 0, 32)


def write_animation(
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
        places: place of each sequence in it, by the words for it.
        variable: name of the channel.
        model: name of the model.
        path: of the GIF.
        synthetic: mark it.
    """
    channel = forecasts.grid.variables.index(variable)
    rows = {}
    for case, place in places.items():
        forecast, truth, batch = forecasts.read(slice(place, place + 1))
        context, truth, forecast = (one[0, ..., channel] for one in (batch.context, truth, forecast))
        rows[f"{case}, sequence {batch.init_times[0]}"] = (
            np.concatenate([context, truth]),
            np.concatenate([context, forecast]),
        )
    pictures = list(_pictures(rows, len(context), model, forecasts.members_clause, synthetic))
    write_gif(pictures, path, _MILLISECONDS)


def _pictures(
    rows: Mapping[str, tuple[np.ndarray, np.ndarray]],
    context_frames: int,
    model: str,
    what: str,
    synthetic: bool,
) -> Iterator[Image.Image]:
    """Draw one picture for each frame; `rows` holds truth and forecast [Tc+Tl, H, W] of each sequence.

    `what` says in words which forecast of an ensemble it is.
    """
    frames, height, width = next(iter(rows.values()))[0].shape
    scale = max(1, _SIDE // max(height, width))
    panel = (width * scale, height * scale)
    size = (2 * panel[0] + 3 * _GAP, len(rows) * (panel[1] + 2 * _LINE) + _LINE + 2 * _GAP)
    font = ImageFont.load_default(size=14)
    for frame in range(frames):
        picture = Image.new("RGB", size, _PAPER)
        draw = ImageDraw.Draw(picture)
        lead = frame - context_frames + 1
        when = (
            f"lead frame {lead} of {frames - context_frames}{what}" if lead > 0 else f"context frame {lead}"
        )
        draw.text((_GAP, 6), when, fill=_TEXT, font=font)
        if synthetic:
            draw.text((size[0] - _GAP, 6), "SYNTHETIC DATA", fill=_SYNTHETIC, font=font, anchor="ra")
        heads = ("truth", model) if lead > 0 else ("context", "context")
        for row, (name, sides) in enumerate(rows.items()):
            top = _LINE + _GAP + row * (panel[1] + 2 * _LINE)
            draw.text((_GAP, top), name, fill=_TEXT, font=font)
            for column, (values, head) in enumerate(zip(sides, heads, strict=True)):
                left = _GAP + column * (panel[0] + _GAP)
                draw.text((left, top + _LINE - 6), head, fill=_SOFT, font=font)
                grey = Image.fromarray(np.rint(255 * np.clip(values[frame], 0.0, 1.0)).astype(np.uint8))
                picture.paste(grey.resize(panel, Image.Resampling.NEAREST), (left, top + 2 * _LINE - 8))
        yield picture
