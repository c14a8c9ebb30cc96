"""The block length that is found from the data, on real ones."""

import math

import numpy as np
import pytest

from video_prediction_tools.datasets.observations import Observations
from video_prediction_tools.datasets.tfrecords import read_index
from video_prediction_tools.postprocess.block_length import block_length
from video_prediction_tools.postprocess.bootstrap import automatic_block_length
from video_prediction_tools.postprocess.sequences import choose_sequences
from video_prediction_tools.postprocess.weights import latitude_weights

from .conftest import CONTEXT, LEAD


@pytest.mark.parametrize("stride", [1, 6])
def test_longest_of_first_and_last_lead_hour_and_a_day(uk_data, uk, stride):
    """Against errors that are worked out from the GRIB file itself."""
    sequences = choose_sequences(read_index(uk_data / "tfrecords"), "test", CONTEXT, LEAD, stride)
    cut = uk[:, ::4, 24::4]
    weights = latitude_weights(cut["latitude"].values, cut.shape[2])
    field = cut.values.astype(np.float64)
    init = (sequences.init_times - cut["time"].values[0].astype("datetime64[s]").astype(np.int64)) // 3600
    lengths = [
        automatic_block_length((weights.values * (field[init + lead] - field[init]) ** 2).sum(axis=(1, 2)))
        for lead in (1, LEAD)
    ]
    found = block_length(sequences, Observations(uk_data), weights, stride)
    assert found == math.ceil(max(*lengths, 24 / stride))
    assert found * stride >= 24
