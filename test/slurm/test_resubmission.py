"""Scripts of the generator on a real Slurm, with a stand-in for the trainer: accepted, stopped, gone on, cancelled."""

import dataclasses
import re
import shutil
import stat
import subprocess
import time
from pathlib import Path

import pytest

from video_prediction_tools.config_runscripts import answers, profiles, rendering
from video_prediction_tools.config_runscripts.context import Context
from video_prediction_tools.config_runscripts.steps import CHAINS

MACHINES = profiles.load(Path("/nonexistent"))
SLURM_MACHINES = sorted(name for name, machine in MACHINES.items() if machine.scheduler == "slurm")
ANSWERS = {
    "account": "deepacf",
    "source": "synthetic",
    "years": [2019],
    "months": [3, 4],
    "variables": ["2t", "msl"],
    "area": [58, -10, 50, 2],
    "sw_corner": [50, -10],
    "nyx": [32, 48],
    "train_period": "2019-03-01..2019-03-22",
    "val_period": "2019-03-23..2019-03-24T18",
    "test_period": "2019-03-25..2019-03-31",
    "exp_id": "20190401T000000_anna_try",
    "base_dir": "/data/anna",
}


def rendered(machine, directory, chain=CHAINS["era5"], **values):
    given = answers.Given()
    for name, value in (ANSWERS | {"venv": str(directory / "venv")} | values).items():
        given.add(name, value, name, by_flag=False)
    context = Context(machine, chain, chain[0])
    answers.collect(context, given, None)
    scripts = {step: rendering.render(context, step, directory) for step in chain}
    (directory / "logs").mkdir(exist_ok=True)
    for script in scripts.values():
        script.path.write_text(script.text)
    return scripts


@pytest.mark.parametrize("sweep", [None, ["lr=0.001", "lr=0.0003"]], ids=["single", "sweep"])
@pytest.mark.parametrize("resubmit", ["requeue", "successor", "array"])
@pytest.mark.parametrize("machine", SLURM_MACHINES)
def test_slurm_takes_every_script(slurm, tmp_path, machine, resubmit, sweep):
    machine = dataclasses.replace(MACHINES[machine], resubmit=resubmit)
    scripts = rendered(machine, tmp_path, **({"sweep": sweep} if sweep else {}))
    files = [str(script.path) for script in scripts.values()]
    for file in files:
        done = subprocess.run(["bash", "-n", file], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert shutil.which("shellcheck"), "shellcheck is missing"
    done = subprocess.run(["shellcheck", "-S", "style", *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    for script in scripts.values():
        if script.command.startswith("sbatch "):
            slurm.run("sbatch", "--test-only", script.path)


STAND_IN = """#!/usr/bin/env bash
# counts to 6 in a file; saves and ends with 75 when it is warned, as the trainer does
count={directory}/count
trap 'echo $n >"$count"; exit 75' USR2
trap 'echo $n >"$count"; echo TERM >>{directory}/terms; exit 75' TERM
n=$(cat "$count" 2>/dev/null || echo 0)
echo "from $n"
[[ ! -e {directory}/fail ]] || exit 3
while [[ $n -lt 6 ]]; do sleep 1; n=$((n + 1)); echo "step $n"; done
echo $n >"$count"
"""


@pytest.fixture
def train(slurm, tmp_path):
    """Return a function that submits a training whose program only counts, and a job that depends on it."""
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    python = tmp_path / "venv" / "bin" / "python"
    python.write_text(STAND_IN.replace("{directory}", str(tmp_path)))
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "venv" / "bin" / "activate").write_text(f'PATH="{python.parent}:$PATH"\n')
    dependent = tmp_path / "dependent.sh"
    dependent.write_text(f"#!/bin/sh\ncat {tmp_path}/count\n")

    def start(resubmit, **values):
        machine = dataclasses.replace(MACHINES["generic_slurm"], resubmit=resubmit)
        script = rendered(machine, tmp_path, ("extract", "preprocess1", "preprocess2", "train"), **values)[
            "train"
        ]
        # the warning must not hang on the clock of Slurm, which looks at walltimes every 30 s: it is sent by hand
        job = slurm.submit(script.path, f"--chdir={tmp_path}")
        after = slurm.submit(
            dependent,
            f"--dependency=afterok:{job}",
            "--kill-on-invalid-dep=yes",
            f"--output={tmp_path}/after",
        )
        return job, after

    return start


def wait_for(path, text, timeout=60):
    end = time.monotonic() + timeout
    while not path.exists() or text not in path.read_text():
        assert time.monotonic() < end, path.read_text() if path.exists() else f"no {path}"
        time.sleep(0.1)


def warn(slurm, job):
    """Send the warning that the walltime will soon be over."""
    # for an array of which elements wait, scancel does it and ends with an error all the same
    slurm.run("sh", "-c", f"scancel --signal=USR2 --batch {job} || true")


def marks(path):
    """Return what the lines of a log tell of its runs."""
    return re.findall(r"^AMBS (?:start job=\S+ run=\d+|end job=\S+ run=\d+ code=\d+)", path.read_text(), re.M)


def test_requeue(slurm, train, tmp_path):
    job, after = train("requeue")
    log = tmp_path / "logs" / f"ambs-train-{job}.log"
    wait_for(log, "step 2")
    warn(slurm, job)
    assert slurm.wait(job) == "COMPLETED" and slurm.wait(after) == "COMPLETED"
    assert marks(log) == [
        f"AMBS start job={job} run=1",
        f"AMBS end job={job} run=1 code=75",
        f"AMBS start job={job} run=2",
        f"AMBS end job={job} run=2 code=0",
    ]
    assert re.search(r"^from [23]$", log.read_text(), re.M) and (tmp_path / "after").read_text() == "6\n"


def test_an_experiment_of_a_sweep_requeues_itself(slurm, train, tmp_path):
    job, after = train("requeue", sweep=["lr=0.001", "lr=0.0003"])
    log = tmp_path / "logs" / f"ambs-train-{job}_2.log"
    wait_for(log, "step 2")
    warn(slurm, f"{job}_2")
    assert slurm.wait(after) == "COMPLETED"
    assert marks(log)[1:3] == [f"AMBS end job={job}_2 run=1 code=75", f"AMBS start job={job}_2 run=2"]
    assert marks(tmp_path / "logs" / f"ambs-train-{job}_1.log")[-1] == f"AMBS end job={job}_1 run=1 code=0"


def test_successor(slurm, train, tmp_path):
    job, after = train("successor")
    log = tmp_path / "logs" / f"ambs-train-{job}.log"
    wait_for(log, "step 2")
    warn(slurm, job)
    wait_for(log, "AMBS end")
    successor = re.search(r"^AMBS successor job=(\d+)$", log.read_text(), re.M)[1]
    assert slurm.wait(successor) == "COMPLETED" and slurm.wait(after) == "COMPLETED"
    assert marks(log)[-1].endswith("code=75") and slurm.state(job) == "FAILED"
    next_log = tmp_path / "logs" / f"ambs-train-{successor}.log"
    assert marks(next_log)[-1] == f"AMBS end job={successor} run=1 code=0"
    assert (tmp_path / "after").read_text() == "6\n"


def test_array(slurm, train, tmp_path, monkeypatch):
    monkeypatch.setattr(rendering, "MOST_RESTARTS", 3)
    job, after = train("array")
    log = tmp_path / "logs" / f"ambs-train-{job}_1.log"
    wait_for(log, "step 2")
    warn(slurm, f"{job}_1")
    assert slurm.wait(after) == "COMPLETED" and (tmp_path / "after").read_text() == "6\n"
    assert marks(log)[-1] == f"AMBS end job={job}_1 run=1 code=75"
    assert marks(tmp_path / "logs" / f"ambs-train-{job}_3.log")[-1] == f"AMBS end job={job}_3 run=1 code=0"


def test_an_element_that_fails_ends_the_array(slurm, train, tmp_path, monkeypatch):
    monkeypatch.setattr(rendering, "MOST_RESTARTS", 3)
    (tmp_path / "fail").touch()
    job, after = train("array")
    assert slurm.wait(after) == "CANCELLED"
    assert marks(tmp_path / "logs" / f"ambs-train-{job}_1.log")[-1] == f"AMBS end job={job}_1 run=1 code=3"
    assert not (tmp_path / "logs" / f"ambs-train-{job}_2.log").exists()


def test_it_goes_back_only_so_often(slurm, train, tmp_path, monkeypatch):
    monkeypatch.setattr(rendering, "MOST_RESTARTS", 1)
    job, after = train("requeue")
    log = tmp_path / "logs" / f"ambs-train-{job}.log"
    for run in (1, 2):
        wait_for(log, f"AMBS start job={job} run={run}")
        time.sleep(1.5)
        warn(slurm, job)
        wait_for(log, f"run={run} code=75")
    assert slurm.wait(job) == "FAILED" and slurm.wait(after) == "CANCELLED"
    assert "gone back to the queue 1 times: resume goes on" in log.read_text()


def test_scancel_lets_it_save_and_does_not_bring_it_back(slurm, train, tmp_path):
    job, after = train("requeue")
    log = tmp_path / "logs" / f"ambs-train-{job}.log"
    wait_for(log, "step 2")
    slurm.cancel(job)
    assert slurm.wait(job) == "CANCELLED" and slurm.wait(after) == "CANCELLED"
    wait_for(log, "AMBS end")
    assert marks(log)[-1] == f"AMBS end job={job} run=1 code=143"
    assert int((tmp_path / "count").read_text()) >= 2 and (tmp_path / "terms").read_text() == "TERM\n"


def test_a_missing_environment_is_told_between_the_two_lines(slurm, train, tmp_path):
    job, _ = train("requeue", venv=str(tmp_path / "nowhere"))
    log = tmp_path / "logs" / f"ambs-train-{job}.log"
    assert slurm.wait(job) == "FAILED"
    assert marks(log) == [f"AMBS start job={job} run=1", f"AMBS end job={job} run=1 code=2"]
    assert "ERROR: " in log.read_text()
