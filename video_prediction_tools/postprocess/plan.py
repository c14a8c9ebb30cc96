"""What is to be judged, on what and how: all is checked here, before anything is run or written."""

import hashlib
import json
import math
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from video_prediction_tools.datasets.channels import choose
from video_prediction_tools.datasets.observations import Observations
from video_prediction_tools.datasets.prepared import PreparedData, open_prepared
from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.files import read_json, sha256
from video_prediction_tools.metadata.names import result_directory
from video_prediction_tools.metadata.record import OpenRecord, Record, find_record, require_done
from video_prediction_tools.postprocess.baselines import Baseline, Sources, make_baselines, same_hour_before
from video_prediction_tools.postprocess.bootstrap import MovingBlocks
from video_prediction_tools.postprocess.climatology import Climatology, read_climatology, training_climatology
from video_prediction_tools.postprocess.forecasts import Grid
from video_prediction_tools.postprocess.metrics import METRICS, METRICS_VERSION, Metric, metrics_by_name
from video_prediction_tools.postprocess.sequences import Sequences, choose_sequences
from video_prediction_tools.postprocess.weights import latitude_weights, uniform_weights
from video_prediction_tools.training.saved_model import read_data_spec

KIND = "results"
FEW_BLOCKS = 10  # with fewer independent blocks an interval is itself uncertain
SHORT_DAYS = 30


@dataclass(frozen=True)
class Plan:
    """A checked evaluation of one model on one split.

    Arguments:
        options: the program's flags.
        model_record: metadata.json of the model directory.
        spec: its data_spec.json.
        hparams: its model_hparams.json.
        data: the data set.
        data_record: metadata.json of the data set.
        grid: of the fields.
        sequences: the forecasts to make.
        metrics: the scores to make.
        climatology: reference of acc, or None.
        baselines: the products beside the model.
        weights: [lat, lon].
        blocks: of the bootstrap.
        directory: where the results go.
        forecast_key, score_key: fingerprints of all that decides forecasts.nc and the scores.
        warnings: what a reader of the scores must know.
    """

    options: Namespace
    model_record: Record
    spec: dict[str, Any]
    hparams: dict[str, Any]
    data: PreparedData
    data_record: Record
    grid: Grid
    sequences: Sequences
    metrics: list[Metric]
    climatology: Climatology | None
    baselines: list[Baseline]
    weights: xr.DataArray
    blocks: MovingBlocks
    directory: Path
    forecast_key: str
    score_key: str
    warnings: list[str]

    @property
    def model(self) -> str:
        """Name of the model, as in the registry and the tables."""
        return self.model_record.details["model"]

    @property
    def arguments(self) -> dict[str, Any]:
        """The program's flags as metadata.json keeps them."""
        return {
            name: str(value) if isinstance(value, Path) else value
            for name, value in vars(self.options).items()
            if value is not None
        }

    @property
    def block_hours(self) -> float:
        """Hours that a block of the bootstrap spans."""
        return self.blocks.length * max(self.options.stride, self.data.index.step_hours)

    def keys(self) -> dict[str, str]:
        """Return what results are keyed by in their metadata."""
        return {"forecast_key": self.forecast_key, "score_key": self.score_key}

    def is_done(self) -> bool:
        """Say whether these very results are there, whole."""
        record = find_record(self.directory)
        if record is None or record.state != "done":
            return False
        keys = {name: record.details.get(name) for name in self.keys()}
        opened = OpenRecord(self.directory, record)
        return keys == self.keys() and all(opened.is_whole(self.directory / name) for name in record.outputs)


def make_plan(options: Namespace) -> Plan:
    """Check the flags and all inputs.

    Raises:
        InputError: something is wrong with them.
    """
    asked = metrics_by_name(options.eval_metrics) if options.eval_metrics else list(METRICS.values())
    _require_positive(options)
    model_dir = Path(options.model_dir)
    record = require_done(model_dir, "model", "train")
    spec = read_data_spec(model_dir)
    hparams = read_json(model_dir / "model_hparams.json", "copy it back from a backup, or train anew")
    name = _model_name(model_dir, record)
    data_dir = Path(options.input_dir) if options.input_dir else _training_data(model_dir, record, spec)
    data = open_prepared(data_dir)
    _require_same_kind(data, spec)
    choose(spec["known"], data.region, f"--input_dir {data.name}")
    grid = _grid(data)
    sequences = choose_sequences(
        data.index, options.split, spec["context_frames"], spec["lead_frames"], options.stride
    )
    directory = result_directory(Path(options.results_dir), data.name, spec["data_name"], name, record.name)
    _require_same_split(directory, options.split)

    observations = Observations(data_dir) if data.region.lat is not None else None
    climatology, no_climatology = _climatology(options, observations, grid, sequences)
    metrics = [metric for metric in asked if climatology or not metric.needs_climatology]
    if metrics != asked and options.eval_metrics:
        raise InputError(
            "--eval_metrics acc",
            f"there is no climatology to compare with: {no_climatology}",
            "give a --climatology_file that covers the period, or leave acc out",
        )
    baselines, missing = make_baselines(Sources(observations, climatology, no_climatology))
    spacing = max(options.stride, data.index.step_hours)
    blocks = MovingBlocks(len(sequences), math.ceil(options.block_hours / spacing), options.bootstrap_draws)
    data_record = require_done(data_dir, "dataset", "preprocess1")
    warnings = [
        *_warnings(data, data_record, spec, sequences, blocks, observations),
        *(f"The product {product} is missing: {reason}." for product, reason in missing.items()),
    ]
    if len(metrics) < len(asked):
        warnings.append(f"The metric acc is missing: {no_climatology}.")
    forecast_key = _key(
        record.fingerprint(),
        data.fingerprint,
        data.index.fingerprint,
        options.split,
        options.stride,
        options.checkpoint,
        options.seed,
        options.batch_size,
        options.num_stochastic_samples,
    )
    score_key = _key(
        forecast_key,
        METRICS_VERSION,
        [metric.name for metric in metrics],
        [baseline.name for baseline in baselines],
        options.no_latitude_weights,
        sha256(options.climatology_file) if options.climatology_file else "",
        blocks.length,
        blocks.draws,
    )
    weights = (
        uniform_weights(data.index.height, data.index.width)
        if options.no_latitude_weights or data.region.lat is None
        else latitude_weights(grid.lat, data.index.width)
    )
    return Plan(
        options,
        record,
        spec,
        hparams,
        data,
        data_record,
        grid,
        sequences,
        metrics,
        climatology,
        baselines,
        weights,
        blocks,
        directory,
        forecast_key,
        score_key,
        warnings,
    )


def _require_positive(options: Namespace) -> None:
    for flag in ("batch_size", "stride", "block_hours", "bootstrap_draws", "num_stochastic_samples"):
        value = getattr(options, flag)
        if value is not None and value < 1:
            raise InputError(f"--{flag}", f"{value} is below 1", "give 1 or more")
    if options.seed < 0:
        raise InputError("--seed", f"{options.seed} is below 0", "give 0 or more")


def _model_name(model_dir: Path, record: Record) -> str:
    name = record.details.get("model")
    if not isinstance(name, str) or not record.name:
        raise InputError(
            model_dir / "metadata.json",
            "is damaged: it does not name the model and its experiment",
            "copy it back from a backup, or train anew",
        )
    return name


def _training_data(model_dir: Path, record: Record, spec: dict[str, Any]) -> Path:
    """Find the data set that a model was trained on: where it was then, or in the same base directory."""
    noted = [Path(path) for path in record.inputs if Path(path).name == spec["data_name"]]
    parents = model_dir.resolve().parents
    beside = [parents[3] / "PreprocessedData" / spec["data_name"]] if len(parents) > 3 else []
    for path in (*noted, *beside):
        if (path / "metadata.json").exists():
            return path
    raise InputError(
        "--input_dir",
        f"the data set {spec['data_name']} that the model was trained on is not where it was",
        "give its directory with --input_dir",
    )


def _require_same_kind(data: PreparedData, spec: dict[str, Any]) -> None:
    found = {
        "variables": list(data.index.variables),
        "units": list(data.units),
        "step": data.index.step_hours,
    }
    trained = {"variables": spec["variables"], "units": spec["units"], "step": spec["step_hours"]}
    for what, value in trained.items():
        if found[what] != value:
            raise InputError(
                "--input_dir",
                f"{data.name} has the {what} {_words(found[what])}, the model was trained on {_words(value)}",
                f"give a data set with the same {what}",
            )


def _words(value: list[str] | int) -> str:
    return ", ".join(value) if isinstance(value, list) else f"{value} h"


def _grid(data: PreparedData) -> Grid:
    region, index = data.region, data.index
    if region.lat is None:  # no place on Earth: pixels
        rows, columns = np.arange(index.height, dtype=float), np.arange(index.width, dtype=float)
        return Grid(index.variables, data.units, -rows, columns)
    return Grid(index.variables, data.units, region.lat, region.lon)


def _require_same_split(directory: Path, split: str) -> None:
    record = find_record(directory)
    if record and record.details.get("split", split) != split:
        raise InputError(
            directory,
            f"holds results of the split '{record.details['split']}'",
            f"give another --results_dir for the split '{split}'",
        )


def _climatology(
    options: Namespace, observations: Observations | None, grid: Grid, sequences: Sequences
) -> tuple[Climatology | None, str]:
    """Return the climatology if it covers all valid times, otherwise None and the reason."""
    if options.climatology_file:
        found = read_climatology(options.climatology_file, grid.variables, grid.units, grid.lat, grid.lon)
    elif observations is None:
        return None, "the data have no months and hours"
    else:
        found = training_climatology(observations)
    missing = found.missing(sequences.valid_times)
    return (None, f"the climatology of {found.origin} does not cover {missing}") if missing else (found, "")


def _warnings(
    data: PreparedData,
    record: Record,
    spec: dict[str, Any],
    sequences: Sequences,
    blocks: MovingBlocks,
    observations: Observations | None,
) -> list[str]:
    """Say what weakens the scores."""
    said = []
    if data.synthetic or spec.get("synthetic"):
        what = "the fields" if data.synthetic else "the fields that the model was trained on"
        said.append(
            f"SYNTHETIC DATA: {what} are made up, not observed; the scores say nothing about real weather."
        )
    if spec["data_name"] == data.name and spec["dataset_fingerprint"] != data.fingerprint:
        said.append(
            "The data set was made anew after the training: its hours may now lie in other splits, and the "
            "model may have seen some of them."
        )
    days = (sequences.valid_times[-1, -1] - sequences.init_times[0]) / 86400
    if days < SHORT_DAYS:
        said.append(f"Short test period: {days:.1f} days are one spell of weather, not a climate.")
    if not blocks.enough(blocks.n):
        said.append(
            f"Intervals are withheld: {blocks.n} init times are fewer than two blocks of {blocks.length}."
        )
    elif blocks.n < FEW_BLOCKS * blocks.length:
        said.append(
            f"Few independent blocks: {blocks.n / blocks.length:.1f} blocks of {blocks.length} init "
            "times; the "
            "intervals are rough and likely too narrow."
        )
    gaps = (
        int((np.diff(sequences.init_times) > np.diff(sequences.init_times).min()).sum())
        if len(sequences) > 1
        else 0
    )
    if gaps:
        said.append(f"The init times have {gaps} gap{'s' if gaps > 1 else ''} (hours missing in the data).")
    if observations is not None:
        wanted = same_hour_before(sequences.init_times, sequences.valid_times)
        absent = ~observations.has(wanted.ravel()).reshape(wanted.shape)
        if absent.any():
            said.append(
                f"persistence_24h is not defined for {int(absent.any(axis=1).sum())} of "
                f"{len(sequences)} init "
                "times (the day before is not in the data); its scores are means over the others (n_init)."
            )
    return said


def _key(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
