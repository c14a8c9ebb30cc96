"""``Jobs/<name>/chain.json``: what was submitted for an experiment, in which order, and as which jobs.

Its only reader and writer. The directory also holds a copy of each script as it was submitted, so that an unfinished
chain goes on with the very scripts that it was begun with. How far the steps have got is not kept here: their
directories, their logs and Slurm say that.
"""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.files import only_writer, read_json, write_json

FILE_NAME = "chain.json"
SCHEMA_VERSION = 1
_REMEDY = "move its directory away; the steps themselves are not touched by that"


@dataclass
class Submission:
    """One time that a step was started.

    Arguments:
        time: UTC, ISO 8601.
        job_id: Slurm's; empty: it ran in the shell.
        log: its log; for a job array with ``%a`` in the place of the element's number.
        after: ids of the jobs that it waits for.
        elements: numbers of the array's elements; None: no job array.
        exit_code: of a step that ran in the shell; None: it has not ended, or was killed.
        cancelled: when it was cancelled by `cancel`, or empty.
    """

    time: str
    job_id: str
    log: str
    after: list[str] = field(default_factory=list)
    elements: list[int] | None = None
    exit_code: int | None = None
    cancelled: str = ""


@dataclass
class ChainStep:
    """One step of a chain.

    Arguments:
        step: the generator's name of the step.
        script: file name of the script's copy in the chain's directory.
        local: it runs in the shell and is not submitted.
        kind, targets: what it makes: directories with a metadata.json of this kind.
        elements: number of experiments of a sweep, None where there is one experiment.
        array_limit: how many of them run at a time.
        submissions: the latest last.
    """

    step: str
    script: str
    local: bool
    kind: str
    targets: list[str]
    elements: int | None = None
    array_limit: int = 0
    submissions: list[Submission] = field(default_factory=list)


@dataclass
class Chain:
    """The steps of an experiment (or of a data set) that were submitted together or one after another.

    Arguments:
        directory: ``<base>/Jobs/<name>``.
        machine: name of the machine profile.
        user: login name of who submitted it.
        cluster: Slurm's name of the cluster that has its jobs, or empty.
        steps: in the order of the workflow.
    """

    directory: Path
    machine: str
    user: str = field(default_factory=getpass.getuser)
    cluster: str = ""
    steps: list[ChainStep] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The exp_id or data name that it is about."""
        return self.directory.name

    def put(self, step: ChainStep, order: tuple[str, ...]) -> None:
        """Add a step, or take it in place of the one of the same name, whose submissions are kept."""
        same = next((one for one in self.steps if one.step == step.step), None)
        if same:
            step.submissions = [*same.submissions, *step.submissions]
            self.steps.remove(same)
        self.steps.append(step)
        self.steps.sort(key=lambda one: order.index(one.step))

    def save(self) -> None:
        """Write chain.json."""
        content = asdict(self)
        del content["directory"]
        write_json(self.directory / FILE_NAME, {"schema_version": SCHEMA_VERSION, **content})


def now() -> str:
    """Return the time as chain.json and metadata.json give it (UTC, whole seconds)."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read(directory: Path) -> Chain:
    """Read one chain.

    Raises:
        InputError: chain.json is missing or damaged.
    """
    path = Path(directory) / FILE_NAME
    content = read_json(path, _REMEDY)
    if not isinstance(content, dict) or content.pop("schema_version", None) != SCHEMA_VERSION:
        raise InputError(path, "was not written by this version of AMBS", _REMEDY)
    try:
        steps = [_step(**step) for step in content.pop("steps")]
        return Chain(Path(directory), **content, steps=steps)
    except (KeyError, TypeError) as error:
        raise InputError(path, f"is damaged ({error})", _REMEDY) from error


def _step(submissions: list[dict[str, Any]], **rest: Any) -> ChainStep:
    return ChainStep(**rest, submissions=[Submission(**one) for one in submissions])


def find(jobs: Path) -> list[Path]:
    """Return the directories of all chains below ``<base>/Jobs``, by name."""
    return sorted(path.parent for path in Path(jobs).glob(f"*/{FILE_NAME}"))


@contextmanager
def opened(directory: Path, machine: str) -> Iterator[Chain]:
    """Yield the chain of a directory for changing, a new one where there is none; nobody else changes it meanwhile.

    Raises:
        InputError: it is damaged, cannot be written, or is being changed by another run of the generator.
    """
    directory = Path(directory)
    with only_writer(directory, "another run of the generator is submitting there", "wait for it to end"):
        yield read(directory) if (directory / FILE_NAME).exists() else Chain(directory, machine)
