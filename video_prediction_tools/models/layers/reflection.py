"""Grids made larger by reflection, where a layer needs a multiple of some number of points."""

from typing import Any

from keras import ops


def reflect_edges(frames: Any, rows: int, columns: int) -> Any:
    """Add rows below and columns to the right: the last ones, backwards (the edge itself comes first).

    Arguments:
        frames: [..., H, W, C].
        rows, columns: how many; at most H and W.

    Returns:
        [..., H + rows, W + columns, C].
    """
    kept = [(0, 0)] * (len(frames.shape) - 3)
    return ops.pad(frames, (*kept, (0, rows), (0, columns), (0, 0)), mode="symmetric")


def reflect_to_multiple(frames: Any, factor: int) -> Any:
    """Reflect the lower and right edges of [..., H, W, C] until H and W are multiples of `factor`."""
    height, width = frames.shape[-3:-1]
    return reflect_edges(frames, -height % factor, -width % factor)
