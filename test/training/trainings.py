"""Small trainings, done as the program does them, and what they leave in their directories."""

import numpy as np

from video_prediction_tools.datasets.prepared import open_prepared
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


def arrays(path):
    """Return all arrays of a checkpoint but its header."""
    with np.load(path) as file:
        return {key: file[key] for key in file.files if key != "header"}


def assert_same_arrays(one, other):
    """Assert that two checkpoints hold the same, bit for bit."""
    a, b = arrays(one), arrays(other)
    assert a.keys() == b.keys() and a
    for key in a:
        np.testing.assert_array_equal(a[key], b[key], err_msg=f"{one} {key}")
