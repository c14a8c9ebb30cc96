"""Checkpoints: each is one file that is whole or absent, with all arrays, a few numbers and the name of its training.

``checkpoints/last/state.npz`` holds everything that exact resume needs: weights, optimizers, running means
and the `Progress`. ``checkpoints/best/weights.npz`` holds the weights of the lowest validation loss. A new
file replaces the old one in one rename, so that a kill at any moment leaves the old or the new one.
"""

import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.files import whole_file
from video_prediction_tools.metadata.record import version

_HEADER = "header"
_COPY_BACK = "copy the model directory back from a backup, or train anew in another directory"
_DAMAGE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


@dataclass
class Progress:
    """Where a training stands; all else is in the arrays, or is a function of these and the seed.

    Arguments:
        step: steps done. Position in the data, learning rate and random numbers are functions of it.
        seconds: time spent training, over all attempts.
        best_step, best_val_loss: of the lowest validation loss (step -1: none yet).
        validations_since_best: for early stopping.
        loss_sum, loss_count: train losses since the last line of the log.
        log_bytes: length of training_log.csv.
        lr_factor: of the learning rate, below 1 after a divergence (hyper-parameter `diverged_lr_factor`).
        finished: why the training has ended; empty: it has not.
    """

    step: int = 0
    seconds: float = 0.0
    best_step: int = -1
    best_val_loss: float = float("inf")
    validations_since_best: int = 0
    loss_sum: float = 0.0
    loss_count: int = 0
    log_bytes: int = 0
    lr_factor: float = 1.0
    finished: str = ""


@dataclass(frozen=True)
class Origin:
    """The training that a checkpoint belongs to.

    Arguments:
        model: name in the registry.
        seed: of weights, order and random numbers.
        data_name, dataset_fingerprint: of the data set, as data_spec.json has them.
    """

    model: str
    seed: int
    data_name: str
    dataset_fingerprint: str

    def difference(self, other: "Origin") -> str:
        """Return in words what these weights are, and that they should be of `other`; empty where they are."""
        if self.model != other.model:
            return f"holds weights of {self.model}, not of {other.model}"
        if self.dataset_fingerprint != other.dataset_fingerprint:
            return f"holds weights trained on {self._data()}, not on {other._data()}"
        if self.seed != other.seed:
            return f"holds weights of a training with seed {self.seed}, not {other.seed}"
        return ""

    def _data(self) -> str:
        return f"{self.data_name} (fingerprint {self.dataset_fingerprint[:12]})"


class OtherVariables(InputError):
    """A checkpoint that was made with other variables."""


def last_file(model_directory: Path) -> Path:
    """The checkpoint to resume from."""
    return Path(model_directory) / "checkpoints" / "last" / "state.npz"


def best_file(model_directory: Path) -> Path:
    """The weights of the lowest validation loss."""
    return Path(model_directory) / "checkpoints" / "best" / "weights.npz"


def save(path: Path, groups: Mapping[str, Sequence[Any]], progress: Progress, origin: Origin) -> None:
    """Write a checkpoint.

    Arguments:
        path: the file; replaced when the new one is whole.
        groups: lists of Keras or TensorFlow variables, by name (``model``, ``optimizer of ..``). Those of the model
            are kept by their paths, the others by their places.
        progress, origin: kept beside them, with the version of this program.

    Raises:
        InputError: no space left, or not writable.
    """
    arrays = {
        _key(group, name): variable.numpy()
        for group, variables in groups.items()
        for name, variable in _named(group, variables).items()
    }
    header = {
        "progress": asdict(progress),
        "origin": asdict(origin),
        "version": version(),
        "shapes": {group: _shapes(group, variables) for group, variables in groups.items()},
    }
    with whole_file(path) as temporary:
        with open(temporary, "wb") as file:  # an open file: savez would add .npz to a name
            np.savez(file, **arrays, **{_HEADER: np.frombuffer(json.dumps(header).encode(), np.uint8)})


def read_progress(path: Path) -> Progress | None:
    """Return the `Progress` of a checkpoint, or None where there is none (without reading the arrays).

    Raises:
        InputError: the file is damaged.
    """
    if not Path(path).exists():
        return None
    with _Reader(path) as reader:
        return reader.progress


def require_origin(path: Path, origin: Origin) -> Progress:
    """Check to which training a checkpoint belongs (without reading the arrays); those of earlier versions do not say.

    Returns:
        its `Progress`.

    Raises:
        InputError: it belongs to another one, is damaged or is not there.
    """
    with _Reader(path) as reader:
        reader.require(origin)
        return reader.progress


def restore(path: Path, groups: Mapping[str, Sequence[Any]], origin: Origin) -> Progress:
    """Set variables to what a checkpoint holds; groups of the file that are not asked for are left alone.

    Arguments:
        path: the file.
        groups: the variables, as for `save`.
        origin: of the training that it must belong to.

    Raises:
        OtherVariables: the file was made with other variables.
        InputError: it belongs to another training, or is damaged.
    """
    with _Reader(path) as reader:
        reader.require(origin)
        for group, variables in groups.items():
            if reader.shapes.get(group) != _shapes(group, variables):
                raise OtherVariables(
                    path,
                    f"its {group} has other variables than {origin.model} has here (made by {reader.version}, this is "
                    f"{version()})",
                    "use the version of AMBS and the hyper-parameters that it was made with, or train anew in another "
                    "directory",
                )
            named = _named(group, variables)
            arrays = {name: reader.array(_key(group, name)) for name in named}
            for name, variable in named.items():
                variable.assign(arrays[name])
        return reader.progress


class _Reader:
    """A checkpoint file that is open for reading; what is wrong with it becomes an `InputError`."""

    def __init__(self, path: Path):
        self.path = Path(path)

    def __enter__(self) -> "_Reader":
        try:
            self.file = np.load(self.path, allow_pickle=False)
            header = json.loads(self.array(_HEADER).tobytes())
            self.shapes = header["shapes"]
            noted = {"lr_factor": 1.0, **header["progress"]}  # those of earlier versions do not have it
            self.progress = Progress(**{field.name: noted[field.name] for field in fields(Progress)})
            origin = header.get("origin")
            self.origin = origin and Origin(**{field.name: origin[field.name] for field in fields(Origin)})
            self.version = header.get("version", "an earlier AMBS that did not note its commit")
        except FileNotFoundError:
            raise InputError(self.path, "does not exist", _COPY_BACK) from None
        except (*_DAMAGE, TypeError, AttributeError) as error:
            raise self._damaged(error) from error
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()

    def require(self, origin: Origin) -> None:
        difference = self.origin.difference(origin) if self.origin else ""
        if difference:
            raise InputError(self.path, difference, _COPY_BACK)

    def array(self, key: str) -> np.ndarray:
        try:
            return self.file[key]
        except _DAMAGE as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> InputError:
        return InputError(self.path, f"is damaged ({type(error).__name__})", _COPY_BACK)


def _key(group: str, name: str) -> str:
    return f"{group}/{name}"


def _named(group: str, variables: Sequence[Any]) -> dict[str, Any]:
    if group == "model":  # all its layers are named by hand
        return {variable.path: variable for variable in variables}
    # Keras numbers optimizers through, so a second one in a process has other names
    return {str(number): variable for number, variable in enumerate(variables)}


def _shapes(group: str, variables: Sequence[Any]) -> dict[str, list[int]]:
    return {name: list(variable.shape) for name, variable in _named(group, variables).items()}
