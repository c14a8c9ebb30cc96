"""Convolution with fewer multiplications: Winograd's minimal filtering.

Lavin & Gray (2016): Fast Algorithms for Convolutional Neural Networks, CVPR, arXiv 1509.09308. F(m x m, r x r) makes
m x m values of a convolution of width r from a tile of n x n values, n = m + r - 1, by n^2 multiplications instead of
m^2 r^2 (4 times fewer for 3 x 3, 6.25 times for 5 x 5):

    Y = A^T [(G g G^T) . (B^T d B)] A

with the kernel g, the tile d and a product `.` for each channel, which for many tiles is one product of matrices for
each of the n^2 places. A^T, G and B^T are those of Toom and Cook: with V_k the values of the powers 0 .. k-1 at n - 1
points and at infinity, A^T = V_m^T, G = V_r and B^T = V_n^-T.

The sums are the same, in another order and with larger terms between: in float32 the error is some 5 times that of an
ordinary convolution, 1e-4 of the values' deviation at most. In bfloat16 it would be 3 % (3 x 3) to 6 % (5 x 5) instead
of 0.3 %, so that it is float32 in here also where the layers around are bfloat16.
"""

import functools
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from video_prediction_tools.errors import InputError

CHOICES = ("auto", "direct", "winograd")
_WIDTHS = range(2, 8)
# where it is faster on CPUs (benchmarks/convolutions.py); of width 7 the tiles are small and take much memory
_WIDEST, _FEWEST_POINTS, _LEAST_FILTERS_TIMES_WIDTH = 6, 8, 128
_POINTS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)  # those that cost the least accuracy come first
_LARGEST_TILE = len(_POINTS) + 1


def is_chosen(choice: str, width: int, filters: int, grid: tuple[int, int], arithmetic: str) -> bool:
    """Say whether a convolution is done in this way.

    Arguments:
        choice: one of `CHOICES`; ``auto`` takes it on CPUs, where it is the faster one, in bfloat16 only if these have
            no matrix unit for that. (On GPUs the library makes such a choice itself, and products of matrices may be in
            TF32, which is too coarse for it.)
        width, filters: of the kernel, r and F.
        grid: H and W.
        arithmetic: of the layer, as in the hyper-parameter `mixed_precision`.

    Raises:
        InputError: it is asked for where it is not possible.
    """
    if choice == "winograd" and width not in _WIDTHS:
        raise InputError(
            "hyper-parameter convolution",
            f"winograd is for a kernel_size of {_WIDTHS.start} to {_WIDTHS.stop - 1}, not for {width}",
            "give auto",
        )
    if choice == "auto":
        large_enough = min(grid) >= _FEWEST_POINTS and filters * width >= _LEAST_FILTERS_TIMES_WIDTH
        faster = width in _WIDTHS and width <= _WIDEST and large_enough and not _has_unit_for(arithmetic)
        # all devices: a backend without GPUs need not know the word
        return faster and all(one.startswith("cpu") for one in keras.distribution.list_devices())
    return choice == "winograd"


def _has_unit_for(arithmetic: str) -> bool:
    """Say whether the processor has a matrix unit for it (AMX), which makes up for more multiplications than are saved.

    The instructions of AVX512-BF16 do not: direct convolutions gain 1.7 times by them, and lose many times without any.
    """
    described = Path("/proc/cpuinfo")  # Linux; others are not known to have one
    return arithmetic == "bfloat16" and described.exists() and "amx_bf16" in described.read_text()


@functools.cache
def _transforms(width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what takes outputs [m^2, n^2], kernels [n^2, r^2] and tiles [n^2, n^2] there and back, float32."""
    tile = min(4, _LARGEST_TILE + 1 - width) + width - 1

    def powers(number: int) -> np.ndarray:
        rows = [[point**power for power in range(number)] for point in _POINTS[: tile - 1]]
        return np.array([*rows, [0.0] * (number - 1) + [1.0]])

    outputs, kernels, tiles = powers(tile + 1 - width).T, powers(width), np.linalg.inv(powers(tile)).T
    # powers of two make the products alike in size, without an error
    scale = 2.0 ** np.round(np.log2(np.abs(tiles).max(axis=1, keepdims=True)))
    both = (outputs, kernels * scale, tiles / scale)
    return tuple(np.kron(one, one).astype(np.float32) for one in both)


def transformed(kernel: Any) -> Any:
    """Return a kernel [r, r, C, F] as `convolve` takes it, [n^2, C, F]."""
    width, _, channels, filters = kernel.shape
    flat = ops.reshape(kernel, (width * width, channels * filters))
    return ops.reshape(ops.matmul(_transforms(width)[1], flat), (-1, channels, filters))


def convolve(inputs: Any, kernel: Any, width: int) -> Any:
    """Convolve as `keras.ops.conv` does with padding ``same``.

    Arguments:
        inputs: [B, H, W, C], of any type.
        kernel: [n^2, C, F], float32, `transformed`.
        width: of the kernel, r.

    Returns:
        [B, H, W, F], float32.
    """
    back, _, forth = _transforms(width)
    tile = round(len(forth) ** 0.5)
    step = tile + 1 - width  # m: tiles of n overlap by r - 1
    _, height, breadth, channels = inputs.shape
    rows, columns = -(-height // step), -(-breadth // step)
    further = -(-(width - 1) // step)  # blocks of m that a tile reaches into beyond its own
    before = (width - 1) // 2
    ends = ((rows + further) * step - height - before, (columns + further) * step - breadth - before)
    blocks = ops.pad(ops.cast(inputs, "float32"), ((0, 0), (before, ends[0]), (before, ends[1]), (0, 0)))
    blocks = ops.reshape(blocks, (-1, rows + further, step, columns + further, step, channels))
    kept = [min(step, tile - number * step) for number in range(further + 1)]
    tiles = ops.concatenate([_part(blocks, 1, (k, 0), (rows, n)) for k, n in enumerate(kept)], axis=2)
    tiles = ops.concatenate([_part(tiles, 3, (k, 0), (columns, n)) for k, n in enumerate(kept)], axis=4)
    tiles = ops.reshape(ops.transpose(tiles, (2, 4, 0, 1, 3, 5)), (tile * tile, -1))
    tiles = ops.reshape(ops.matmul(forth, tiles), (tile * tile, -1, channels))
    products = ops.matmul(tiles, kernel)
    filters = products.shape[-1]
    values = ops.matmul(back, ops.reshape(products, (tile * tile, -1)))
    values = ops.reshape(values, (step, step, -1, rows, columns, filters))
    values = ops.transpose(values, (2, 3, 0, 4, 1, 5))
    values = ops.reshape(values, (-1, rows * step, columns * step, filters))
    return _part(values, 1, (0, 0), (height, breadth))


def _part(values: Any, axis: int, first: tuple[int, int], size: tuple[int, int]) -> Any:
    """Return a part of two neighbouring axes (by `slice`, whose gradient TensorFlow works out ten times as fast)."""
    shape, start = list(ops.shape(values)), [0] * len(values.shape)
    shape[axis : axis + 2], start[axis : axis + 2] = size, first
    return ops.slice(values, start, shape)
