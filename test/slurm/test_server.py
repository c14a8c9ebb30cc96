"""The Slurm of the tests itself: it runs jobs, and nothing of it is left when whoever holds it is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from server import DEFAULT_PARTITION, GPUS, Slurm, missing_programs


def test_a_job_runs_on_both_nodes(slurm, tmp_path):
    script = tmp_path / "job.sh"
    script.write_text("#!/bin/sh\nsrun sh -c 'echo $SLURMD_NODENAME $CUDA_VISIBLE_DEVICES'\n")
    job = slurm.submit(
        script, "--nodes=2", "--ntasks-per-node=1", f"--gres=gpu:{GPUS}", f"--output={tmp_path}/log"
    )
    assert slurm.wait(job) == "COMPLETED"
    assert sorted((tmp_path / "log").read_text().splitlines()) == ["fake1 0,1,2,3", "fake2 0,1,2,3"]
    assert slurm.show(job)["Partition"] == DEFAULT_PARTITION


@pytest.mark.slow
def test_a_job_that_ignores_term_comes_back_after_its_node_went_down(slurm, tmp_path):
    script, log = tmp_path / "job.sh", tmp_path / "log"
    script.write_text(
        "#!/usr/bin/env bash\ntrap '' TERM\necho begun\n"
        '[ -n "${SLURM_RESTART_COUNT:-}" ] || while :; do sleep 1; done\n'
    )
    job = slurm.submit(script, "--requeue", "--open-mode=append", f"--output={log}")
    while not log.exists() or not log.read_text():
        time.sleep(0.1)
    slurm.take_down(slurm.show(job)["NodeList"])
    assert slurm.wait(job) == "COMPLETED" and slurm.show(job)["Restarts"] == "1"


def test_nothing_is_left_when_its_holder_is_killed(slurm, tmp_path):
    """kill -9 of what started it (a test session), with a job at work that ignores signals."""
    holder = (
        "import subprocess, sys, time\n"
        f"server = subprocess.Popen([sys.executable, {str(Path(__file__).with_name('server.py'))!r}],"
        " stdin=subprocess.PIPE, start_new_session=True)\n"
        "time.sleep(600)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", holder], stdout=subprocess.PIPE, text=True)
    other = Slurm.of(Path(process.stdout.readline().strip().removeprefix("export SLURM_CONF=")))
    script = tmp_path / "job.sh"
    script.write_text("#!/usr/bin/env bash\ntrap '' TERM\necho begun\nwhile :; do sleep 1; done\n")
    other.wait(other.submit(script, f"--output={tmp_path}/log"), ["RUNNING"])
    while not (tmp_path / "log").exists() or not (tmp_path / "log").read_text():
        time.sleep(0.1)
    assert _processes_of(other)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    end = time.monotonic() + 20
    while _processes_of(other) or other.directory.exists():
        assert time.monotonic() < end, _processes_of(other)
        time.sleep(0.2)


def _processes_of(slurm: Slurm) -> list[str]:
    mark, found = f"SLURM_CONF={slurm.environment['SLURM_CONF']}".encode(), []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_any_user_can_start_it(slurm):
    """As nobody, without a privilege."""
    assert not missing_programs()
    server = Path(__file__).with_name("server.py")
    done = subprocess.run(
        ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", sys.executable, server],
        input="",
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"},
        cwd="/",
    )
    if "Permission denied" in done.stderr:
        pytest.skip(f"this Python cannot be read by others: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0 and done.stdout.startswith("export SLURM_CONF="), done.stderr
    print(done.stderr)
