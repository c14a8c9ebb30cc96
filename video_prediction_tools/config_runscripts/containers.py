"""Containers (Apptainer): what a script mounts into one, and the line that tries a script in an allocation."""

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from video_prediction_tools.config_runscripts import walltime
from video_prediction_tools.config_runscripts.profiles import Machine
from video_prediction_tools.errors import InputError

TRIAL_TIME = "00:10:00"


def mounts(paths: Iterable[str | Path | None]) -> list[Path]:
    """Return the paths that a container must be given; None and what lies below another one are left out.

    Raises:
        InputError: a path holds a character that ``--bind`` gives a meaning.
    """
    wanted = sorted({Path(path) for path in paths if path is not None})
    needed = [path for path in wanted if not any(other in path.parents for other in wanted)]
    for path in needed:
        if set(str(path)) & set(":,\\"):
            raise InputError(
                path,
                "cannot be mounted into a container (':', ',' or a backslash)",
                "rename it, or go without --tf_container",
            )
    return needed


def assignments(variables: Mapping[str, str]) -> list[str]:
    """Return variables as the command ``env`` takes them."""
    return [f"{name}={value}" for name, value in variables.items()]


def interactive_command(machine: Machine, answers: Mapping[str, Any], script: Path) -> str:
    """Return the line that runs a script at once in an allocation of ten minutes, to see that it works.

    Arguments:
        machine: a machine with Slurm.
        answers: those of the script's step.
        script: the job script; a sweep runs its first experiment.
    """
    time = answers.get("time") or TRIAL_TIME
    options = {
        "account": answers.get("account"),
        "partition": answers.get("partition"),
        "nodes": answers.get("nodes") or 1,
        "ntasks-per-node": answers.get("tasks") or 1,
        "cpus-per-task": answers.get("cpus") or 1,
        "mem": f"{answers['memory_gb']}G" if answers.get("memory_gb") else None,
        "gres": f"gpu:{answers['gpus']}" if answers.get("gpus") else None,
        "time": min(time, TRIAL_TIME, key=walltime.seconds),
    }
    words = [
        f"--{name}={value}"
        for name, value in options.items()
        if value is not None and name not in machine.sbatch_skip
    ]
    sweep = answers.get("sweep") or answers.get("sweep_size")
    element = ["env", "SLURM_ARRAY_TASK_ID=1"] if sweep else []
    return shlex.join(["salloc", *words, *machine.sbatch_extra, *element, "bash", str(script)])
