"""Digit-like glyphs drawn here, for machines without the files of MNIST: made up, and said to be so.

Each of 0..9 is a few strokes; each glyph is bent, slanted, stretched and drawn with a pen of its own, from a
random stream of its own. As in MNIST, a digit fills a box of 20 pixels in the middle of 28.
"""

import numpy as np

from video_prediction_tools.data_preprocess.moving_mnist.digits import Digits
from video_prediction_tools.datasets.moving_digits import DIGIT

_BOX = 20  # pixels
_TRAIN, _TEST = 3000, 500  # a twentieth of MNIST's numbers
_BEND = 0.05  # standard deviation of how far the ends of strokes lie from their places, of the box


def _arc(x: float, y: float, width: float, height: float, first: float, last: float) -> list[tuple]:
    """Return points of an ellipse around (x, y), from one angle to another (turns; 0 is right, 0.25 below)."""
    turns = 2 * np.pi * np.linspace(first, last, 9)
    return list(zip(x + width * np.cos(turns), y + height * np.sin(turns), strict=True))


# points (x to the right, y downwards, 0..1 in the box) that a pen joins, stroke by stroke
_STROKES: tuple[tuple[list[tuple], ...], ...] = (
    (_arc(0.5, 0.5, 0.32, 0.48, 0.0, 1.0),),
    ([(0.35, 0.2), (0.52, 0.02), (0.52, 0.98)],),
    ([*_arc(0.5, 0.28, 0.32, 0.26, 0.5, 1.05), (0.2, 0.97), (0.84, 0.97)],),
    (_arc(0.46, 0.26, 0.3, 0.24, 0.55, 1.2), _arc(0.46, 0.72, 0.34, 0.26, 0.75, 1.42)),
    ([(0.6, 0.02), (0.16, 0.64), (0.88, 0.64)], [(0.66, 0.34), (0.66, 0.98)]),
    ([(0.8, 0.03), (0.28, 0.03), (0.25, 0.44)], _arc(0.46, 0.68, 0.34, 0.3, 0.62, 1.4)),
    ([(0.66, 0.02), (0.3, 0.4)], _arc(0.5, 0.7, 0.3, 0.28, 0.5, 1.5)),
    ([(0.16, 0.04), (0.84, 0.04), (0.4, 0.98)],),
    (_arc(0.5, 0.25, 0.25, 0.23, 0.0, 1.0), _arc(0.5, 0.73, 0.31, 0.25, 0.0, 1.0)),
    (_arc(0.48, 0.3, 0.28, 0.27, 0.0, 1.0), [(0.76, 0.3), (0.64, 0.98)]),
)


def draw_glyphs(seed: int) -> tuple[Digits, Digits]:
    """Draw the glyphs for training and those for tests."""
    return tuple(
        Digits(
            np.stack(
                [_draw(number % 10, np.random.default_rng([seed, kind, number])) for number in range(n)]
            ),
            (np.arange(n) % 10).astype(np.uint8),
        )
        for kind, n in enumerate((_TRAIN, _TEST))
    )


def _draw(label: int, generator: np.random.Generator) -> np.ndarray:
    """Draw one glyph, uint8 ``[28, 28]``."""
    turn, slant = generator.normal(0, 0.1), generator.normal(0.05, 0.15)
    stretch = generator.uniform(0.75, 1.0, 2)
    bend = generator.normal(0, _BEND, (2, 2, 2))
    pen = generator.uniform(0.9, 1.7)  # pixels from the middle of the line to its edge
    turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    shape = turned @ np.array([[1.0, -slant], [0.0, 1.0]]) @ np.diag(stretch)
    pixels = np.stack(np.meshgrid(np.arange(DIGIT), np.arange(DIGIT)), -1)[:, :, None] - (DIGIT - 1) / 2
    nearest = np.full((DIGIT, DIGIT), np.inf)
    for stroke in _STROKES[label]:
        points = np.array(stroke)
        waves = np.stack(
            [np.sin(np.pi * points), np.cos(np.pi * points)]
        )  # bends what is near each other alike
        points = points + np.einsum("kpa,kab->pb", waves, bend)
        points = (points - 0.5) @ shape.T * _BOX
        begin, way = points[:-1], np.diff(points, axis=0)
        along = ((pixels - begin) * way).sum(-1) / (way**2).sum(-1)
        away = pixels - begin - np.clip(along, 0, 1)[..., None] * way
        nearest = np.minimum(nearest, np.sqrt((away**2).sum(-1)).min(-1))
    return np.round(255 * np.clip(pen + 0.5 - nearest, 0, 1)).astype(np.uint8)
