"""metadata.json: what made a directory, from what, and whether it is whole. Its only reader and writer.

Every directory that a step writes holds one. A step opens it with `running`, which keeps the state right however the
step ends; a later step asks for it with `require_done`.
"""

import hashlib
import os
import socket
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from functools import cache
from importlib import metadata as installed
from pathlib import Path, PurePosixPath
from typing import Any

from video_prediction_tools import __version__
from video_prediction_tools.errors import InputError, StoppedEarly
from video_prediction_tools.metadata.files import only_writer, read_json, sha256, write_json

FILE_NAME = "metadata.json"
SCHEMA_VERSION = 1
STATES = ("running", "done", "failed", "interrupted")
KILLED = "ended without a word (killed, or the machine went down)"  # message of an attempt that could not write one
_PACKAGES = (
    "video_prediction_tools",
    "tensorflow",
    "keras",
    "numpy",
    "xarray",
    "netCDF4",
    "eccodes",
    "cfgrib",
    "mpi4py",
    "cdsapi",
)


@dataclass
class Attempt:
    """One run of a program on a directory; times are UTC, ISO 8601."""

    program: str
    arguments: dict[str, Any]
    git_commit: str
    package_versions: dict[str, str]
    host: str
    job_id: str
    start: str
    end: str
    state: str
    message: str


@dataclass
class Record(Attempt):
    """The content of metadata.json: the latest attempt, and what the directory holds.

    Arguments:
        kind: what the directory is: extracted_data, dataset, tfrecords, model, results, comparison.
        name: its data name or exp_id ('' for the extracted data).
        inputs: fingerprint of each input directory or file, by path.
        outputs: ``{"bytes": .., "sha256": ..}`` of each file, by path relative to the directory.
        details: what only this kind has, for example the sequence length.
        attempts: the earlier attempts, oldest first.
    """

    kind: str
    name: str
    inputs: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    attempts: list[dict[str, Any]] = field(default_factory=list)
    schema_version: int = SCHEMA_VERSION

    def attempt(self) -> Attempt:
        """Return the latest attempt by itself."""
        return Attempt(**{part.name: getattr(self, part.name) for part in fields(Attempt)})

    def fingerprint(self) -> str:
        """Return one SHA-256 over names and contents of all outputs: equal directories have equal fingerprints."""
        lines = (f"{name} {entry['sha256']}\n" for name, entry in sorted(self.outputs.items()))
        return hashlib.sha256("".join(lines).encode()).hexdigest()


class OpenRecord:
    """A record that a running step may add to; see `running`."""

    def __init__(self, directory: Path, record: Record):
        self.directory, self.record = Path(directory), record

    def add_output(self, path: Path, digest: str = "") -> None:
        """Note a finished file of the directory (`digest`: its SHA-256, worked out here when not given)."""
        path = Path(path)
        entry = {"bytes": path.stat().st_size, "sha256": digest or sha256(path)}
        self.record.outputs[path.relative_to(self.directory).as_posix()] = entry

    def is_whole(self, path: Path) -> bool:
        """Say whether a file noted by an earlier attempt is still there with the same content."""
        entry = self.record.outputs.get(Path(path).relative_to(self.directory).as_posix())
        return (
            entry is not None
            and Path(path).is_file()
            and Path(path).stat().st_size == entry["bytes"]
            and sha256(path) == entry["sha256"]
        )

    def is_complete(self) -> bool:
        """Say whether the step ended well and all its outputs are there as they were written."""
        return self.record.state == "done" and next(self.spoilt(), None) is None

    def spoilt(self, paths: Iterable[Path] | None = None) -> Iterator[Path]:
        """Yield the noted files (`paths`: only these) that are not there any more as they were written."""
        if paths is None:
            paths = (self.directory / name for name in self.record.outputs)
        return (path for path in paths if not self.is_whole(path))

    def save(self) -> None:
        """Write metadata.json now, so that a killed run is taken up from here."""
        write_json(self.directory / FILE_NAME, asdict(self.record))


def read_record(directory: Path) -> Record:
    """Read and validate a directory's metadata.json.

    Raises:
        InputError: it is missing, damaged, or not made by AMBS.
    """
    path = Path(directory) / FILE_NAME
    remedy = "run the step that makes this directory (again), or give another directory"
    content = read_json(path, remedy)
    _validate(path, content, remedy)
    return Record(**content)


def find_record(directory: Path) -> Record | None:
    """Read a directory's metadata.json where there is one.

    Raises:
        InputError: there is one, and it is damaged or not made by AMBS.
    """
    return read_record(directory) if _is_there(Path(directory) / FILE_NAME) else None


def require_done(directory: Path, kind: str, step: str) -> Record:
    """Return the record of a finished input directory.

    Arguments:
        directory: the input directory.
        kind: the kind that it must be.
        step: the generator's name of the step that makes it, for the error message.

    Raises:
        InputError: it is missing, of another kind, or belongs to a step that has not finished.
    """
    directory = Path(directory)
    if not _is_there(directory / FILE_NAME):
        what = "does not exist" if not _is_there(directory) else f"holds no {FILE_NAME}"
        raise InputError(directory, what, f"run the step '{step}' first, or give the directory that it made")
    record = read_record(directory)
    if record.kind != kind:
        raise InputError(
            directory,
            f"is of the kind '{record.kind}', not '{kind}'",
            f"give a directory that the step '{step}' made",
        )
    if record.state != "done":
        raise InputError(
            directory,
            f"belongs to an unfinished step (state '{record.state}')",
            f"let the step '{step}' finish, or start it again",
        )
    return record


def version() -> str:
    """Return which AMBS this is: its version, and the git commit where it runs from a clone."""
    commit = _git_commit()
    return f"AMBS {__version__}" + (f" of commit {commit}" if commit else "")


def arguments_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a program's flags as metadata.json keeps them: without those that are None, paths as text."""

    def kept(value: Any) -> Any:
        if isinstance(value, list):
            return [kept(one) for one in value]
        return str(value) if isinstance(value, Path) else value

    return {name: kept(value) for name, value in values.items() if value is not None}


def is_there(directory: Path, kind: str, recipe: Any, flag: str) -> bool:
    """Say whether an output directory holds just what is to be made, whole; it may also be new or unfinished.

    Arguments:
        directory: the output directory.
        kind: of what is to be made.
        recipe: all that decides about it (JSON), as noted in the details under ``recipe``.
        flag: that named the directory, for the error message.

    Raises:
        InputError: it holds something else.
    """
    record = find_record(directory)
    if record is None:
        if directory.is_dir() and any(directory.iterdir()):
            raise InputError(
                f"{flag} {directory}", "holds files of something else", "give a new or empty directory"
            )
        return False
    if record.kind != kind or record.details.get("recipe", recipe) != recipe:
        what = f"another {kind}" if record.kind == kind else f"data of the kind '{record.kind}'"
        raise InputError(f"{flag} {directory}", f"holds {what}", "give another directory, or delete it")
    return OpenRecord(directory, record).is_complete()


@contextmanager
def running(
    directory: Path,
    *,
    kind: str,
    name: str,
    program: str,
    arguments: dict[str, Any],
    inputs: dict[str, str] | None = None,
) -> Iterator[OpenRecord]:
    """Keep a directory's metadata.json while a step works on it; yields the `OpenRecord`.

    The state is ``running`` inside, ``done`` after a good end, ``interrupted`` when stopped early or by Ctrl-C, and
    ``failed`` after any other error, with its message. A run that was killed leaves ``running``; the next one files
    it as interrupted. Outputs and details of earlier attempts are kept, so that the step can go on from them.

    Raises:
        InputError: the directory holds another kind of data, another run is writing there, or it is not writable.
    """
    directory = Path(directory)
    with only_writer(
        directory, "another run is writing here at this moment", "wait for it to end, or stop it"
    ):
        opened = OpenRecord(directory, _begin(directory, kind, name, program, arguments, inputs or {}))
        opened.save()
        try:
            yield opened
        except BaseException as error:
            stopped = isinstance(error, (StoppedEarly, KeyboardInterrupt, SystemExit))
            _end(
                opened,
                "interrupted" if stopped else "failed",
                " ".join(str(error).split()) or type(error).__name__,
            )
            raise
        _end(opened, "done", "")


def _begin(
    directory: Path, kind: str, name: str, program: str, arguments: dict[str, Any], inputs: dict[str, str]
) -> Record:
    earlier = find_record(directory)
    if earlier and earlier.kind != kind:
        raise InputError(
            directory, f"holds data of the kind '{earlier.kind}', not '{kind}'", "give another directory"
        )
    record = Record(
        kind=kind,
        name=name,
        program=program,
        arguments=arguments,
        git_commit=_git_commit(),
        package_versions=_package_versions(),
        host=socket.gethostname(),
        job_id=_job_id(),
        start=_now(),
        end="",
        state="running",
        message="",
        inputs=inputs,
    )
    if earlier:
        last = asdict(earlier.attempt())
        if last["state"] == "running":
            last.update(state="interrupted", message=KILLED)
        record.attempts = [*earlier.attempts, last]
        record.outputs, record.details = earlier.outputs, earlier.details
    return record


def _end(opened: OpenRecord, state: str, message: str) -> None:
    opened.record.state, opened.record.message, opened.record.end = state, message, _now()
    opened.save()


def _validate(path: Path, content: Any, remedy: str) -> None:
    if not isinstance(content, dict) or "schema_version" not in content:
        raise InputError(path, "was not written by AMBS", remedy)
    if content["schema_version"] != SCHEMA_VERSION:
        raise InputError(
            path,
            f"has schema version {content['schema_version']}, this AMBS reads {SCHEMA_VERSION}",
            "use the AMBS version that wrote it, or run the step again",
        )
    for part in fields(Record):
        expected = {"dict": dict, "list": list, "str": str, "int": int}[
            getattr(part.type, "__name__", part.type)
        ]
        if not isinstance(content.get(part.name), expected):
            raise InputError(
                path, f"is damaged: '{part.name}' is missing or not of the type {expected.__name__}", remedy
            )
    unknown = set(content) - {part.name for part in fields(Record)}
    if unknown:
        raise InputError(path, f"is damaged: unknown entries {', '.join(sorted(unknown))}", remedy)
    if content["state"] not in STATES:
        raise InputError(
            path, f"is damaged: state '{content['state']}' is none of {', '.join(STATES)}", remedy
        )
    for name, entry in content["outputs"].items():
        # names are used as paths, also of files to delete: they must not lead out of the directory
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise InputError(path, f"is damaged: '{name}' is no file of this directory", remedy)
        types = {key: type(value) for key, value in entry.items()} if isinstance(entry, dict) else None
        if types != {"bytes": int, "sha256": str}:
            raise InputError(path, f"is damaged: size and SHA-256 of '{name}' are missing", remedy)


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        remedy = "get the right to read it, or give another directory"
        raise InputError(path, f"cannot be looked at ({error.strerror})", remedy) from error
    return True


def _job_id() -> str:
    """Return Slurm's id of this job; in a job array ``<array's id>_<number>``, as squeue and logs have it."""
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        return f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ.get('SLURM_ARRAY_TASK_ID', '')}"
    return os.environ.get("SLURM_JOB_ID", "")


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@cache  # once: what runs is what was there at the beginning
def _git_commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        found = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""  # no git on this machine, or not a clone
    return found.stdout.strip() if found.returncode == 0 else ""


def _package_versions(packages: Iterable[str] = _PACKAGES) -> dict[str, str]:
    versions = {}
    for package in packages:
        try:
            versions[package] = installed.version(package)
        except installed.PackageNotFoundError:
            continue
    return versions
