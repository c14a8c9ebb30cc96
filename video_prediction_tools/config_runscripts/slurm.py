"""Slurm's commands: sbatch, squeue, scontrol, sacct and scancel, asked and understood here only."""

import os
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from video_prediction_tools.errors import InputError

_SECONDS = 120  # a busy controller answers late
LIVE = ("PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "STOPPED", "REQUEUED", "REQUEUE_HOLD")


@dataclass(frozen=True)
class QueuedJob:
    """A job that waits or runs.

    Arguments:
        state: Slurm's, for example PENDING.
        reason: why it waits, Slurm's word, for example Dependency; 'None' where it does not.
    """

    state: str
    reason: str


def overriding_variables() -> list[str]:
    """Return the environment variables by which sbatch would override the lines of a script."""
    return sorted(name for name in os.environ if name.startswith("SBATCH_"))


def submit(script: Path, dependency: str = "", elements: list[int] | None = None, limit: int = 0) -> str:
    """Submit a script; returns the job's id.

    Arguments:
        script: the file.
        dependency: for example ``afterok:17``; the job is taken out of the queue when it cannot be fulfilled.
        elements: those of a job array that are wanted, where not all are; at most `limit` at a time.

    Raises:
        InputError: sbatch refuses it.
    """
    options = ["--parsable", f"--chdir={script.parent}"]
    if dependency:
        options += [f"--dependency={dependency}", "--kill-on-invalid-dep=yes"]
    if elements is not None:
        options.append(f"--array={_ranges(elements)}" + (f"%{limit}" if limit else ""))
    return _sbatch(script, options).strip().partition(";")[0]  # "id;cluster" where there are several clusters


def _ranges(numbers: list[int]) -> str:
    """Write ascending numbers as Slurm does: 1-3,7."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def test(script: Path) -> None:
    """Ask Slurm whether it would take a script.

    Raises:
        InputError: it would not.
    """
    _sbatch(script, ["--test-only"])


def _sbatch(script: Path, options: list[str]) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SBATCH_")}
    done = _run(["sbatch", *options, str(script)], environment)
    if done.returncode:
        raise InputError(
            script, f"sbatch refuses it ({_last_line(done.stderr)})", "correct the answers and write it again"
        )
    return done.stdout


def cluster() -> str:
    """Return the name of the cluster that is asked here: others may see the same files, with jobs of the same ids.

    Raises:
        InputError: Slurm does not answer.
    """
    done = _run(["scontrol", "show", "config"])
    found = re.search(r"^ClusterName\s*=\s*(\S+)$", done.stdout, re.M)
    if done.returncode or not found:
        raise InputError("scontrol", f"Slurm does not answer ({_last_line(done.stderr)})", "try again later")
    return found[1]


def queue(user: str) -> dict[str, QueuedJob]:
    """Return a user's waiting and running jobs by id; elements of job arrays are ``<array's id>_<number>``.

    Raises:
        InputError: Slurm does not answer.
    """
    form = "%i|%F|%K|%T|%r"
    done = _run(["squeue", "--noheader", "--array", f"--user={user}", f"--format={form}"])
    if done.returncode:
        raise InputError("squeue", f"Slurm does not answer ({_last_line(done.stderr)})", "try again later")
    jobs = {}
    for line in done.stdout.splitlines():
        job, array, element, state, reason = line.split("|", 4)
        if state in LIVE:
            jobs[f"{array}_{element}" if element.isdigit() else job] = QueuedJob(state, reason)
    return jobs


def final_state(job: str) -> str:
    """Return Slurm's word for how a job that has left the queue ended (TIMEOUT, NODE_FAIL, ..), or ''.

    The controller forgets jobs after some minutes; the accounting keeps them, but not all sites have one.
    """
    shown = _run(["scontrol", "--oneliner", "show", "job", job])
    for word in shown.stdout.split():
        if word.startswith("JobState="):
            return word.partition("=")[2]
    kept = _run(["sacct", "--noheader", "--parsable2", "--allocations", f"--jobs={job}", "--format=State"])
    return kept.stdout.split()[0] if kept.returncode == 0 and kept.stdout.split() else ""


def cancel(jobs: Iterable[str]) -> None:
    """Cancel jobs, in this order; those that have ended meanwhile do not matter.

    Raises:
        InputError: Slurm does not answer, or they are another user's.
    """
    for job in jobs:
        done = _run(["scancel", job])
        said = done.stderr.lower()
        if done.returncode and "invalid job id" not in said and "already complet" not in said:
            raise InputError(f"job {job}", f"cannot be cancelled ({_last_line(done.stderr)})", "try again")


def _run(command: list[str], environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            env=environment,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError:
        raise InputError(
            command[0], "there is no such command here", "work on a login node of the cluster"
        ) from None
    except subprocess.TimeoutExpired:
        raise InputError(command[0], f"no answer within {_SECONDS} s", "try again later") from None


def _last_line(text: str) -> str:
    lines = [
        line.removeprefix("sbatch: ").removeprefix("error: ") for line in text.splitlines() if line.strip()
    ]
    return lines[-1] if lines else "no reason is given"
