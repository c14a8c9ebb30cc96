"""Hyper-parameters: those of every model, and how a file and ``--set key=value`` become a checked dataclass."""

import dataclasses
import json
import math
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from video_prediction_tools.datasets.channels import ALL, KNOWN_CHANNELS
from video_prediction_tools.errors import InputError, did_you_mean
from video_prediction_tools.metadata.files import read_json


def hparam(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: Sequence[Any] | None = None,
    entries: int = 0,
    two_steps: bool = False,
) -> Any:
    """Declare one hyper-parameter of a dataclass.

    Arguments:
        default: its default; a list is copied.
        help: what it means, with its unit.
        low, high: the closed range of a number, or of every number of a list.
        choices: the allowed values, or the allowed entries of a list.
        entries: the least number of entries of a list.
        two_steps: a list holds a first and a last step, or nothing (see `two_steps`).
    """
    limits = {
        "help": help,
        "low": low,
        "high": high,
        "choices": tuple(choices) if choices else None,
        "entries": entries,
        "two_steps": two_steps,
    }
    if isinstance(default, list):
        return dataclasses.field(default_factory=lambda: list(default), metadata=limits)
    return dataclasses.field(default=default, metadata=limits)


def two_steps(default: list[int], help: str) -> Any:
    """Declare a hyper-parameter that holds the first and the last step of a change, or nothing."""
    return hparam(default, help, low=0, high=1_000_000_000, two_steps=True)


@dataclass
class CommonHparams:
    """What every model has; key names are the original's where they mean the same."""

    context_frames: int = hparam(10, "frames before the forecast", low=1, high=1000)
    batch_size: int = hparam(16, "sequences of one step, over all workers together", low=1, high=100_000)
    max_epochs: int = hparam(20, "passes over the training data", low=1, high=1_000_000)
    max_steps: int = hparam(
        0,
        "steps of the training, its schedules included, in place of those of max_epochs; 0: as many as max_epochs take",
        low=0,
        high=1_000_000_000,
    )
    max_seconds: float = hparam(
        0.0, "end training after so many seconds, resumed runs counted in; 0: no limit", low=0.0
    )
    lr: float = hparam(1e-3, "learning rate (its highest value)", low=1e-12, high=10.0)
    lr_schedule: str = hparam(
        "cosine", "course of the learning rate", choices=("constant", "linear", "cosine", "one_cycle")
    )
    end_lr: float = hparam(0.0, "learning rate at the end, unless it is constant", low=0.0, high=10.0)
    decay_steps: list[int] = two_steps(
        [],
        "first and last step of the fall of a linear or cosine schedule; empty: from warmup_steps to the last step",
    )
    warmup_steps: int = hparam(0, "steps over which the learning rate rises from 0", low=0, high=10_000_000)
    clip_norm: float = hparam(1.0, "largest global norm of the gradient; 0: not clipped", low=0.0)
    weight_decay: float = hparam(0.0, "decoupled weight decay (AdamW)", low=0.0, high=1.0)
    diverged_lr_factor: float = hparam(
        0.0,
        "after a loss or gradient that is no number, go on once from the last checkpoint with the learning rate times "
        "this; 0: stop",
        low=0.0,
        high=0.9,
    )
    loss_fun: str = hparam(
        "mse", "loss of the forecast frames, on normalised values", choices=("mse", "mae", "huber")
    )
    opt_var: list[str] = hparam(
        ["all"],
        "variables in the loss of the frames (an adversary judges all): short names, or all",
        entries=1,
    )
    normalisation: str = hparam("zscore", "how inputs are scaled, per variable", choices=("zscore", "minmax"))
    known_channels: list[str] = hparam(
        [ALL],
        "extra inputs that are known ahead; all: all that the data have",
        choices=(ALL, *KNOWN_CHANNELS),
    )
    gradient_accumulation: int = hparam(
        1,
        "parts that a batch is cut into, one after the other, where it does not fit into memory; the gradient is "
        "the same",
        low=1,
        high=4096,
    )
    xla: bool = hparam(
        False,
        "compile the gradient with XLA: on GPUs a faster step, after minutes of compiling; on CPUs a slower one",
    )
    mixed_precision: str = hparam("float32", "arithmetic of the layers", choices=("float32", "bfloat16"))
    ema_decay: float = hparam(
        0.0,
        "decay per step of the running mean of the weights that is validated and used for "
        "forecasts; 0: the weights themselves",
        low=0.0,
        high=0.999999,
    )
    validate_every: int = hparam(1, "epochs between two validations", low=1, high=1_000_000)
    early_stopping: int = hparam(
        0, "stop after so many validations without a lower loss; 0: never", low=0, high=1_000_000
    )
    checkpoint_seconds: float = hparam(300.0, "seconds between two checkpoints within an epoch", low=0.0)


def resolve(cls: type[CommonHparams], path: Path | None, overrides: Sequence[str] = ()) -> CommonHparams:
    """Return the hyper-parameters of a model: defaults < JSON file < ``key=value`` overrides.

    Arguments:
        cls: the model's dataclass.
        path: JSON file with some or all keys, or None.
        overrides: ``key=value``; a value is read as JSON where it is JSON, and as text otherwise.

    Raises:
        InputError: unknown key (did you mean), wrong type, value out of range.
    """
    values: dict[str, Any] = {}
    if path is not None:
        content = read_json(path, "give a JSON file like those in video_prediction_tools/hparams")
        if not isinstance(content, dict):
            raise InputError(path, "is not a JSON object", 'write for example {"lr": 0.001}')
        for key, value in content.items():
            values[key] = _checked(cls, str(path), key, value)
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            raise InputError(
                "--set", f"'{override}' is not of the form key=value", "write for example --set lr=0.001"
            )
        values[key] = _checked(cls, "--set", key, _parsed(cls, key, text))
    return cls(**values)


def _parsed(cls: type[CommonHparams], key: str, text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    kind = typing.get_type_hints(cls).get(key)
    if typing.get_origin(kind) is list and not isinstance(value, list):
        value = [_parsed(cls, "", part) for part in text.split(",")] if text else []  # --set filters=32,32
    return value


def _checked(cls: type[CommonHparams], where: str, key: str, value: Any) -> Any:
    fields = {field.name: field for field in dataclasses.fields(cls)}
    if key not in fields:
        raise InputError(where, f"unknown hyper-parameter '{key}'", did_you_mean(key, fields))
    kind, limits = typing.get_type_hints(cls)[key], fields[key].metadata
    if typing.get_origin(kind) is list:
        if not isinstance(value, list):
            raise InputError(where, f"'{key}' is {value!r}, not a list", f"see its meaning: {limits['help']}")
        if len(value) < limits["entries"]:
            raise InputError(where, f"'{key}' is empty", f"it means: {limits['help']}")
        if ALL in value and len(value) > 1:
            raise InputError(
                where, f"'{key}' names more than '{ALL}'", f"write {ALL} by itself, or leave it out"
            )
        checked = [_checked_one(where, key, typing.get_args(kind)[0], limits, entry) for entry in value]
        if limits["two_steps"] and checked and not (len(checked) == 2 and checked[0] < checked[1]):
            what = f"'{key}' is {checked}, not a first and a last step"
            raise InputError(where, what, "write for example [3000, 9000]")
        return checked
    return _checked_one(where, key, kind, limits, value)


def _checked_one(where: str, key: str, kind: type, limits: Any, value: Any) -> Any:
    if kind is float and type(value) is int:
        value = float(value) if abs(value) < 10**300 else math.inf
    if kind is float and isinstance(value, float) and not math.isfinite(value):
        raise InputError(where, f"'{key}' is {value}", f"give a finite number; it means: {limits['help']}")
    if type(value) is not kind:
        raise InputError(
            where, f"'{key}' is {value!r}, not of the type {kind.__name__}", f"it means: {limits['help']}"
        )
    low, high, choices = limits["low"], limits["high"], limits["choices"]
    if choices and value not in choices:
        raise InputError(where, f"'{key}' is '{value}'", f"choose among: {', '.join(map(str, choices))}")
    if (low is not None and not value >= low) or (high is not None and not value <= high):
        bounds = f"at least {low}" if high is None else f"from {low} to {high}"
        raise InputError(where, f"'{key}' is {value}", f"give a value {bounds}")
    return value
