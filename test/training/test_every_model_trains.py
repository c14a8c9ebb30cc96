"""Every registered model in the training loop: stopped and gone on, loaded by another process, on two replicas."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from trainings import StopAfter, arrays, assert_same_arrays, experiment, forecast, train, train_and_keep

from video_prediction_tools.datasets.prepared import open_prepared
from video_prediction_tools.datasets.tfrecords import read_block, write_block
from video_prediction_tools.errors import StoppedEarly
from video_prediction_tools.models import registry
from video_prediction_tools.postprocess.forecasts import ForecastFile
from video_prediction_tools.training.checkpoints import best_file, last_file, read_progress

SETTINGS = [
    "context_frames=2",
    "batch_size=8",
    "max_epochs=1",
    "known_channels=sin_solar_time",
    "ema_decay=0.5",
]
STEPS = 5  # 35 sequences in batches of 8
KL_RISES = ["kl_anneal_steps=1,4"]  # begins before the training is stopped, and ends after it has gone on
OWN = {
    "linear_regression": ["ema_decay=0"],  # it is a mean itself
    "savp": KL_RISES,
    "savp_vae": KL_RISES,
    "vae": KL_RISES,
}
ADVERSARIAL = ("convLSTM_gan", "mcnet", "savp", "savp_gan")
STOCHASTIC = [name for name in registry.names() if registry.model_class(name).stochastic]


def small(name):
    """Return the settings that make a model small: those of test/models."""
    sys.path.append(str(Path(__file__).parents[1] / "models"))
    from small_models import SMALL

    return [*SMALL[name].settings, *SETTINGS, *OWN.get(name, [])]


@pytest.fixture(scope="module")
def separate(make_prepared, tmp_path_factory):
    """A data set like `prepared`, in which no two sequences share a file."""
    return make_prepared(
        tmp_path_factory.mktemp("separate") / "Y2019to2019M03to03-8_6-50.00N03.00W-2t", block_frames=4
    )


@pytest.fixture(scope="module")
def other_future(separate, tmp_path_factory):
    """The same with other lead frames in every sequence of the test split."""
    directory = tmp_path_factory.mktemp("other_future") / separate.name
    shutil.copytree(separate, directory)
    index, rng = open_prepared(directory).index, np.random.default_rng(3)
    for block in index.blocks["test"]:
        assert block.sequences == 1
        times, frames = read_block(block.path, index.dataset_fingerprint)
        frames = frames.copy()
        frames[2:] += rng.normal(scale=9.0, size=frames[2:].shape)
        write_block(block.path, frames, times, index.dataset_fingerprint)
    return directory


@pytest.fixture(scope="module")
def trained(prepared, separate, tmp_path_factory):
    """Return a function that trains a model, once, and forecasts with it as it lies in memory then."""
    done = {}

    def train_once(name):
        if name not in done:
            directory = tmp_path_factory.mktemp("trained") / name
            file = directory.with_suffix(".nc")
            forecaster = train_and_keep(experiment(name, prepared, directory, *small(name)))
            forecast(file, forecaster, separate)
            done[name] = SimpleNamespace(directory=directory, file=file)
        return done[name]

    return train_once


FORECASTS = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from trainings import forecast
from video_prediction_tools.training.saved_model import load_forecaster
output, same, changed = map(Path, sys.argv[2:5])
for name, directory in json.loads(sys.argv[5]).items():
    best = load_forecaster(directory, "best")
    forecast(output / f"{name} best.nc", best, same)
    forecast(output / f"{name} other future.nc", best, changed)
    if best.stochastic:
        forecast(output / f"{name} other seed.nc", best, same, seed=2)
    forecast(output / f"{name} last.nc", load_forecaster(directory, "last"), same)
"""


@pytest.fixture(scope="module")
def forecasts(request, trained, separate, other_future, run_command, repository, tmp_path_factory):
    """Forecasts of all models that are asked for, made from their directories by another process; see `read`."""
    output = tmp_path_factory.mktemp("forecasts")
    asked = [item for item in request.session.items if "forecasts" in getattr(item, "fixturenames", ())]
    names = {item.callspec.params["name"] for item in asked if item.path == request.path}
    directories = {name: str(trained(name).directory) for name in sorted(names)}
    here, models = Path(__file__).parent, json.dumps(directories)
    done = run_command(
        [sys.executable, "-c", FORECASTS, here, output, separate, other_future, models],
        cwd=repository,
        timeout=800,
    )
    assert done.returncode == 0, done.stderr
    return output


def read(path):
    """Return forecasts [N, Tl, (M,) H, W, C], truth [N, Tl, H, W, C] and frames of init_time [N, H, W, C]."""
    with ForecastFile(path) as file:
        made, truth, batch = file.read_members(slice(None))
    return made, truth, batch.last_frame


@pytest.mark.slow
@pytest.mark.parametrize("name", registry.names())
def test_stopped_and_gone_on_it_is_the_same(name, prepared, trained, tmp_path):
    """Bit for bit: weights, optimizers of all phases, running means, what `after_step` changes, random numbers."""
    whole, stopped = trained(name).directory, tmp_path / "stopped"
    planned = experiment(name, prepared, stopped, *small(name))
    if name != "persistence":  # has nothing to train
        assert read_progress(last_file(whole)).step == STEPS
        with pytest.raises(StoppedEarly):
            train(planned, StopAfter(1))
        assert read_progress(last_file(stopped)).step == 2
    train(planned)
    for file in (last_file, best_file):
        assert_same_arrays(file(whole), file(stopped))
    assert ("optimizer of discriminator/0" in arrays(last_file(whole))) == (name in ADVERSARIAL)


@pytest.mark.slow
@pytest.mark.parametrize("name", registry.names())
def test_a_saved_model_forecasts_in_another_process_what_it_did(name, trained, forecasts):
    """Bit for bit, from both checkpoints: the last epoch was the best here, and its running means are the weights."""
    expected, _, last_frame = read(trained(name).file)
    for which in ("best", "last"):
        np.testing.assert_array_equal(read(forecasts / f"{name} {which}.nc")[0], expected, err_msg=which)
    if name != "persistence":  # as a model is whose weights were not loaded
        one = expected[:, :, 0] if name in STOCHASTIC else expected
        assert np.abs(one - last_frame[:, None]).max() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("name", registry.names())
def test_a_forecast_does_not_see_the_frames_that_it_is_compared_with(name, forecasts):
    """Bit for bit, where all frames behind init_time are others in the data."""
    made, truth, last_frame = read(forecasts / f"{name} best.nc")
    there, other_truth, same_frame = read(forecasts / f"{name} other future.nc")
    np.testing.assert_array_equal(same_frame, last_frame)
    assert np.abs(other_truth - truth).mean() > 5
    np.testing.assert_array_equal(there, made)


@pytest.mark.slow
@pytest.mark.parametrize("name", STOCHASTIC)
def test_members_differ_and_depend_on_the_seed(name, forecasts):
    """At every init_time; that the same seed gives the same members is said above, too."""
    made, other = (read(forecasts / f"{name} {which}.nc")[0] for which in ("best", "other seed"))
    assert made.shape == (9, 2, 2, 6, 8, 1)
    four = np.concatenate([made, other], axis=2)
    for one in range(4):
        for two in range(one):
            distance = np.abs(four[:, :, one] - four[:, :, two]).max(axis=(1, 2, 3, 4))
            assert (distance > 1e-4).all(), (one, two)


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
    settings = {
        name: [*small(name), "known_channels=", "batch_size=4", "ema_decay=0"] for name in registry.names()
    }
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
