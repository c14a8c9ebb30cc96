"""The order between the steps: what a step needs is there, or made by an earlier step of the chain."""

import glob
import os
from pathlib import Path
from typing import Any

from video_prediction_tools.config_runscripts import found
from video_prediction_tools.config_runscripts.context import Context, member_id, sweep_settings
from video_prediction_tools.errors import InputError, did_you_mean
from video_prediction_tools.metadata import chains, record
from video_prediction_tools.metadata.names import dataset_of, month_file

_NAMED = 3  # experiments of a sweep that a message names; more are counted


def extracted(context: Context) -> None:
    """Check for preprocess1 that the extraction has, or will have, the months and variables asked for.

    Raises:
        InputError: the step 'extract' is missing or does not cover what is asked for.
    """
    made = context.earlier("extract")
    directory = context.layout.extracted_data
    has = made or record.require_done(directory, "extracted_data", "extract").details
    lacking = [name for name in context.get("variables") or [] if name not in has["variables"]]
    if lacking:
        raise InputError(
            "--variables",
            f"the extraction has no {', '.join(lacking)} (it has {', '.join(has['variables'])})",
            "run the step 'extract' with them first",
        )
    for year in context.get("years") or []:
        if made:
            there = year in made["years"] and any(
                month in made["months"] for month in context.get("months") or made["months"]
            )
        else:
            there = any(
                month_file(directory, year, month).exists() for month in context.get("months") or range(1, 13)
            )
        if not there:
            raise InputError(
                "--years",
                f"the extraction has no month of {year}",
                f"run the step 'extract' for {year} first",
            )


def extracted_answer(context: Context, name: str) -> Any:
    """Return what preprocess1 may take over from the extraction (years, months, variables), or None."""
    if context.get("base_dir") is None:
        return None
    try:
        details = record.require_done(context.layout.extracted_data, "extracted_data", "extract").details
    except InputError:
        return None  # said when the answers are checked
    if name == "variables":
        return list(details["variables"])
    months = sorted(
        tuple(map(int, path.parts[-3:-1]))
        for path in context.layout.extracted_data.glob("[0-9]" * 4 + "/[0-9][0-9]/era5_*.nc")
    )
    return sorted({month[name == "months"] for month in months}) or None


def data_set(context: Context) -> None:
    """Check for preprocess2 that the data set is there, or will be.

    Raises:
        InputError: the step 'preprocess1' is missing.
    """
    _require_data(context, "preprocess1", "dataset", context.layout.data(context.get("data_name")))


def tfrecords(context: Context) -> None:
    """Check for train and postprocess that the TFRecords are there, or will be.

    Raises:
        InputError: the step that makes them is missing.
    """
    moving_mnist = dataset_of(context.get("data_name")) == "moving_mnist"
    step = "preprocess_moving_mnist" if moving_mnist else "preprocess2"
    _require_data(context, step, "tfrecords", context.layout.data(context.get("data_name")) / "tfrecords")


def _require_data(context: Context, step: str, kind: str, directory: Path) -> None:
    made = context.earlier(step)
    name = made and (made["data_name"] if "data_name" in made else context.data_name(step))
    if context.get("data_name") != name:
        record.require_done(directory, kind, step)


def model(context: Context) -> None:
    """Check for postprocess that the trained experiments are there, or will be.

    Raises:
        InputError: the step 'train' is missing.
    """
    made = context.earlier("train")
    if made and made["exp_id"] == context.get("exp_id"):
        return
    directory = Path(context.get("model_dir"))
    if not _experiments_of_sweep(context):  # those of a sweep are looked at when their number is known
        record.require_done(directory, "model", "train")


def model_directory(context: Context) -> str | None:
    """Return the directory of the experiment asked for, made by this chain or found, or None.

    Of a sweep it is the directory that would bear the sweep's own exp_id; those of its experiments lie beside it.
    """
    exp_id, made = context.get("exp_id"), context.earlier("train")
    if context.get("base_dir") is None or exp_id is None:
        return None
    if made and made["exp_id"] == exp_id:
        if not made.get("data_name"):
            return None
        return str(context.layout.model(made["data_name"], made["model"], exp_id))
    known = found.models(context.layout)
    path = next((one.path for one in known if one.name == exp_id), None)
    if path is None:  # a sweep?
        path = next((one.path.with_name(exp_id) for one in known if one.name == member_id(exp_id, 1)), None)
    if path is None:
        usable = [one.name for one in known if one.usable]
        raise InputError(
            "--exp_id",
            f"there is no experiment '{exp_id}' in {context.layout.models}",
            did_you_mean(exp_id, usable) if usable else "run the step 'train' first",
        )
    return str(path)


def sweep_size(context: Context) -> int | None:
    """Return how many experiments the sweep has that postprocess is asked for; None: it is no sweep."""
    made, exp_id = context.earlier("train"), context.get("exp_id")
    if made and made["exp_id"] == exp_id:
        return len(sweep_settings(made.get("sweep"))) or None
    return _experiments_of_sweep(context) or None if context.get("model_dir") else None


def sweep_trained(context: Context) -> None:
    """Check for postprocess that all experiments of the sweep are trained, or will be.

    Raises:
        InputError: some are not; which.
    """
    made, exp_id = context.earlier("train"), context.get("exp_id")
    if (made and made["exp_id"] == exp_id) or not _experiments_of_sweep(context):
        return
    directory, size = Path(context.get("model_dir")), context.get("sweep_size")
    members = [directory.with_name(member_id(directory.name, n)) for n in range(1, size + 1)]
    trained = [one.name for one in found.models(context.layout) if one.usable]
    lacking = [member.name for member in members if member.name not in trained]
    if lacking:
        raise InputError(
            "--sweep_size",
            f"{len(lacking)} of the {size} experiments are not trained: {', '.join(lacking[:_NAMED])}"
            + ", .." * (len(lacking) > _NAMED),
            "let their training end (see status, resume), or evaluate each of the others by its own --exp_id",
        )


def _experiments_of_sweep(context: Context) -> int:
    """Return how many experiments the sweep has: as many as were submitted, or begun by hand; 0: it is no sweep."""
    directory = Path(context.get("model_dir"))
    if os.path.exists(directory):
        return 0
    numbers = [0]
    for path in directory.parent.glob(f"{glob.escape(directory.name)}.*"):
        number = path.name.removeprefix(f"{directory.name}.")
        if number.isascii() and number.isdecimal():
            numbers.append(int(number))
    submitted = context.layout.jobs / directory.name
    if os.path.exists(submitted / chains.FILE_NAME):
        steps = chains.read(submitted).steps
        numbers += [one.elements or 0 for one in steps if one.step == "train"]
    return max(numbers)


def something_to_work_on(context: Context) -> None:
    """Check that the step before has made anything at all below the base directory, before more is asked.

    Raises:
        InputError: it has not.
    """
    layout = context.layout
    needs = {
        "preprocess1": (("extract",), layout.extracted_data, None),
        "preprocess2": (("preprocess1",), layout.preprocessed_data, found.data_sets),
        "train": (("preprocess2", "preprocess_moving_mnist"), layout.preprocessed_data, found.tfrecords),
        "postprocess": (("train",), layout.models, found.models),
    }
    if context.step not in needs or any(context.earlier(step) for step in needs[context.step][0]):
        return
    steps, directory, search = needs[context.step]
    if search is None:
        record.require_done(directory, "extracted_data", steps[0])
        return
    known = search(layout)
    if not any(one.usable for one in known):
        there = "; ".join(map(str, known))
        raise InputError(
            directory,
            f"holds nothing that the step '{steps[0]}' has finished" + (f" ({there})" if there else ""),
            f"run the step '{steps[0]}' first"
            + (f" (for Moving MNIST: '{steps[1]}')" if len(steps) > 1 else "")
            + ", or give another --base_dir",
        )
