"""The program main_train_models.py as a user runs it: its files, its refusals, and killed at any moment."""

import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from video_prediction_tools.main_scripts import main_train_models
from video_prediction_tools.main_scripts.program import run
from video_prediction_tools.metadata.record import read_record, running
from video_prediction_tools.training.checkpoints import best_file, last_file, read_progress

TINY = ("--model", "convLSTM", "--set", "filters=4", "context_frames=2", "batch_size=4")


def refused(capsys, prepared, directory, *arguments) -> str:
    """Run the program here; assert exit code 2, one line of error, no model directory; return the line."""
    code = run(
        main_train_models.main,
        main_train_models.build_parser(),
        ["--input_dir", str(prepared), "--output_dir", str(directory), *map(str, arguments)],
    )
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("ERROR")]
    assert code == 2
    assert len(errors) == 1
    assert not Path(directory).exists()
    return errors[0]


@pytest.fixture(autouse=True)
def _handlers():
    """Put the handlers of signals back that the program sets in this process."""
    before = {number: signal.getsignal(number) for number in (signal.SIGUSR2, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    "arguments, match",
    [
        (["--model", "convlstm"], "--model: unknown model 'convlstm'; did you mean 'convLSTM'?"),
        (["--model", "persistence_24h"], "--model: 'persistence_24h' is a baseline that cannot be trained"),
        ([*TINY, "contxt_frames=2"], "did you mean 'context_frames'?"),
        ([*TINY, "lr=fast"], "'lr' is 'fast', not of the type float"),
        ([*TINY, "batch_size=0"], "'batch_size' is 0; give a value from 1"),
        ([*TINY, "batch_size"], "not of the form key=value"),
        ([*TINY, "context_frames=4"], "the sequences have 4 frames; give at most 3"),
        ([*TINY, "known_channels=lsm"], "lack the known channel 'lsm'"),
        ([*TINY, "known_channels=sun"], "'known_channels' is 'sun'"),
        ([*TINY, "opt_var=msl"], "no variable 'msl'"),
        ([*TINY, "normalisation=none"], "choose among: zscore, minmax"),
        ([*TINY, "--seed", "-1"], "-1 is not from 0"),
        ([*TINY, "gradient_accumulation=3"], "4 sequences of a device cannot be cut into 3"),
        ([*TINY, "decay_steps=5"], "'decay_steps' is [5], not a first and a last step"),
        ([*TINY, "context_frames=1", "context_loss_weight=1"], "one context frame has no forecasts within"),
        (["--model", "savp", "--set", "context_frames=2", "kernel_size=4"], "4 is even"),
        (["--model", "crps_ensemble", "--set", "context_frames=2", "nz=0", "noise_channels=0"], "both 0"),
        (["--model", "vae", "--set", "context_frames=2", "nz=0"], "'nz' is 0; give a value from 1"),
        (["--model", "savp", "--set", "context_frames=2", "nz=0"], "'nz' is 0; give a value from 1"),
        ([*TINY, "--model_hparams", "/nowhere/hp.json"], "/nowhere/hp.json: does not exist"),
    ],
)
def test_wrong_flags(capsys, prepared, tmp_path, arguments, match):
    """Unknown model and key (did you mean), wrong type, out of range, what does not fit the data."""
    assert match in refused(capsys, prepared, tmp_path / "model", *arguments)


@pytest.mark.parametrize(
    "content, match",
    [
        ("{", "is not valid JSON"),
        ("[1]", "is not a JSON object"),
        ('{"lr": true}', "'lr' is True"),
        ('{"filter": [4]}', "did you mean 'filters'?"),
    ],
)
def test_wrong_hparams_file(capsys, prepared, tmp_path, content, match):
    """A damaged or wrong file of hyper-parameters is named."""
    path = tmp_path / "hp.json"
    path.write_text(content)
    line = refused(capsys, prepared, tmp_path / "model", "--model", "convLSTM", "--model_hparams", path)
    assert match in line and str(path) in line


def _unfinished(data):
    text = (data / "tfrecords" / "metadata.json").read_text().replace('"state": "done"', '"state": "running"')
    (data / "tfrecords" / "metadata.json").write_text(text)


def _foreign_statistics(data):
    content = json.loads((data / "statistics.json").read_text())
    content["variables"]["2t"]["mean"] += 1
    (data / "statistics.json").write_text(json.dumps(content))


def _foreign_records(data):
    path = data / "tfrecords" / "metadata.json"
    content = json.loads(path.read_text())
    content["details"]["dataset_fingerprint"] = "0" * 64
    path.write_text(json.dumps(content))


def _truncated_record(data):
    path = next((data / "tfrecords" / "train").iterdir())
    path.write_bytes(path.read_bytes()[:-10])


@pytest.mark.parametrize(
    "spoil, match",
    [
        (lambda data: shutil.rmtree(data), "run the step 'preprocess1' first"),
        (lambda data: shutil.rmtree(data / "tfrecords"), "run the step 'preprocess2' first"),
        (_unfinished, "unfinished step (state 'running')"),
        (lambda data: (data / "metadata.json").write_text("{}"), "was not written by AMBS"),
        (_foreign_statistics, "statistics.json: is not the file that was written here"),
        (_foreign_records, "made from another data set"),
        (_truncated_record, "has not the size that was written"),
        (lambda data: next((data / "tfrecords" / "val").iterdir()).unlink(), "does not exist"),
    ],
    ids=[
        "no data",
        "no tfrecords",
        "unfinished",
        "foreign metadata",
        "foreign statistics",
        "foreign tfrecords",
        "cut short",
        "file missing",
    ],
)
def test_wrong_data(capsys, prepared, tmp_path, spoil, match):
    """Data that are missing, unfinished, damaged or do not belong together."""
    data = tmp_path / prepared.name
    shutil.copytree(prepared, data)
    spoil(data)
    assert match in refused(capsys, data, tmp_path / "model", *TINY)


def test_damaged_record_is_found_when_read(capsys, prepared, tmp_path):
    """A flipped byte in a TFRecord: the error names the file; the training is marked as failed."""
    data = tmp_path / prepared.name
    shutil.copytree(prepared, data)
    path = sorted((data / "tfrecords" / "train").iterdir())[1]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    code = run(
        main_train_models.main,
        main_train_models.build_parser(),
        ["--input_dir", str(data), "--output_dir", str(tmp_path / "model"), *TINY],
    )
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("ERROR")]
    assert code == 2 and len(errors) == 1 and str(path) in errors[0] and "damaged" in errors[0]
    assert read_record(tmp_path / "model").state == "failed"


def test_loss_that_is_no_number(capsys, make_prepared, prepared, tmp_path):
    """Exit code 1, and a line with the step and the checkpoint that is kept, in place of a traceback."""

    def spoil(frames):
        frames[20] = np.inf

    data = make_prepared(tmp_path / prepared.name, spoil=spoil)
    settings = ("batch_size=1", "max_epochs=1", "checkpoint_seconds=0")
    code = run(
        main_train_models.main,
        main_train_models.build_parser(),
        ["--input_dir", str(data), "--output_dir", str(tmp_path / "model"), *TINY, *settings],
    )
    (line,) = capsys.readouterr().err.splitlines()
    assert code == 1
    found = re.fullmatch(
        r"ERROR: the loss is (?:nan|inf) at step (\d+); the last good checkpoint, of step (\d+), is kept; try .*",
        line,
    )
    assert found, line
    assert 0 < int(found[2]) < int(found[1])
    assert read_progress(last_file(tmp_path / "model")).step == int(found[2])
    assert read_record(tmp_path / "model").state == "failed"


def test_directory_that_cannot_be_used(capsys, prepared, tmp_path):
    """Below a file; and a directory that holds other data."""
    (tmp_path / "file").write_text("")
    assert "is a file, not a directory" in refused(capsys, prepared, tmp_path / "file" / "model", *TINY)
    with running(tmp_path / "other", kind="results", name="x", program="test", arguments={}):
        pass
    code = run(
        main_train_models.main,
        main_train_models.build_parser(),
        ["--input_dir", str(prepared), "--output_dir", str(tmp_path / "other"), *TINY],
    )
    assert code == 2 and "of the kind 'results', not 'model'" in capsys.readouterr().err
    assert read_record(tmp_path / "other").kind == "results"


def test_check_writes_nothing(capsys, prepared, tmp_path):
    """--check ends after the checks."""
    code = run(
        main_train_models.main,
        main_train_models.build_parser(),
        ["--input_dir", str(prepared), "--output_dir", str(tmp_path / "model"), *TINY, "--check"],
    )
    assert code == 0 and "all inputs are fine" in capsys.readouterr().out
    assert not (tmp_path / "model").exists()


def test_wrong_model_is_found_without_tensorflow(program_command, prepared, tmp_path):
    """What needs no TensorFlow is found before it is imported (here it cannot be)."""
    program = program_command("train_models")[-1]
    code = (
        "import sys, runpy; sys.modules['tensorflow'] = sys.modules['keras'] = None; "
        f"sys.argv = [{program!r}, '--input_dir', {str(prepared)!r}, "
        f"'--output_dir', {str(tmp_path / 'm')!r}, "
        "'--model', 'convlstm']; "
        f"runpy.run_path({program!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2 and "did you mean 'convLSTM'?" in done.stderr, done.stderr


@pytest.mark.slow
def test_no_space_left(program_command, error_line, prepared, tmp_path):
    """A full disk (here: a limit on the size of files) while the checkpoint is written."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, 12_000))

    command = program_command(
        "train_models", "--input_dir", prepared, "--output_dir", tmp_path / "model", *TINY, "max_epochs=1"
    )
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit)
    assert "state.npz" in error_line(done)
    assert not list((tmp_path / "model" / "checkpoints").rglob("state.npz*"))
    assert read_record(tmp_path / "model").state == "failed"


@pytest.mark.slow
def test_killed_and_started_again(capsys, program_command, run_program, prepared, tmp_path):
    """kill -9 at five random moments: the weights are those of a training that nobody killed, bit for bit."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    arguments = ["--input_dir", str(prepared), *TINY, "max_epochs=30", "checkpoint_seconds=0"]

    def in_this_process(directory):
        return run(
            main_train_models.main,
            main_train_models.build_parser(),
            [*arguments, "--output_dir", str(directory)],
        )

    assert in_this_process(whole) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(whole)
    moments = random.Random(int(os.environ.get("AMBS_KILL_SEED", 11)))
    steps = []
    for _ in range(5):
        with subprocess.Popen(
            program_command("train_models", *arguments, "--output_dir", killed),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            for line in process.stdout:
                if line.startswith("compiled"):
                    break
            time.sleep(moments.uniform(0, 0.25))
            process.kill()
        assert process.returncode == -signal.SIGKILL, "the training ended before it was killed"
        if last_file(killed).exists():
            steps.append(read_progress(last_file(killed)).step)
    assert steps and steps == sorted(steps), "no attempt got as far as a checkpoint"
    done = run_program("train_models", *arguments, "--output_dir", killed)
    assert done.returncode == 0, done.stderr
    for file in (last_file, best_file):
        with np.load(file(whole)) as a, np.load(file(killed)) as b:
            assert a.files == b.files
            for key in set(a.files) - {"header"}:
                np.testing.assert_array_equal(
                    a[key], b[key], err_msg=f"{file} {key}, killed at steps {steps}"
                )
    logs = [
        [line.rsplit(",", 1)[0] for line in (one / "training_log.csv").read_text().splitlines()]
        for one in (whole, killed)
    ]
    assert logs[0] == logs[1]
    record = read_record(killed)
    assert record.state == "done" and [attempt["state"] for attempt in record.attempts] == ["interrupted"] * 5

    capsys.readouterr()
    assert in_this_process(killed) == 0
    out = capsys.readouterr().out
    assert "this training is finished" in out and out.splitlines()[-1] == str(killed)


@pytest.mark.slow
def test_signal_while_tensorflow_is_imported(program_command, prepared, tmp_path):
    """USR2 before there is anything to stop: one step is done and saved, and the exit code is 75."""
    with subprocess.Popen(
        program_command(
            "train_models",
            "--input_dir",
            prepared,
            *TINY,
            "max_epochs=100000",
            "--output_dir",
            tmp_path / "model",
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "checking the inputs\n"
        process.send_signal(signal.SIGUSR2)
        _, err = process.communicate(timeout=200)
    assert process.returncode == 75, err
    assert "stopped early: SIGUSR2 came; step 1 of" in err
    assert read_record(tmp_path / "model").state == "interrupted"
    assert read_progress(last_file(tmp_path / "model")).step == 1


def test_signal_at_the_end_of_python():
    """The warning may come when all is done and Python takes itself down: the process still ends well."""
    code = """
import os, signal
from video_prediction_tools.training.stop import StopRequest

class Last:
    def __del__(self, kill=os.kill, process=os.getpid(), numbers=(signal.SIGUSR2, signal.SIGTERM)):
        for number in numbers:
            kill(process, number)
        print("sent")

stop, last = StopRequest(), Last()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "sent\n"), done.stderr
