"""Any number of MPI ranks gives the same bytes, and a failure on one ends all, soon and with its message."""

import os
import subprocess
import sys
import time

import extracted_files as data
import netCDF4
import numpy as np
import pytest

from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.names import month_file
from video_prediction_tools.metadata.record import read_record
from video_prediction_tools.ranks import Ranks


def test_the_same_bytes_with_one_two_and_three_ranks(run_program, small, tmp_path, write_split):
    split, contents = write_split(data.SMALL_SPLIT), {}
    for ranks in (None, 2, 3):
        result = run_program(
            "preprocess_data_step1", *data.small_arguments(small, tmp_path / str(ranks), split), ranks=ranks
        )
        assert result.returncode == 0, result.stderr
        directory = next((tmp_path / str(ranks)).iterdir())
        assert result.stdout.splitlines()[-1] == str(directory)
        assert result.stdout.count("data set Y2018") == 1  # only one rank speaks
        result = run_program(
            "preprocess_data_step2", "--source_dir", directory, "--sequence_length", 20, ranks=ranks
        )
        assert result.returncode == 0, result.stderr
        contents[ranks] = data.content_of(directory)
    assert len(contents[None]) > 10
    assert contents[None] == contents[2] == contents[3]


def test_a_damaged_month_ends_all_ranks(run_program, error_line, small, tmp_path, write_split):
    path = month_file(small, 2018, 3)
    with netCDF4.Dataset(path) as file:  # the fields, not the header: it shows while the month is read
        chunk = file["msl"].chunking()
    assert chunk != "contiguous"
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2 : len(raw) // 2 + 2000] = bytes(2000)
    path.write_bytes(raw)
    data.note(small)
    start = time.monotonic()
    result = run_program(
        "preprocess_data_step1",
        *data.small_arguments(small, tmp_path / "out", write_split(data.SMALL_SPLIT)),
        ranks=3,
        timeout=120,
    )
    assert "era5_201803.nc: cannot be read, it is damaged" in error_line(result)
    assert (
        time.monotonic() - start < 90
    )  # a hang would go on for ever; most of it is starting up on a busy machine
    directory = next((tmp_path / "out").iterdir())
    assert read_record(directory).state == "failed" and "era5_201803.nc" in read_record(directory).message


def test_no_room_for_a_file(run_command, program_command, error_line, small, tmp_path, write_split):
    args = data.small_arguments(small, tmp_path / "out", write_split(data.SMALL_SPLIT))
    command = program_command("preprocess_data_step1", *args)
    limited = run_command(["bash", "-c", 'ulimit -f 200; exec "$@"', "bash", *command], timeout=120)
    assert ".pkl: the file would pass the size limit; raise the limit" in error_line(limited)
    directory = next((tmp_path / "out").iterdir())
    assert read_record(directory).state == "failed"
    assert not [*directory.rglob(".*.part"), *directory.rglob("*.pkl"), *directory.rglob("statistics.json")]
    result = run_command(command, timeout=120)  # with room, it goes on
    assert result.returncode == 0, result.stderr


def test_wrong_use_is_said_once(run_program, error_line):
    assert "the following arguments are required" in error_line(run_program("preprocess_data_step2", ranks=2))


ALONE = """
import sys, time
from video_prediction_tools.main_scripts.program import Parser
from video_prediction_tools.main_scripts.program_on_ranks import run_on_ranks

def main(options, ranks):
    if ranks.rank == 1:
        raise ValueError("a fault that only rank 1 meets")
    ranks.first_tells(lambda: 1)  # the others wait here
    ranks.share_out(range(10), lambda item: time.sleep(0.1))

sys.exit(run_on_ranks(main, Parser("test")))
"""


def test_a_rank_that_fails_alone_ends_the_others(run_command, program_command, tmp_path):
    script = tmp_path / "alone.py"
    script.write_text(ALONE)
    launcher = program_command("x", ranks=3)[:3]
    result = run_command([*launcher, sys.executable, script], timeout=120)
    assert result.returncode == 1
    assert "ERROR: ValueError: a fault that only rank 1 meets" in result.stderr


@pytest.mark.parametrize(
    "variable, message",
    [
        (
            "OMPI_COMM_WORLD_SIZE",
            "OMPI_COMM_WORLD_SIZE: 2 tasks were started, but each of them believes that it is alone; start",
        ),
        ("PMI_SIZE", "PMI_SIZE: 2 tasks were started, but each of them believes that it is alone"),
        ("SLURM_STEP_NUM_TASKS", "SLURM_STEP_NUM_TASKS: 2 tasks were started, but each of them"),
        (
            "SLURM_NTASKS",
            "SLURM_NTASKS: the job has 2 tasks, but the program was started as one process; start it with "
            "srun",
        ),
    ],
)
def test_tasks_that_do_not_know_of_each_other_are_refused(
    run_program, error_line, tmp_path, variable, message
):
    result = run_program("preprocess_data_step2", "--source_dir", tmp_path, env={variable: "2"}, timeout=60)
    assert message in error_line(result)


def test_without_an_mpi_library(run_program, error_line, tmp_path):
    gone = {"MPI4PY_LIBMPI": "/nowhere/libmpi.so"}
    assert "holds no metadata.json" in error_line(
        run_program("preprocess_data_step2", "--source_dir", tmp_path, env=gone)
    )
    result = run_program("preprocess_data_step2", "--source_dir", tmp_path, env={**gone, "SLURM_NTASKS": "2"})
    assert "holds no metadata.json" in error_line(result)
    assert "no MPI library found" in result.stdout and "working with one process" in result.stdout
    result = run_program(
        "preprocess_data_step2", "--source_dir", tmp_path, env={**gone, "SLURM_STEP_NUM_TASKS": "2"}
    )
    assert "2 tasks were started, but no MPI library can be loaded" in error_line(result)


def test_one_task_of_a_larger_job_is_one_process(run_program, error_line, tmp_path):
    result = run_program(
        "preprocess_data_step2",
        "--source_dir",
        tmp_path,
        env={"SLURM_NTASKS": "4", "SLURM_STEP_NUM_TASKS": "1"},
    )
    assert "holds no metadata.json" in error_line(result)


def test_one_process_works_through_all_items_in_order():
    rounds = []
    assert Ranks().share_out([3, 1, 2], lambda item: item * 10, rounds.append) == [30, 10, 20]
    assert rounds == [[(3, 30)], [(1, 10)], [(2, 20)]]
    with pytest.raises(InputError, match="a: b; c"):
        Ranks().share_out([1], lambda item: (_ for _ in ()).throw(InputError("a", "b", "c")))


def peak_memory(command: list[str]) -> float:
    """Run a command; return the peak memory of its process [MB]."""
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss / 1024


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_months(program_command, tmp_path, write_split):
    lat, lon = np.linspace(60, 50, 40), np.linspace(0, 10, 60)
    rng = np.random.default_rng(0)
    for year in (2017, 2018):
        for month in range(1, 13):
            times = data.month_hours(year, month)
            fields = rng.standard_normal((24, 40, 60), np.float32)
            data.write_month_file(
                tmp_path / "x", year, month, times, {"2t": fields[np.arange(len(times)) % 24]}, lat, lon
            )
    data.note(tmp_path / "x")
    peaks = []
    for months, test in ((3, 3), (12, 12)):
        split = write_split(
            {
                "train": {"2017": list(range(1, months + 1))},
                "val": {"2018": list(range(1, test))},
                "test": {"2018": [test]},
            },
            f"{months}.json",
        )
        args = data.small_arguments(
            tmp_path / "x",
            tmp_path / f"out{months}",
            split,
            years=[2017, 2018],
            months=list(range(1, months + 1)),
            variables=["2t"],
            sw_corner=[50, 0],
            nyx=[40, 60],
        )
        first = peak_memory(program_command("preprocess_data_step1", *args))
        directory = next((tmp_path / f"out{months}").iterdir())
        peaks.append(
            (first, peak_memory(program_command("preprocess_data_step2", "--source_dir", directory)))
        )
    month = 744 * 40 * 60 * 4 / 2**20  # 6.8 MB; 18 months more would be 122 MB
    for few, many in zip(*peaks, strict=True):
        assert many - few < 2 * month
