"""How long the blocks of the bootstrap are, where --block_hours does not say it."""

import math

import numpy as np
import xarray as xr

from video_prediction_tools.datasets.observations import Observations
from video_prediction_tools.postprocess.bootstrap import automatic_block_length
from video_prediction_tools.postprocess.sequences import Sequences

SHORTEST = 24  # hours: errors have a course of the day
_AT_A_TIME = 256  # init_times in memory


def block_length(
    sequences: Sequences, observations: Observations, weights: xr.DataArray, spacing: float
) -> int:
    """Return the init_times in a block: as the errors of persistence ask for, a day at least.

    Those of persistence, not those of the model: then all models that are judged on the same data have the same blocks
    and the same draws, and can be compared in pairs. The longest of the automatic lengths (`automatic_block_length`) of
    all variables at the first and the last lead hour is taken.

    Arguments:
        sequences: the forecasts.
        observations: the data set's fields.
        weights: of the grid points, [lat, lon].
        spacing: hours between two init_times.
    """
    lengths = [SHORTEST / spacing]
    for lead in {0, sequences.lead_frames - 1}:
        squared = _squared_errors(sequences, observations, weights.values, lead)
        lengths += [automatic_block_length(series) for series in squared.T]
    return math.ceil(max(lengths) - 1e-9)


def _squared_errors(
    sequences: Sequences, observations: Observations, weights: np.ndarray, lead: int
) -> np.ndarray:
    """Return the mean squared error of persistence, [init_time, variable]."""
    valid, parts = sequences.valid_times[:, lead], []
    for first in range(0, len(sequences), _AT_A_TIME):
        rows = slice(first, first + _AT_A_TIME)
        error = observations.fields(valid[rows]) - observations.fields(sequences.init_times[rows])
        parts.append(np.einsum("nyxc,yx->nc", error.astype(np.float64) ** 2, weights))
    return np.concatenate(parts)
