"""Transformations of a frame: convolution with predicted kernels (CDNA), or a predicted flow."""

from typing import Any

import numpy as np
from keras import ops

RELU_SHIFT = 1e-12  # keeps the sum of a kernel above zero


def cdna_kernels(raw: Any) -> Any:
    """Make kernels that keep the mean: non-negative, of sum 1, and near the identity for small outputs of a network.

    Finn, Goodfellow & Levine (2016): Unsupervised Learning for Physical Interaction through Video Prediction,
    section 3.2 (CDNA), with the identity added as in Lee et al. (2018).

    Arguments:
        raw: [B, k, k, N], k odd.

    Returns:
        relu(raw + identity - shift) + shift, divided by its sum over the k x k points, float32.
    """
    size = raw.shape[1]
    identity = np.zeros((size, size, 1), np.float32)
    identity[size // 2, size // 2] = 1.0
    kernels = ops.relu(ops.cast(raw, "float32") + identity - RELU_SHIFT) + RELU_SHIFT
    return kernels / ops.sum(kernels, axis=(1, 2), keepdims=True)


def apply_kernels(frames: Any, kernels: Any) -> Any:
    """Convolve each sequence's frame with its own kernels; edges are reflected (so a constant frame stays).

    out[b, y, x, n, c] = sum over i, j of kernels[b, i, j, n] * frames[b, y + i - k // 2, x + j - k // 2, c]

    Arguments:
        frames: [B, H, W, C].
        kernels: [B, k, k, N].

    Returns:
        [B, H, W, N, C].
    """
    height, width, channels = frames.shape[1:]
    size, number = kernels.shape[2:]
    edge = size // 2
    padded = ops.pad(frames, ((0, 0), (edge, edge), (edge, edge), (0, 0)), mode="symmetric")
    shifted = [padded[:, i : i + height, j : j + width] for i in range(size) for j in range(size)]
    shifted = ops.reshape(ops.stack(shifted, axis=-1), (-1, height * width * channels, size * size))
    moved = ops.matmul(shifted, ops.reshape(kernels, (-1, size * size, number)))
    return ops.transpose(ops.reshape(moved, (-1, height, width, channels, number)), (0, 1, 2, 4, 3))


def warp(frames: Any, flows: Any) -> Any:
    """Move frames along flows by bilinear interpolation: out[y, x] = frames[y + dy, x + dx], held at the edges.

    Jaderberg et al. (2015): Spatial Transformer Networks, equation 5.

    Arguments:
        frames: [B, H, W, C].
        flows: [B, H, W, N, 2], dy and dx in grid points.

    Returns:
        [B, H, W, N, C].
    """
    height, width, channels = frames.shape[1:]
    number = flows.shape[3]
    rows = np.arange(height, dtype=np.float32)[:, None, None]
    columns = np.arange(width, dtype=np.float32)[None, :, None]
    row = ops.clip(ops.cast(flows[..., 0], "float32") + rows, 0.0, height - 1.0)
    column = ops.clip(ops.cast(flows[..., 1], "float32") + columns, 0.0, width - 1.0)
    # the upper left of the four neighbours, within the frame; its weights have the gradient, its index has none
    top = ops.clip(ops.floor(ops.stop_gradient(row)), 0.0, max(height - 2.0, 0.0))
    left = ops.clip(ops.floor(ops.stop_gradient(column)), 0.0, max(width - 2.0, 0.0))
    points = ops.reshape(frames, (-1, height * width, channels))

    def values(down: int, right: int) -> Any:
        index = ops.cast((top + down) * width + left + right, "int32")
        taken = ops.take_along_axis(points, ops.reshape(index, (-1, height * width * number, 1)), axis=1)
        return ops.reshape(taken, (-1, height, width, number, channels))

    down, right = (row - top)[..., None], (column - left)[..., None]
    upper = values(0, 0) * (1.0 - right) + values(0, 1) * right
    lower = values(1, 0) * (1.0 - right) + values(1, 1) * right
    return upper * (1.0 - down) + lower * down
