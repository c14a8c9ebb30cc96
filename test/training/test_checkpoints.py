"""Whose a checkpoint is: one of another model, data, seed or version is refused, and the message says which."""

import json
import shutil

import numpy as np
import pytest
import trainings

from video_prediction_tools.errors import InputError, StoppedEarly
from video_prediction_tools.main_scripts import main_train_models
from video_prediction_tools.main_scripts.program import run
from video_prediction_tools.metadata.record import version
from video_prediction_tools.training import checkpoints
from video_prediction_tools.training.checkpoints import best_file, last_file
from video_prediction_tools.training.experiment import HPARAMS_NAME, SPEC_NAME
from video_prediction_tools.training.saved_model import load_forecaster

MODEL = "linear_regression"  # it is trained in a second
SETTINGS = ("context_frames=2", "batch_size=8", "max_epochs=1")
IN_THE_SECOND_EPOCH = 5  # looks, of which the sixth stops; the first epoch has 5 steps
OTHER_COMMIT = "AMBS 0.0.9 of commit 0123456789abcdef0123456789abcdef01234567"


def train(data, directory, model=MODEL, *settings, seed=1, stop=None):
    """Train as the program does; return the directory."""
    trainings.train(trainings.experiment(model, data, directory, *SETTINGS, *settings, seed=seed), stop)
    return directory


@pytest.fixture(scope="module")
def other_data(make_prepared, tmp_path_factory):
    """A data set with the name of `prepared` and other values."""
    name = "Y2019to2019M03to03-8_6-50.00N03.00W-2t"
    return make_prepared(tmp_path_factory.mktemp("prepared") / name, seed=1)


@pytest.fixture(scope="module")
def trained(prepared, other_data, tmp_path_factory):
    """Finished trainings, by what is other than in `one`."""
    base = tmp_path_factory.mktemp("models")
    return {
        "one": train(prepared, base / "one"),
        "model": train(prepared, base / "model", "persistence"),
        "data": train(other_data, base / "data"),
        "seed": train(prepared, base / "seed", seed=2),
        "variables": train(prepared, base / "variables", MODEL, "known_channels=sin_solar_time"),
    }


@pytest.fixture
def finished(trained, tmp_path):
    """A finished training that may be changed."""
    return shutil.copytree(trained["one"], tmp_path / "finished")


@pytest.fixture
def stopped(prepared, tmp_path):
    """A training that was stopped after a step."""
    with pytest.raises(StoppedEarly):
        train(prepared, tmp_path / "stopped", stop=trainings.StopAfter(0))
    return tmp_path / "stopped"


@pytest.fixture
def go_on(prepared, capsys):
    """Start the program again on a directory; returns its exit code and its lines of error."""

    def start(directory):
        flags = ["--input_dir", prepared, "--output_dir", directory, "--model", MODEL]
        code = run(main_train_models.main, main_train_models.build_parser(), [str(flag) for flag in flags])
        return code, [line for line in capsys.readouterr().err.splitlines() if line.startswith("ERROR")]

    return start


def rewrite(path, **entries):
    """Change entries of a checkpoint's header; those that are None are left out."""
    with np.load(path) as file:
        arrays = dict(file)
    header = json.loads(arrays["header"].tobytes()) | entries
    kept = {name: value for name, value in header.items() if value is not None}
    np.savez(path, **arrays | {"header": np.frombuffer(json.dumps(kept).encode(), np.uint8)})


def fingerprint(directory):
    """The beginning of the fingerprint of the data that a model was trained on."""
    return json.loads((directory / SPEC_NAME).read_text())["dataset_fingerprint"][:12]


def said(other, trained):
    """What is to be said of weights that differ in one thing."""
    name = json.loads((trained["one"] / SPEC_NAME).read_text())["data_name"]
    ours, theirs = (f"{name} (fingerprint {fingerprint(trained[one])})" for one in ("one", "data"))
    return {
        "model": "holds weights of persistence, not of linear_regression; copy",
        "data": f"holds weights trained on {theirs}, not on {ours}; copy",
        "seed": "holds weights of a training with seed 2, not 1; copy",
    }[other]


@pytest.mark.parametrize("other", ["model", "data", "seed"])
@pytest.mark.parametrize("which", [best_file, last_file])
def test_no_forecast_with_weights_of_another_training(trained, finished, which, other):
    shutil.copy(which(trained[other]), which(finished))
    with pytest.raises(InputError) as caught:
        load_forecaster(finished, "best" if which is best_file else "last")
    assert str(caught.value).startswith(f"{which(finished)}: {said(other, trained)}")
    load_forecaster(finished, "last" if which is best_file else "best")


@pytest.mark.parametrize("other", ["model", "data", "seed"])
def test_no_training_goes_on_from_weights_of_another(trained, stopped, go_on, other):
    """It is found before anything is written."""
    shutil.copy(last_file(trained[other]), last_file(stopped))
    before = (stopped / "metadata.json").read_bytes()
    code, errors = go_on(stopped)
    assert code == 2
    assert len(errors) == 1 and errors[0].startswith(f"ERROR: {last_file(stopped)}: {said(other, trained)}")
    assert (stopped / "metadata.json").read_bytes() == before


@pytest.mark.parametrize("other", ["model", "data", "seed", None])
def test_no_training_goes_on_beside_best_weights_of_another(prepared, trained, tmp_path, go_on, other):
    """Nor where they are gone: those of a later validation need not be better."""
    directory = tmp_path / "model"
    with pytest.raises(StoppedEarly):
        train(prepared, directory, MODEL, "max_epochs=2", stop=trainings.StopAfter(IN_THE_SECOND_EPOCH))
    assert best_file(directory).exists()
    if other:
        shutil.copy(best_file(trained[other]), best_file(directory))
    else:
        best_file(directory).unlink()
    before = (directory / "metadata.json").read_bytes()
    code, errors = go_on(directory)
    told = said(other, trained) if other else "does not exist; copy the model directory back from a backup"
    assert code == 2
    assert len(errors) == 1 and errors[0].startswith(f"ERROR: {best_file(directory)}: {told}")
    assert (directory / "metadata.json").read_bytes() == before


def test_nothing_is_loaded_unchecked(trained, stopped, prepared):
    """The training loop itself looks, too."""
    shutil.copy(last_file(trained["seed"]), last_file(stopped))
    with pytest.raises(InputError, match="holds weights of a training with seed 2, not 1"):
        train(prepared, stopped)


def test_another_version_with_other_variables_is_named(trained, stopped, go_on):
    """Both commits, or that the checkpoint does not say its own."""
    path = last_file(stopped)
    shutil.copytree(trained["variables"] / "checkpoints", stopped / "checkpoints", dirs_exist_ok=True)
    rewrite(path, version=OTHER_COMMIT)
    code, (error,) = go_on(stopped)
    told = f"its model has other variables than {MODEL} has here (made by {OTHER_COMMIT}, this is {version()}); use"
    assert code == 2 and error.startswith(f"ERROR: {path}: {told}")
    rewrite(path, origin=None, version=None)
    code, (error,) = go_on(stopped)
    assert code == 2 and "(made by an earlier AMBS that did not note its commit, this is AMBS" in error


def test_another_version_with_the_same_variables_goes_on(trained, stopped, go_on):
    """As does a checkpoint of the versions that noted neither their commit nor the training."""
    other = shutil.copytree(stopped, stopped.with_name("earlier"))
    rewrite(last_file(stopped), version=OTHER_COMMIT)
    rewrite(last_file(other), origin=None, version=None)
    for directory in (stopped, other):
        assert go_on(directory) == (0, [])
        with np.load(last_file(directory)) as one, np.load(last_file(trained["one"])) as whole:
            for name in set(whole.files) - {"header"}:
                np.testing.assert_array_equal(one[name], whole[name])


def test_checkpoints_name_the_version_that_made_them(prepared, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "version", lambda: OTHER_COMMIT)
    train(prepared, tmp_path / "model", "persistence")
    for file in (best_file, last_file):
        with np.load(file(tmp_path / "model")) as content:
            assert json.loads(content["header"].tobytes())["version"] == OTHER_COMMIT


def ridge(directory):
    path = directory / HPARAMS_NAME
    path.write_text(path.read_text().replace('"ridge": 1e-05', '"ridge": 0.1'))
    return path


def origin(directory):
    """The checkpoint, which has the right one, is not blamed."""
    path = directory / SPEC_NAME
    path.write_text(path.read_text().replace(fingerprint(directory), "123456789012"))
    return path


def header(directory):
    rewrite(best_file(directory), version=OTHER_COMMIT)
    return best_file(directory)


@pytest.mark.parametrize("change", [ridge, origin, header])
def test_no_forecast_with_a_file_that_was_changed(finished, change):
    """The same model, data and seed, but not what the training has written."""
    path = change(finished)
    with pytest.raises(InputError) as caught:
        load_forecaster(finished)
    assert str(caught.value).startswith(
        f"{path}: is not as it was written, though this training is finished; "
    )


def test_a_forecast_asks_only_for_the_files_that_it_uses(finished):
    """A log that was tidied up, or the larger checkpoint that was removed, does no harm."""
    (finished / "training_log.csv").write_text("")
    last_file(finished).unlink()
    load_forecaster(finished)
    with pytest.raises(InputError, match="state.npz: does not exist; copy the model directory back"):
        load_forecaster(finished, "last")
