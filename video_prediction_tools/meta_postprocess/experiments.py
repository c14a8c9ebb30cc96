"""The results to compare, and whether they can be."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.names import ExperimentId
from video_prediction_tools.metadata.record import Record, require_done
from video_prediction_tools.postprocess.layout import FRAMES, ON_EARTH
from video_prediction_tools.postprocess.plan import KIND
from video_prediction_tools.postprocess.protocol import Protocol, protocol_of

SCORES = "evaluation_metrics.nc"
_FLAG = "--results_dirs"
# what must be the same, with what to do where it is not
_SAME = {
    "data_name": ("were made on different data sets", "evaluate them on the same one (--input_dir)"),
    "data_fingerprint": (
        "were made on different states of the data set",
        "evaluate all on the same one again",
    ),
    "split": ("are of different splits", "evaluate all on the same split"),
    "metrics_version": (
        "were scored by different versions of the metrics",
        "run the step 'postprocess' again on all",
    ),
    "latitude_weights": (
        "have different weights of the grid points",
        "use --no_latitude_weights for all or none",
    ),
    "climatology": ("were scored with different climatologies", "give the same --climatology_file to all"),
    "bootstrap_block_length": ("have blocks of different lengths", "give the same --block_hours to all"),
}


@dataclass(frozen=True)
class Experiment:
    """The results of one trained model.

    Arguments:
        directory: where they lie.
        record: its metadata.json.
        scores: evaluation_metrics.nc, with the dimensions' names inside the program.
        protocol: how its data are judged.
    """

    directory: Path
    record: Record
    scores: xr.Dataset
    protocol: Protocol

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.scores.attrs["model"]

    @property
    def text(self) -> str:
        """The user's words in the experiment's id."""
        try:
            return ExperimentId.parse(self.record.name).text
        except InputError:
            return self.record.name

    @property
    def is_ensemble(self) -> bool:
        """Say whether members were judged."""
        return "rank" in self.scores.dims


def read_experiments(directories: Sequence[Path]) -> list[Experiment]:
    """Read the results.

    Raises:
        InputError: fewer than two, one is given twice, is not whole, or is of an earlier version of the program.
    """
    found = [read_experiment(Path(directory)) for directory in directories]
    places = [one.directory.resolve() for one in found]
    for place in places:
        if places.count(place) > 1:
            raise InputError(f"{_FLAG} {place}", "is given twice", "give every directory once")
    if len(found) < 2:
        raise InputError(_FLAG, "one directory leaves nothing to compare", "give two or more")
    return found


def read_experiment(directory: Path) -> Experiment:
    """Read the results of one experiment; see `read_experiments`."""
    record = require_done(directory, KIND, "postprocess")
    path = directory / SCORES
    try:
        with xr.open_dataset(path, engine="netcdf4", decode_times=False, decode_timedelta=False) as file:
            scores = file.load()
    except (OSError, ValueError) as error:
        raise InputError(path, f"cannot be read ({error})", "run the step 'postprocess' again") from error
    missing = [name for name in (*_SAME, "model", "bootstrap_draws") if name not in scores.attrs]
    if missing:
        raise InputError(
            path,
            f"does not say its {missing[0]} (an earlier version of AMBS made it)",
            "run the step 'postprocess' again",
        )
    layout = FRAMES if FRAMES.start.name in scores.dims else ON_EARTH
    names = {name: inside for inside, name in layout.file_names.items() if inside != name}
    scores = scores.rename(names)
    scores["init_time"] = np.rint(scores["init_time"]).astype(np.int64)
    return Experiment(directory, record, scores, protocol_of(scores.attrs["data_name"]))


def require_comparable(experiments: Sequence[Experiment]) -> None:
    """Refuse to compare what is not of the same test data, scored in the same way.

    Raises:
        InputError: says what differs between which results, and what to do.
    """
    first = experiments[0]
    for other in experiments[1:]:
        for name, (why, remedy) in _SAME.items():
            one, two = first.scores.attrs[name], other.scores.attrs[name]
            if one != two:
                raise InputError(
                    _FLAG,
                    f"{first.directory} and {other.directory} {why} ({_short(one)} and {_short(two)})",
                    remedy,
                )
        for axis, what in (("lead_time", "lead times"), ("variable", "variables")):
            if not np.array_equal(first.scores[axis].values, other.scores[axis].values):
                raise InputError(
                    _FLAG,
                    f"{first.directory} and {other.directory} have different {what}",
                    "compare models that forecast the same",
                )


def require_same_starts(experiments: Sequence[Experiment]) -> None:
    """Refuse experiments that forecast from different init_times.

    Raises:
        InputError: they do.
    """
    first = experiments[0]
    for other in experiments[1:]:
        one, two = first.scores["init_time"].values, other.scores["init_time"].values
        if not np.array_equal(one, two):
            common = len(np.intersect1d(one, two))
            raise InputError(
                _FLAG,
                f"{first.directory} has {len(one)} {first.protocol.words.start}s, {other.directory} {len(two)}, and "
                f"{common} are the same",
                "give --intersect to compare those" if common else "evaluate them on the same ones",
            )


def on_common_starts(experiments: Sequence[Experiment]) -> list[Experiment]:
    """Return the experiments, cut to the init_times that all have.

    Raises:
        InputError: there are none.
    """
    common = experiments[0].scores["init_time"].values
    for other in experiments[1:]:
        common = np.intersect1d(common, other.scores["init_time"].values)
    if not len(common):
        raise InputError(
            "--intersect", "no two forecasts begin at the same time", "evaluate the models on the same data"
        )
    return [
        Experiment(one.directory, one.record, one.scores.sel(init_time=common), one.protocol)
        for one in experiments
    ]


def _short(value: object) -> str:
    return str(value)[:12] if isinstance(value, str) and len(value) == 64 else str(value) or "none"
