"""A trained model forecasts in physical units, from context alone."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from trainings import StopAfter, experiment, train

from video_prediction_tools.datasets.channels import Region
from video_prediction_tools.errors import InputError, StoppedEarly
from video_prediction_tools.metadata.files import write_json
from video_prediction_tools.metadata.record import OpenRecord, read_record
from video_prediction_tools.training.checkpoints import Origin, Progress, best_file, save
from video_prediction_tools.training.experiment import HPARAMS_NAME, SPEC_NAME
from video_prediction_tools.training.saved_model import load_forecaster, read_data_spec

SETTINGS = [
    "filters=4",
    "context_frames=2",
    "batch_size=4",
    "max_epochs=1",
    "residual=true",
    "lr=0.01",
    "known_channels=sin_solar_time,cos_solar_time",
]
SEEDS = np.arange(100, dtype=np.int32)


@pytest.fixture(scope="module")
def trained(prepared, tmp_path_factory):
    """A tiny trained model and its data."""
    directory = tmp_path_factory.mktemp("models") / "model"
    planned = experiment("convLSTM", prepared, directory, *SETTINGS)
    train(planned)
    return directory, planned.data


def test_forecast_in_physical_units(trained):
    """Shapes, units (about 280 K), and the same forecast whatever the batch."""
    directory, data = trained
    forecaster = load_forecaster(directory)
    assert forecaster.stochastic is False and forecaster.data_spec["units"] == ["K"]
    frames, times = next(data.sequences("test").in_order(5))
    forecast = forecaster.forecast(frames[:, :2], times, SEEDS[: len(frames)], data.region)
    assert forecast.shape == (5, 2, 6, 8, 1) and forecast.dtype == np.float32
    assert np.abs(forecast - frames[:, 2:]).max() < 10
    one = forecaster.forecast(frames[3:4, :2], times[3:4], SEEDS[3:4], data.region)
    np.testing.assert_allclose(one, forecast[3:4], atol=1e-4)


def test_best_weights_give_the_logged_loss(trained):
    """The validation loss of the log, worked out again from physical forecasts (mse over the variance)."""
    directory, data = trained
    forecaster = load_forecaster(directory, "best")
    frames, times = next(data.sequences("val").in_order(100))
    forecast = forecaster.forecast(frames[:, :2], times, SEEDS[: len(frames)], data.region)
    std = data.statistics["2t"]["std"]
    loss = np.mean(((forecast - frames[:, 2:]) / std) ** 2)
    logged = (directory / "training_log.csv").read_text().splitlines()[-1].split(",")[3]
    np.testing.assert_allclose(loss, float(logged), rtol=1e-4)


def test_clock_of_the_frames_to_be_forecast(trained):
    """The clocks that the model gets are those of the times given: other times, another forecast."""
    directory, data = trained
    forecaster = load_forecaster(directory, "last")
    frames, times = next(data.sequences("test").in_order(2))
    here = forecaster.forecast(frames[:, :2], times, SEEDS[: len(frames)], data.region)
    shifted = times.copy()
    shifted[:, -1] += 12 * 3600  # only the last lead frame's clock
    there = forecaster.forecast(frames[:, :2], shifted, SEEDS[: len(frames)], data.region)
    np.testing.assert_array_equal(here[:, 0], there[:, 0])
    assert np.abs(here[:, 1] - there[:, 1]).max() > 1e-4
    east = Region(data.region.lat, data.region.lon + 7.5)  # half an hour of the sun
    half_hour = forecaster.forecast(frames[:, :2], times + 1800, SEEDS[: len(frames)], data.region)
    np.testing.assert_allclose(
        forecaster.forecast(frames[:, :2], times, SEEDS[: len(frames)], east), half_hour, atol=1e-3
    )


def test_wrong_input(trained, tmp_path, prepared):
    """Not trained, of another kind, unknown checkpoint, lacking channel, damaged specification."""
    directory, data = trained
    with pytest.raises(InputError, match="run the step 'train' first"):
        load_forecaster(tmp_path)
    with pytest.raises(InputError, match="'dataset', not 'model'"):
        load_forecaster(prepared)
    with pytest.raises(InputError, match="unknown checkpoint 'first'"):
        load_forecaster(directory, "first")
    frames, times = next(data.sequences("test").in_order(1))
    with pytest.raises(InputError, match="lack the known channel 'sin_solar_time'"):
        load_forecaster(directory).forecast(frames[:, :2], times, SEEDS[: len(frames)], Region(None, None))
    text = (directory / SPEC_NAME).read_text()
    try:
        (directory / SPEC_NAME).write_text('{"variables": ["2t"]}')
        with pytest.raises(InputError, match="entries are missing"):
            read_data_spec(directory)
    finally:
        (directory / SPEC_NAME).write_text(text)


@pytest.mark.parametrize(
    ("entry", "value", "said"),
    [
        ("height", "x", "'height' is not a whole number above 0"),
        ("width", True, "'width' is not a whole number above 0"),
        ("step_hours", 0, "'step_hours' is not a whole number above 0"),
        ("variables", [], "'variables' is not a list of names"),
        ("units", [1], "'units' is not a list of units"),
        ("units", ["K", "K"], "not one unit for each variable"),
        ("known", "sin_solar_time", "'known' is not a list of names"),
        ("data_name", None, "'data_name' is not a name"),
        ("normalisation", [], "'normalisation' is not a table"),
        ("normalisation", {}, "'normalisation' lacks its method"),
        ("normalisation", {"method": "zscore", "statistics": {"2t": 1}}, "'normalisation' lacks its method"),
    ],
)
def test_damaged_data_spec(entry, value, said, trained):
    """Every entry that is read later is checked when the file is read."""
    directory, _ = trained
    path = directory / SPEC_NAME
    text = path.read_text()
    try:
        write_json(path, {**json.loads(text), entry: value})
        with pytest.raises(InputError, match=said):
            read_data_spec(directory)
        path.write_text("[]")
        with pytest.raises(InputError, match="holds no entries"):
            read_data_spec(directory)
    finally:
        path.write_text(text)
    assert read_data_spec(directory) == json.loads(text)


def test_unfinished_training_is_refused(prepared, tmp_path):
    """A training that was stopped must be finished first."""
    planned = experiment("convLSTM", prepared, tmp_path / "model", *SETTINGS)
    with pytest.raises(StoppedEarly):
        train(planned, StopAfter(0))
    with pytest.raises(InputError, match="unfinished step \\(state 'interrupted'\\)"):
        load_forecaster(planned.directory)


def test_a_grid_for_which_the_weights_are_others(trained, tmp_path):
    """savp halves the grid as often as its size allows."""
    from video_prediction_tools.models import registry
    from video_prediction_tools.models.base import DataSpec

    directory, name = tmp_path / "model", "savp_gan"
    shutil.copytree(trained[0], directory)
    hparams = registry.resolve_hparams(name, None, ["ngf=2", "ndf=2", "context_frames=2", "known_channels="])
    write_json(directory / HPARAMS_NAME, dataclasses.asdict(hparams))
    write_json(directory / SPEC_NAME, {**read_data_spec(directory), "known": []})
    model = registry.create(name, DataSpec(6, 8, ("2t",), (), 2, 2), hparams)
    origin = Origin(name, 1, trained[1].name, trained[1].fingerprint)
    save(best_file(directory), {"model": model.variables}, Progress(), origin)
    opened = OpenRecord(directory, read_record(directory))
    opened.record.details["model"] = name
    for path in (directory / HPARAMS_NAME, directory / SPEC_NAME, best_file(directory)):
        opened.add_output(path)
    opened.save()
    load_forecaster(directory, grid=(33, 49))
    with pytest.raises(
        InputError, match="savp_gan has other weights for 64 x 80 .* than for the 6 x 8 of its"
    ):
        load_forecaster(directory, grid=(64, 80))
