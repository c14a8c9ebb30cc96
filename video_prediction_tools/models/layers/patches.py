"""Space to depth and back: patches of grid points become channels, so that a layer sees a coarser grid."""

from typing import Any

from keras import ops

from video_prediction_tools.models.layers.reflection import reflect_to_multiple


def to_patches(frames: Any, size: int) -> Any:
    """Fold patches of `size` x `size` points into channels; edges are padded by reflection to a multiple of `size`.

    Arguments:
        frames: [..., H, W, C].

    Returns:
        [..., ceil(H/size), ceil(W/size), size*size*C].
    """
    if size == 1:
        return frames
    *lead, height, width, channels = frames.shape
    flat = reflect_to_multiple(ops.reshape(frames, (-1, height, width, channels)), size)
    rows, columns = flat.shape[1] // size, flat.shape[2] // size
    cells = ops.reshape(flat, (-1, rows, size, columns, size, channels))
    cells = ops.transpose(cells, (0, 1, 3, 2, 4, 5))
    return ops.reshape(cells, (-1, *lead[1:], rows, columns, size * size * channels))


def from_patches(patches: Any, size: int, height: int, width: int) -> Any:
    """Unfold channels into patches and crop to `height` x `width`: the inverse of `to_patches`.

    Arguments:
        patches: [B, h, w, size*size*C].

    Returns:
        [B, height, width, C].
    """
    if size == 1:
        return patches
    _, rows, columns, depth = patches.shape
    channels = depth // (size * size)
    cells = ops.reshape(patches, (-1, rows, columns, size, size, channels))
    cells = ops.transpose(cells, (0, 1, 3, 2, 4, 5))
    return ops.reshape(cells, (-1, rows * size, columns * size, channels))[:, :height, :width]
