"""The training loop: stopped and started again it gives the same weights bit for bit; what it logs."""

import csv
import itertools
import json
import os
import shutil
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import trainings
from trainings import StopAfter, arrays, assert_same_arrays, train

from video_prediction_tools.errors import Diverged, InputError, StoppedEarly
from video_prediction_tools.metadata.record import read_record
from video_prediction_tools.training.checkpoints import best_file, last_file, read_progress
from video_prediction_tools.training.experiment import (
    HPARAMS_NAME,
    begun_hparams,
    find_begun,
    recorded,
    require_same,
)
from video_prediction_tools.training.saved_model import load_forecaster
from video_prediction_tools.training.steps import Steps
from video_prediction_tools.training.stop import StopRequest

TINY = ("filters=4", "context_frames=2", "batch_size=4", "max_epochs=2")


FIRST = "model/convLSTM/cell_0/kernel"  # the first weight in a checkpoint


def experiment(prepared, directory, *settings, seed=1):
    """Plan a tiny training."""
    return trainings.experiment("convLSTM", prepared, directory, *TINY, *settings, seed=seed)


def assert_same_training(one, other):
    """Assert that two model directories hold the same weights, optimizers and log, bit for bit."""
    for file in (last_file, best_file):
        assert_same_arrays(file(one), file(other))
        assert arrays(file(one))
    rows = [
        [row[:5] for row in csv.reader(open(directory / "training_log.csv"))] for directory in (one, other)
    ]
    assert rows[0] == rows[1]  # all but the sequences per second


@pytest.fixture(scope="module")
def uninterrupted(prepared, tmp_path_factory):
    """A training from beginning to end."""
    directory = tmp_path_factory.mktemp("models") / "whole"
    progress = train(experiment(prepared, directory))
    assert progress.step == 18  # 2 epochs of 35 sequences in batches of 4
    return directory


def test_log_and_files(uninterrupted):
    """A line at each epoch's end with a validation loss; what docs/data_formats.md lists is there."""
    with open(uninterrupted / "training_log.csv") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "step",
        "epoch",
        "train_loss",
        "val_loss",
        "learning_rate",
        "sequences_per_second",
    ]
    assert [(row["step"], row["epoch"]) for row in rows] == [("9", "1"), ("18", "2")]
    record = read_record(uninterrupted)
    assert (
        record.kind == "model" and record.state == "done" and record.details["finished"] == "all epochs done"
    )
    best = min(rows, key=lambda row: float(row["val_loss"]))
    assert record.details["best_step"] == int(best["step"])
    assert record.details["best_val_loss"] == float(best["val_loss"])
    assert {
        "model_hparams.json",
        "data_spec.json",
        "training_log.csv",
        "checkpoints/best/weights.npz",
        "checkpoints/last/state.npz",
    } == set(record.outputs)


def test_tensorboard(uninterrupted):
    """TensorBoard reads the same curves."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(uninterrupted / "tensorboard")).Reload()
    with open(uninterrupted / "training_log.csv") as file:
        rows = list(csv.DictReader(file))
    for curve in ("train_loss", "val_loss", "learning_rate"):
        found = [(event.step, event.value) for event in accumulator.Scalars(curve)]
        assert [step for step, _ in found] == [9, 18]
        np.testing.assert_allclose(
            [value for _, value in found], [float(row[curve]) for row in rows], rtol=1e-6
        )


@pytest.mark.parametrize("stops", [(1,), (9,), (4, 1, 6)], ids=["first step", "end of epoch", "three times"])
def test_stop_and_go_on(uninterrupted, prepared, tmp_path, stops):
    """Asked to stop after any step, and started again: the same weights, optimizers and log."""
    planned = experiment(prepared, tmp_path / "model")
    for looks in stops:
        with pytest.raises(StoppedEarly, match="start again to go on"):
            train(planned, StopAfter(looks - 1))
        assert read_record(planned.directory).state == "interrupted"
    assert read_progress(last_file(planned.directory)).step == sum(stops)
    train(planned)
    assert_same_training(uninterrupted, planned.directory)


def test_lines_of_a_killed_attempt_are_taken_away(uninterrupted, prepared, tmp_path):
    """Lines that were written after the checkpoint do not stand twice."""
    planned = experiment(prepared, tmp_path / "model")
    with pytest.raises(StoppedEarly):
        train(planned, StopAfter(10))
    with open(planned.directory / "training_log.csv", "a") as file:
        file.write("18,2,0.1,0.1,0.1,1\n19,")
    train(planned)
    assert_same_training(uninterrupted, planned.directory)


def test_signal_saves_and_stops(uninterrupted, prepared, tmp_path):
    """A real SIGUSR2 and a real SIGTERM, while a batch is worked on."""
    planned = experiment(prepared, tmp_path / "model")
    before = {number: signal.getsignal(number) for number in (signal.SIGUSR2, signal.SIGTERM)}
    try:
        for number in before:
            stop = StopRequest()
            threading.Timer(0.5, os.kill, (os.getpid(), number)).start()
            with pytest.raises(StoppedEarly, match=number.name):
                train(experiment(prepared, tmp_path / number.name, "max_epochs=100000"), stop)
            assert read_progress(last_file(tmp_path / number.name)).step > 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    train(planned)
    assert_same_training(uninterrupted, planned.directory)


def test_seed_decides(uninterrupted, prepared, tmp_path):
    """Another seed gives other weights."""
    planned = experiment(prepared, tmp_path / "model", seed=2)
    train(planned)
    assert not np.array_equal(
        arrays(best_file(planned.directory))[FIRST], arrays(best_file(uninterrupted))[FIRST]
    )


def test_other_experiment_is_refused(uninterrupted, prepared):
    """Other hyper-parameters, or another seed, in a directory that has been begun."""
    record = find_begun(uninterrupted, "convLSTM", 1)
    assert record.state == "done"
    require_same(experiment(prepared, uninterrupted), record)
    with pytest.raises(InputError, match="lr was 0.001, not 0.5"):
        require_same(experiment(prepared, uninterrupted, "lr=0.5"), record)
    with pytest.raises(InputError, match="begun with seed 1, not 2"):
        find_begun(uninterrupted, "convLSTM", 2)
    with pytest.raises(InputError, match="begun with model convLSTM, not vae"):
        find_begun(uninterrupted, "vae", 1)


def test_without_its_record_a_training_is_not_gone_on_with(uninterrupted, tmp_path):
    """Nobody knows which it is; and files that lie there are not replaced."""
    shutil.copytree(uninterrupted, tmp_path / "model")
    (tmp_path / "model" / "metadata.json").unlink()
    with pytest.raises(InputError, match="holds model_hparams.json, but no metadata.json"):
        find_begun(tmp_path / "model", "convLSTM", 1)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "training_log.csv").write_text("of something else")
    with pytest.raises(InputError, match="holds training_log.csv, but no metadata.json"):
        find_begun(tmp_path / "mine", "convLSTM", 1)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "job.out").write_text("harmless")
    assert find_begun(tmp_path / "logs", "convLSTM", 1) is None


def test_where_nothing_was_trained_another_may_begin(prepared, tmp_path, monkeypatch):
    """After the advice to lower batch_size, for example."""

    def exhausted(self, *inputs):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM")

    with monkeypatch.context() as patch:
        patch.setattr(Steps, "train", exhausted)
        with pytest.raises(InputError, match="lower batch_size"):
            train(experiment(prepared, tmp_path / "model", "batch_size=7"))
    record = find_begun(tmp_path / "model", "convLSTM", 2)
    assert begun_hparams(tmp_path / "model", record) is None
    planned = experiment(prepared, tmp_path / "model", "batch_size=5", "max_epochs=1", seed=2)
    require_same(planned, record)
    train(planned)
    assert json.loads((tmp_path / "model" / HPARAMS_NAME).read_text())["batch_size"] == 5
    record = find_begun(tmp_path / "model", "convLSTM", 2)
    assert begun_hparams(tmp_path / "model", record) == tmp_path / "model" / HPARAMS_NAME


@pytest.mark.parametrize("name", ["checkpoints/best/weights.npz", "training_log.csv"])
def test_a_finished_training_that_is_not_whole_is_told(uninterrupted, prepared, tmp_path, name):
    directory = tmp_path / "model"
    shutil.copytree(uninterrupted, directory)
    planned, record = experiment(prepared, directory), find_begun(directory, "convLSTM", 1)
    require_same(planned, record)
    (directory / name).write_bytes((directory / name).read_bytes()[:-1])
    with pytest.raises(InputError, match=f"{name}: is not as it was written, though"):
        require_same(planned, record)
    (directory / name).unlink()
    with pytest.raises(InputError, match=f"{name}: is not there any more, though"):
        require_same(planned, record)


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_text("step")])
def test_a_log_that_is_gone_begins_anew(uninterrupted, prepared, tmp_path, capsys, spoil):
    """The weights are what counts, and are the same."""
    planned = experiment(prepared, tmp_path / "model")
    with pytest.raises(StoppedEarly):
        train(planned, StopAfter(9))
    spoil(tmp_path / "model" / "training_log.csv")
    train(planned)
    assert "up to step 10 are not there any more; the log begins anew" in capsys.readouterr().out
    lines = (tmp_path / "model" / "training_log.csv").read_text().splitlines()
    whole = (uninterrupted / "training_log.csv").read_text().splitlines()
    assert [line.split(",")[:2] for line in lines] == [whole[0].split(",")[:2], whole[-1].split(",")[:2]]
    for key, array in arrays(last_file(uninterrupted)).items():
        np.testing.assert_array_equal(arrays(last_file(tmp_path / "model"))[key], array)


def test_a_run_that_was_killed_before_its_first_checkpoint_is_told(prepared, tmp_path, capsys):
    """As by the kernel, for want of memory: nothing else can say so."""
    planned = experiment(prepared, tmp_path / "model", "max_epochs=1")
    with pytest.raises(ZeroDivisionError), recorded(planned, {}) as opened:
        raise ZeroDivisionError
    opened.record.state, opened.record.message = "running", ""  # as a killed one leaves it
    opened.save()
    train(planned)
    assert (
        "was killed before it had saved a step after step 0; if memory was short" in capsys.readouterr().out
    )


def test_job_that_does_not_get_on(prepared, tmp_path, monkeypatch):
    """The third run of a job is refused when two were ended without a new step; not so what a user starts."""
    planned = experiment(prepared, tmp_path / "model")

    def killed():
        with pytest.raises(KeyboardInterrupt), recorded(planned, {}):
            raise KeyboardInterrupt

    def refused():
        with pytest.raises(InputError, match="2 runs of job 7 were ended before they had saved a step"):
            train(planned)

    def stopped(steps):
        with pytest.raises(StoppedEarly):
            train(planned, StopAfter(steps - 1))

    for _ in range(3):
        killed()  # by a user, without a job
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    killed()
    killed()
    refused()
    monkeypatch.setenv("SLURM_JOB_ID", "8")
    killed()
    stopped(steps=2)  # tried again in another job
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "7")  # elements of an array are runs of one job
    killed()
    stopped(steps=1)  # one step is enough
    killed()
    monkeypatch.setenv("SLURM_JOB_ID", "9")
    killed()
    refused()
    record = read_record(planned.directory)
    assert record.state == "failed" and len(record.attempts) == 12
    assert [run["first_step"] for run in record.details["runs"]] == [0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 3, 3, 3]


def test_damaged_checkpoint_is_told(prepared, tmp_path):
    """A checkpoint with a flipped byte is refused, not loaded."""
    planned = experiment(prepared, tmp_path / "model")
    with pytest.raises(StoppedEarly):
        train(planned, StopAfter(2))
    path = last_file(planned.directory)
    content = bytearray(path.read_bytes())
    content[300] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        train(planned)
    path.write_bytes(content[:1000])
    with pytest.raises(InputError, match="damaged"):
        train(planned)


def test_loss_that_is_no_number(make_prepared, tmp_path):
    """The training ends with a message, and the last good checkpoint is kept."""

    def spoil(frames):
        frames[20] = np.inf

    planned = experiment(
        make_prepared(tmp_path / "data", spoil=spoil),
        tmp_path / "model",
        "checkpoint_seconds=0",
        "batch_size=1",
        "max_epochs=1",
    )
    with pytest.raises(
        Diverged, match="the loss is (nan|inf) at step .*last good checkpoint, of step [0-9]+, is kept"
    ):
        train(planned)
    assert read_record(planned.directory).state == "failed"
    kept = arrays(last_file(planned.directory))
    assert all(np.isfinite(array).all() for array in kept.values())
    assert read_progress(last_file(planned.directory)).step > 0


def test_gradient_that_is_no_number(prepared, tmp_path, monkeypatch):
    """The loss of that step is still one; the weights must not reach a checkpoint."""
    original = Steps._loss_and_gradient

    def spoilt(self, number, frames, known, seed, step):
        parts, gradients = original(self, number, frames, known, seed, step)
        return parts, [gradient * tf.where(step < 5, 1.0, np.inf) for gradient in gradients]

    monkeypatch.setattr(Steps, "_loss_and_gradient", spoilt)
    planned = experiment(prepared, tmp_path / "model", "checkpoint_seconds=0", "batch_size=1", "max_epochs=1")
    with pytest.raises(Diverged, match="the all/gradient_norm is (nan|inf) at step 6; "):
        train(planned)
    assert read_progress(last_file(planned.directory)).step == 5
    assert all(np.isfinite(array).all() for array in arrays(last_file(planned.directory)).values())


@pytest.fixture
def _diverges_at_high_rates(monkeypatch):
    """Let gradients be none from the sixth step on, at learning rates of 3e-4 and more."""
    original = Steps._loss_and_gradient

    def spoilt(self, number, frames, known, seed, step):
        parts, gradients = original(self, number, frames, known, seed, step)
        factor = tf.where(step < 5, 1.0, np.inf) if self.model.hparams.lr >= 3e-4 else 1.0
        return parts, [gradient * factor for gradient in gradients]

    monkeypatch.setattr(Steps, "_loss_and_gradient", spoilt)


@pytest.mark.usefixtures("_diverges_at_high_rates")
def test_one_more_attempt_with_a_lower_rate(prepared, tmp_path, capsys):
    """From the last checkpoint (here of step 4), and the same if it is stopped and gone on with."""
    settings = ["lr_schedule=constant", "batch_size=1", "max_epochs=1", "diverged_lr_factor=0.1"]
    planned = experiment(prepared, tmp_path / "model", *settings)
    with pytest.raises(StoppedEarly):
        train(planned, StopAfter(3))
    assert train(planned).finished == "all epochs done"
    assert "going on once from step 4 with the learning rate times 0.1" in capsys.readouterr().out
    assert read_progress(last_file(planned.directory)).lr_factor == 0.1
    assert read_record(planned.directory).details["lr_factor"] == 0.1
    with open(planned.directory / "training_log.csv", newline="") as file:
        assert [float(row["learning_rate"]) for row in csv.DictReader(file)] == pytest.approx([1e-4])

    again = experiment(prepared, tmp_path / "stopped", *settings)
    with pytest.raises(StoppedEarly):
        train(again, StopAfter(3))
    with pytest.raises(StoppedEarly):
        train(again, StopAfter(12))  # behind the divergence
    train(again)
    assert_same_training(planned.directory, again.directory)


@pytest.mark.usefixtures("_diverges_at_high_rates")
def test_one_more_attempt_from_the_beginning_and_no_third(prepared, tmp_path, capsys):
    settings = ["lr_schedule=constant", "batch_size=1", "max_epochs=1", "diverged_lr_factor=0.5"]
    with pytest.raises(
        Diverged, match="gradient_norm is (nan|inf) at step 6; the last good checkpoint, of step 0"
    ):
        train(experiment(prepared, tmp_path / "model", *settings))
    assert "going on once from step 0 with the learning rate times 0.5" in capsys.readouterr().out


def exhausted_device():
    raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[8,1024]")


def exhausted_host():
    raise MemoryError


def within_a_layer():
    """As Keras tells it, and then TensorFlow."""
    try:
        try:
            exhausted_device()
        except tf.errors.OpError as error:
            raise ValueError("Exception encountered when calling layer") from error
    except ValueError:
        raise RuntimeError("while this was handled")  # noqa: B904


@pytest.mark.parametrize("fails", [exhausted_device, exhausted_host, within_a_layer])
def test_not_enough_memory(prepared, tmp_path, monkeypatch, fails):
    """Told by an error, or by one that another one stands for."""
    monkeypatch.setattr(Steps, "train", lambda *_: fails())
    with pytest.raises(
        InputError, match="convLSTM with batch_size 4; lower batch_size, or raise gradient_acc"
    ):
        train(experiment(prepared, tmp_path / "model", "batch_size=4"))


def test_another_error_is_not_told_as_want_of_memory(prepared, tmp_path, monkeypatch):
    def fails(*_):
        raise ValueError("Exception encountered when calling layer") from ZeroDivisionError()

    monkeypatch.setattr(Steps, "train", fails)
    with pytest.raises(ValueError, match="when calling layer"):
        train(experiment(prepared, tmp_path / "model"))


def test_schedules_that_end_after_the_training_are_told(prepared, tmp_path, capsys):
    for steps, told in ((20, True), (30, False)):
        planned = experiment(
            prepared, tmp_path / str(steps), "schedule_sampling_k=5", f"max_steps={steps}", "batch_size=1"
        )
        train(planned)  # k (log k + log 19) is 22.8
        assert (
            "the schedules of the loss end at step 23, after the training" in capsys.readouterr().out
        ) == told


@pytest.mark.parametrize("sign, told", [(1, True), (-1, False)])
def test_best_weights_from_before_the_end_of_the_schedules_are_told(
    prepared, tmp_path, capsys, monkeypatch, sign, told
):
    """Where the validation loss only rises, the first one is the lowest."""
    losses = itertools.count(1)
    monkeypatch.setattr(Steps, "validate", lambda *_: tf.constant(float(sign * next(losses))))
    settings = ("schedule_sampling_k=5", "max_steps=30", "batch_size=4")
    train(experiment(prepared, tmp_path / "model", *settings))
    note = (
        "the weights of the lowest validation loss are from before step 23, where the schedules of the loss end; "
        "main_visualize_postprocess --checkpoint last takes those of step 30"
    )
    assert (note in capsys.readouterr().out) == told


def test_time_budget(prepared, tmp_path):
    """`max_seconds` ends a training well, with a validated model; earlier attempts count."""
    planned = experiment(prepared, tmp_path / "model", "max_epochs=1000000", "max_seconds=6")
    with pytest.raises(StoppedEarly):
        train(planned, StopAfter(1))
    before = read_progress(last_file(planned.directory)).seconds
    assert before > 0
    progress = train(planned)
    assert progress.finished == "time budget of 6 s used up" and 6 <= progress.seconds < 30
    assert best_file(planned.directory).exists() and progress.best_step > 0
    assert read_record(planned.directory).state == "done"


def test_step_budget(prepared, tmp_path):
    """`max_steps` ends a training in the middle of an epoch, validated, with the schedule at its end."""
    planned = experiment(
        prepared, tmp_path / "model", "max_epochs=1", "max_steps=20", "lr=0.01", "lr_schedule=linear"
    )
    with pytest.raises(StoppedEarly):
        train(planned, StopAfter(15))
    progress = train(planned)
    assert (progress.finished, progress.step) == ("all steps done", 20)  # an epoch has 9
    with open(planned.directory / "training_log.csv") as file:
        rows = list(csv.DictReader(file))
    assert [(int(row["step"]), int(row["epoch"]), bool(row["val_loss"])) for row in rows] == [
        (9, 1, True),
        (18, 2, True),
        (20, 3, True),
    ]
    assert [float(row["learning_rate"]) for row in rows] == pytest.approx([0.0055, 0.001, 0.0])


def test_early_stopping(prepared, tmp_path):
    """Without a lower validation loss for two epochs, training ends."""
    planned = experiment(
        prepared, tmp_path / "model", "max_epochs=100", "lr=1e-12", "early_stopping=2", "lr_schedule=constant"
    )
    # with such a learning rate no weight changes by a bit: the first loss remains the lowest
    progress = train(planned)
    assert progress.finished == "no lower validation loss in 2 validations"
    assert (progress.best_step, progress.step) == (9, 27)


def test_validate_every(prepared, tmp_path):
    """Validation every second epoch, and at the end."""
    planned = experiment(prepared, tmp_path / "model", "max_epochs=3", "validate_every=2")
    train(planned)
    with open(planned.directory / "training_log.csv") as file:
        assert [bool(row["val_loss"]) for row in csv.DictReader(file)] == [False, True, True]


def test_learning_rate_follows_the_schedule(prepared, tmp_path):
    """Linear from lr to end_lr over all steps, by global step."""
    planned = experiment(prepared, tmp_path / "model", "lr_schedule=linear", "end_lr=0.0002")
    train(planned)
    with open(planned.directory / "training_log.csv") as file:
        rates = [float(row["learning_rate"]) for row in csv.DictReader(file)]
    np.testing.assert_allclose(rates, [0.0006, 0.0002], rtol=1e-5)


def test_running_mean_of_weights(prepared, tmp_path):
    """Resume is exact with running means of weights, and `best` holds the means, not the weights."""
    for name, stops in (("whole", ()), ("stopped", (5, 7))):
        planned = experiment(prepared, tmp_path / name, "ema_decay=0.9")
        for looks in stops:
            with pytest.raises(StoppedEarly):
                train(planned, StopAfter(looks - 1))
        train(planned)
    assert_same_training(tmp_path / "whole", tmp_path / "stopped")
    last, best = arrays(last_file(tmp_path / "whole")), arrays(best_file(tmp_path / "whole"))
    assert read_progress(best_file(tmp_path / "whole")).best_step == 18
    np.testing.assert_array_equal(best[FIRST], last["averages/0"])
    assert not np.array_equal(best[FIRST], last[FIRST])
    # forecasts are made with the means of either
    for which, means in (("last", last["averages/0"]), ("best", best[FIRST])):
        loaded = load_forecaster(tmp_path / "whole", which).model.trainable_variables[0]
        np.testing.assert_array_equal(loaded.numpy(), means)


@pytest.mark.parametrize("setting", ["gradient_accumulation=2", "xla=true"])
def test_another_way_to_the_same_gradient(uninterrupted, prepared, tmp_path, setting):
    """A batch in two parts, and a gradient compiled by XLA, give nearly the same weights."""
    planned = experiment(prepared, tmp_path / "model", setting)
    train(planned)
    one, other = arrays(last_file(uninterrupted)), arrays(last_file(planned.directory))
    for key in one:
        np.testing.assert_allclose(other[key], one[key], atol=1e-5, err_msg=key)


def test_bfloat16(prepared, tmp_path):
    """Layers compute in bfloat16, weights and losses stay float32, and the policy is put back."""
    import keras

    planned = experiment(prepared, tmp_path / "model", "mixed_precision=bfloat16")
    progress = train(planned)
    assert keras.config.dtype_policy().name == "float32"
    assert np.isfinite(progress.best_val_loss)
    assert all(
        array.dtype in (np.float32, np.int32, np.int64)
        for array in arrays(last_file(planned.directory)).values()
    )


def test_batch_larger_than_the_data(prepared, tmp_path):
    with pytest.raises(InputError, match="batch_size: 50 is more than the 35 sequences .* give at most 35"):
        experiment(prepared, tmp_path / "model", "batch_size=50", "max_epochs=3")
    planned = experiment(prepared, tmp_path / "model", "batch_size=35", "max_epochs=3")
    assert train(planned).step == 3
