"""Losses on normalised frames; each is a mean over sequences, times, grid points and weighted variables."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from video_prediction_tools.datasets.channels import ALL
from video_prediction_tools.errors import InputError, did_you_mean


def variable_weights(opt_var: Sequence[str], variables: Sequence[str]) -> np.ndarray:
    """Return the weight of every variable in the loss, [C] float32 with mean 1 (0 for variables that do not count).

    Raises:
        InputError: `opt_var` names a variable that is not there.
    """
    if list(opt_var) == [ALL]:
        return np.ones(len(variables), np.float32)
    for name in opt_var:
        if name not in variables:
            raise InputError(
                "hyper-parameter opt_var",
                f"the data have no variable '{name}'",
                did_you_mean(name, [*variables, ALL]),
            )
    chosen = np.array([name in opt_var for name in variables], np.float32)
    return chosen / chosen.mean()


def reconstruction_loss(kind: str, forecast: Any, truth: Any, weights: np.ndarray) -> Any:
    """Return the mean loss of [B, T, H, W, C] arrays as a float32 scalar.

    Arguments:
        kind: ``mse``, ``mae``, or ``huber`` (quadratic below an error of 1, linear above; Huber 1964).
        weights: [C], see `variable_weights`.
    """
    error = ops.cast(forecast, "float32") - ops.cast(truth, "float32")
    if kind == "mse":
        cost = ops.square(error)
    elif kind == "mae":
        cost = ops.abs(error)
    else:
        size = ops.abs(error)
        cost = ops.where(size <= 1.0, 0.5 * ops.square(error), size - 0.5)
    return ops.mean(cost * weights)
