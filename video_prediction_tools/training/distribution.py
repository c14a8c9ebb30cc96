"""On what a training runs: one device, all GPUs of a node, or several workers; found from the environment.

The workers' addresses are worked out here and not by `tf.distribute.cluster_resolver.SlurmClusterResolver`:
that one gives two jobs on a node the same ports, and knows only one name of a node.
"""

import json
import os
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from video_prediction_tools.errors import InputError
from video_prediction_tools.progress import say

HOST_SUFFIX = "AMBS_HOST_SUFFIX"  # appended to host names: at some sites "<node>i" is the node's fast network
_FIRST_PORT = 20000
_PORTS = 20000
_PORTS_OF_RUNS = 997  # between a run of a job and its next one


@dataclass(frozen=True)
class Cluster:
    """The processes that train together.

    Arguments:
        workers: address ``host:port`` of each; empty: a process by itself.
        rank: this one's number.
    """

    workers: tuple[str, ...] = ()
    rank: int = 0

    @property
    def is_chief(self) -> bool:
        """Say whether this process prints and writes files."""
        return self.rank == 0


def find_cluster(environment: Mapping[str, str] = os.environ) -> Cluster:
    """Find the cluster from ``TF_CONFIG`` or from Slurm's variables of a job step (srun), without TensorFlow.

    Raises:
        InputError: ``TF_CONFIG`` is damaged, or Slurm's list of nodes cannot be read.
    """
    if environment.get("TF_CONFIG"):
        return _from_tf_config(environment["TF_CONFIG"])
    if int(environment.get("SLURM_STEP_NUM_TASKS", 1)) > 1:
        return _from_slurm(environment)
    return Cluster()


def _from_tf_config(text: str) -> Cluster:
    try:
        config = json.loads(text)
        workers, task = tuple(config["cluster"]["worker"]), config["task"]
        if task["type"] != "worker" or not 0 <= int(task["index"]) < len(workers):
            raise ValueError
    except (ValueError, KeyError, TypeError):
        raise InputError(
            "environment variable TF_CONFIG",
            "is not the description of a cluster of workers",
            "unset it, or name all workers and the index of this one",
        ) from None
    return Cluster(workers, int(task["index"])) if len(workers) > 1 else Cluster()


def _from_slurm(environment: Mapping[str, str]) -> Cluster:
    listed = _ask_slurm("hostnames", environment.get("SLURM_STEP_NODELIST", "")).split()
    suffix = environment.get(HOST_SUFFIX, "")
    addresses = [_address(node, suffix) for node in listed]
    rank = int(environment["SLURM_PROCID"])
    for node, address in zip(listed, addresses, strict=True):
        if rank == 0 and suffix and address != node + suffix:  # perhaps by a slower network
            say(f"{node}{suffix}: there is no node of this name; using {address}")
    counts = _tasks_per_node(environment["SLURM_STEP_TASKS_PER_NODE"])
    hosts = [host for host, tasks in zip(addresses, counts, strict=True) for _ in range(tasks)]
    # two jobs may share a node, and two workers, and a port is closed for a minute after it was used: every job,
    # every run of it and every worker gets ports of its own
    run = int(environment["SLURM_JOB_ID"]) + _PORTS_OF_RUNS * int(environment.get("SLURM_RESTART_COUNT", 0))
    first = _FIRST_PORT + run * len(hosts) % _PORTS
    return Cluster(tuple(f"{host}:{first + number}" for number, host in enumerate(hosts)), rank)


def _ask_slurm(kind: str, name: str) -> str:
    """Return what ``scontrol show`` says."""
    try:
        return subprocess.run(
            ["scontrol", "--oneliner", "show", kind, name],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise InputError(
            "Slurm", f"the list of nodes cannot be read ({error})", "start the program with srun inside a job"
        ) from error


def _address(node: str, suffix: str) -> str:
    """Return how other nodes reach this one: by its fast name, by its name, or as Slurm does."""
    for name in dict.fromkeys((node + suffix, node)):
        if _is_known(name):
            return name
    # on clouds nodes often have no names
    shown = dict(word.partition("=")[::2] for word in _ask_slurm("node", node).split())
    return shown.get("NodeAddr", node)


def _is_known(host: str) -> bool:
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        return False
    return True


def _tasks_per_node(text: str) -> list[int]:
    """Read Slurm's ``2(x3),1``: two tasks on each of three nodes, one on the next."""
    counts: list[int] = []
    for part in text.split(","):
        tasks, _, times = part.partition("(x")
        counts += [int(tasks)] * int(times.rstrip(")") or 1)
    return counts


def make_strategy(cluster: Cluster) -> Any:
    """Return the `tf.distribute` strategy; call it before anything else of TensorFlow is used."""
    if cluster.workers:
        task = {"type": "worker", "index": cluster.rank}
        os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": cluster.workers}, "task": task})
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        _run_one_operation_at_a_time()
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    if cluster.workers:
        kind = tf.distribute.experimental.CommunicationImplementation
        options = tf.distribute.experimental.CommunicationOptions(
            implementation=kind.NCCL if gpus else kind.RING
        )
        return tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
    return tf.distribute.MirroredStrategy() if len(gpus) > 1 else tf.distribute.get_strategy()


def _run_one_operation_at_a_time() -> None:
    """Make sums on a CPU repeat bit for bit; each operation still uses all cores.

    Where a weight is used at several time steps, TensorFlow adds up its gradients in an order that depends on
    which of them is ready first (AddN takes over the memory of one that nobody else needs, and begins with
    that one).
    """
    import tensorflow as tf

    if tf.config.threading.get_inter_op_parallelism_threads() != 1:
        try:
            tf.config.threading.set_inter_op_parallelism_threads(1)
        except (
            RuntimeError
        ):  # the caller has used TensorFlow before, so it must have been set by the environment
            if os.environ.get("TF_NUM_INTEROP_THREADS") != "1":
                say("TensorFlow was in use before: this training may not repeat bit for bit")


def require_shareable(batch_size: int, replicas: int, pieces: int = 1) -> None:
    """Check that a batch can be dealt evenly to all devices, and each share cut into `pieces`.

    Raises:
        InputError: it cannot.
    """
    if batch_size % replicas:
        raise InputError(
            "hyper-parameter batch_size",
            f"{batch_size} sequences cannot be shared by {replicas} devices",
            f"give a multiple of {replicas}",
        )
    if batch_size // replicas % pieces:
        raise InputError(
            "hyper-parameter gradient_accumulation",
            f"{batch_size // replicas} sequences of a device cannot be cut into {pieces} parts",
            f"give a batch_size that is a multiple of {replicas * pieces}",
        )
