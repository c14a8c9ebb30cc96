"""How far the steps of each chain have got: from their directories, their logs, and Slurm, in this order."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from video_prediction_tools.config_runscripts import joblog, slurm
from video_prediction_tools.config_runscripts.slurm import QueuedJob
from video_prediction_tools.errors import EXIT_START_AGAIN, InputError
from video_prediction_tools.metadata import record
from video_prediction_tools.metadata.chains import Chain, ChainStep, Submission
from video_prediction_tools.metadata.files import has_writer

DONE, RUNNING, WAITING, STOPPED, FAILED, CANCELLED, NOT_STARTED, UNKNOWN = (
    "done",
    "running",
    "waiting",
    "stopped",
    "failed",
    "cancelled",
    "not started",
    "unknown",
)
LIVE = (RUNNING, WAITING)
BEING_CANCELLED = "being cancelled"
_BY_CTRL_C = 130  # exit code of a program that was interrupted
_BY_SIGNAL = 143  # exit code of a job script that was ended by TERM: cancelled, preempted, or out of time
_SEVERITY = (
    FAILED,
    STOPPED,
    CANCELLED,
    NOT_STARTED,
    UNKNOWN,
    RUNNING,
    WAITING,
    DONE,
)  # what a sweep is called as a whole


@dataclass
class Unit:
    """State of one step, or of one experiment of a sweep's step.

    Arguments:
        state: one of the words above.
        job: id of its latest job; empty: it ran in the shell.
        why: what is to be said of the state, or empty.
        runs: how often it was begun.
        stopped, failed, killed: how many runs ended so: stopped early after saving, with an error, without a word.
        log: its log.
        tail: last lines of the log, of a step that failed.
        element: number of the sweep's experiment, or None.
    """

    state: str
    job: str
    why: str = ""
    runs: int = 0
    stopped: int = 0
    failed: int = 0
    killed: int = 0
    log: Path | None = None
    tail: list[str] = field(default_factory=list)
    element: int | None = None


@dataclass
class StepStatus:
    """State of one step of a chain: of its one unit, or of the experiments of its sweep."""

    step: ChainStep
    units: list[Unit]

    @property
    def state(self) -> str:
        """The step as a whole."""
        return next(state for state in _SEVERITY if any(unit.state == state for unit in self.units))

    @property
    def live_jobs(self) -> list[str]:
        """The ids of its jobs that wait or run; a job array has one."""
        jobs = (unit.job for unit in self.units if unit.state in LIVE and unit.job)
        return list(dict.fromkeys(job.partition("_")[0] for job in jobs))

    @property
    def stopped_units(self) -> list[Unit]:
        """What is not done and neither waits nor runs: it goes on only when it is started again."""
        return [unit for unit in self.units if unit.state not in (DONE, UNKNOWN, *LIVE)]


def of_chain(chain: Chain, held: bool = False) -> list[StepStatus]:
    """Return the state of each step of a chain; 'unknown' where only a Slurm knows it that does not answer here.

    Arguments:
        chain: the chain.
        held: it is opened for changing by this process, so that nobody else runs a step of it in a shell.

    Raises:
        InputError: it is to be changed, and the state of a step is unknown.
    """
    queued: Mapping[str, QueuedJob] | InputError = {}
    if any(submission.job_id for step in chain.steps for submission in step.submissions):
        queued = _queue(chain)
    busy = not held and has_writer(chain.directory)
    steps = [StepStatus(step, _units(step, queued, slurm.final_state, busy)) for step in chain.steps]
    if held and isinstance(queued, InputError) and any(one.state == UNKNOWN for one in steps):
        raise queued
    return steps


def _queue(chain: Chain) -> Mapping[str, QueuedJob] | InputError:
    """Return the queue of the cluster that has a chain's jobs, or why it cannot be asked here."""
    try:
        if chain.cluster and (here := slurm.cluster()) != chain.cluster:
            what = f"its jobs are on the cluster '{chain.cluster}', this is '{here}'"
            return InputError(chain.name, what, f"do it on a login node of '{chain.cluster}'")
        return slurm.queue(chain.user)
    except InputError as error:
        return InputError(chain.name, f"{error.where}: {error.what}", error.remedy)


def _units(
    step: ChainStep,
    queued: Mapping[str, QueuedJob] | InputError,
    final_state: Callable[[str], str],
    busy: bool,
) -> list[Unit]:
    if step.local:
        return [_local_unit(step, busy)]
    if step.elements is None:
        return [_unit(step, step.submissions, None, step.targets[0], queued, final_state)]
    units = []
    for element, target in enumerate(step.targets, 1):
        own = [one for one in step.submissions if one.elements is None or element in one.elements]
        units.append(_unit(step, own, element, target, queued, final_state))
    return units


def _local_unit(step: ChainStep, busy: bool) -> Unit:
    """Return the state of a step that runs in the shell; in a sweep its script runs all experiments.

    Arguments:
        busy: a run of the generator is working on the chain.
    """
    if not step.submissions:
        return Unit(NOT_STARTED, "")
    codes = [one.exit_code for one in step.submissions]
    last = step.submissions[-1]
    log = joblog.follow(last.log, "")
    unit = Unit(
        "",
        "",
        runs=len(codes),
        stopped=codes.count(EXIT_START_AGAIN),
        failed=sum(code not in (None, 0, EXIT_START_AGAIN, _BY_CTRL_C) for code in codes),
        killed=codes.count(None) + codes.count(_BY_CTRL_C),
        log=log.path,
    )
    if last.exit_code is None and busy:
        unit.state, unit.killed = RUNNING, unit.killed - 1
        return unit
    unit.state, unit.why = _ended(step, last, log, lambda: "")
    if unit.state == FAILED:
        unit.tail = log.tail
    return unit


def _unit(
    step: ChainStep,
    submissions: list[Submission],
    element: int | None,
    target: str,
    queued: Mapping[str, QueuedJob] | InputError,
    final_state: Callable[[str], str],
) -> Unit:
    if not submissions:
        return Unit(NOT_STARTED, "", element=element)
    last = submissions[-1]
    logs = [joblog.follow(one.log, one.job_id, element) for one in submissions]
    log = logs[-1]
    silent = isinstance(queued, InputError)
    job = log.job if silent else _live_job(log.job, queued) or log.job
    unit = Unit("", job, log=log.path, element=element)
    for run in (run for one in logs for run in one.runs):
        unit.runs += 1
        unit.stopped += run.saved
        unit.failed += run.code not in (None, 0, _BY_SIGNAL) and not run.saved
        unit.killed += run.code in (None, _BY_SIGNAL)
    open_end = bool(log.runs) and log.runs[-1].code is None
    if silent:
        unit.killed -= open_end  # it may be at work
        done = _ended(step, last, log, lambda: "", target)[0] == DONE
        unit.state, unit.why = (DONE, "") if done else (UNKNOWN, queued.what)
        return unit
    if job in queued:
        running = queued[job].state != "PENDING"
        unit.killed -= running and open_end  # that one is at work
        unit.state, unit.why = (RUNNING if running else WAITING), _reason(queued[job], log)
        if last.cancelled:
            unit.why = BEING_CANCELLED
        return unit
    unit.state, unit.why = _ended(step, last, log, lambda: final_state(job), target)
    if unit.state == FAILED:
        unit.tail = log.tail
    return unit


def _ended(
    step: ChainStep, last: Submission, log: joblog.JobLog, final_state: Callable[[], str], *targets: str
) -> tuple[str, str]:
    """Return state and reason of what does not wait or run any more."""
    if all(_made_since(step.kind, target, last.time) for target in targets or step.targets):
        return DONE, ""
    code = log.runs[-1].code if log.runs else last.exit_code
    if code == 0:
        return DONE, ""
    if last.cancelled:
        return CANCELLED, ""
    if code == _BY_CTRL_C:
        return CANCELLED, "by Ctrl-C"
    if code not in (None, _BY_SIGNAL):
        saved = code == EXIT_START_AGAIN
        return (STOPPED, "saved before the end") if saved else (FAILED, f"exit code {code}")
    word = final_state()
    if word.startswith("CANCELLED") and (log.runs or not last.after):
        return CANCELLED, "by scancel"
    if log.runs or not last.job_id:
        causes = {"TIMEOUT": "killed at the walltime", "NODE_FAIL": "its node went down"}
        return FAILED, causes.get(word, f"killed{f' ({word})' if word else ''}")
    return NOT_STARTED, "the step before did not end well" if last.after else word


def _made_since(kind: str, target: str, time: str) -> bool:
    """Say whether the step's directory was finished after it was submitted (by this job, or by hand)."""
    try:
        found = record.find_record(Path(target))
    except InputError:
        return False  # damaged: the step itself says so
    return found is not None and found.kind == kind and found.state == "done" and found.end >= time


def _live_job(job: str, queued: Mapping[str, QueuedJob]) -> str | None:
    """Return the id under which a job, or the present element of an array, waits or runs."""
    if job in queued:
        return job
    elements = [one for one in queued if one.startswith(f"{job}_")]
    return next(
        (one for one in elements if queued[one].state != "PENDING"), elements[0] if elements else None
    )


def _reason(job: QueuedJob, log: joblog.JobLog) -> str:
    if job.state != "PENDING":
        return "" if job.state == "RUNNING" else job.state.lower()
    if log.runs and log.runs[-1].saved:
        return "to go on from its checkpoint"
    reasons = {
        "Dependency": "for the step before",
        "DependencyNeverSatisfied": "for a step that did not end well",
        "Resources": "for free nodes",
        "Priority": "for its turn",
        "None": "",
    }
    return reasons.get(job.reason, job.reason)
