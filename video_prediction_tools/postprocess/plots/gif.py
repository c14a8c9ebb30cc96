"""Pictures as an animation (GIF)."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from video_prediction_tools.metadata.files import whole_file

_AT_THE_END = 1500  # milliseconds


def write_gif(pictures: Sequence[Image.Image], path: Path, milliseconds: int) -> None:
    """Write an endless animation, whole or not at all; its last picture stays longer.

    Arguments:
        pictures: one or more.
        path: of the GIF.
        milliseconds: that each picture is shown.
    """
    first, *others = pictures
    durations = [milliseconds] * len(others) + [_AT_THE_END]
    with whole_file(path) as temporary:
        first.save(temporary, format="GIF", save_all=True, append_images=others, duration=durations, loop=0)
