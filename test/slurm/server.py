"""A real Slurm for tests: munged, slurmctld and two slurmd, as any user, in a temporary folder, without accounting.

By hand: ``python test/slurm/server.py`` starts one, says the line that makes a shell use it, and takes it down at
Ctrl-C (or when its standard input ends: that is how the tests hold it, so that it goes when they are killed, too).
"""

import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from video_prediction_tools.config_runscripts import profiles, walltime

NODES = ("fake1", "fake2")
GPUS = 4
NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol")
PACKAGES = "slurm-wlm munge"  # of Debian
DEFAULT_PARTITION = "any"  # of jobs that name none
# [s] from TERM to KILL. When a node went down, its job must not be back before that: Slurm would find it twice, drain
# the node and hold the job
KILL_WAIT = 10
# never opened by anybody: a job sees only which of them are its own. More devices: a machine with more GPUs
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom", "/dev/full", "/dev/tty")
_PATH = "/usr/sbin:/sbin"  # of the daemons, where the user's PATH does not have them
_ENDED = (
    "COMPLETED",
    "FAILED",
    "CANCELLED",
    "TIMEOUT",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "BOOT_FAIL",
    "DEADLINE",
)


def missing_programs() -> list[str]:
    """Return the programs of Slurm that are not installed."""
    path = f"{os.environ['PATH']}:{_PATH}"
    return [name for name in NEEDED if shutil.which(name, path=path) is None]


@dataclass(frozen=True)
class Slurm:
    """A running Slurm, as its users see it.

    Arguments:
        directory: where its files are; `<daemon>.log` tells what went wrong.
        environment: what a process needs to use it.
    """

    directory: Path
    environment: Mapping[str, str]

    @classmethod
    def of(cls, configuration: Path) -> "Slurm":
        """Return the Slurm that is run with this slurm.conf."""
        environment = {"SLURM_CONF": str(configuration), "PATH": f"{os.environ['PATH']}:{_PATH}"}
        return cls(configuration.parent, environment)

    def run(self, *command: object, env: Mapping[str, str] | None = None, timeout: float = 60) -> str:
        """Run a command that must end well; returns what it prints."""
        words = [str(word) for word in command]
        # variables of this name would override the lines of scripts
        own = {name: value for name, value in os.environ.items() if not name.startswith("SBATCH_")}
        environment = {**own, **self.environment, **(env or {})}
        done = subprocess.run(words, capture_output=True, text=True, timeout=timeout, env=environment)
        assert done.returncode == 0, (
            f"{' '.join(words)}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
        return done.stdout

    def submit(self, script: Path, *options: object, env: Mapping[str, str] | None = None) -> str:
        """Submit a script; returns the job's id."""
        return self.run("sbatch", "--parsable", *options, script, env=env).strip()

    def show(self, job: str) -> dict[str, str]:
        """Return what ``scontrol show job`` says, for example JobState, ExitCode, Restarts, Dependency."""
        return dict(
            re.findall(r"(\w+(?:/\w+)*)=(\S*)", self.run("scontrol", "--oneliner", "show", "job", job))
        )

    def state(self, job: str) -> str:
        """Return the state of a job: PENDING, RUNNING, COMPLETED, FAILED, ..."""
        return self.show(job)["JobState"]

    def queue(self) -> dict[str, str]:
        """Return the states of the jobs that wait or run, by id (elements of an array: ``<id>_<number>``)."""
        lines = self.run("squeue", "--noheader", "--array", "--format=%i %T").splitlines()
        return dict(line.split() for line in lines)

    def wait(self, job: str, states: Iterable[str] = _ENDED, timeout: float = 120) -> str:
        """Wait until a job is in one of these states (by default: has ended); returns the state."""
        end = time.monotonic() + timeout
        while (state := self.state(job)) not in states:
            assert time.monotonic() < end, (
                f"job {job} is {state}, not {' or '.join(states)}, after {timeout:.0f} s: {self.show(job)}"
            )
            time.sleep(0.3)
        return state

    def take_down(self, node: str) -> None:
        """Set a node down: what runs there is ended. It is back as soon as its slurmd reports (seconds)."""
        self.run("scontrol", "update", f"nodename={node}", "state=DOWN", "reason=test")

    def wait_for_nodes(self, timeout: float = 30) -> None:
        """Wait until all nodes are idle."""
        end = time.monotonic() + timeout
        while set(self.run("sinfo", "--noheader", "--Node", "--format=%T").split()) != {"idle"}:
            assert time.monotonic() < end, self.run("sinfo", "--Node", "--long") + self.run("squeue")
            time.sleep(0.1)

    def cancel(self, *jobs: str) -> None:
        """Cancel jobs."""
        self.run("scancel", *jobs)

    def cancel_all(self) -> None:
        """Cancel what waits or runs, and wait until all nodes are free."""
        self.run("scancel", "--me")
        self.wait_for_nodes()


class Server:
    """The daemons, started and stopped."""

    def __init__(self):
        # a short path: that of a socket may have 107 characters. Open to others: munged wants its folder so
        self.directory = Path(tempfile.mkdtemp(prefix="ambs-slurm-", dir="/tmp"))
        self.directory.chmod(0o755)
        self.processes: list[subprocess.Popen] = []
        self.slurm = Slurm.of(self.directory / "slurm.conf")

    def start(self) -> None:
        """Start everything; returns when all nodes are idle."""
        directory = self.directory
        (directory / "key").write_bytes(secrets.token_bytes(1024))
        (directory / "key").chmod(0o400)
        (directory / "state").mkdir()
        (directory / "slurm.conf").write_text(_configuration(directory))
        (directory / "gres.conf").write_text(
            "AutoDetect=off\n" + "".join(f"Name=gpu File={device}\n" for device in _DEVICES[:GPUS])
        )
        files = [f"--{name}-file={directory}/munged.{name}" for name in ("pid", "log", "seed")]
        self._spawn(
            "munged", "--foreground", f"--key-file={directory}/key", f"--socket={directory}/munge", *files
        )
        self._until(lambda: (directory / "munge").exists())
        self._spawn("slurmctld", "-D", "-c")
        for node in NODES:
            self._spawn("slurmd", "-D", "-N", node, log=f"slurmd.{node}")
        self._until(self._is_ready)

    def stop(self) -> None:
        """End all jobs and daemons and remove the folder."""
        environment = {**os.environ, **self.slurm.environment}
        subprocess.run(["scancel", "--me"], env=environment, capture_output=True)
        self._kill_jobs()
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            try:
                process.wait(timeout=3)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._kill_jobs()  # what was being started
        shutil.rmtree(self.directory, ignore_errors=True)

    def _spawn(self, program: str, *arguments: str, log: str | None = None) -> None:
        with open(self.directory / f"{log or program}.log", "wb") as file:
            self.processes.append(
                subprocess.Popen(
                    [shutil.which(program, path=self.slurm.environment["PATH"]), *arguments],
                    env={**os.environ, **self.slurm.environment},
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=file,
                    start_new_session=True,  # a Ctrl-C in the terminal must not end them before the jobs
                )
            )

    def _is_ready(self) -> bool:
        command = ["sinfo", "--noheader", "--Node", "--format=%N %T"]
        environment = {**os.environ, **self.slurm.environment}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        return {tuple(line.split()) for line in done.stdout.splitlines()} == {
            (node, "idle") for node in NODES
        }

    def _until(self, ready) -> None:
        end = time.monotonic() + 30
        while not ready():
            ended = [process for process in self.processes if process.poll() is not None]
            if ended or time.monotonic() > end:
                logs = "\n".join(
                    f"{log.name}: {log.read_text()[-1500:]}" for log in self.directory.glob("*.log")
                )
                raise RuntimeError(f"the Slurm for tests does not start:\n{logs}")
            time.sleep(0.05)

    def _kill_jobs(self) -> None:
        """Kill the processes of jobs and what watches over them, known by the SLURM_CONF that is only ours."""
        mark = f"SLURM_CONF={self.slurm.environment['SLURM_CONF']}".encode()
        for process in Path("/proc").glob("[0-9]*"):
            try:
                environment = (process / "environ").read_bytes().split(b"\0")
                is_watcher = (process / "comm").read_text().strip() == "slurmstepd"
                in_job = any(entry.startswith(b"SLURM_JOB_ID=") for entry in environment)
                if mark in environment and (is_watcher or in_job):
                    os.kill(int(process.name), signal.SIGKILL)
            except OSError:
                continue  # ended meanwhile, or another user's


def _configuration(directory: Path) -> str:
    """Return slurm.conf; partitions are those of all machine profiles, on the same two nodes."""
    user, host = pwd.getpwuid(os.geteuid()).pw_name, socket.gethostname().split(".")[0]
    first, *nodes = _free_ports(1 + len(NODES))
    lines = [
        "ClusterName=ambs",
        f"SlurmctldHost={host}(127.0.0.1)",
        f"SlurmctldPort={first}",
        # how long a requeued job waits: 2 minutes where it is not given
        f"AuthInfo=socket={directory}/munge,cred_expire={KILL_WAIT + 8}",
        f"SlurmUser={user}",
        f"SlurmdUser={user}",
        "MpiDefault=none",
        "ProctrackType=proctrack/linuxproc",
        "TaskPlugin=task/none",
        "SlurmdParameters=config_overrides",
        "ReturnToService=2",
        f"StateSaveLocation={directory}/state",
        f"SlurmdSpoolDir={directory}/spool.%n",
        f"SlurmctldPidFile={directory}/slurmctld.pid",
        f"SlurmdPidFile={directory}/slurmd.%n.pid",
        "SelectType=select/cons_tres",
        "SelectTypeParameters=CR_Core",
        "GresTypes=gpu",
        "JobAcctGatherType=jobacct_gather/none",
        "AccountingStorageType=accounting_storage/none",
        "EnforcePartLimits=ALL",
        f"KillWait={KILL_WAIT}",
        "MinJobAge=3600",
        "MailProg=/bin/true",
        # many short jobs follow each other here: look often
        "SchedulerParameters=sched_interval=2,sched_min_interval=100000,batch_sched_delay=0,bf_interval=2",
    ]
    for node, port in zip(NODES, nodes, strict=True):
        lines.append(
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=512 RealMemory=2000000 "
            f"Gres=gpu:{GPUS} State=UNKNOWN"
        )
    everywhere = f"Nodes={','.join(NODES)} State=UP"
    lines.append(f"PartitionName={DEFAULT_PARTITION} {everywhere} Default=YES MaxTime=24:00:00")
    for name, (seconds, exclusive) in sorted(_partitions().items()):
        limit = f"MaxTime={seconds // 60}" if seconds else ""
        share = "OverSubscribe=EXCLUSIVE" if exclusive else ""
        lines.append(f"PartitionName={name} {everywhere} {limit} {share}")
    return "\n".join(lines) + "\n"


def _partitions() -> dict[str, tuple[int, bool]]:
    """Return longest run [s] (0: unknown) and exclusiveness by name; of equal names the more generous limit."""
    found: dict[str, tuple[int, bool]] = {}
    for machine in profiles.load(Path("/nonexistent")).values():
        for partition in machine.partitions:
            if machine.scheduler == "slurm" and partition.name:
                assert partition.gpus <= GPUS, f"{machine.name}: give the fake nodes {partition.gpus} GPUs"
                seconds = walltime.seconds(partition.max_time) if partition.max_time else 0
                before = found.get(partition.name, (0, False))
                found[partition.name] = (max(seconds, before[0]), partition.exclusive or before[1])
    return found


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def main() -> None:
    """Start a Slurm, say where it is, and take it down when the input ends or at Ctrl-C."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(0))
    if missing := missing_programs():
        sys.exit(f"ERROR: {', '.join(missing)}: not installed; install Debian's packages {PACKAGES}")
    server = Server()
    try:
        begun = time.monotonic()
        server.start()
        print(f"export SLURM_CONF={server.slurm.environment['SLURM_CONF']}", flush=True)
        print(f"started in {time.monotonic() - begun:.1f} s; end it with Ctrl-C", file=sys.stderr)
        sys.stdin.read()
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not leave daemons behind
        begun = time.monotonic()
        server.stop()
        print(f"stopped in {time.monotonic() - begun:.1f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
