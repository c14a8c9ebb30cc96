"""Whether a machine will take a job, and what the job can cost: both are known before anything is written."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from video_prediction_tools.config_runscripts import settings, walltime
from video_prediction_tools.config_runscripts.profiles import Machine, Partition
from video_prediction_tools.config_runscripts.steps import STEPS
from video_prediction_tools.errors import InputError, did_you_mean

Answers = Mapping[str, Any]
"""Answers of one step: account, partition, time, nodes, tasks and gpus (a node), cpus (a task), memory_gb, ..."""


@dataclass(frozen=True)
class Cost:
    """The most that a job can be billed for, each time it runs.

    Arguments:
        partition: its name, or ''.
        nodes: of one job.
        time: walltime of one job.
        elements: jobs of an array, None where it is none.
        cores, gpus: billed on each node; None: the size of the nodes is unknown.
        comes_back: the job goes on in another run when the walltime ends.
    """

    partition: str
    nodes: int
    time: str
    elements: int | None
    cores: int | None
    gpus: int
    comes_back: bool

    @property
    def node_hours(self) -> float:
        """Nodes times hours, of all elements."""
        return self.nodes * walltime.seconds(self.time) / 3600 * (self.elements or 1)

    @property
    def core_hours(self) -> float | None:
        """Cores times hours, of all elements; those of whole nodes where they are not shared. None: unknown."""
        return None if self.cores is None else self.node_hours * self.cores

    @property
    def gpu_hours(self) -> float:
        """GPUs times hours, of all elements; those of whole nodes where they are not shared."""
        return self.node_hours * self.gpus

    def __str__(self) -> str:
        jobs = f"{_counted(self.elements, 'job')} of " if self.elements else ""
        nodes = f"{jobs}{_counted(self.nodes, 'node')} x {self.time}"
        where = f"on {self.partition or 'the default partition'}"
        hours = (
            _hours(self.node_hours, "node") if self.core_hours is None else _hours(self.core_hours, "core")
        )
        gpu_hours = f", {_hours(self.gpu_hours, 'GPU')}" if self.gpus else ""
        run = " a run" if self.comes_back else ""
        unknown = " (the size of its nodes is unknown)" if self.core_hours is None else ""
        return f"{nodes} {where}: at most {hours}{gpu_hours}{run}{unknown}"


def cost(machine: Machine, step: str, answers: Answers) -> Cost | None:
    """Return what a step can cost, None where it does not run with Slurm.

    Arguments:
        machine: the profile.
        step: name of the step.
        answers: its answers; what is not asked is missing.
    """
    if not machine.runs_with_slurm(step):
        return None
    job = _job(machine, step, answers)
    partition = machine.partition(job.partition) or Partition(job.partition)
    cores = partition.cores if partition.exclusive else job.cores
    return Cost(
        partition.name,
        job.nodes,
        job.time,
        answers.get("elements"),
        cores if partition.cores else None,
        partition.gpus if partition.exclusive else job.gpus,
        STEPS[step].resumable,
    )


def check(machine: Machine, step: str, answers: Answers) -> None:
    """Check that the machine will take a step; nothing is checked where it does not run with Slurm.

    Arguments:
        machine: the profile.
        step: name of the step.
        answers: its answers; what is not asked is missing.

    Raises:
        InputError: it will not; the first limit that is passed, and what would do.
    """
    if not machine.runs_with_slurm(step):
        return
    _check_account(machine, answers)
    _check_internet(machine, step, answers)
    _check_container(machine, step, answers)
    job = _job(machine, step, answers)
    partition = machine.partition(job.partition)
    known = [one.name for one in machine.partitions if one.name]
    if partition is None and job.partition and known:
        raise InputError(
            "--partition",
            f"{machine.title} has no partition '{job.partition}'",
            did_you_mean(job.partition, known),
        )
    breach = next(_breaches(partition, job), None) if partition else None
    if breach:
        others = [one for one in machine.partitions if one.name and one.name != partition.name]
        raise InputError(
            breach.flag,
            f"{_name(partition)} {breach.limit}, {breach.asked} asked for",
            f"give {breach.remedy}{_elsewhere(others, job)}",
        )


@dataclass(frozen=True)
class _Job:
    partition: str
    time: str
    nodes: int
    tasks: int
    cpus: int
    gpus: int
    memory_gb: int

    @property
    def cores(self) -> int:
        return self.tasks * self.cpus


@dataclass(frozen=True)
class _Breach:
    """One limit that a job passes: the flag, the limit in words, what is asked for, and what would do."""

    flag: str
    limit: str
    asked: str
    remedy: str


def _job(machine: Machine, step: str, answers: Answers) -> _Job:
    return _Job(
        answers.get("partition") or "",
        answers.get("time") or machine.step(step).time,
        *(answers.get(name) or 1 for name in ("nodes", "tasks", "cpus")),
        *(answers.get(name) or 0 for name in ("gpus", "memory_gb")),
    )


def _check_account(machine: Machine, answers: Answers) -> None:
    if machine.account.required and not answers.get("account"):
        variables = f", or set ${machine.account.env[0]}" if machine.account.env else ""
        raise InputError(
            "--account",
            f"{machine.title} bills every job to an account, and none is given",
            f"give --account <budget>{variables}",
        )


def _check_internet(machine: Machine, step: str, answers: Answers) -> None:
    if answers.get("source") == "cds" and not machine.network.compute_internet:
        profile = settings.directory() / "machines" / f"{machine.name}.toml"
        raise InputError(
            "--source",
            f"cds is downloaded from the internet, which compute nodes of {machine.title} do not have",
            f"write steps.{step}.local = true as first line into {profile}, or give --source archive or synthetic",
        )


def _check_container(machine: Machine, step: str, answers: Answers) -> None:
    if machine.step(step).needs_container and not answers.get("tf_container"):
        why = f"TensorFlow from the Python package index uses no GPU on {machine.arch}"
        raise InputError(
            "--tf_container",
            f"{step} needs a container on {machine.title} ({why})",
            "give --tf_container <image>.sif; docs/containers.md says how to make one",
        )


def _breaches(partition: Partition, job: _Job) -> Iterator[_Breach]:
    """Yield the limits of a partition that a job passes; unknown ones are not checked."""
    if partition.max_time and walltime.seconds(job.time) > walltime.seconds(partition.max_time):
        limit = f"ends jobs after {partition.max_time}"
        yield _Breach("--time", limit, f"{job.time} is", f"--time {partition.max_time}")
    asked = f"{job.nodes} {'is' if job.nodes == 1 else 'are'}"
    if partition.max_nodes and job.nodes > partition.max_nodes:
        limit = f"gives a job at most {_counted(partition.max_nodes, 'node')}"
        yield _Breach("--nodes", limit, asked, f"--nodes {partition.max_nodes}")
    if job.nodes < partition.min_nodes:
        limit = f"takes jobs of {partition.min_nodes} nodes or more"
        yield _Breach("--nodes", limit, asked, f"--nodes {partition.min_nodes}")
    if partition.cores and job.cores > partition.cores:
        limit = f"has {_counted(partition.cores, 'core')} a node"
        asked = f"{_counted(job.tasks, 'task')} x {_counted(job.cpus, 'core')} are"
        if job.tasks <= partition.cores:
            yield _Breach("--cpus", limit, asked, f"--cpus {partition.cores // job.tasks}")
        else:
            single = " --cpus 1" if job.cpus > 1 else ""
            yield _Breach("--tasks", limit, asked, f"--tasks {partition.cores}{single}")
    if partition.cores and job.gpus > partition.gpus:
        limit = f"has {_counted(partition.gpus, 'GPU')} a node" if partition.gpus else "has no GPUs"
        remedy = f"--gpus {partition.gpus}" if partition.gpus else "--set gpus= (none)"
        yield _Breach("--gpus", limit, f"{job.gpus} {'is' if job.gpus == 1 else 'are'}", remedy)
    if partition.memory_gb and job.memory_gb > partition.memory_gb:
        limit = f"has {partition.memory_gb} GB a node"
        yield _Breach("--memory_gb", limit, f"{job.memory_gb} GB are", f"--memory_gb {partition.memory_gb}")


def _elsewhere(others: list[Partition], job: _Job) -> str:
    """Name the first partition that would take the job, those for short tests last; or say why none does."""
    reasons = []
    for partition in sorted(others, key=lambda one: one.devel):
        breach = next(_breaches(partition, job), None)
        if breach is None:
            return (
                f" or --partition {partition.name}{' (which is for short tests)' if partition.devel else ''}"
            )
        reasons.append(f"'{partition.name}' {breach.limit}")
    return f" (no other partition takes it: {', '.join(reasons)})" if reasons else ""


def _name(partition: Partition) -> str:
    return f"partition '{partition.name}'" if partition.name else "the default partition"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _hours(number: float, of: str) -> str:
    short = f"{number:.2f}".rstrip("0").rstrip(".")
    return f"{short} {of} hour{'' if short == '1' else 's'}"
