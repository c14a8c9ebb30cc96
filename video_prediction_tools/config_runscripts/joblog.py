"""The logs of jobs: where they are, and what the two lines that every job script writes say of its runs.

    AMBS start job=<id> run=<number> host=<name> time=<UTC>
    AMBS end job=<id> run=<number> code=<exit code> time=<UTC>

Where an unfinished training goes on in another job, a third one names it: ``AMBS successor job=<id>``.
"""

import itertools
import re
from dataclasses import dataclass
from pathlib import Path

from video_prediction_tools.errors import EXIT_START_AGAIN

_START = re.compile(r"AMBS start job=(?P<job>\S+) run=(?P<run>\d+) host=\S+ time=(?P<time>\S+)")
_END = re.compile(r"AMBS end job=(?P<job>\S+) run=(?P<run>\d+) code=(?P<code>\d+) time=(?P<time>\S+)")
_SUCCESSOR = re.compile(r"AMBS successor job=(?P<job>\S+)")
_TAIL_BYTES = 1 << 20  # a log may be long; of lines only the last ones are wanted
_TAIL_LINES = 5


@dataclass
class Run:
    """One run of a job.

    Arguments:
        start, end: UTC, ISO 8601; `end` is empty when the run was killed, or still runs.
        code: exit code, None without an end.
    """

    start: str
    end: str = ""
    code: int | None = None

    @property
    def saved(self) -> bool:
        """Whether it was stopped early, after saving."""
        return self.code == EXIT_START_AGAIN


@dataclass
class JobLog:
    """What the log of a job says, with those of the jobs that went on where it was stopped.

    Arguments:
        path: the latest log.
        job: id of the latest job.
        runs: all runs, the oldest first.
        tail: of the last run, the lines that name an error, or else the last lines.
    """

    path: Path
    job: str
    runs: list[Run]
    tail: list[str]


def pattern(script: str) -> str:
    """Return the path of a script's logs, from its #SBATCH lines; %j, %A and %a are left in."""
    options = dict(re.findall(r"^#SBATCH --(output|job-name)=(\S+)$", script, re.M))
    return options.get("output", "slurm-%j.out").replace("%x", options.get("job-name", ""))


def path_of(log: str, job: str, element: int | None = None) -> Path:
    """Return the log of a job, or of one element of a job array."""
    text = log.replace("%j", job).replace("%A", job)
    return Path(text if element is None else text.replace("%a", str(element)))


def follow(log: str, job: str, element: int | None = None) -> JobLog:
    """Read the log of a job, or of one experiment of a sweep, and of all jobs that followed it.

    Arguments:
        log: path with %j, %A and %a, see `pattern`.
        job: id of the job (of the whole array, for a sweep).
        element: number of the sweep's experiment, or None.
    """
    if element is None and "%a" in log:  # an array whose elements go on from one another
        return _follow_array(log, job)
    own = job if element is None else f"{job}_{element}"
    found, successor = _read(path_of(log, job, element), own)
    while successor:
        runs = found.runs
        found, successor = _read(path_of(log, successor), successor)
        found.runs = runs + found.runs
    return found


def _follow_array(log: str, job: str) -> JobLog:
    found = JobLog(path_of(log, job, 1), job, [], [])
    for element in itertools.count(1):
        path = path_of(log, job, element)
        if not path.exists():
            return found
        one, _ = _read(path, f"{job}_{element}")
        found = JobLog(path, job, found.runs + one.runs, one.tail)


def _read(path: Path, job: str) -> tuple[JobLog, str]:
    """Read one log; returns what it says of a job, and the id of its successor or ''."""
    found, successor = JobLog(path, job, [], []), ""
    errors: list[str] = []
    for line in _lines(path):
        if match := _START.search(line):
            if match["job"] == job:
                found.runs.append(Run(match["time"]))
                found.tail, errors = [], []
        elif match := _END.search(line):
            if match["job"] == job and found.runs:
                found.runs[-1].end, found.runs[-1].code = match["time"], int(match["code"])
        elif match := _SUCCESSOR.search(line):
            successor = match["job"]
        elif line.startswith("ERROR: "):
            errors = [*errors, line.rstrip()][-_TAIL_LINES:]
        elif line.strip():
            found.tail = [*found.tail, line.rstrip()][-_TAIL_LINES:]
    found.tail = errors or found.tail
    return found, successor


def _lines(path: Path) -> list[str]:
    """Return the lines of a log; of a very long one those at its beginning and end."""
    try:
        with open(path, "rb") as file:
            content = file.read(_TAIL_BYTES)
            size = path.stat().st_size
            if size > _TAIL_BYTES:
                file.seek(max(_TAIL_BYTES, size - _TAIL_BYTES))
                content += b"\n" + file.read()
    except OSError:
        return []  # not begun yet, or removed: then there is nothing to be said of its runs
    return content.decode(errors="replace").splitlines()
