"""Every registered model in the training loop: stopped and gone on, loaded again, and on two replicas."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from video_prediction_tools.datasets.prepared import open_prepared
from video_prediction_tools.errors import StoppedEarly
from video_prediction_tools.models import registry
from video_prediction_tools.training.checkpoints import best_file, last_file
from video_prediction_tools.training.distribution import Cluster, make_strategy
from video_prediction_tools.training.experiment import note_results, plan, recorded

# savp_vae and savp_gan are parts of savp, and as slow to trace
MODELS = [name for name in registry.names() if name not in ("savp_vae", "savp_gan")]
SETTINGS = [
    "context_frames=2",
    "batch_size=8",
    "max_epochs=1",
    "known_channels=sin_solar_time",
    "ema_decay=0.5",
]


def small(name):
    """Return the settings that make a model small: those of test/models."""
    sys.path.append(str(Path(__file__).parents[1] / "models"))
    from small_models import SMALL

    own = ["ema_decay=0"] if name == "linear_regression" else []  # it is a mean itself
    return [*SMALL[name].settings, *SETTINGS, *own]


def train(prepared, directory, name, stop_after=None):
    """Train; asked to stop after so many steps where said."""
    from video_prediction_tools.training import loop

    class Stop:
        name = "test"
        looks = 10**9 if stop_after is None else stop_after - 1

        def __bool__(self):
            self.looks -= 1
            return self.looks < 0

    hparams = registry.resolve_hparams(name, None, small(name))
    planned = plan(directory, name, hparams, 1, open_prepared(prepared))
    with recorded(planned, {}) as opened:
        note_results(opened, loop.train(planned, make_strategy(Cluster()), Cluster(), Stop()))


def arrays(path):
    """Return all arrays of a checkpoint but its header."""
    with np.load(path) as file:
        return {key: file[key] for key in file.files if key != "header"}


def forecast(directory, prepared):
    """Forecast with a trained model, as a program of its own does; returns [B, Tl, H, W, C]."""
    from video_prediction_tools.training.saved_model import load_forecaster

    data = open_prepared(prepared)
    frames, times = next(data.sequences("test").in_order(4))
    seeds = np.arange(len(frames), dtype=np.int32)
    return load_forecaster(directory).forecast(frames[:, :2], times, seeds, data.region)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_stopped_and_gone_on_it_is_the_same(name, prepared, tmp_path):
    """Bit for bit: weights, optimizers of all phases, running means, what `after_step` changes, random numbers."""
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    train(prepared, whole, name)
    try:
        train(prepared, stopped, name, stop_after=2)
    except StoppedEarly:
        train(prepared, stopped, name)
    else:
        assert not arrays(last_file(whole)).get("optimizer of all/0"), "it was not stopped"
    for file in (last_file, best_file):
        one, other = arrays(file(whole)), arrays(file(stopped))
        assert one.keys() == other.keys()
        for key in one:
            np.testing.assert_array_equal(one[key], other[key], err_msg=key)
    assert np.abs(forecast(stopped, prepared) - 280).max() < 100  # K: it can be loaded


REPLICAS = """
import json, sys
import numpy as np
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
tf.config.run_functions_eagerly(True)  # compiling takes longer than the steps; test_distribution.py compiles
import keras
from video_prediction_tools.datasets.channels import Region
from video_prediction_tools.datasets.normalisation import Normalisation
from video_prediction_tools.models import registry
from video_prediction_tools.models.base import DataSpec
from video_prediction_tools.training.steps import Steps

rng = np.random.default_rng(5)
frames = rng.normal(size=(4, 4, 6, 8, 1)).astype(np.float32)
clock = np.zeros((4, 4, 2), np.float32)
normalisation = Normalisation("zscore", ("2t",), {"2t": {"min": -1.0, "max": 1.0, "mean": 0.0, "std": 1.0}})
result = {}
# one for all models: a second one in a process would take up the collectives of the first
mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
for name, settings in json.loads(sys.argv[1]).items():
    losses = []
    for strategy in (tf.distribute.get_strategy(), mirrored):
        keras.utils.set_random_seed(3)
        with strategy.scope():
            model = registry.create(
                name, DataSpec(6, 8, ("2t",), (), 2, 2), registry.resolve_hparams(name, None, settings)
            )
            if not model.trainable_variables:
                break
            steps = Steps(model, normalisation, Region(None, None), 1, 10, strategy)
        replicas = strategy.num_replicas_in_sync
        share = lambda array: strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(np.split(array, replicas)[context.replica_id_in_sync_group])
        ) if replicas > 1 else tf.constant(array)
        step = lambda n: steps.train(share(frames), share(clock), tf.constant(n, tf.int64))
        losses.append(
            [
                {key: float(one) for key, one in step(n).items()} for n in range(3)
            ]
        )
    result[name] = losses
print("RESULT", json.dumps(result))
"""


@pytest.mark.slow
def test_two_replicas_lose_what_one_does():
    """The losses of three steps, every part of them: shares of a batch get the noise that they get in the whole."""
    settings = {name: [*small(name), "known_channels=", "batch_size=4", "ema_decay=0"] for name in MODELS}
    done = subprocess.run(
        [sys.executable, "-c", REPLICAS, json.dumps(settings)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    found = json.loads(line.removeprefix("RESULT "))
    assert any(losses for losses in found.values())
    for name, losses in found.items():
        if losses:
            for one, two in zip(*losses, strict=True):
                assert one.keys() == two.keys()
                for part, value in one.items():
                    assert two[part] == pytest.approx(value, rel=1e-4, abs=1e-6), f"{name}: {part}"
