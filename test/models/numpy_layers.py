"""Layers written in numpy, in double precision, for tests of the models' layers."""

import math

import numpy as np


def sigmoid(x):
    """Return the logistic function."""
    return 1 / (1 + np.exp(-x))


def gelu(x):
    """Return x times the standard normal distribution function of x."""
    return x * np.vectorize(lambda value: 0.5 * (1 + math.erf(value / math.sqrt(2))))(x)


def shifted(x, size, dilation=1):
    """Yield (row, column, x as a kernel of `size` sees it there); zeros beyond the edges."""
    reach = dilation * (size - 1) // 2
    height, width = x.shape[1:3]
    padded = np.pad(x, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    for row in range(size):
        for column in range(size):
            top, left = row * dilation, column * dilation
            yield row, column, padded[:, top : top + height, left : left + width]


def convolution(x, kernel, bias=0.0):
    """Convolve x [B, h, w, C] with a kernel [size, size, C, F]."""
    return bias + sum(seen @ kernel[row, column] for row, column, seen in shifted(x, len(kernel)))


def depthwise(x, kernel, bias=0.0, dilation=1):
    """Convolve each channel of x [B, h, w, C] by itself with a kernel [size, size, C, 1]."""
    seen = shifted(x, len(kernel), dilation)
    return bias + sum(part * kernel[row, column, :, 0] for row, column, part in seen)


def group_norm(x, scale, shift, groups=1, epsilon=1e-3):
    """Normalise x [B, h, w, C] over the grid and the channels of each group."""
    parts = np.split(x, groups, axis=-1)
    normal = [
        (part - part.mean((1, 2, 3), keepdims=True)) / np.sqrt(part.var((1, 2, 3), keepdims=True) + epsilon)
        for part in parts
    ]
    return np.concatenate(normal, axis=-1) * scale + shift
