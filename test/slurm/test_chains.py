"""Whole chains on a real Slurm, from `all --submit` to the report: unattended, failing, going on, cancelled, swept."""

import json
import re
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

WEATHER = {
    "source": "synthetic",
    "years": [2019],
    "months": [3],
    "variables": ["2t"],
    "area": [51, 4, 46.8, 8.2],
    "sw_corner": [46.8, 4],
    "nyx": [12, 12],
    "train_period": "2019-03-01..2019-03-08",
    "val_period": "2019-03-09..2019-03-10",
    "test_period": "2019-03-11..2019-03-12",
    "sequence_length": 8,
}
DIGITS = {"digits_from": "glyphs", "n_train": 16, "n_val": 4, "n_test": 4, "sequence_length": 8}
HPARAMS = {"filters": [4], "patch_size": 1, "batch_size": 16, "max_epochs": 1, "context_frames": 4}
EXP = "20190401T000000_anna"


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A base directory that these tests share: what one has extracted and prepared, the others have too."""
    return tmp_path_factory.mktemp("base")


@pytest.fixture
def generate(slurm, repository, run_command, tmp_path, base):
    """Return a function that starts the generator on the machine generic_slurm."""
    program = repository / "video_prediction_tools" / "config_runscripts" / "generate_runscript.py"

    def start(*words, code=0, env=None):
        env = {**slurm.environment, "AMBS_MACHINE": "generic_slurm", **(env or {})}
        done = run_command([sys.executable, program, *words, "--base_dir", base], env=env, cwd=tmp_path)
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return start


@pytest.fixture
def submit_all(generate, tmp_path):
    """Return a function that submits a whole chain; gives what was printed."""

    def submit(exp_id, answers, *words, code=0, env=None):
        file = tmp_path / "answers.json"
        resources = {"venv": sys.prefix, "preprocess1": {"tasks": 2}, "preprocess2": {"tasks": 2}}
        file.write_text(
            json.dumps({"exp_id": f"{EXP}_{exp_id}", "model_hparams": HPARAMS, **resources, **answers})
        )
        scripts = ["--scripts_dir", tmp_path / "scripts"]
        return generate(
            "all", "--answers", file, *scripts, "--no-input", "--submit", *words, code=code, env=env
        )

    return submit


def steps_of(generate, name):
    (chain,) = json.loads(generate("status", f"{EXP}_{name}", "--json").stdout)
    return chain, {one["step"]: one for one in chain["steps"]}


def wait_for_end(slurm, printed, timeout=280):
    """Wait until none of the jobs that were submitted, or elements of them, is in the queue."""
    jobs = set(re.findall(r"^submitted: \w+ as job (\d+)", printed, re.M))
    end = time.monotonic() + timeout
    while live := {job.partition("_")[0] for job in slurm.queue()} & jobs:
        assert time.monotonic() < end, f"still in the queue: {live}"
        time.sleep(0.3)


def test_the_era5_chain_runs_to_its_report(slurm, generate, submit_all, base):
    """Unattended; a variable that would override the scripts is said and has no effect."""
    said = submit_all("good", WEATHER, env={"SBATCH_TIMELIMIT": "00:00:01"}).stdout
    assert "not used: the variable SBATCH_TIMELIMIT" in said
    assert re.findall(r"^(?:running|submitted): (\w+)", said, re.M) == [
        "extract",
        "preprocess1",
        "preprocess2",
        "train",
        "postprocess",
    ]
    wait_for_end(slurm, said)
    chain, steps = steps_of(generate, "good")
    assert chain["state"] == "done", generate("status").stdout
    assert all(unit["runs"] == 1 for step in steps.values() for unit in step["units"])
    report = re.fullmatch(r"look at (.*)", chain["next"])[1]
    assert "synthetic" in Path(report).read_text()
    log = Path(steps["preprocess1"]["units"][0]["log"]).read_text()
    assert log.count("2019-03") and "AMBS end" in log and "code=0" in log
    assert "there is nothing to start again" in generate("resume", "good").stdout
    assert "run by hand" not in generate("status").stdout


def test_the_moving_mnist_chain_runs_to_its_report(slurm, generate, submit_all):
    said = submit_all("digits", DIGITS, "--dataset", "moving_mnist").stdout
    wait_for_end(slurm, said)
    chain, steps = steps_of(generate, "digits")
    assert list(steps) == ["preprocess_moving_mnist", "train", "postprocess"]
    assert chain["state"] == "done", generate("status").stdout
    assert Path(re.fullmatch(r"look at (.*)", chain["next"])[1]).is_file()


def test_a_step_that_fails(slurm, generate, submit_all, base, tmp_path):
    """What depends on it does not run; status says which, why and how to go on; resume redoes nothing."""
    hparams = tmp_path / "hparams.json"
    hparams.write_text(
        json.dumps(HPARAMS | {"opt_var": ["tcc"]})
    )  # the data have none: only the job sees that
    said = submit_all("bad", WEATHER | {"model_hparams": str(hparams)}).stdout
    wait_for_end(slurm, said)
    chain, steps = steps_of(generate, "bad")
    assert chain["state"] == "failed"
    assert {name: one["state"] for name, one in steps.items()} == {
        "extract": "done",
        "preprocess1": "done",
        "preprocess2": "done",
        "train": "failed",
        "postprocess": "not started",
    }
    shown = generate("status", "bad").stdout
    assert "failed (exit code 2)" in shown and "| ERROR: " in shown and "opt_var" in shown
    assert f"resume {EXP}_bad --base_dir {base}" in chain["next"]
    prepared = {
        path: path.stat().st_mtime_ns for path in base.rglob("PreprocessedData/**/*") if path.is_file()
    }

    hparams.write_text(json.dumps(HPARAMS))
    said = generate("resume", "bad").stdout
    assert "started again: train, postprocess" in said
    refused = submit_all("bad", WEATHER, "--overwrite", code=2)
    assert "are waiting or running" in refused.stderr
    wait_for_end(slurm, said)
    chain, steps = steps_of(generate, "bad")
    assert chain["state"] == "done", generate("status").stdout
    (unit,) = steps["train"]["units"]
    assert (unit["runs"], unit["failed"], unit["stopped"], unit["killed"]) == (2, 1, 0, 0)
    assert prepared == {
        path: path.stat().st_mtime_ns for path in base.rglob("PreprocessedData/**/*") if path.is_file()
    }


def test_a_sweep_is_one_array_with_an_experiment_for_each_combination(slurm, generate, submit_all, base):
    """Each evaluation waits for its own training only; of a cancelled sweep only what is missing is started."""
    answers = WEATHER | {"sweep": {"lr": [0.01, 0.001]}, "train": {"array_limit": 1}}
    said = submit_all("sweep", answers).stdout
    wait_for_end(slurm, said)
    chain, steps = steps_of(generate, "sweep")
    assert chain["state"] == "done", generate("status").stdout
    assert [unit["element"] for unit in steps["train"]["units"]] == [1, 2]
    (first, second) = (base / "Models").glob(f"*/convLSTM/{EXP}_sweep.*/model_hparams.json")
    assert {json.loads(path.read_text())["lr"] for path in (first, second)} == {0.01, 0.001}
    assert len(list((base / "Results").rglob(f"{EXP}_sweep.*/report.html"))) == 2


def test_waiting_jobs_can_be_cancelled_and_started_again(slurm, generate, submit_all, tmp_path):
    holder = tmp_path / "holder.sh"
    holder.write_text("#!/bin/sh\nsleep 600\n")
    first = slurm.submit(holder, "--hold")
    said = submit_all("later", WEATHER, "--after", first).stdout
    assert re.search(rf"^submitted: preprocess1 as job \d+, after job {first}$", said, re.M)
    chain, steps = steps_of(generate, "later")
    assert chain["state"] == "waiting" and steps["train"]["units"][0]["why"] == "for the step before"
    jobs = re.findall(r"as job (\d+)", said)
    assert generate("cancel", "later").stdout.startswith("cancelled: ")
    assert not set(jobs) & set(slurm.queue())
    chain, steps = steps_of(generate, "later")
    assert [one["state"] for one in steps.values()] == ["done"] + ["cancelled"] * 4
    assert "nothing of it waits or runs" in generate("cancel", "later").stdout
    said = generate("resume", "later").stdout
    assert "started again: preprocess1, preprocess2, train, postprocess" in said
    generate("cancel", "later")


def test_what_slurm_refuses_is_refused_before_anything_runs(generate, submit_all, base):
    said = submit_all("refused", WEATHER, "--set", "postprocess.partition=nowhere", code=2)
    assert "sbatch refuses it" in said.stderr and "nowhere" in said.stderr or "partition" in said.stderr
    assert "running:" not in said.stdout and "submitted:" not in said.stdout
    assert "Traceback" not in said.stderr
    assert "nothing of this name was submitted" in generate("resume", "unknown", code=2).stderr
