"""Baselines that are models: persistence has nothing to train, linear_regression is solved in one epoch."""

import numpy as np
import pytest
import trainings
from trainings import StopAfter, arrays, assert_same_arrays

from video_prediction_tools.datasets.prepared import open_prepared
from video_prediction_tools.errors import StoppedEarly
from video_prediction_tools.metadata.record import read_record
from video_prediction_tools.training.checkpoints import best_file, last_file
from video_prediction_tools.training.saved_model import load_forecaster

SEEDS = np.arange(100, dtype=np.int32)


def train(model, prepared, directory, *settings, stop=None):
    """Train; return the progress."""
    settings = ["context_frames=2", "batch_size=4", *settings]
    return trainings.train(trainings.experiment(model, prepared, directory, *settings), stop)


@pytest.fixture(scope="module")
def persistence(prepared, tmp_path_factory):
    """The validation loss of persistence."""
    return train("persistence", prepared, tmp_path_factory.mktemp("models") / "persistence").best_val_loss


def test_a_model_without_weights_ends_at_once_and_forecasts(prepared, tmp_path, capfd):
    """Validated, saved, finished without a step; asked to stop meanwhile, it is finished all the same."""
    directory = tmp_path / "model"
    progress = train("persistence", prepared, directory, stop=StopAfter(0))
    assert (progress.step, progress.best_step) == (0, 0)
    assert progress.finished == "the model has nothing to train"
    said = capfd.readouterr().out
    assert "training ended: the model has nothing to train; validation loss" in said
    record = read_record(directory)
    assert record.state == "done" and record.details["best_val_loss"] == progress.best_val_loss > 0
    assert last_file(directory).exists() and best_file(directory).exists()
    data = open_prepared(prepared)
    frames, times = next(data.sequences("val").in_order(100))
    for which in ("best", "last"):
        forecast = load_forecaster(directory, which).forecast(
            frames[:, :2], times, SEEDS[: len(frames)], data.region
        )
        np.testing.assert_allclose(forecast, np.repeat(frames[:, 1:2], 2, axis=1), atol=1e-3)
    expected = np.mean(((frames[:, 1:2] - frames[:, 2:]) / data.statistics["2t"]["std"]) ** 2)
    assert progress.best_val_loss == pytest.approx(expected, rel=1e-4)


def test_started_again_there_is_nothing_to_do(prepared, tmp_path, run_program):
    directory = tmp_path / "model"
    train("persistence", prepared, directory)
    flags = ["--input_dir", prepared, "--output_dir", directory, "--model", "persistence"]
    result = run_program("train_models", *flags, "--set", "context_frames=2", "batch_size=4")
    assert result.returncode == 0, result.stderr
    assert "this training is finished: the model has nothing to train; nothing to do" in result.stdout


def test_linear_regression_beats_persistence_after_an_epoch(prepared, tmp_path, persistence):
    progress = train("linear_regression", prepared, tmp_path / "model")
    assert progress.step == 9  # 35 sequences in batches of 4, and finished
    assert progress.best_val_loss < 0.5 * persistence


def test_linear_regression_goes_on_bit_for_bit(prepared, tmp_path):
    train("linear_regression", prepared, tmp_path / "whole")
    with pytest.raises(StoppedEarly):
        train("linear_regression", prepared, tmp_path / "parts", stop=StopAfter(0))
    train("linear_regression", prepared, tmp_path / "parts")
    whole, parts = (last_file(tmp_path / name) for name in ("whole", "parts"))
    assert "model/linear_regression/moments" in arrays(whole)
    assert_same_arrays(whole, parts)
