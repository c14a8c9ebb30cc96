"""Steps of several MPI ranks on a real Slurm."""

import sys
from pathlib import Path

import pytest

from video_prediction_tools.config_runscripts import answers, profiles, rendering
from video_prediction_tools.config_runscripts.context import Context
from video_prediction_tools.metadata.record import read_record

MACHINE = profiles.load(Path("/nonexistent"))["generic_slurm"]
EXTRACTED = {"years": [2019], "months": [3], "variables": ["2t"]}
ANSWERS = EXTRACTED | {
    "sw_corner": [46.8, 4],
    "nyx": [12, 12],
    "train_period": "2019-03-01..2019-03-20",
    "val_period": "2019-03-21..2019-03-25",
    "test_period": "2019-03-26..2019-03-31",
    "tasks": 4,  # more than CI has cores: Open MPI must not want one for each
    "venv": sys.prefix,
}


@pytest.fixture
def script(tmp_path, run_program):
    """The script of preprocess1, with what it needs."""
    base = tmp_path / "base"
    extracted = run_program(
        *("data_extraction", "--source", "synthetic", "--destination_dir", base / "ExtractedData"),
        *("--years", 2019, "--months", 3, "--variables", "2t", "--area", 51, 4, 46.8, 8.2),
    )
    assert extracted.returncode == 0, extracted.stderr
    given = answers.Given()
    for name, value in (ANSWERS | {"base_dir": str(base)}).items():
        given.add(name, value, name, by_flag=False)
    context = Context(MACHINE, ("preprocess1",), "preprocess1")
    answers.collect(context, given, None)
    written = rendering.render(context, "preprocess1", tmp_path)
    (tmp_path / "logs").mkdir()
    written.path.write_text(written.text)
    for path, text in written.beside.items():
        path.write_text(text)
    return written.path


@pytest.mark.slow
def test_mpirun_in_a_job(slurm, script, tmp_path, monkeypatch):
    """Four ranks of one step, as root too."""
    for name in ("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"):
        monkeypatch.delenv(name, raising=False)
    job = slurm.submit(script)
    log = tmp_path / "logs" / f"ambs-preprocess1-{job}.log"
    assert slurm.wait(job) == "COMPLETED", log.read_text()
    assert "4 processes" in log.read_text()
    (data,) = (tmp_path / "base" / "PreprocessedData").iterdir()
    assert read_record(data).state == "done" and not read_record(data).attempts


def test_tasks_that_believe_to_be_alone_are_refused(slurm, repository, tmp_path):
    """srun of a Slurm without MPI: each task has all the work before it, and none does it."""
    program = repository / "video_prediction_tools" / "main_scripts" / "main_preprocess_data_step2.py"
    job = tmp_path / "job.sh"
    job.write_text(f"#!/bin/sh\nsrun {sys.executable} {program} --source_dir {tmp_path}\n")
    number = slurm.submit(job, "--ntasks=2", f"--output={tmp_path}/log")
    assert slurm.wait(number) == "FAILED" and slurm.show(number)["ExitCode"] == "2:0"
    said = (tmp_path / "log").read_text()
    assert "SLURM_STEP_NUM_TASKS: 2 tasks were started, but each of them believes that it is alone" in said
