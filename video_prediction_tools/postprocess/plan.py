"""What is to be judged, on what and how: all is checked here, before anything is run or written."""

import hashlib
import json
from argparse import Namespace
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from video_prediction_tools.datasets.channels import choose
from video_prediction_tools.datasets.prepared import PreparedData, open_prepared
from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.files import read_json, sha256
from video_prediction_tools.metadata.names import result_directory, step_that_makes
from video_prediction_tools.metadata.record import OpenRecord, Record, arguments_of, find_record, require_done
from video_prediction_tools.postprocess import imported
from video_prediction_tools.postprocess.imported import ImportedForecasts, is_imported
from video_prediction_tools.postprocess.metrics.registry import METRICS_VERSION
from video_prediction_tools.postprocess.protocol import MOVING_MNIST, protocol_of
from video_prediction_tools.postprocess.terms import Terms, frame_terms, weather_terms
from video_prediction_tools.training.saved_model import read_data_spec

KIND = "results"


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
        terms: forecasts, metrics, baselines, weights and blocks.
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
    terms: Terms
    directory: Path
    forecast_key: str
    score_key: str
    warnings: list[str]

    @property
    def model(self) -> str:
        """Name of the model, as in the registry and the tables."""
        return self.model_record.details["model"]

    @property
    def is_imported(self) -> bool:
        """Say whether the forecasts come from elsewhere (`main_import_forecasts.py`), not from a network of ours."""
        return is_imported(self.model_record)

    @property
    def arguments(self) -> dict[str, Any]:
        """The program's flags as metadata.json keeps them."""
        return arguments_of(vars(self.options))

    def keys(self) -> dict[str, str]:
        """Return what results are keyed by in their metadata."""
        return {"forecast_key": self.forecast_key, "score_key": self.score_key}

    def training_key(self) -> str:
        """Return what trainings have in common that differ in their seed only."""
        return _key(self.model, self.hparams, self.spec["dataset_fingerprint"], self.options.checkpoint)

    def is_done(self) -> bool:
        """Say whether these very results are there, whole."""
        record = find_record(self.directory)
        if record is None or {name: record.details.get(name) for name in self.keys()} != self.keys():
            return False
        return OpenRecord(self.directory, record).is_complete()


def make_plan(options: Namespace) -> Plan:
    """Check the flags and all inputs.

    Raises:
        InputError: something is wrong with them.
    """
    _require_positive(options)
    model_dir = Path(options.model_dir)
    record = require_done(model_dir, "model", "train")
    spec = read_data_spec(model_dir)
    hparams = read_json(model_dir / "model_hparams.json", "copy it back from a backup, or train anew")
    name = _model_name(model_dir, record)
    data_dir = Path(options.input_dir) if options.input_dir else _training_data(model_dir, record, spec)
    data = open_prepared(data_dir)
    data_record = require_done(data_dir, "dataset", step_that_makes(data_dir, "preprocess1"))
    _require_same_kind(data, spec)
    choose(spec["known"], data.region, f"--input_dir {data.name}")
    if protocol_of(data.name) is MOVING_MNIST:
        terms = frame_terms(options, data, spec, data_record)
    else:
        terms = weather_terms(options, data, spec, _imported_init_times(model_dir, record, data))
    # a model can be a baseline itself (persistence), and no product may stand twice
    terms = replace(terms, baselines=[one for one in terms.baselines if one.name != name])
    directory = result_directory(Path(options.results_dir), data.name, spec["data_name"], name, record.name)
    _require_same_split(directory, options.split)
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
        [metric.name for metric in terms.metrics],
        [baseline.name for baseline in terms.baselines],
        options.no_latitude_weights,
        terms.regions["region"].values.tolist() if terms.regions is not None else [],
        options.subregion,
        terms.plot_leads,
        sha256(options.climatology_file) if options.climatology_file else "",
        terms.blocks.length,
        terms.blocks.draws,
    )
    warnings = [*_warnings(data, spec, terms), *terms.warnings]
    return Plan(
        options,
        record,
        spec,
        hparams,
        data,
        data_record,
        terms,
        directory,
        forecast_key,
        score_key,
        warnings,
    )


def _imported_init_times(model_dir: Path, record: Record, data: PreparedData) -> np.ndarray | None:
    """Return the init_times that imported forecasts have, None for a network, which can have any."""
    if not is_imported(record):
        return None
    with ImportedForecasts(model_dir / imported.NAME, data) as file:
        return file.init_times


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


def _require_same_split(directory: Path, split: str) -> None:
    record = find_record(directory)
    if record and record.details.get("split", split) != split:
        raise InputError(
            directory,
            f"holds results of the split '{record.details['split']}'",
            f"give another --results_dir for the split '{split}'",
        )


def _warnings(data: PreparedData, spec: dict[str, Any], terms: Terms) -> list[str]:
    """Say what weakens the scores, whatever the kind of data."""
    said, words = [], terms.protocol.words
    if data.synthetic or spec.get("synthetic"):
        what = f"the {words.fields}" + ("" if data.synthetic else " that the model was trained on")
        said.append(
            f"SYNTHETIC DATA: {what} are made up, not observed; the scores say nothing about {words.real}."
        )
    if spec["data_name"] == data.name and spec["dataset_fingerprint"] != data.fingerprint:
        said.append(
            f"The data set was made anew after the training: its {words.parts} may now lie in other splits, "
            "and the model may have seen some of them."
        )
    return said


def _key(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
