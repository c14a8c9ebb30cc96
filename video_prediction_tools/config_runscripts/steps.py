"""The steps of the workflow. A new one needs an entry, its questions, and templates/steps/<name>.sh.j2."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from video_prediction_tools.metadata.names import dataset_of

if TYPE_CHECKING:
    from video_prediction_tools.config_runscripts.context import Context

Answers = dict[str, Any]


def _no_files(answers: Answers) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Target:
    """What a step makes: a directory with a metadata.json of this kind."""

    kind: str
    directory: Path


@dataclass(frozen=True)
class Step:
    """One step.

    Arguments:
        name: as users and files call it.
        title: what it does, for the prompt.
        program: file below main_scripts.
        script: answers -> name of the script.
        values: what its template needs beside the answers.
        targets: what it makes; several for a sweep.
        side_files: answers -> content of JSON files beside the script, by the answer that they stand for.
        resumable: it stops early before the walltime ends (exit code 75) and is started again.
        mpi: its work is shared out over MPI ranks.
    """

    name: str
    title: str
    program: str
    script: Callable[[Answers], str]
    values: Callable[["Context"], dict[str, Any]]
    targets: Callable[["Context"], list[Target]]
    side_files: Callable[[Answers], dict[str, Any]] = _no_files
    resumable: bool = False
    mpi: bool = False


def _extract_values(context: "Context") -> dict[str, Any]:
    return {"destination_dir": context.layout.extracted_data}


def _extract_targets(context: "Context") -> list[Target]:
    return [Target("extracted_data", context.layout.extracted_data)]


def _preprocess1_values(context: "Context") -> dict[str, Any]:
    return {"source_dir": context.layout.extracted_data, "destination_dir": context.layout.preprocessed_data}


def _preprocess1_targets(context: "Context") -> list[Target]:
    return [Target("dataset", context.layout.data(context.data_name("preprocess1")))]


def _data_split(answers: Answers) -> dict[str, Any]:
    if isinstance(answers.get("data_split"), dict):
        return {"data_split": answers["data_split"]}
    if answers.get("data_split") is None:
        return {"data_split": {split: answers[f"{split}_period"] for split in ("train", "val", "test")}}
    return {}


def _preprocess2_values(context: "Context") -> dict[str, Any]:
    return {"source_dir": context.layout.data(context.get("data_name"))}


def _preprocess2_targets(context: "Context") -> list[Target]:
    return [Target("tfrecords", context.layout.data(context.get("data_name")) / "tfrecords")]


def _moving_mnist_values(context: "Context") -> dict[str, Any]:
    return {"destination_dir": context.layout.preprocessed_data}


def _moving_mnist_targets(context: "Context") -> list[Target]:
    directory = context.layout.data(context.data_name("preprocess_moving_mnist"))
    return [Target("tfrecords", directory / "tfrecords")]


def _train_values(context: "Context") -> dict[str, Any]:
    return {"input_dir": context.layout.data(context.get("data_name")), "experiments": context.experiments()}


def _train_targets(context: "Context") -> list[Target]:
    return [Target("model", experiment.directory) for experiment in context.experiments()]


def _model_hparams(answers: Answers) -> dict[str, Any]:
    inline = answers.get("model_hparams")
    return {"model_hparams": inline} if isinstance(inline, dict) else {}


def _postprocess_values(context: "Context") -> dict[str, Any]:
    trained_on = Path(context.get("model_dir")).parents[1].name
    other = context.get("data_name") != trained_on
    return {
        "results_dir": context.layout.results,
        "input_dir": context.layout.data(context.get("data_name")) if other else None,
        "experiments": context.experiments(),
    }


def _postprocess_targets(context: "Context") -> list[Target]:
    return [Target("results", experiment.results) for experiment in context.experiments()]


STEPS = {
    step.name: step
    for step in (
        Step(
            "extract",
            "get the weather: Copernicus, an archive or synthetic",
            "main_data_extraction.py",
            lambda answers: "data_extraction_era5.sh",
            _extract_values,
            _extract_targets,
        ),
        Step(
            "preprocess1",
            "cut the region out, split by time, statistics",
            "main_preprocess_data_step1.py",
            lambda answers: "preprocess_data_era5_step1.sh",
            _preprocess1_values,
            _preprocess1_targets,
            _data_split,
            mpi=True,
        ),
        Step(
            "preprocess2",
            "write the TFRecords",
            "main_preprocess_data_step2.py",
            lambda answers: "preprocess_data_era5_step2.sh",
            _preprocess2_values,
            _preprocess2_targets,
            mpi=True,
        ),
        Step(
            "preprocess_moving_mnist",
            "Moving MNIST: sequences from digits, TFRecords",
            "main_preprocess_moving_mnist.py",
            lambda answers: "preprocess_data_moving_mnist.sh",
            _moving_mnist_values,
            _moving_mnist_targets,
        ),
        Step(
            "train",
            "train a model",
            "main_train_models.py",
            lambda answers: f"train_model_{dataset_of(answers['data_name'])}_{answers['exp_id']}.sh",
            _train_values,
            _train_targets,
            _model_hparams,
            resumable=True,
        ),
        Step(
            "postprocess",
            "forecasts, scores, plots and report",
            "main_visualize_postprocess.py",
            lambda answers: (
                f"visualize_postprocess_{dataset_of(answers['data_name'])}_{answers['exp_id']}.sh"
            ),
            _postprocess_values,
            _postprocess_targets,
        ),
    )
}

CHAINS = {
    "era5": ("extract", "preprocess1", "preprocess2", "train", "postprocess"),
    "moving_mnist": ("preprocess_moving_mnist", "train", "postprocess"),
}
"""The steps of `all`, by data set."""
