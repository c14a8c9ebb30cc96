"""The steps of the workflow. A new one needs an entry, its questions, and templates/steps/<name>.sh.j2."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from video_prediction_tools.config_runscripts.context import Context

Answers = dict[str, Any]


def _no_files(answers: Answers) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Step:
    """One step.

    Arguments:
        name: as users and files call it.
        title: what it does, for the prompt.
        program: file below main_scripts.
        script: answers -> name of the script.
        values: what its template needs beside the answers.
        side_files: answers -> content of JSON files beside the script, by the answer that they stand for.
        resumable: it stops early before the walltime ends (exit code 75) and is started again.
    """

    name: str
    title: str
    program: str
    script: Callable[[Answers], str]
    values: Callable[["Context"], dict[str, Any]]
    side_files: Callable[[Answers], dict[str, Any]] = _no_files
    resumable: bool = False


def _extract_values(context: "Context") -> dict[str, Any]:
    return {"destination_dir": context.layout.extracted_data}


def _preprocess1_values(context: "Context") -> dict[str, Any]:
    return {"source_dir": context.layout.extracted_data, "destination_dir": context.layout.preprocessed_data}


def _data_split(answers: Answers) -> dict[str, Any]:
    if isinstance(answers.get("data_split"), dict):
        return {"data_split": answers["data_split"]}
    if answers.get("data_split") is None:
        return {"data_split": {split: answers[f"{split}_period"] for split in ("train", "val", "test")}}
    return {}


def _preprocess2_values(context: "Context") -> dict[str, Any]:
    return {"source_dir": context.layout.data(context.get("data_name"))}


def _train_values(context: "Context") -> dict[str, Any]:
    name = context.get("data_name")
    return {
        "input_dir": context.layout.data(name),
        "output_dir": context.layout.model(name, context.get("model"), context.get("exp_id")),
    }


def _model_hparams(answers: Answers) -> dict[str, Any]:
    inline = answers.get("model_hparams")
    return {"model_hparams": inline} if isinstance(inline, dict) else {}


def _postprocess_values(context: "Context") -> dict[str, Any]:
    trained_on = Path(context.get("model_dir")).parents[1].name
    other = context.get("data_name") != trained_on
    return {
        "results_dir": context.layout.results,
        "input_dir": context.layout.data(context.get("data_name")) if other else None,
    }


STEPS = {
    step.name: step
    for step in (
        Step(
            "extract",
            "get the weather: Copernicus, an archive or synthetic",
            "main_data_extraction.py",
            lambda answers: "data_extraction_era5.sh",
            _extract_values,
        ),
        Step(
            "preprocess1",
            "cut the region out, split by time, statistics",
            "main_preprocess_data_step1.py",
            lambda answers: "preprocess_data_era5_step1.sh",
            _preprocess1_values,
            _data_split,
        ),
        Step(
            "preprocess2",
            "write the TFRecords",
            "main_preprocess_data_step2.py",
            lambda answers: "preprocess_data_era5_step2.sh",
            _preprocess2_values,
        ),
        Step(
            "train",
            "train a model",
            "main_train_models.py",
            lambda answers: f"train_model_era5_{answers['exp_id']}.sh",
            _train_values,
            _model_hparams,
            resumable=True,
        ),
        Step(
            "postprocess",
            "forecasts, scores, plots and report",
            "main_visualize_postprocess.py",
            lambda answers: f"visualize_postprocess_era5_{answers['exp_id']}.sh",
            _postprocess_values,
        ),
    )
}
