"""Killed at random moments and started again, both steps end with the bytes of a run that was left alone."""

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import extracted_files as data
import numpy as np
import pytest

from video_prediction_tools.metadata.record import read_record

TRIES = int(os.environ.get("AMBS_KILL_TRIES", "5"))  # a script counts more of them for the closing note


@pytest.fixture(scope="module")
def year(tmp_path_factory) -> Path:
    """Extracted data of a year (2t, 30 x 40 points)."""
    directory = tmp_path_factory.mktemp("year") / "ExtractedData"
    lat, lon = np.linspace(60, 50, 30), np.linspace(0, 10, 40)
    rng = np.random.default_rng(0)
    for month in range(1, 13):
        times = data.month_hours(2018, month)
        fields = (280 + rng.standard_normal((len(times), 30, 40), np.float32)).astype(np.float16)
        data.write_month_file(directory, 2018, month, times, {"2t": fields}, lat, lon)
    data.note(directory)
    return directory


def arguments(year: Path, destination: Path, split: Path) -> list:
    """Arguments of preprocess 1."""
    return data.small_arguments(
        year, destination, split, months=list(range(1, 13)), variables=["2t"], sw_corner=[51, 1], nyx=[20, 30]
    )


SPLIT = {"train": {"2018": list(range(1, 10))}, "val": {"2018": [10]}, "test": {"2018": [11, 12]}}


def killed_while_working(command: list[str], directory: Path, moment: float) -> bool:
    """Start a command, kill it so many seconds after it began to write; say whether it was still at work."""
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    while process.poll() is None and not (directory / "metadata.json").exists():
        time.sleep(0.002)
    time.sleep(moment)
    at_work = process.poll() is None
    if at_work:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return at_work


def kill_again_and_again(command: list[str], directory: Path, seed: int) -> None:
    """Kill a command `TRIES` times, each in a fresh directory, start it again, compare with a quiet run."""
    begun = time.monotonic()
    assert subprocess.run(command, stdout=subprocess.DEVNULL).returncode == 0
    working = time.monotonic() - begun
    record = read_record(directory)
    expected = data.content_of(directory)
    rng, hits = random.Random(seed), 0
    for _ in range(TRIES):
        shutil.rmtree(directory)
        at_work = killed_while_working(command, directory, rng.uniform(0, 0.5 * working))
        hits += at_work
        if at_work:
            assert read_record(directory).state in ("running", "done")
        assert subprocess.run(command, stdout=subprocess.DEVNULL).returncode == 0
        assert data.content_of(directory) == expected
        again = read_record(directory)
        assert (again.state, again.outputs, again.details) == ("done", record.outputs, record.details)
        assert not [path for path in directory.rglob(".*.part")]
    assert hits > 0, "no kill hit the work: the moments are chosen badly"


@pytest.mark.slow
def test_preprocess_1(year, program_command, tmp_path, write_split):
    command = program_command("preprocess_data_step1", *arguments(year, tmp_path / "out", write_split(SPLIT)))
    kill_again_and_again(command, tmp_path / "out" / "Y2018to2018M01to12-30_20-51.00N01.00E-2t", seed=1)


@pytest.mark.slow
def test_preprocess_2(year, run_program, program_command, tmp_path, write_split):
    result = run_program("preprocess_data_step1", *arguments(year, tmp_path / "out", write_split(SPLIT)))
    assert result.returncode == 0, result.stderr
    directory = Path(result.stdout.splitlines()[-1])
    command = program_command(
        "preprocess_data_step2", "--source_dir", directory, "--sequence_length", 20, "--block_length", 100
    )
    kill_again_and_again(command, directory / "tfrecords", seed=2)


@pytest.mark.slow
def test_two_ranks_are_killed_and_go_on(year, program_command, tmp_path, write_split):
    """mpirun itself is killed; its ranks notice that, and end."""
    command = program_command(
        "preprocess_data_step1", *arguments(year, tmp_path / "out", write_split(SPLIT)), ranks=2
    )
    directory = tmp_path / "out" / "Y2018to2018M01to12-30_20-51.00N01.00E-2t"
    assert subprocess.run(command, stdout=subprocess.DEVNULL).returncode == 0
    expected = data.content_of(directory)
    shutil.rmtree(directory)
    killed_while_working(command, directory, 0.1)
    deadline = time.monotonic() + 60
    while (
        code := subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
    ) == 2:
        assert time.monotonic() < deadline, "the ranks of the killed run still hold the directory"
        time.sleep(0.5)
    assert code == 0
    assert data.content_of(directory) == expected
