"""Small trainings, done as the program does them, and what they leave in their directories."""

import numpy as np
import pytest

from video_prediction_tools.datasets.prepared import open_prepared
from video_prediction_tools.postprocess.forecasts import Grid, by_network, write_forecasts
from video_prediction_tools.postprocess.sequences import choose_sequences
from video_prediction_tools.training.distribution import Cluster, make_strategy
from video_prediction_tools.training.experiment import note_results, plan, recorded


class StopAfter:
    """Asks to stop when it is looked at for the n-th time (once a step)."""

    name = "test"

    def __init__(self, looks=10**9):
        self.looks = looks

    def __bool__(self):
        self.looks -= 1
        return self.looks < 0


def experiment(model, prepared, directory, *settings, seed=1):
    """Plan a training with ``key=value`` settings."""
    from video_prediction_tools.models import registry

    hparams = registry.resolve_hparams(model, None, settings)
    return plan(directory, model, hparams, seed, open_prepared(prepared))


def train(planned, stop=None):
    """Train as the program does; return the progress."""
    from video_prediction_tools.training import loop

    stop = StopAfter() if stop is None else stop
    with recorded(planned, {}) as opened:
        progress = loop.train(planned, make_strategy(Cluster()), Cluster(), stop)
        note_results(opened, progress)
    return progress


def train_and_keep(planned):
    """Train; return the forecaster of the model that lies in memory then, with the weights that forecasts have."""
    from video_prediction_tools.training import loop
    from video_prediction_tools.training.saved_model import Forecaster

    kept = []

    class Kept(loop._Trainer):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            kept.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "_Trainer", Kept)
        train(planned)
    (trainer,) = kept
    trainer.steps.swap_averages()
    return Forecaster(trainer.steps.model, planned.data_spec())


def forecast(path, forecaster, prepared, *, seed=1):
    """Write the forecasts of the test split as the step postprocess does, with two members of a stochastic model."""
    data, spec = open_prepared(prepared), forecaster.data_spec
    members = 2 if forecaster.stochastic else None
    write_forecasts(
        path,
        by_network(forecaster, data.region, members, seed),
        choose_sequences(data.index, "test", spec["context_frames"], spec["lead_frames"]),
        Grid(data.index.variables, data.units, data.region.lat, data.region.lon),
        members=members,
        batch_size=4,
        attributes={"title": "a test"},
    )


def arrays(path):
    """Return all arrays of a checkpoint but its header."""
    with np.load(path) as file:
        return {key: file[key] for key in file.files if key != "header"}


def assert_same_arrays(one, other):
    """Assert that two checkpoints hold the same, bit for bit."""
    a, b = arrays(one), arrays(other)
    assert a.keys() == b.keys()
    for key in a:
        np.testing.assert_array_equal(a[key], b[key], err_msg=f"{one} {key}")
