"""What is trained on what: model_hparams.json and data_spec.json, checked before anything is trained."""

import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from video_prediction_tools.datasets.channels import choose
from video_prediction_tools.datasets.normalisation import Normalisation
from video_prediction_tools.datasets.prepared import PreparedData
from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.files import raise_as_input_error, read_json, write_json
from video_prediction_tools.metadata.names import step_that_makes
from video_prediction_tools.metadata.record import (
    KILLED,
    OpenRecord,
    Record,
    arguments_of,
    find_record,
    running,
)
from video_prediction_tools.progress import say
from video_prediction_tools.training.checkpoints import (
    Origin,
    Progress,
    best_file,
    last_file,
    read_progress,
    require_origin,
)
from video_prediction_tools.training.log import LOG_NAME

KIND = "model"
HPARAMS_NAME = "model_hparams.json"
SPEC_NAME = "data_spec.json"
_RUNS_IN_VAIN = 2  # of a job; then it is not begun once more
_COPY_BACK = "copy it back from a backup, or train anew in another directory"
_ELSEWHERE = "train in another directory, or use what this one was begun with"


@dataclass(frozen=True)
class Experiment:
    """One training: a model with its hyper-parameters, on a data set, from a seed.

    Arguments:
        directory: the model directory.
        model: name in the registry.
        hparams: an instance of the model's hyper-parameters.
        seed: of weights, order and random numbers.
        data: the data set.
        known: names of the known channels.
        normalisation: made from the data set's statistics.
    """

    directory: Path
    model: str
    hparams: Any
    seed: int
    data: PreparedData
    known: tuple[str, ...]
    normalisation: Normalisation

    @property
    def lead_frames(self) -> int:
        """Frames that are forecast."""
        return self.data.index.sequence_length - self.hparams.context_frames

    @property
    def origin(self) -> Origin:
        """What its checkpoints say that they belong to."""
        return Origin(self.model, self.seed, self.data.name, self.data.fingerprint)

    def data_spec(self) -> dict[str, Any]:
        """Return the content of data_spec.json."""
        return {
            **describe_data(self.data),
            "context_frames": self.hparams.context_frames,
            "lead_frames": self.lead_frames,
            "known": list(self.known),
            "normalisation": self.normalisation.to_json(),
        }


def describe_data(data: PreparedData) -> dict[str, Any]:
    """Return what data_spec.json says of a data set, whatever model is trained on it."""
    index, region = data.index, data.region
    return {
        "variables": list(index.variables),
        "units": list(data.units),
        "height": index.height,
        "width": index.width,
        "step_hours": index.step_hours,
        "synthetic": data.synthetic,
        "data_name": data.name,
        "dataset_fingerprint": data.fingerprint,
        "lat": None if region.lat is None else region.lat.tolist(),
        "lon": None if region.lon is None else region.lon.tolist(),
    }


def plan(directory: Path, model: str, hparams: Any, seed: int, data: PreparedData) -> Experiment:
    """Put an experiment together and check that its parts fit.

    Raises:
        InputError: the sequences are too short for the context, a variable of the loss or a known channel is
            not there, a split is empty, a batch is larger than the data.
    """
    length = data.index.sequence_length
    if hparams.context_frames >= length:
        raise InputError(
            "hyper-parameter context_frames",
            f"{hparams.context_frames} context frames leave nothing to "
            f"forecast: the sequences have {length} frames",
            f"give at most {length - 1}, or prepare longer sequences "
            f"({step_that_makes(data.directory, 'preprocess2')} --sequence_length)",
        )
    training, _ = (data.sequences(split) for split in ("train", "val"))
    if hparams.batch_size > len(training):
        raise InputError(
            "hyper-parameter batch_size",
            f"{hparams.batch_size} is more than the {len(training)} sequences for training",
            f"give at most {len(training)}",
        )
    # late: imports Keras, as the hyper-parameters have done
    from video_prediction_tools.models.losses import variable_weights

    variable_weights(hparams.opt_var, data.index.variables)
    known = choose(
        hparams.known_channels,
        data.region,
        "hyper-parameter known_channels",
        whole_year=data.trains_on_a_whole_year,
    )
    normalisation = Normalisation(hparams.normalisation, data.index.variables, data.statistics)
    return Experiment(Path(directory), model, hparams, seed, data, known, normalisation)


def require_writable(directory: Path) -> None:
    """Find out early whether a directory can be made or written to; nothing is left behind.

    Raises:
        InputError: it cannot.
    """
    existing = Path(directory).absolute()
    try:
        while not existing.exists():
            existing = existing.parent
        probe = existing / f".writable.{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise_as_input_error(error, directory)
        raise


def find_begun(directory: Path, model: str, seed: int) -> Record | None:
    """Return the record of a directory in which this training was begun; None where there is nothing of a training.

    Raises:
        InputError: it holds the training of another model or seed, or something else.
    """
    directory = Path(directory)
    record = find_record(directory)
    if record is None:
        ours = (HPARAMS_NAME, SPEC_NAME, LOG_NAME, "checkpoints")
        for name in ours:
            if (directory / name).exists():
                what = f"holds {name}, but no metadata.json that says of which training"
                raise InputError(f"--output_dir {directory}", what, "give a new directory, or copy it back")
        return None
    if record.kind != KIND:
        raise InputError(
            directory, f"holds data of the kind '{record.kind}', not '{KIND}'", "give another directory"
        )
    for key, value in {"model": model, "seed": seed}.items():
        if _is_trained(directory, record) and record.details.get(key) != value:
            was = record.details.get(key)
            raise InputError(directory, f"was begun with {key} {was}, not {value}", _ELSEWHERE)
    return record


def begun_hparams(directory: Path, record: Record | None) -> Path | None:
    """Return the file of the hyper-parameters with which a training has got somewhere."""
    return Path(directory) / HPARAMS_NAME if record and _is_trained(directory, record) else None


def require_same(experiment: Experiment, record: Record | None) -> None:
    """Check that a directory was begun with this very experiment, if a training has got somewhere in it.

    Arguments:
        record: see `find_begun`.

    Raises:
        InputError: it holds another experiment, or what a training has left there is damaged.
    """
    directory = experiment.directory
    if record is None or not _is_trained(directory, record):
        return
    _compare(directory / SPEC_NAME, experiment.data_spec(), "data")
    # hyper-parameters that an earlier version did not have yet
    defaults = dataclasses.asdict(type(experiment.hparams)())
    _compare(
        directory / HPARAMS_NAME,
        dataclasses.asdict(experiment.hparams),
        "hyper-parameters",
        defaults=defaults,
    )
    if record.state == "done":
        require_as_written(directory, record)
    else:
        progress = require_origin(last_file(directory), experiment.origin)
        if progress.best_step >= 0:
            require_origin(best_file(directory), experiment.origin)


def require_as_written(directory: Path, record: Record, paths: Iterable[Path] | None = None) -> None:
    """Check that the files of a finished training (`paths`: only these) are there as they were written.

    Raises:
        InputError: one is not.
    """
    for path in OpenRecord(directory, record).spoilt(paths):
        what = "is not as it was written" if path.exists() else "is not there any more"
        raise InputError(path, f"{what}, though this training is finished", _COPY_BACK)


def _is_trained(directory: Path, record: Record) -> bool:
    return record.state == "done" or last_file(directory).exists()


@contextmanager
def recorded(experiment: Experiment, arguments: Mapping[str, Any]) -> Iterator[OpenRecord]:
    """Keep the model directory's metadata.json while it is trained, and write what the training is made of.

    Arguments:
        arguments: of the program.

    Raises:
        InputError: the job has come back to this training again and again without getting on.
    """
    data, directory = experiment.data, experiment.directory
    inputs = {str(data.directory): data.fingerprint, str(data.index.directory): data.index.fingerprint}
    with running(
        directory,
        kind=KIND,
        name=directory.name,
        program="main_train_models.py",
        arguments=arguments_of(arguments),
        inputs=inputs,
    ) as opened:
        opened.record.details.update(model=experiment.model, seed=experiment.seed, data_name=data.name)
        _note_run(opened.record, directory)
        opened.save()
        if not last_file(directory).exists():  # nothing is trained with others yet
            write_json(directory / HPARAMS_NAME, dataclasses.asdict(experiment.hparams))
            write_json(directory / SPEC_NAME, experiment.data_spec())
        yield opened


def _note_run(record: Record, directory: Path) -> None:
    """Note the step from which this run goes on, and refuse when its job has not got on in the two runs before.

    Slurm brings a job back whenever it was preempted or a node went down, and begins the next element of an array
    when one was killed at its walltime: without an end where no step is saved. (A training that is asked to stop
    always saves a step.)
    """
    last = read_progress(last_file(directory))
    job = os.environ.get("SLURM_ARRAY_JOB_ID") or os.environ.get("SLURM_JOB_ID", "")
    run = {"job": job, "first_step": last.step if last else 0}
    runs = record.details.setdefault("runs", [])
    if record.attempts and record.attempts[-1]["message"] == KILLED and runs[-1:] == [run]:
        say(
            f"note: the run before was killed before it had saved a step after step {run['first_step']}; if memory was "
            "short, lower batch_size or raise gradient_accumulation"
        )
    runs.append(run)
    if job and runs[-1 - _RUNS_IN_VAIN :] == [run] * (1 + _RUNS_IN_VAIN):
        raise InputError(
            directory,
            f"{_RUNS_IN_VAIN} runs of job {job} were ended before they had saved a step after step {run['first_step']}",
            "ask for a longer walltime, or another partition if it was preempted, and submit it again",
        )


def note_results(opened: OpenRecord, progress: Progress) -> None:
    """Note in metadata.json what came of a training that has ended."""
    opened.record.details.update(
        best_step=progress.best_step,
        best_val_loss=progress.best_val_loss,
        last_step=progress.step,
        seconds=round(progress.seconds, 1),
        lr_factor=progress.lr_factor,
        finished=progress.finished,
    )
    directory = opened.directory
    for path in (
        directory / HPARAMS_NAME,
        directory / SPEC_NAME,
        directory / LOG_NAME,
        best_file(directory),
        last_file(directory),
    ):
        opened.add_output(path)


def _compare(
    path: Path, now: Mapping[str, Any], what: str, defaults: Mapping[str, Any] | None = None
) -> None:
    was = read_json(path, _COPY_BACK)
    if not isinstance(was, dict):
        raise InputError(path, "is damaged", _COPY_BACK)
    was = {**(defaults or {}), **was}
    changed = [key for key in {**was, **now} if was.get(key) != now.get(key)]
    if changed:
        key = changed[0]
        details = f"{key} was {was.get(key)}, not {now.get(key)}"
        if len(details) > 100:
            details = f"{key} differs"
        raise InputError(path, f"this directory was begun with other {what} ({details})", _ELSEWHERE)
