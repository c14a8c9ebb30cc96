"""Machine profiles: one TOML file each, built-in ones in templates/machines, the user's merged over them.

Only the standard library is needed here: create_env.sh asks for the machine before any package is installed.
"""

import dataclasses
import getpass
import os
import re
import shutil
import socket
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from video_prediction_tools.config_runscripts import settings, walltime
from video_prediction_tools.config_runscripts.steps import STEPS
from video_prediction_tools.errors import InputError, did_you_mean

REPOSITORY = Path(__file__).resolve().parents[2]
BUILT_IN = REPOSITORY / "templates" / "machines"
SYSTEMNAME_FILE = Path("/etc/FZJ/systemname")  # at JSC every machine names itself there and in $SYSTEMNAME
SLURM_COMMANDS = ("sbatch", "srun", "sinfo", "squeue")
SLURM_CONFIGURATIONS = (
    Path("/etc/slurm/slurm.conf"),
    Path("/etc/slurm-llnl/slurm.conf"),  # Debian until 2021
    Path("/run/slurm/conf/slurm.conf"),  # where a server hands it out
)
SCHEMA = 1


@dataclass(frozen=True)
class Partition:
    """A Slurm partition; 0 or '' means unknown and is not checked (but where `cores` are known, 0 `gpus` are none).

    `default`: jobs that name no partition go there. `devel`: for short tests, proposed last.
    """

    name: str
    cores: int = 0
    memory_gb: int = 0
    gpus: int = 0
    gpu_type: str = ""
    min_nodes: int = 0
    max_nodes: int = 0
    max_time: str = ""
    exclusive: bool = False
    default: bool = False
    devel: bool = False


@dataclass(frozen=True)
class Identify:
    """How a machine is recognised: its name for itself, patterns of host names, a command, always.

    A `command` of Slurm's fits only where there is a cluster.
    """

    systemname: list[str] = field(default_factory=list)
    hostname: list[str] = field(default_factory=list)
    command: str = ""
    always: bool = False


@dataclass(frozen=True)
class Account:
    """The budget that jobs are billed to; `env`: variables that may name it, in order."""

    required: bool = False
    env: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Launch:
    """How a program is started: flags of srun, the command of mpirun, flags and variables of the container's program.

    `mpi`: what starts the ranks of a step that works with MPI under Slurm, srun (with the flags `srun_mpi`, too) or
    mpirun. `srun_container`: further flags of srun where the program runs in a container.
    """

    mpi: str = "srun"
    srun: list[str] = field(default_factory=list)
    srun_mpi: list[str] = field(default_factory=list)
    mpirun: list[str] = field(default_factory=list)
    srun_container: list[str] = field(default_factory=list)
    container_flags: list[str] = field(default_factory=list)
    container_env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Environment:
    """Modules to load and variables to set before the virtual environment is activated."""

    modules: list[str] = field(default_factory=list)
    exports: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Network:
    """What TensorFlow's cluster and downloads must know."""

    hostname_suffix: str = ""
    compute_internet: bool = False


@dataclass(frozen=True)
class Paths:
    """Where data go by default; ``{user}``, ``{home}`` and ``{project}`` (the account) are filled in."""

    base: str = ""


@dataclass(frozen=True)
class StepResources:
    """What one step gets. `local`: run by bash, also where there is Slurm (no internet on compute nodes).

    `needs_container`: without one the step would not work, or not use the GPUs. `modules` take the place of the general
    ones, `exports` are added.
    """

    local: bool = False
    partition: str = ""
    nodes: int = 1
    tasks: int = 1
    cpus: int = 1
    gpus: int = 0
    time: str = "01:00:00"
    needs_container: bool = False
    modules: list[str] | None = None
    exports: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Machine:
    """One machine profile; docs/machines.md explains the entries.

    `resubmit`: how an unfinished training comes back: requeue (the same job), successor (a new one) or array (the next
    element of a job array submitted with it).
    """

    name: str
    schema: int
    title: str
    scheduler: str
    notes: str = ""
    checked: str = ""
    arch: str = "x86_64"
    resubmit: str = "requeue"
    partitions: list[Partition] = field(default_factory=list)
    identify: Identify = field(default_factory=Identify)
    account: Account = field(default_factory=Account)
    launch: Launch = field(default_factory=Launch)
    environment: Environment = field(default_factory=Environment)
    network: Network = field(default_factory=Network)
    paths: Paths = field(default_factory=Paths)
    steps: dict[str, StepResources] = field(default_factory=dict)
    sbatch_extra: list[str] = field(default_factory=list)
    sbatch_skip: list[str] = field(default_factory=list)

    def step(self, name: str) -> StepResources:
        """Return the resources of a step."""
        return self.steps.get(name, StepResources())

    def partition(self, name: str) -> Partition | None:
        """Return a partition by name, the site's default by ''; None: the profile does not know it."""
        return next((one for one in self.partitions if one.name == name or (not name and one.default)), None)

    def runs_with_slurm(self, step: str) -> bool:
        """Say whether a step is submitted to Slurm here."""
        return self.scheduler == "slurm" and not self.step(step).local

    def modules(self, step: str) -> list[str]:
        """Return the modules that a step loads."""
        own = self.step(step).modules
        return self.environment.modules if own is None else own

    def exports(self, step: str) -> dict[str, str]:
        """Return the variables that are set for a step."""
        return self.environment.exports | self.step(step).exports

    def account_from(self, environment: Mapping[str, str]) -> str | None:
        """Return the account that the environment names, or None."""
        return next((environment[name] for name in self.account.env if environment.get(name)), None)

    def base_dir(self, account: str | None) -> str | None:
        """Return the default base directory, or None where it cannot be known (no account yet)."""
        if not self.paths.base or ("{project}" in self.paths.base and not account):
            return None
        return self.paths.base.format(user=getpass.getuser(), home=Path.home(), project=account)


def load(user_directory: Path | None = None) -> dict[str, Machine]:
    """Return all machine profiles by name: the user's own first, then the built-in ones.

    What the user writes in a file of the same name is merged over the built-in profile.

    Arguments:
        user_directory: the user's profiles; by default ``machines`` in the configuration directory.

    Raises:
        InputError: a file is damaged, a key unknown (did you mean), a value of the wrong type.
    """
    user_directory = user_directory or settings.directory() / "machines"
    built_in = {path.stem: settings.read_toml(path) for path in sorted(BUILT_IN.glob("*.toml"))}
    own = {path.stem: (path, settings.read_toml(path)) for path in sorted(user_directory.glob("*.toml"))}
    machines = {}
    for name in [*(name for name in own if name not in built_in), *built_in]:
        path, content = own.get(name, (BUILT_IN / f"{name}.toml", {}))
        machines[name] = _machine(name, _merged(built_in.get(name, {}), content), path)
    return machines


def _machine(name: str, content: dict[str, Any], path: Path) -> Machine:
    if "name" in content:
        raise InputError(path, "unknown key 'name'", "the file's name is the machine's name")
    machine = _built(Machine, {"name": name, **content}, path, "")
    if machine.schema != SCHEMA:
        raise InputError(
            path, f"has schema {machine.schema}, this AMBS reads {SCHEMA}", "compare with docs/machines.md"
        )
    for key, value, known in (
        ("scheduler", machine.scheduler, ("slurm", "bash")),
        ("resubmit", machine.resubmit, ("requeue", "successor", "array")),
        ("launch.mpi", machine.launch.mpi, ("srun", "mpirun")),
    ):
        if value not in known:
            raise InputError(path, f"{key} '{value}' is unknown", f"write {' or '.join(known)}")
    for step in machine.steps:
        if step not in STEPS:
            raise InputError(path, f"unknown step 'steps.{step}'", did_you_mean(step, STEPS))
    times = [(f"steps.{name}.time", step.time) for name, step in machine.steps.items()]
    for key, time in times + [
        ("partitions.max_time", one.max_time) for one in machine.partitions if one.max_time
    ]:
        if not re.fullmatch(walltime.FORM, time):
            raise InputError(path, f"{key} '{time}' is no walltime", "write hh:mm:ss or d-hh:mm:ss")
    for pattern in machine.identify.hostname:
        try:
            re.compile(pattern)
        except re.error as error:
            raise InputError(
                path, f"identify.hostname '{pattern}' is not a regular expression ({error})", "correct it"
            ) from error
    return machine


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(below.get(key), dict)
        merged[key] = _merged(below[key], value) if both else value
    return merged


def _built(cls: type, content: dict[str, Any], path: Path, prefix: str) -> Any:
    types = typing.get_type_hints(cls)
    for key in content:
        if key not in types:
            raise InputError(
                path,
                f"unknown key '{prefix}{key}'",
                did_you_mean(key, [t for t in types if t != "name" or prefix]),
            )
    for part in dataclasses.fields(cls):
        needed = part.default is dataclasses.MISSING and part.default_factory is dataclasses.MISSING
        if needed and part.name not in content:
            raise InputError(path, f"'{prefix}{part.name}' is missing", "add it")
    return cls(**{key: _value(types[key], value, path, f"{prefix}{key}") for key, value in content.items()})


def _value(kind: Any, value: Any, path: Path, where: str) -> Any:
    """Check `value` against a type hint; tables become dataclasses."""
    if dataclasses.is_dataclass(kind) and isinstance(value, dict):
        return _built(kind, value, path, f"{where}.")
    origin, parts = (
        typing.get_origin(kind),
        [part for part in typing.get_args(kind) if part is not type(None)],
    )
    if origin is list and isinstance(value, list):
        return [_value(parts[0], one, path, where) for one in value]
    if origin is dict and isinstance(value, dict):
        return {key: _value(parts[1], one, path, f"{where}.{key}") for key, one in value.items()}
    if origin not in (list, dict, None):  # X | None
        return _value(parts[0], value, path, where)
    if origin is None and type(value) is kind and not (kind is str and "\n" in value):
        return value
    raise InputError(path, f"'{where}' has the wrong value {value!r}", f"give {_type_name(kind)}")


def _type_name(kind: Any) -> str:
    if dataclasses.is_dataclass(kind):
        return "a table"
    names = {
        str: "one line of text",
        int: "a whole number",
        bool: "true or false",
        list: "a list",
        dict: "a table",
    }
    return names[typing.get_origin(kind) or kind]


@dataclass(frozen=True)
class Detected:
    """The machine that was found, the rule that decided, what each rule said, and why not the other profiles."""

    name: str
    reason: str
    explanation: list[str]


@dataclass(frozen=True)
class _Rule:
    """One way to recognise a machine.

    Arguments:
        said: what is known here, for example "host name is 'jwlogin04'".
        fits: whether that is what a profile asks for.
        misfit: why it is not; '' where the profile does not ask for it.
    """

    said: str
    fits: Callable[[Machine], bool]
    misfit: Callable[[Machine], str]


def detect(
    machines: dict[str, Machine],
    *,
    environment: Mapping[str, str] = os.environ,
    hostname: str | None = None,
    systemname_file: Path = SYSTEMNAME_FILE,
    which: Callable[[str], str | None] = shutil.which,
    configurations: Sequence[Path] = SLURM_CONFIGURATIONS,
) -> Detected:
    """Find out on which machine we are.

    Order: ``$AMBS_MACHINE``, ``$SYSTEMNAME``, /etc/FZJ/systemname, host name (full and short), a command that
    exists (those of Slurm only where there is a cluster, too), the machine that always fits.

    Raises:
        InputError: ``$AMBS_MACHINE`` names an unknown machine, or none fits.
    """
    forced = environment.get("AMBS_MACHINE")
    if forced:
        require_known(forced, machines, "$AMBS_MACHINE")
    commands = dict.fromkeys(
        machine.identify.command for machine in machines.values() if machine.identify.command
    )
    rules = [
        _forced(forced),
        _calls_itself("$SYSTEMNAME", environment.get("SYSTEMNAME")),
        _calls_itself(systemname_file, _first_line(systemname_file)),
        _host_name(hostname or socket.gethostname()),
        *(_command(command, which(command), environment, configurations) for command in commands),
        _Rule("always", lambda machine: machine.identify.always, lambda machine: ""),
    ]
    said = []
    for rule in rules:
        name = next((name for name, machine in machines.items() if rule.fits(machine)), None)
        said.append(f"{rule.said}: {name or 'no machine fits'}")
        if name:
            others = [machine for machine in machines.values() if machine.name != name]
            return Detected(name, rule.said, said + [_why_not(machine, rules, name) for machine in others])
    raise InputError(
        "machine", "no profile fits this machine", f"give --machine; known are: {', '.join(machines)}"
    )


def _forced(name: str | None) -> _Rule:
    said = f"$AMBS_MACHINE is '{name}'" if name else "$AMBS_MACHINE is not set"
    return _Rule(said, lambda machine: machine.name == name, lambda machine: "")


def _calls_itself(source: object, name: str | None) -> _Rule:
    said = f"{source} is '{name}'" if name else f"{source} is not there"

    def misfit(machine: Machine) -> str:
        known = " or ".join(machine.identify.systemname)
        return known and (f"{said}, not {known}" if name else said)

    return _Rule(said, lambda machine: name in machine.identify.systemname, misfit)


def _host_name(name: str) -> _Rule:
    def fits(machine: Machine) -> bool:
        hosts = (name, name.split(".")[0])
        return any(re.search(pattern, host) for pattern in machine.identify.hostname for host in hosts)

    def misfit(machine: Machine) -> str:
        patterns = " or ".join(machine.identify.hostname)
        return patterns and f"host name is not like {patterns}"

    return _Rule(f"host name is '{name}'", fits, misfit)


def _command(
    command: str, path: str | None, environment: Mapping[str, str], configurations: Sequence[Path]
) -> _Rule:
    """Look for a command; Slurm's can be installed where there is no cluster."""
    there, said = path is not None, f"command '{command}' is {'' if path else 'not '}there"
    if path and command in SLURM_COMMANDS:
        cluster = _cluster(Path(path), environment, configurations)
        there = cluster is not None
        said += (
            f", and a cluster ({cluster})"
            if cluster
            else ", but no cluster: neither $SLURM_CONF nor a slurm.conf"
        )
    return _Rule(
        said,
        lambda machine: there and machine.identify.command == command,
        lambda machine: said if machine.identify.command == command else "",
    )


def _cluster(command: Path, environment: Mapping[str, str], configurations: Sequence[Path]) -> str | None:
    """Return where Slurm's commands learn of a cluster, None: nowhere."""
    for variable in ("SLURM_CONF", "SLURM_CONF_SERVER"):
        if environment.get(variable):
            return f"${variable}"
    own = command.resolve().parents[1] / "etc" / "slurm.conf"  # where a site has built Slurm itself
    return next((str(path) for path in [*configurations, own] if path.exists()), None)


def _why_not(machine: Machine, rules: list[_Rule], found: str) -> str:
    fitting = next((rule.said for rule in rules if rule.fits(machine)), None)
    if fitting:
        return f"not {machine.name}: {found} is found before ({fitting} would fit)"
    misfits = "; ".join(filter(None, (rule.misfit(machine) for rule in rules)))
    return f"not {machine.name}: {misfits or 'it has no rule; give --machine, or set $AMBS_MACHINE'}"


def require_known(name: str, machines: dict[str, Machine], flag: str = "--machine") -> Machine:
    """Return a machine by its name.

    Raises:
        InputError: there is no such machine.
    """
    if name not in machines:
        raise InputError(flag, f"unknown machine '{name}'", did_you_mean(name, machines))
    return machines[name]


def _first_line(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").split("\n")[0].strip()
    except OSError:
        return ""  # only JSC's machines have it
