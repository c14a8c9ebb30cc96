"""A prepared data set and a model directory, written with the project's writers; the model is a stand-in."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import xarray as xr

from video_prediction_tools.datasets import times as time
from video_prediction_tools.datasets.pickles import write_month
from video_prediction_tools.datasets.tfrecords import Block, block_entries, write_block
from video_prediction_tools.main_scripts import main_preprocess_moving_mnist
from video_prediction_tools.main_scripts.program import run
from video_prediction_tools.metadata.files import write_json
from video_prediction_tools.metadata.names import month_pickle
from video_prediction_tools.metadata.record import running
from video_prediction_tools.metadata.variables import variable
from video_prediction_tools.postprocess.metrics.fields import Fields, Observed

CONTEXT, LEAD = 4, 3


def fields_of(forecast, truth, climatology=None, scale=None, labels=None) -> Fields:
    """Forecasts [B, Tl, (M,) H, W, C] beside the truth."""
    return Fields(forecast, Observed(truth, climatology, scale, labels))


def as_read(frames: np.ndarray) -> np.ndarray:
    """Frames [.., C, H, W] as they are read from files, [.., H, W, C]."""
    return np.moveaxis(frames, -3, -1)


def seconds(stamps) -> np.ndarray:
    """Seconds since 1970 of anything that numpy takes for a time."""
    return np.asarray(stamps, dtype="datetime64[s]").astype(np.int64)


def write_prepared(
    directory: Path,
    frames: np.ndarray,
    times: np.ndarray,
    variables: tuple[str, ...],
    splits: Mapping[str, tuple[int, int]],
    lat: np.ndarray,
    lon: np.ndarray,
    *,
    length: int = CONTEXT + LEAD,
    step_hours: int = 1,
    synthetic: bool = False,
) -> Path:
    """Write pickles, statistics and TFRecords of fields [T, H, W, C].

    Arguments:
        splits: first and last+1 position in `times` of each of train, val, test.
    """
    step = step_hours * time.HOUR
    chosen = {split: slice(*limits) for split, limits in splits.items()}
    runs = {split: time.runs(times[rows], step) for split, rows in chosen.items()}
    with running(directory, kind="dataset", name=directory.name, program="test", arguments={}) as record:
        for split, rows in chosen.items():
            months = [time.year_and_month(moment) for moment in times[rows]]
            for month in sorted(set(months)):
                inside = np.array([one == month for one in months])
                path = month_pickle(directory, split, *month)
                _, digest = write_month(path, times[rows][inside], frames[rows][inside], variables, lat, lon)
                record.add_output(path, digest)
        train = frames[chosen["train"]].reshape(-1, len(variables)).astype(np.float64)
        statistics = {
            name: {
                "min": float(train[:, c].min()),
                "max": float(train[:, c].max()),
                "mean": float(train[:, c].mean()),
                "std": float(train[:, c].std()),
                "n": len(train),
            }
            for c, name in enumerate(variables)
        }
        ranges = [[time.text(first), time.text(last)] for first, last in runs["train"]]
        write_json(directory / "statistics.json", {"variables": statistics, "ranges": ranges})
        record.add_output(directory / "statistics.json")
        record.record.details = {
            "variables": list(variables),
            "units": [variable(name).units for name in variables],
            "step_hours": step_hours,
            "synthetic": synthetic,
            "source": "test",
            "lat": lat.tolist(),
            "lon": lon.tolist(),
            "fill": None,
            "gaps": [],
            "missing_months": [],
            "splits": {
                split: {
                    "hours": len(times[rows]),
                    "first": time.text(times[rows][0]),
                    "last": time.text(times[rows][-1]),
                    "runs": [[time.text(first), time.text(last)] for first, last in runs[split]],
                }
                for split, rows in chosen.items()
            },
        }
        fingerprint = record.record.fingerprint()
    target = directory / "tfrecords"
    with running(
        target,
        kind="tfrecords",
        name=directory.name,
        program="test",
        arguments={},
        inputs={str(directory): fingerprint},
    ) as record:
        blocks = {split: [] for split in splits}
        for split, limits in runs.items():
            for first, last in limits:
                inside = (times >= first) & (times <= last)
                path = target / split / f"{time.text(first)}_to_{time.text(last)}.tfrecord".replace("-", "")
                path.parent.mkdir(parents=True, exist_ok=True)
                write_block(path, frames[inside], times[inside], fingerprint)
                record.add_output(path)
                blocks[split].append(
                    Block(path, int(first), int(inside.sum()), max(0, int(inside.sum()) - length + 1))
                )
        record.record.details = {
            "sequence_length": length,
            "window_stride": 1,
            "step_hours": step_hours,
            "variables": list(variables),
            "height": len(lat),
            "width": len(lon),
            "dataset_fingerprint": fingerprint,
            "n_sequences": {
                split: sum(block.sequences for block in found) for split, found in blocks.items()
            },
            "blocks": {split: block_entries(target, found) for split, found in blocks.items()},
        }
    return directory


def write_model(
    directory: Path,
    data: Path,
    *,
    context: int = CONTEXT,
    lead: int = LEAD,
    weights: bytes = b"w",
    model: str = "convLSTM",
    seed: int = 1,
) -> Path:
    """Write a model directory as training leaves it, but for the weights."""
    dataset = json.loads((data / "metadata.json").read_text())
    records = json.loads((data / "tfrecords" / "metadata.json").read_text())
    statistics = json.loads((data / "statistics.json").read_text())["variables"]
    details, fingerprint = dataset["details"], records["details"]["dataset_fingerprint"]
    with running(
        directory,
        kind="model",
        name=directory.name,
        program="main_train_models.py",
        arguments={"input_dir": str(data), "seed": seed},
        inputs={str(data): fingerprint},
    ) as record:
        spec = {
            "variables": details["variables"],
            "units": details["units"],
            "height": records["details"]["height"],
            "width": records["details"]["width"],
            "context_frames": context,
            "lead_frames": lead,
            "step_hours": details["step_hours"],
            "known": [],
            "synthetic": details["synthetic"],
            "data_name": data.name,
            "dataset_fingerprint": fingerprint,
            "normalisation": {"method": "minmax", "statistics": statistics},
            "lat": details["lat"],
            "lon": details["lon"],
        }
        write_json(directory / "data_spec.json", spec)
        write_json(directory / "model_hparams.json", {"lr": 0.001, "max_epochs": 3, "batch_size": 4})
        best = directory / "checkpoints" / "best" / "model.weights.h5"
        best.parent.mkdir(parents=True, exist_ok=True)
        best.write_bytes(weights)
        for path in (directory / "data_spec.json", directory / "model_hparams.json", best):
            record.add_output(path)
        record.record.details = {
            "model": model,
            "data_name": data.name,
            "seed": seed,
            "best_step": 120,
            "best_val_loss": 0.0123,
            "last_step": 180,
            "seconds": 312.5,
            "finished": True,
        }
    return directory


def write_digits(destination: Path, *flags: object) -> Path:
    """Make a small data set of Moving MNIST with the program; returns its directory."""
    words = ["--destination_dir", destination, "--sequence_length", CONTEXT + LEAD, *flags]
    words += ["--n_train", 3, "--n_val", 2, "--n_test", 12]
    options = [str(word) for word in words]
    assert run(main_preprocess_moving_mnist.main, main_preprocess_moving_mnist.build_parser(), options) == 0
    (directory,) = Path(destination).iterdir()
    return directory


@dataclass
class StandIn:
    """A forecaster without a network: the last frame, drawn a little towards the mean of the context."""

    lead: int = LEAD
    stochastic: bool = False
    calls: int = 0
    pull: float = 0.02

    def forecast(self, context, times, seeds, region):
        """Forecast [B, Tl, H, W, C]."""
        self.calls += len(context)
        share = (self.pull * np.arange(1, self.lead + 1, dtype=np.float32)).reshape(1, -1, 1, 1, 1)
        forecast = (1 - share) * context[:, -1:] + share * context.mean(axis=1, keepdims=True)
        if self.stochastic:
            noise = [np.random.default_rng(seed).normal(size=forecast.shape[1:]) for seed in seeds]
            forecast = forecast + np.stack(noise).astype(np.float32)
        return forecast


def draw_quickly(plan, file, scores) -> dict[str, Path]:
    """Write small pictures under the names of the plots; they depend on the scores, as plots do."""
    names = [
        f"score_{name}_{metric}"
        for name in plan.terms.grid.variables
        for metric in scores["metric"].values
        if scores["metric_units"].sel(variable=name, metric=metric)
    ]
    case, whole = ("map", "error_map") if file.grid.layout.has_times else ("strip", "animation")
    for name in plan.terms.grid.variables:
        names += [f"{case}_{name}_{which}" for which in ("best", "median", "worst")] + [f"{whole}_{name}"]
    shade = np.full((2, 2, 3), float(scores["grid_mean"].sum(skipna=True)) % 1.0)
    paths = {name: plan.directory / "plots" / f"{name}.png" for name in names}
    for path in paths.values():
        path.parent.mkdir(exist_ok=True)
        matplotlib.image.imsave(path, shade)
    return paths


@pytest.fixture(scope="session")
def uk(shared_data) -> xr.DataArray:
    """Real hourly 2 m temperature, March 2019 [time, latitude, longitude]."""
    with xr.open_dataset(
        shared_data / "era5/uk_2019-03/era5-2mt-2019-03-uk.grib",
        engine="cfgrib",
        backend_kwargs={"indexpath": ""},
    ) as data:
        return data["t2m"].load()


@pytest.fixture(scope="session")
def uk_data(uk, tmp_path_factory) -> Path:
    """UK data prepared: train to 22 March, val 23 to 24, test 25 to 27; every 4th point of the east."""
    cut = uk[: 27 * 24, ::4, 24::4]
    times = seconds(cut["time"].values)
    frames = cut.values[..., np.newaxis].astype(np.float32)
    directory = (
        tmp_path_factory.mktemp("base") / "PreprocessedData" / "Y2019to2019M03to03-7_9-50.00N04.00W-2t"
    )
    return write_prepared(
        directory,
        frames,
        times,
        ("2t",),
        {"train": (0, 22 * 24), "val": (22 * 24, 24 * 24), "test": (24 * 24, 27 * 24)},
        cut["latitude"].values,
        cut["longitude"].values,
    )


@pytest.fixture
def model_dir(uk_data, tmp_path) -> Path:
    """A model directory, trained on `uk_data`."""
    return write_model(
        tmp_path / "Models" / uk_data.name / "convLSTM" / "20190401T120000_anna_first-try", uk_data
    )


@pytest.fixture(scope="session")
def digits_data(shared_data, tmp_path_factory) -> Path:
    """Moving MNIST of the real digits: 12 test sequences of 4 context and 3 lead frames, 64 x 64 pixels."""
    return write_digits(
        tmp_path_factory.mktemp("digits") / "PreprocessedData", "--digits_dir", shared_data / "mnist"
    )
