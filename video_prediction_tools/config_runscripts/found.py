"""What earlier steps have made below the base directory, found through metadata.json."""

from dataclasses import dataclass
from pathlib import Path

from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata import record
from video_prediction_tools.metadata.names import Layout, dataset_of


@dataclass(frozen=True)
class Found:
    """A directory that a step made, or began.

    Arguments:
        name: data name or exp_id.
        state: the record's state, or why it cannot be used.
        time: end of its latest attempt, or its start (UTC, ISO 8601).
        job: Slurm's id of its latest attempt, or ''.
        attempts: how often it was begun.
    """

    name: str
    path: Path
    state: str
    time: str
    job: str = ""
    attempts: int = 0

    @property
    def usable(self) -> bool:
        """Whether a later step may take it."""
        return self.state == "done"

    def __str__(self) -> str:
        """One line for a list to choose from."""
        return f"{self.name} ({self.state}{', ' + self.time if self.time else ''})"


def data_sets(layout: Layout) -> list[Found]:
    """Return all data sets that preprocess1 made or began, newest first."""
    return [one for one in _found(layout.preprocessed_data, "*") if dataset_of(one.name) == "era5"]


def tfrecords(layout: Layout) -> list[Found]:
    """Return all data sets with TFRecords, newest first; the name is the data name."""
    return [
        Found(found.path.parent.name, found.path, found.state, found.time)
        for found in _found(layout.preprocessed_data, "*/tfrecords")
    ]


def models(layout: Layout) -> list[Found]:
    """Return all trained experiments, newest first."""
    return _found(layout.models, "*/*/*")


def results(layout: Layout) -> list[Found]:
    """Return all evaluations, newest first; the name is the exp_id."""
    return _found(layout.results, "*/*/*/*/*")


def _found(parent: Path, pattern: str) -> list[Found]:
    found = []
    for path in parent.glob(f"{pattern}/{record.FILE_NAME}"):
        directory = path.parent
        try:
            entry = record.read_record(directory)
        except InputError as error:
            found.append(Found(directory.name, directory, error.what, ""))
        else:
            time, attempts = entry.end or entry.start, len(entry.attempts) + 1
            found.append(Found(directory.name, directory, entry.state, time, entry.job_id, attempts))
    return sorted(found, key=lambda one: (one.time, one.name), reverse=True)
