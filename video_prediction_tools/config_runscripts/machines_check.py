"""``machines check``: a profile's partitions against those that Slurm reports, and a file with the true ones."""

import dataclasses
import datetime
import json
import re
import tomllib
from pathlib import Path
from typing import Any

from video_prediction_tools.config_runscripts import limits, settings, sinfo, walltime
from video_prediction_tools.config_runscripts.profiles import Machine, Partition
from video_prediction_tools.config_runscripts.steps import STEPS
from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.files import whole_file

_COMPARED = ("cores", "memory_gb", "gpus", "min_nodes", "max_nodes", "max_time", "exclusive", "default")


def check(machine: Machine, *, write: bool, overwrite: bool) -> None:
    """Print how a profile differs from what sinfo reports, and the user's file that would say the same as sinfo.

    Arguments:
        machine: the profile, the user's file merged into it.
        write: write that file; what it says of other things than partitions stays.
        overwrite: also over a file that is there.

    Raises:
        InputError: the machine has no Slurm; there is no sinfo here; the file may not be changed, or not by a program.
    """
    if machine.scheduler != "slurm":
        raise InputError(
            "machines check",
            f"{machine.name} has no Slurm to compare with",
            "give --machine, on a login node of the cluster",
        )
    reported = sinfo.ask()
    true = _as_reported(machine, reported)
    differences = _differences(machine.partitions, true)
    print(f"{machine.name} ({machine.title}), compared with sinfo:")
    for line in differences or ["the profile says of its partitions what sinfo says"]:
        print(f"  {line}")
    for one in reported:
        if one.state != "up":
            print(f"  partition '{one.partition.name}' is {one.state} at the moment")
    for line in _steps_that_do_not_fit(dataclasses.replace(machine, partitions=true)):
        print(f"  {line}")
    if not differences:
        return
    path = settings.directory() / "machines" / f"{machine.name}.toml"
    text = _with_partitions(path, true)
    if write:
        _write(path, text, overwrite)
        print(f"wrote: {path}")
    else:
        print(f"\n# {path} would say so (--write writes it):\n{text}", end="")


def _as_reported(machine: Machine, reported: list[sinfo.Reported]) -> list[Partition]:
    """Return the partitions of sinfo in the profile's order, then the others, the default first.

    What sinfo does not know (which are for short tests, the name of the GPUs) stays as the profile says.
    """
    known = {one.name: one for one in machine.partitions}
    order = list(known)
    true = []
    for one in (one.partition for one in reported):
        before = known.get(one.name)
        if before:
            one = dataclasses.replace(one, devel=before.devel, gpu_type=before.gpu_type or one.gpu_type)
        true.append(one)
    return sorted(
        true, key=lambda one: (order.index(one.name) if one.name in known else len(order), not one.default)
    )


def _differences(profile: list[Partition], true: list[Partition]) -> list[str]:
    by_name = {one.name: one for one in profile if one.name}
    lines = [
        f"partition '{name}' is in the profile, but not in sinfo (or not for you)"
        for name in by_name
        if name not in {one.name for one in true}
    ]
    for one in true:
        if one.name not in by_name:
            lines.append(f"partition '{one.name}' is not in the profile: {_described(one)}")
            continue
        before = by_name[one.name]
        lines += [
            f"partition '{one.name}': {name} is {_said(name, before)} in the profile, "
            f"{_said(name, one)} in sinfo"
            for name in _COMPARED
            if _comparable(name, before) != _comparable(name, one)
        ]
    return lines


def _comparable(name: str, partition: Partition) -> Any:
    value = getattr(partition, name)
    if name == "max_time":  # 24:00:00 is 1-00:00:00
        return walltime.seconds(value) if value else 0
    return 0 if name == "min_nodes" and value == 1 else value


def _said(name: str, partition: Partition) -> str:
    value = getattr(partition, name)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if value or name in ("gpus", "min_nodes") else "unlimited or unknown"


def _described(partition: Partition) -> str:
    said = [f"{name} {_said(name, partition)}" for name in _COMPARED if getattr(partition, name)]
    return ", ".join(said) or "nothing is known of it"


def _steps_that_do_not_fit(machine: Machine) -> list[str]:
    """Say which steps ask, without an answer of the user's, for what the machine does not have."""
    lines = []
    for step in STEPS:
        own = machine.step(step)
        asked = {name: getattr(own, name) for name in ("partition", "time", "nodes", "tasks", "cpus", "gpus")}
        try:
            limits.check(machine, step, {"account": "any", "tf_container": "any", **asked})
        except InputError as error:
            lines.append(f"step {step} does not fit: {error.what}; {error.remedy}")
    return lines


def _with_partitions(path: Path, partitions: list[Partition]) -> str:
    """Return the user's file with other partitions; all else in it, remarks included, stays."""
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    today = datetime.date.today()
    lines = [f"# partitions as sinfo reported them on {today} (machines check)", "partitions = ["]
    lines += [f"  {_inline(one)}," for one in partitions]
    text = "\n".join([*lines, "]", _without_partitions(before)])
    if before and not _says(text, {**settings.read_toml(path), "partitions": _tables(partitions)}):
        raise InputError(
            path, "its partitions cannot be replaced by a program", "take them out of it by hand"
        )
    return text


def _without_partitions(text: str) -> str:
    """Take the partitions out of a TOML file, whether it lists them inline or as tables."""
    kept, lines = [], text.splitlines(keepends=True)
    while lines:
        if re.match(r"partitions\s*=", lines[0]):
            lines = lines[_length_of_value(lines) :]
        elif re.match(r"\s*\[\[\s*partitions\s*\]\]", lines[0]):
            after = (number for number, line in enumerate(lines[1:], 1) if re.match(r"\s*\[", line))
            lines = lines[next(after, len(lines)) :]
        elif not lines[0].startswith("# partitions as sinfo reported them on "):
            kept.append(lines.pop(0))
        else:
            lines.pop(0)
    return "".join(kept)


def _says(text: str, content: dict[str, Any]) -> bool:
    try:
        return tomllib.loads(text) == content
    except tomllib.TOMLDecodeError:
        return False


def _length_of_value(lines: list[str]) -> int:
    """Return over how many lines the key of the first one goes on."""
    for number in range(1, len(lines)):
        try:
            tomllib.loads("".join(lines[:number]))
            return number
        except tomllib.TOMLDecodeError:
            continue
    return len(lines)


def _tables(partitions: list[Partition]) -> list[dict[str, Any]]:
    default = Partition("")
    return [
        {
            name: value
            for name, value in vars(one).items()
            if name == "name" or value != getattr(default, name)
        }
        for one in partitions
    ]


def _inline(partition: Partition) -> str:
    (table,) = _tables([partition])
    return f"{{ {', '.join(f'{name} = {json.dumps(value, ensure_ascii=False)}' for name, value in table.items())} }}"


def _write(path: Path, text: str, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise InputError(
            path,
            "is there already, and nothing was written",
            "add --overwrite; what it says of other things than partitions stays",
        )
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
