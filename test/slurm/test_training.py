"""The real trainer in the generator's scripts on a real Slurm: walltime, troubles, two nodes, a killed worker."""

import csv
import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from video_prediction_tools.config_runscripts import answers, profiles, rendering
from video_prediction_tools.config_runscripts.context import Context
from video_prediction_tools.metadata.record import read_record
from video_prediction_tools.training.checkpoints import best_file, last_file

MACHINE = profiles.load(Path("/nonexistent"))["generic_slurm"]
DATA_NAME = "Y2019to2019M03to03-8_6-50.00N03.00W-2t"
LONG = {"max_epochs": 120, "batch_size": 8, "checkpoint_seconds": 1}  # 480 steps
SHORT = {"max_epochs": 20, "batch_size": 32}  # of 32 sequences: an epoch is a step
WEIGHTS = {"filters": 4, "context_frames": 2, "patch_size": 1}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def base(tmp_path_factory, repository):
    """A base directory with a small data set."""
    spec = importlib.util.spec_from_file_location(
        "small_data", repository / "test" / "training" / "conftest.py"
    )
    small_data = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(small_data)
    directory = tmp_path_factory.mktemp("base")
    hours = {"train": 35, "val": 10, "test": 12}
    small_data.make_prepared(directory / "PreprocessedData" / DATA_NAME, hours=hours, block_frames=100)
    return directory


@pytest.fixture(scope="module")
def never_stopped(base, program_command):
    """The model directory of a training that nobody stops; it runs beside the test that asks for it."""
    directory = base / "never_stopped"
    words = [f"{key}={value}" for key, value in (WEIGHTS | LONG).items()]
    command = program_command(
        "train_models", "--input_dir", base / "PreprocessedData" / DATA_NAME, "--output_dir", directory
    )
    process = subprocess.Popen([*command, "--model", "convLSTM", "--set", *words], stdout=subprocess.DEVNULL)
    yield process, directory
    process.kill()
    process.wait()


@pytest.fixture
def script(base, tmp_path):
    """Return a function that writes a training script; the name of its experiment is that of the test's folder."""

    def write(hparams, **values):
        given = answers.Given()
        values = {
            "base_dir": str(base),
            "data_name": DATA_NAME,
            "exp_id": f"20190401T000000_anna_{re.sub('[^a-z]', '', tmp_path.name)}",
            "hparams": WEIGHTS | hparams,
            "venv": sys.prefix,
            **values,
        }
        for name, value in values.items():
            given.add(name, value, name, by_flag=False)
        context = Context(MACHINE, ("train",), "train")
        answers.collect(context, given, None)
        written = rendering.render(context, "train", tmp_path)
        (tmp_path / "logs").mkdir(exist_ok=True)
        written.path.write_text(written.text)
        for path, text in written.beside.items():
            path.write_text(text)
        context.step = "train"
        return written.path, context.experiments()[0].directory

    return write


def wait_for(path, text, timeout=120):
    end = time.monotonic() + timeout
    while not path.exists() or text not in path.read_text():
        assert time.monotonic() < end, path.read_text() if path.exists() else f"no {path}"
        time.sleep(0.1)


def wait_until(condition, timeout=120):
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def is_pending(process, number):
    """Say whether a signal waits for a process that stands still."""
    (mask,) = re.findall(r"^ShdPnd:\s*(\w+)$", Path(f"/proc/{process}/status").read_text(), re.M)
    return bool(int(mask, 16) >> (number - 1) & 1)


def warned_standing_still(slurm, job):
    """Stop the job's training until the warning waits for it; say whether it was so.

    On a busy machine starting may take so long that the training is being warned as its first checkpoint comes: then
    the process is gone, and the next run is another try.
    """
    found = workers(slurm, job, rank=0)
    if len(found) != 1:
        return False
    try:
        os.kill(found[0], signal.SIGSTOP)
        wait_until(lambda: is_pending(found[0], signal.SIGUSR2))
        os.kill(found[0], signal.SIGCONT)
    except (FileNotFoundError, ProcessLookupError):
        return False
    return True


def assert_same_weights(one, other):
    for file in (last_file, best_file):
        with np.load(file(one)) as a, np.load(file(other)) as b:
            assert a.files == b.files
            for key in set(a.files) - {"header"}:
                np.testing.assert_array_equal(a[key], b[key], err_msg=f"{file.__name__} {key}")


def test_past_its_walltime(slurm, script, never_stopped, tmp_path):
    """It comes back by requeue and ends with the weights of a training never stopped; its dependent job waits."""
    path, model = script(LONG, time="00:01:00")
    job = slurm.submit(path)
    dependent = tmp_path / "dependent.sh"
    dependent.write_text(f"#!/bin/sh\ngrep '\"state\"' '{model}/metadata.json'\n")
    after = slurm.submit(dependent, f"--dependency=afterok:{job}", f"--output={tmp_path}/after")
    # a training that takes long: it stands still until the warning waits for it
    wait_until(last_file(model).exists)
    wait_until(lambda: warned_standing_still(slurm, job), timeout=300)
    log = tmp_path / "logs" / f"ambs-train-{job}.log"
    assert slurm.wait(job, timeout=400) == "COMPLETED", log.read_text()
    assert int(slurm.show(job)["Restarts"]) >= 1
    assert slurm.wait(after) == "COMPLETED" and '"done"' in (tmp_path / "after").read_text()
    record = read_record(model)
    assert record.state == "done" and record.attempts
    for attempt in record.attempts:
        assert attempt["state"] == "interrupted" and "SIGUSR2" in attempt["message"]
    reference, directory = never_stopped
    assert reference.wait(timeout=300) == 0
    assert_same_weights(model, directory)


def test_troubles(slurm, script, never_stopped, tmp_path):
    """A full disk, scancel, a node that goes down: the states are right, and nothing is lost."""
    path, model = script(LONG)
    text = path.read_text()

    # files of 12 kB: no checkpoint has room
    path.write_text(text.replace("set -u\n", "set -u\nulimit -f 12\n"))
    job = slurm.submit(path)
    assert slurm.wait(job) == "FAILED" and slurm.show(job)["ExitCode"] == "2:0"
    record = read_record(model)
    assert record.state == "failed" and "state.npz" in record.message
    assert not last_file(model).exists()

    path.write_text(text)
    job = slurm.submit(path)
    wait_until(last_file(model).exists)
    slurm.cancel(job)
    assert slurm.wait(job) == "CANCELLED"
    wait_until(lambda: read_record(model).state != "running")
    record = read_record(model)
    assert record.state == "interrupted" and "SIGTERM" in record.message
    saved = int(re.search(r"step (\d+) of", record.message)[1])

    job = slurm.submit(path)
    log = tmp_path / "logs" / f"ambs-train-{job}.log"
    wait_for(log, f"going on from step {saved}")
    wait_for(log, "compiled")
    slurm.take_down(slurm.show(job)["NodeList"])
    assert slurm.wait(job, timeout=200) == "COMPLETED", log.read_text()
    assert f"AMBS end job={job} run=1 code=143" in log.read_text() and slurm.show(job)["Restarts"] == "1"
    record = read_record(model)
    assert record.state == "done"
    assert [attempt["state"] for attempt in record.attempts] == ["failed", "interrupted", "interrupted"]
    reference, directory = never_stopped
    assert reference.wait(timeout=300) == 0
    assert_same_weights(model, directory)


def test_a_job_that_does_not_get_on(slurm, script, tmp_path):
    """Brought back again and again before it has saved a step (as by preemption), it ends and says why."""
    path, model = script(SHORT)
    job = slurm.submit(path)
    for run in (1, 2):
        record = model / "metadata.json"  # written some time after its directory
        wait_until(lambda: record.exists() and len(read_record(model).details.get("runs", [])) == run)  # noqa: B023
        process = worker(slurm, job, rank=0)
        slurm.run("scontrol", "requeue", job)
        os.kill(process, signal.SIGKILL)  # as where starting takes longer than Slurm waits after TERM
    log = tmp_path / "logs" / f"ambs-train-{job}.log"
    assert slurm.wait(job) == "FAILED" and slurm.show(job)["ExitCode"] == "2:0"
    assert f"ERROR: {model}: 2 runs of job {job} were ended before they had saved a step" in log.read_text()


def losses(model):
    with open(model / "training_log.csv") as file:
        return np.array(
            [[float(line["train_loss"]), float(line["val_loss"])] for line in csv.DictReader(file)]
        )


def test_two_nodes_and_one_process(slurm, script, base, tmp_path, run_program):
    """The same global batch gives the same losses over 20 steps, on two nodes that have no names."""
    path, model = script(SHORT, nodes=2)
    job = slurm.submit(path)
    words = [f"{key}={value}" for key, value in (WEIGHTS | SHORT).items()]
    alone = run_program(
        *(
            "train_models",
            "--input_dir",
            base / "PreprocessedData" / DATA_NAME,
            "--output_dir",
            tmp_path / "alone",
        ),
        *("--model", "convLSTM", "--set", *words),
    )
    assert alone.returncode == 0, alone.stderr
    log = tmp_path / "logs" / f"ambs-train-{job}.log"
    assert slurm.wait(job) == "COMPLETED", log.read_text()
    assert "global batch size 32 on 2 devices" in log.read_text()
    assert log.read_text().count("training ended") == 1, "only rank 0 speaks"
    assert losses(model).shape == (20, 2)
    np.testing.assert_allclose(losses(model), losses(tmp_path / "alone"), rtol=1e-5)


def test_a_killed_worker_ends_the_job(slurm, script, tmp_path):
    """kill -9 of the second of two workers: the job ends within a minute, and the next one goes on."""
    path, model = script(LONG, nodes=2)
    job = slurm.submit(path)
    wait_until(last_file(model).exists)
    os.kill(worker(slurm, job, rank=1), signal.SIGKILL)
    killed = time.monotonic()
    assert slurm.wait(job, timeout=60) == "FAILED"
    print(f"the job ended {time.monotonic() - killed:.1f} s after the kill")
    job = slurm.submit(path)
    log = tmp_path / "logs" / f"ambs-train-{job}.log"
    assert slurm.wait(job) == "COMPLETED", log.read_text()
    assert re.search(r"going on from step [1-9]", log.read_text())
    record = read_record(model)
    assert record.state == "done"
    (attempt,) = record.attempts
    # the other worker may notice it before it is ended, too
    assert attempt["state"] in ("failed", "interrupted"), attempt


def worker(slurm, job, rank):
    """Return the process id of a worker."""
    (only,) = workers(slurm, job, rank)
    return only


def workers(slurm, job, rank):
    """Return the process ids of a worker: one, or none where it has ended or not begun."""
    wanted = {f"SLURM_JOB_ID={job}", f"SLURM_PROCID={rank}", f"SLURM_CONF={slurm.environment['SLURM_CONF']}"}
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            variables = (process / "environ").read_bytes().decode(errors="replace").split("\0")
            command = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue  # ended meanwhile
        # not srun, which has the same words and variables
        if wanted <= set(variables) and command[1:2] and command[1].endswith("main_train_models.py"):
            found.append(int(process.name))
    return found
