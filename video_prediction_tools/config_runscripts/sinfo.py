"""What Slurm says of its partitions, by the command sinfo."""

import re
import subprocess
from dataclasses import dataclass, replace

from video_prediction_tools.config_runscripts.profiles import Partition
from video_prediction_tools.errors import InputError

# partition, state, longest run, nodes of a job, nodes, sockets:cores:threads, MB, GPUs and the like, sharing
_FORM = "%P|%a|%l|%s|%D|%z|%m|%G|%h"
_SECONDS = 120  # a busy controller answers late


@dataclass(frozen=True)
class Reported:
    """A partition as sinfo reports it, and its state: up, down, drain or inactive."""

    partition: Partition
    state: str


def ask() -> list[Reported]:
    """Return the partitions that the user can see, in sinfo's order.

    Raises:
        InputError: there is no sinfo here, or Slurm does not answer.
    """
    command = ["sinfo", "--noheader", "--exact", "--noconvert", f"--format={_FORM}"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError:
        raise InputError(
            "sinfo", "there is no such command here", "work on a login node of the cluster"
        ) from None
    except subprocess.TimeoutExpired:
        raise InputError("sinfo", f"no answer within {_SECONDS} s", "try again later") from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no reason is given"]
        raise InputError("sinfo", f"Slurm does not answer ({said[-1]})", "try again later")
    return read(done.stdout)


def read(text: str) -> list[Reported]:
    """Understand what sinfo prints: a line for each kind of node of a partition.

    Of different nodes the largest count: what no node can take is refused, the rest is left to Slurm.

    Raises:
        InputError: it is not what this AMBS knows.
    """
    found: dict[str, Reported] = {}
    nodes: dict[str, int] = {}
    for line in text.splitlines():
        try:
            one, number = _line(line)
        except ValueError as error:
            raise InputError(
                "sinfo",
                f"'{line}' is not understood ({error})",
                "write the profile by hand: docs/machines.md",
            ) from None
        name = one.partition.name
        nodes[name] = nodes.get(name, 0) + number
        found[name] = _larger(found[name], one) if name in found else one
    if not any(nodes.values()):
        raise InputError(
            "sinfo", "reports no partition with nodes for you", "ask the operators of the cluster"
        )
    return [
        replace(one, partition=_within(one.partition, nodes[name]))
        for name, one in found.items()
        if nodes[name]
    ]


def _line(line: str) -> tuple[Reported, int]:
    name, state, longest, size, nodes, cpus, memory, gres, sharing = line.split("|")
    sockets, cores, _ = (int(part.rstrip("+")) for part in cpus.split(":"))
    at_least, _, at_most = size.partition("-")
    gpus, gpu_type = gpus_of(gres)
    partition = Partition(
        name.rstrip("*"),
        cores=sockets * cores,
        memory_gb=int(memory.rstrip("+")) // 1024,
        gpus=gpus,
        gpu_type=gpu_type,
        min_nodes=int(at_least) if int(at_least) > 1 else 0,
        max_nodes=0 if at_most == "infinite" else int(at_most or at_least),
        max_time=max_time(longest),
        exclusive=sharing == "EXCLUSIVE",
        default=name.endswith("*"),
        devel=re.search("devel|debug", name) is not None,
    )
    return Reported(partition, state), int(nodes)


def max_time(text: str) -> str:
    """Return a longest run as profiles write it, '' where there is no limit.

    Arguments:
        text: of sinfo, for example "1-00:00:00", "2:00:00" (hours), "30:00" (minutes) or "infinite".

    Raises:
        ValueError: it is not of this form.
    """
    if text in ("infinite", "n/a"):
        return ""
    match = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", text)
    if not match:
        raise ValueError(f"'{text}' is no walltime")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    hours += 24 * days
    if hours > 99:  # of more than two digits profiles make days
        return f"{hours // 24}-{hours % 24:02}:{minutes:02}:{seconds:02}"
    return f"{hours:02}:{minutes:02}:{seconds:02}"


def gpus_of(gres: str) -> tuple[int, str]:
    """Return number and type ('' if not said) of a node's GPUs.

    Arguments:
        gres: of sinfo, for example "gpu:4", "gpu:a100:4(S:0-1)", "gpu:a100:2,gpu:v100:2,nvme:1" or "(null)".
    """
    number, types = 0, []
    for one in re.sub(r"\([^)]*\)", "", gres).split(","):
        kind, *rest = one.split(":")
        if kind == "gpu":
            number += int(rest.pop()) if rest and rest[-1].isdigit() else 1
            types += rest
    return number, " ".join(dict.fromkeys(types))


def _larger(one: Reported, other: Reported) -> Reported:
    a, b = one.partition, other.partition
    more_gpus = a if a.gpus >= b.gpus else b
    return replace(
        one,
        partition=replace(
            a,
            cores=max(a.cores, b.cores),
            memory_gb=max(a.memory_gb, b.memory_gb),
            gpus=more_gpus.gpus,
            gpu_type=more_gpus.gpu_type,
        ),
    )


def _within(partition: Partition, nodes: int) -> Partition:
    """No job has more nodes than there are."""
    return replace(partition, max_nodes=min(partition.max_nodes or nodes, nodes))
