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


def almost_fair_crps(ensemble: Any, truth: Any, fairness: float, weights: np.ndarray) -> tuple[Any, Any]:
    """Return the mean CRPS of an ensemble, and its spread (mean distance of two members), as float32 scalars.

    Lang et al. (2024), AIFS-CRPS, equation 4: a mixture of the fair CRPS (Ferro 2014) and that of the members as they
    are; the former alone does not care where one member is when another one is the truth.

    Arguments:
        ensemble: [M, B, T, H, W, C], M at least 2.
        truth: [B, T, H, W, C].
        fairness: 1: the fair CRPS; 0: that of the members as they are.
        weights: [C], see `variable_weights`.
    """
    ensemble, truth = ops.cast(ensemble, "float32"), ops.cast(truth, "float32")
    members = ensemble.shape[0]
    error = ops.mean(ops.abs(ensemble - truth[None]) * weights)
    # the distances of a member to those that lie 1, 2, .. places behind it, around the circle
    distances = [
        ops.mean(ops.abs(ensemble - ops.roll(ensemble, shift, axis=0)) * weights)
        for shift in range(1, members)
    ]
    spread = sum(distances) / (members - 1)
    return error - 0.5 * (1.0 - (1.0 - fairness) / members) * spread, spread
