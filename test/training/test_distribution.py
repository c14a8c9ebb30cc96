"""On what a training runs: found from the environment; two workers together do what one process does."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys

import numpy as np
import pytest

from video_prediction_tools.errors import InputError
from video_prediction_tools.training.checkpoints import last_file, read_progress
from video_prediction_tools.training.distribution import Cluster, find_cluster, require_shareable


def test_one_process():
    """Without any sign of a cluster, in a Slurm job of one task too."""
    assert find_cluster({}) == Cluster((), 0)
    assert find_cluster({"SLURM_JOB_ID": "1", "SLURM_STEP_NUM_TASKS": "1"}) == Cluster()
    assert find_cluster({"SLURM_JOB_ID": "1", "SLURM_NTASKS": "4"}) == Cluster(), (
        "the batch script is no job step"
    )
    assert Cluster().is_chief


def test_tf_config():
    """TF_CONFIG names the workers."""
    config = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}
    assert find_cluster({"TF_CONFIG": json.dumps(config)}) == Cluster(("a:1", "b:1"), 1)
    assert not find_cluster({"TF_CONFIG": json.dumps(config)}).is_chief
    config["cluster"]["worker"] = ["a:1"]
    config["task"]["index"] = 0
    assert find_cluster({"TF_CONFIG": json.dumps(config)}) == Cluster()
    for wrong in ("{", "{}", json.dumps({**config, "task": {"type": "worker", "index": 2}})):
        with pytest.raises(InputError, match="TF_CONFIG"):
            find_cluster({"TF_CONFIG": wrong})


SCONTROL = """#!/bin/sh
case "$*" in
  *"show hostnames n[1-3]") printf 'local\\nb.invalid\\nc.invalid\\n' ;;
  *"show node "*) echo "NodeName=$4 Arch=x86_64 NodeAddr=10.0.0.$4 NodeHostName=h" ;;
  *) exit 1 ;;
esac
"""


def test_slurm(tmp_path, monkeypatch, capsys):
    """Slurm's nodes and tasks become addresses; tasks, jobs and runs of a job have ports of their own."""
    scontrol = tmp_path / "scontrol"
    scontrol.write_text(SCONTROL)
    scontrol.chmod(scontrol.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    step = {
        "SLURM_JOB_ID": "17",
        "SLURM_STEP_NUM_TASKS": "5",
        "SLURM_STEP_NODELIST": "n[1-3]",
        "SLURM_STEP_TASKS_PER_NODE": "2(x2),1",
        "SLURM_PROCID": "4",
        "AMBS_HOST_SUFFIX": "host",
    }
    # a fast name, then nodes without any name
    b, c = "10.0.0.b.invalid", "10.0.0.c.invalid"
    workers = ("localhost:20085", "localhost:20086", f"{b}:20087", f"{b}:20088", f"{c}:20089")
    assert find_cluster(step) == Cluster(workers, 4)
    assert find_cluster({**step, "SLURM_JOB_ID": "18"}).workers[0] == "localhost:20090"
    assert capsys.readouterr().out == ""
    again = find_cluster({**step, "SLURM_RESTART_COUNT": "1", "SLURM_PROCID": "0"}).workers
    assert not {one.split(":")[1] for one in again} & {one.split(":")[1] for one in workers}
    assert "b.invalidhost: there is no node of this name; using 10.0.0.b.invalid" in capsys.readouterr().out
    scontrol.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(InputError, match="list of nodes cannot be read"):
        find_cluster(step)


def test_batch_must_be_shareable():
    """The global batch is dealt evenly."""
    require_shareable(16, 4)
    with pytest.raises(InputError, match="10 sequences cannot be shared by 4 devices; give a multiple of 4"):
        require_shareable(10, 4)


TRAINING = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
if sys.argv[4] == "mirrored":  # two replicas in one process, as two GPUs would be
    import tensorflow as tf
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    from video_prediction_tools.training import distribution
    distribution.make_strategy = lambda cluster: tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
from video_prediction_tools.main_scripts import main_train_models
from video_prediction_tools.main_scripts.program import run
sys.exit(run(main_train_models.main, main_train_models.build_parser(), [
    "--input_dir", sys.argv[1], "--output_dir", sys.argv[2], "--model", "convLSTM", "--set", "filters=4",
    "context_frames=2", "batch_size=4", "max_epochs=1", "lr=0.05", "clip_norm=0.05", "ema_decay=0.5",
    "lr_schedule=constant", "patch_size=1", *sys.argv[5:]]))
"""


def start(prepared, directory, kind, *settings, environment=None):
    """Start a training in a process of its own."""
    here = os.path.dirname(os.path.abspath(__file__))
    return subprocess.Popen(
        [sys.executable, "-c", TRAINING, prepared, directory, here, kind, *settings],
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def start_two_workers(prepared, directory, *settings):
    """Start two workers on this machine."""
    with socket.socket() as a, socket.socket() as b:
        for one in (a, b):
            one.bind(("127.0.0.1", 0))
        workers = [f"127.0.0.1:{one.getsockname()[1]}" for one in (a, b)]
    return [
        start(
            prepared,
            directory,
            "workers",
            *settings,
            environment={
                "TF_CONFIG": json.dumps(
                    {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
                )
            },
        )
        for index in (0, 1)
    ]


def end(*processes, code=0):
    """Wait for processes; return what they printed."""
    outputs = []
    for process in processes:
        try:
            outputs.append(process.communicate(timeout=300))
        finally:
            process.kill()
    for process, (out, err) in zip(processes, outputs, strict=True):
        assert process.returncode == code, f"{out}\n{err}"
    return [out for out, _ in outputs]


def assert_near(one, other):
    """Assert that two trainings ended with nearly the same weights, running means and validation loss."""
    with np.load(last_file(one)) as a, np.load(last_file(other)) as b:
        for key in a.files:
            if key.startswith(("model/", "averages/")):
                np.testing.assert_allclose(b[key], a[key], atol=1e-5, err_msg=key)
    states = [read_progress(last_file(directory)) for directory in (one, other)]
    assert states[0].step == states[1].step and states[0].best_step == states[1].best_step
    assert abs(states[0].best_val_loss - states[1].best_val_loss) < 1e-5


@pytest.mark.slow
def test_two_replicas_equal_one(prepared, tmp_path):
    """Two workers, and two replicas in one process, do what one device does (with clipping and means)."""
    alone, mirrored, workers = (tmp_path / name for name in ("alone", "mirrored", "workers"))
    (out,) = end(start(prepared, alone, "alone"))
    assert "global batch size 4 on 1 device;" in out
    (out,) = end(start(prepared, mirrored, "mirrored"))
    assert "global batch size 4 on 2 devices;" in out
    assert_near(alone, mirrored)
    first, second = end(*start_two_workers(prepared, workers))
    assert "global batch size 4 on 2 devices;" in first and first.splitlines()[-1] == str(workers)
    assert second == "", "only the first worker prints"
    assert_near(alone, workers)


@pytest.mark.slow
def test_signal_to_one_worker_stops_both(prepared, tmp_path):
    """The workers agree on stopping: a signal that only the second one gets ends both, after saving."""
    chief, second = start_two_workers(prepared, tmp_path / "model", "max_epochs=100000")
    for line in chief.stdout:
        if line.startswith("compiled"):
            break
    second.send_signal(signal.SIGUSR2)
    end(chief, second, code=75)
    assert read_progress(last_file(tmp_path / "model")).step > 0
