"""A trained model, ready to forecast in physical units."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from video_prediction_tools.datasets.channels import Region, choose, clocks, known_channels
from video_prediction_tools.datasets.normalisation import Normalisation
from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.files import read_json
from video_prediction_tools.metadata.record import FILE_NAME, require_done
from video_prediction_tools.training.checkpoints import (
    Origin,
    OtherVariables,
    best_file,
    last_file,
    require_origin,
    restore,
)
from video_prediction_tools.training.experiment import HPARAMS_NAME, KIND, SPEC_NAME, require_as_written

CHECKPOINTS = {"best": best_file, "last": last_file}
_REMEDY = "give the directory of a finished training, or train anew"


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


# what data_spec.json must hold: a check of each entry, and what it demands in words
_ENTRIES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "variables": (lambda value: _are_names(value) and bool(value), "a list of names"),
    "units": (_are_names, "a list of units"),
    "height": (_is_count, "a whole number above 0"),
    "width": (_is_count, "a whole number above 0"),
    "context_frames": (_is_count, "a whole number above 0"),
    "lead_frames": (_is_count, "a whole number above 0"),
    "step_hours": (_is_count, "a whole number above 0"),
    "known": (_are_names, "a list of names"),
    "data_name": (_is_text, "a name"),
    "dataset_fingerprint": (_is_text, "a text"),
    "normalisation": (lambda value: isinstance(value, dict), "a table"),
}


def read_data_spec(model_directory: Path) -> dict[str, Any]:
    """Return the content of data_spec.json of a finished training, without importing TensorFlow.

    Raises:
        InputError: the directory is no finished training, or the file is damaged.
    """
    require_done(model_directory, KIND, "train")
    path = Path(model_directory) / SPEC_NAME
    spec = read_json(path, _REMEDY)
    if not isinstance(spec, dict):
        raise InputError(path, "is damaged: it holds no entries", _REMEDY)
    missing = [name for name in _ENTRIES if name not in spec]
    if missing:
        raise InputError(path, f"is damaged: entries are missing ({', '.join(missing)})", _REMEDY)
    for name, (fits, kind) in _ENTRIES.items():
        if not fits(spec[name]):
            raise InputError(path, f"is damaged: '{name}' is not {kind}", _REMEDY)
    if len(spec["units"]) != len(spec["variables"]):
        raise InputError(path, "is damaged: it has not one unit for each variable", _REMEDY)
    try:
        Normalisation.from_json(spec["normalisation"], spec["variables"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            path, "is damaged: 'normalisation' lacks its method or the statistics of a variable", _REMEDY
        ) from error
    return spec


class Forecaster:
    """Forecasts with a trained model.

    Arguments:
        model: a `VideoPredictionModel` with its trained weights.
        data_spec: content of data_spec.json.
    """

    def __init__(self, model: Any, data_spec: Mapping[str, Any]):
        import tensorflow as tf

        self.model, self.data_spec = model, data_spec
        self.stochastic: bool = model.stochastic
        self._normalisation = Normalisation.from_json(data_spec["normalisation"], data_spec["variables"])
        self._rows = 0
        self._compiled = tf.function(self._forecast)

    def forecast(
        self, frames: np.ndarray, times: np.ndarray, seeds: np.ndarray, region: Region
    ) -> np.ndarray:
        """Forecast the lead frames.

        Arguments:
            frames: context frames in physical units, float32 [B, Tc, H, W, C].
            times: of context and lead frames, int64 [B, Tc+Tl], seconds since 1970.
            seeds: int32 [B]; the same seed gives the same forecast of a sequence.
            region: where the frames lie, with the constants that the model needs: `channels.read_region` (the
                entry `region` of `prepared.open_prepared`) of the data set that is forecast.

        Returns:
            float32 [B, Tl, H, W, C], physical units.

        Raises:
            InputError: the region lacks a known channel that the model needs.
        """
        choose(self.model.spec.known, region, "data set")
        rows = len(frames)
        self._rows = max(
            self._rows, rows
        )  # a smaller last batch is filled up: another size would be compiled anew
        fill = [(0, self._rows - rows)]
        frames = np.pad(frames, fill + [(0, 0)] * 4, mode="edge")
        times = np.pad(times, fill + [(0, 0)], mode="edge")
        seeds = np.pad(seeds, fill, mode="edge")
        spec = self.model.spec
        known = known_channels(spec.known, clocks(times), region, spec.height, spec.width)
        forecast = self._compiled(self._normalisation.normalise(frames), known, seeds).numpy()
        return self._normalisation.denormalise(forecast.astype(np.float32))[:rows]

    def _forecast(self, context: Any, known: Any, seed: Any) -> Any:
        return self.model.forecast(context, known, seed)


def load_forecaster(
    model_directory: Path, which: str = "best", grid: tuple[int, int] | None = None
) -> Forecaster:
    """Load a trained model.

    Arguments:
        model_directory: ``<base>/Models/<data_name>/<model>/<exp_id>``.
        which: checkpoint, ``best`` (lowest validation loss) or ``last``.
        grid: H and W of the data to forecast, where they are other than those of the training (transfer
            learning).

    Raises:
        InputError: the directory is no finished training, or something in it is damaged, changed or of another
            training.
    """
    directory = Path(model_directory)
    if which not in CHECKPOINTS:
        raise InputError(
            "checkpoint", f"unknown checkpoint '{which}'", f"choose among: {', '.join(CHECKPOINTS)}"
        )
    content = read_data_spec(directory)
    record = require_done(directory, KIND, "train")
    name = record.details.get("model")
    if not isinstance(name, str):
        raise InputError(directory / FILE_NAME, "is damaged: it names no model", _REMEDY)
    path = CHECKPOINTS[which](directory)
    origin = Origin(name, record.details.get("seed"), content["data_name"], content["dataset_fingerprint"])
    require_as_written(directory, record, [directory / HPARAMS_NAME, directory / SPEC_NAME])
    require_origin(path, origin)  # says more than that the file was changed
    require_as_written(directory, record, [path])

    from video_prediction_tools.models import registry
    from video_prediction_tools.models.base import DataSpec
    from video_prediction_tools.training.arithmetic import layer_arithmetic

    registry.require_known(name)
    hparams = registry.resolve_hparams(name, directory / HPARAMS_NAME)
    height, width = grid or (content["height"], content["width"])
    spec = DataSpec(
        height,
        width,
        tuple(content["variables"]),
        tuple(content["known"]),
        content["context_frames"],
        content["lead_frames"],
    )
    with layer_arithmetic(hparams.mixed_precision):
        model = registry.create(name, spec, hparams)
    wanted = {"model": model.variables}
    if which == "last" and hparams.ema_decay:  # the best checkpoint holds the running means as its weights
        wanted["averages"] = model.trainable_variables
    try:
        restore(path, wanted, origin)
    except OtherVariables as error:
        trained = content["height"], content["width"]
        if trained == (height, width):
            raise
        raise InputError(
            directory,
            f"{name} has other weights for {height} x {width} grid points than for the {trained[0]} x {trained[1]} "
            "of its training",
            "forecast a region of about the size of the training's, or train anew",
        ) from error
    return Forecaster(model, content)
