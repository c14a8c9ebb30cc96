"""Moving MNIST as a program: real digits in, a data set out that training and evaluation read."""

import fcntl
import gzip
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import extracted_files as data
import numpy as np
import pytest

from video_prediction_tools.data_preprocess.moving_mnist import array as array_module
from video_prediction_tools.data_preprocess.moving_mnist.digits import read_digits
from video_prediction_tools.datasets.moving_digits import Motion, MovingDigits
from video_prediction_tools.datasets.prepared import open_prepared
from video_prediction_tools.datasets.tfrecords import read_block
from video_prediction_tools.errors import InputError
from video_prediction_tools.main_scripts import main_preprocess_moving_mnist as program
from video_prediction_tools.metadata.record import read_record
from video_prediction_tools.training.experiment import plan

SMALL = ("--n_train", 6, "--n_val", 3, "--n_test", 4)
NAMES = [
    f"{split}-{kind}" for split in ("train", "t10k") for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")
]


@pytest.fixture(scope="module")
def mnist(shared_data) -> Path:
    return shared_data / "mnist"


@pytest.fixture
def make(capsys, tmp_path):
    """Run the program in this process: ``make(*args) -> (exit code, stdout, stderr)``."""
    from video_prediction_tools.main_scripts.program import run

    def in_process(*args, destination=tmp_path / "PreprocessedData"):
        capsys.readouterr()
        words = [str(word) for word in (*args, "--destination_dir", destination)]
        code = run(program.main, program.build_parser(), words)
        return code, *capsys.readouterr()

    return in_process


def idx(kind: int, values: np.ndarray) -> bytes:
    """Return the content of a file as MNIST has them."""
    return b"".join(number.to_bytes(4, "big") for number in (kind, *values.shape)) + values.tobytes()


@pytest.fixture
def few(tmp_path):
    """Write the four files, not packed, with the first 60 and 20 of the real digits; returns their directory."""

    def write(mnist: Path) -> Path:
        directory = tmp_path / "digits"
        directory.mkdir()
        for name, digits, number in zip(("train", "t10k"), read_digits(mnist), (60, 20), strict=True):
            (directory / f"{name}-images-idx3-ubyte").write_bytes(idx(2051, digits.images[:number]))
            (directory / f"{name}-labels-idx1-ubyte").write_bytes(idx(2049, digits.labels[:number]))
        return directory

    return write


def frames_of(directory: Path, split: str) -> np.ndarray:
    """Return all sequences of a split, float32 ``[N, T, H, W]``, read as training reads them."""
    batches = list(open_prepared(directory).sequences(split).in_order(4))
    return np.concatenate([frames[..., 0] for frames, _ in batches])


def test_a_data_set_from_the_real_digits(make, mnist, tmp_path):
    code, out, err = make("--digits_dir", mnist, *SMALL)
    assert (code, err) == (0, "")
    directory = Path(out.splitlines()[-1])
    assert directory.name == "moving_mnist-mnist-2digits-64_64-20frames-6_3_4-seed1"
    prepared = open_prepared(directory)
    assert {split: len(prepared.sequences(split)) for split in ("train", "val", "test")} == {
        "train": 6,
        "val": 3,
        "test": 4,
    }
    assert (prepared.units, prepared.synthetic, prepared.region.lat) == (("1",), False, None)
    train, test = read_digits(mnist)
    pools = {"train": train.images[:50000], "val": train.images[50000:], "test": test.images}
    for number, (split, pool) in enumerate(pools.items()):
        drawn = MovingDigits(pool, Motion(), (1, number))
        expected = np.stack([drawn.sequence(index) for index in range(len(prepared.sequences(split)))])
        np.testing.assert_array_equal(frames_of(directory, split), expected / np.float32(255))
    for block in prepared.index.blocks["test"]:
        times, _ = read_block(block.path, prepared.fingerprint)
        assert times.tolist() == [3600 * frame for frame in range(80)]
    frames = frames_of(directory, "train").astype(np.float64)
    statistics = prepared.statistics["digits"]
    assert (statistics["min"], statistics["max"], statistics["n"]) == (0, 1, frames.size)
    assert statistics["mean"] == pytest.approx(frames.mean(), rel=1e-6)
    assert statistics["std"] == pytest.approx(frames.std(), rel=1e-6)
    details = read_record(directory).details["splits"]
    # how often each digit stands in t10k (LeCun et al. 1998)
    assert details["test"]["labels"] == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert [details[split]["digits"] for split in pools] == [50000, 10000, 10000]


def test_other_numbers_sizes_and_lengths(make, mnist):
    code, out, err = make(
        "--digits_dir", mnist, *SMALL, "--n_digits", 3, "--size", 80, "--sequence_length", 12, "--seed", 5
    )
    assert code == 0, err
    directory = Path(out.splitlines()[-1])
    assert directory.name == "moving_mnist-mnist-3digits-80_80-12frames-6_3_4-seed5"
    assert frames_of(directory, "val").shape == (3, 12, 80, 80)


def test_the_same_seed_gives_the_same_bytes_and_numbers_do_not_matter(make, mnist, tmp_path):
    def directory(*args, to):
        code, out, err = make("--digits_dir", mnist, *args, destination=tmp_path / to)
        assert code == 0, err
        return Path(out.splitlines()[-1])

    one, again = (directory(*SMALL, to=to) for to in ("one", "again"))
    assert data.content_of(one) == data.content_of(again)
    assert read_record(one).fingerprint() == read_record(again).fingerprint()
    more = directory("--n_train", 9, "--n_val", 4, "--n_test", 5, to="one")
    other = directory(*SMALL, "--seed", 2, to="one")
    for split in ("train", "val", "test"):
        frames = frames_of(one, split)
        np.testing.assert_array_equal(frames, frames_of(more, split)[: len(frames)])
        assert not (frames == frames_of(other, split)).all(axis=(1, 2, 3)).any()


def test_a_second_run_does_nothing_and_a_third_mends(make, mnist):
    _, out, _ = make("--digits_dir", mnist, *SMALL)
    directory = Path(out.splitlines()[-1])
    before = {path: path.stat().st_mtime_ns for path in directory.rglob("*") if path.is_file()}
    code, out, _ = make("--digits_dir", mnist, *SMALL)
    assert code == 0 and "nothing to do" in out and Path(out.splitlines()[-1]) == directory
    assert {path: path.stat().st_mtime_ns for path in directory.rglob("*") if path.is_file()} == before
    content = data.content_of(directory)
    damaged = next((directory / "tfrecords" / "val").iterdir())
    damaged.write_bytes(damaged.read_bytes()[:-9])
    code, out, _ = make("--digits_dir", mnist, *SMALL)
    assert code == 0 and "nothing to do" not in out
    assert data.content_of(directory) == content


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on(program_command, mnist, tmp_path):
    numbers = ("--n_train", 400, "--n_val", 3, "--n_test", 110, "--fresh_train")
    command = program_command(
        "preprocess_moving_mnist", "--digits_dir", mnist, *numbers, "--destination_dir", tmp_path
    )
    directory = tmp_path / "moving_mnist-mnist-2digits-64_64-20frames-400_3_110-seed1-fresh"

    def run_quietly() -> float:
        begun = time.monotonic()
        assert subprocess.run(command, stdout=subprocess.DEVNULL).returncode == 0
        return time.monotonic() - begun

    run_quietly()
    expected, record, blocks = (
        data.content_of(directory),
        read_record(directory),
        read_record(directory / "tfrecords"),
    )
    moments, hits = random.Random(int(os.environ.get("AMBS_KILL_SEED", "1"))), 0
    for _ in range(int(os.environ.get("AMBS_KILL_TRIES", "2"))):
        shutil.rmtree(directory)
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None and not (directory / "metadata.json").exists():
                time.sleep(0.002)
            time.sleep(moments.uniform(0, 1.0))
            hits += process.poll() is None
            process.send_signal(signal.SIGKILL)
        if read_record(directory).state != "done":
            with pytest.raises(InputError, match="unfinished step"):
                open_prepared(directory)
        run_quietly()
        assert data.content_of(directory) == expected
        again = read_record(directory)
        assert (again.state, again.outputs, again.details) == ("done", record.outputs, record.details)
        assert read_record(directory / "tfrecords").details == blocks.details
        assert not list(directory.rglob(".*.part"))
    assert hits > 0, "no kill hit the work: the moments are chosen badly"


def published(mnist: Path, number: int = 12, size: int = 64) -> np.ndarray:
    """An array as the published one is: uint8 ``[20, N, H, W]``."""
    drawn = MovingDigits(read_digits(mnist)[1].images, Motion(size=size), (99,))
    return np.stack([drawn.sequence(index) for index in range(number)], axis=1)


def test_the_published_array_is_the_test_split(make, mnist, tmp_path):
    array = published(mnist)
    np.save(tmp_path / "mnist_test_seq.npy", array)
    given = ("--sequences_file", tmp_path / "mnist_test_seq.npy", "--n_train", 6, "--n_val", 3)
    code, out, err = make(*given, "--digits_dir", mnist)
    assert code == 0, err
    directory = Path(out.splitlines()[-1])
    assert directory.name == "moving_mnist-published-2digits-64_64-20frames-6_3_12-seed1"
    np.testing.assert_array_equal(frames_of(directory, "test"), array.swapaxes(0, 1) / np.float32(255))
    _, out, _ = make("--digits_dir", mnist, *SMALL)
    drawn = Path(out.splitlines()[-1])
    for split in ("train", "val"):  # as without the array
        np.testing.assert_array_equal(frames_of(directory, split), frames_of(drawn, split))

    code, out, err = make(*given, "--n_test", 2)
    assert code == 0 and "scores flatter" in out, err
    alone = Path(out.splitlines()[-1])
    assert alone.name == "moving_mnist-sequences-2digits-64_64-20frames-6_3_2-seed1"
    cut = np.concatenate([frames_of(alone, split) for split in ("train", "val", "test")])
    np.testing.assert_array_equal(cut, array[:, :11].swapaxes(0, 1) / np.float32(255))


def test_an_array_that_is_not_what_it_is_taken_for_is_said(make, mnist, tmp_path, monkeypatch):
    array = published(mnist)
    np.save(tmp_path / "mine.npy", array)
    given = ("--sequences_file", tmp_path / "mine.npy", "--digits_dir", mnist, "--n_train", 6, "--n_val", 3)
    _, out, _ = make(*given)
    said = "mine.npy is not the published array: scores on it compare with those on the same file only"
    assert f"note: {said}" in out and "is --n_digits right" not in out
    assert read_record(Path(out.splitlines()[-1])).details["notes"] == [said]
    _, out, _ = make(*given, "--n_digits", 5)
    assert "5 digits of MNIST about 0.127: is --n_digits right?" in out
    monkeypatch.setattr(array_module, "PUBLISHED_SHAPE", array.shape)
    content = (tmp_path / "mine.npy").read_bytes()
    monkeypatch.setattr(array_module, "_PUBLISHED_MD5", hashlib.md5(content).hexdigest())
    _, out, _ = make(*given, "--seed", 2)
    assert "note: " not in out and read_record(Path(out.splitlines()[-1])).details["notes"] == []


def test_no_room_on_the_disk(make, mnist, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=4_000_000))
    code, out, err = make("--digits_dir", mnist, *SMALL)
    assert code == 2 and "has room for 0.004 GB, 0.00426 GB are needed; ask for fewer" in err, err
    assert "the files take 0.00426 GB (328 kB a sequence)" in out
    assert not (tmp_path / "PreprocessedData").exists()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=5_000_000))
    assert make("--digits_dir", mnist, *SMALL)[0] == 0


@pytest.mark.parametrize("flag, value", [("--size", 1025), ("--sequence_length", 10001), ("--n_digits", 11)])
def test_numbers_that_are_too_large(make, mnist, tmp_path, flag, value):
    code, _, err = make("--digits_dir", mnist, flag, value)
    assert code == 2 and f"{flag}: {value} is too large; give {value - 1} or less" in err, err


def test_glyphs_are_marked_as_made_up(make):
    code, out, err = make("--glyphs", *SMALL)
    assert code == 0 and "made up here" in out, err
    directory = Path(out.splitlines()[-1])
    assert directory.name == "moving_mnist-glyphs-2digits-64_64-20frames-6_3_4-seed1"
    assert open_prepared(directory).synthetic
    assert 0.03 < frames_of(directory, "test").mean() < 0.08


def test_a_context_as_long_as_the_sequences_is_refused(make, mnist):
    code, out, err = make("--digits_dir", mnist, *SMALL, "--sequence_length", 10)
    assert code == 0, err
    prepared = open_prepared(Path(out.splitlines()[-1]))
    with pytest.raises(InputError, match=r"the sequences have 10 frames;.*\(preprocess_moving_mnist --seq"):
        plan(Path("model"), "convLSTM", SimpleNamespace(context_frames=10), 1, prepared)


@pytest.mark.slow
def test_it_is_trained_on(make, run_program, mnist, tmp_path):
    code, out, err = make("--digits_dir", mnist, "--n_train", 8, "--n_val", 2, "--n_test", 2, "--fresh_train")
    assert code == 0, err
    directory = out.splitlines()[-1]
    train = (
        "train_models",
        "--input_dir",
        directory,
        "--output_dir",
        tmp_path / "model",
        "--model",
        "convLSTM",
    )
    small = ("--set", "filters=4", "batch_size=4", "max_epochs=1")
    result = run_program(*train, *small)
    assert result.returncode == 0, result.stderr
    spec = json.loads((tmp_path / "model" / "data_spec.json").read_text())
    assert (spec["variables"], spec["lat"], spec["lead_frames"]) == (["digits"], None, 10)
    assert (spec["normalisation"]["method"], spec["normalisation"]["statistics"]["digits"]["max"]) == (
        "minmax",
        1.0,
    )
    assert (tmp_path / "model" / "training_log.csv").read_text().splitlines()[1].startswith("2,1,")


def _dark_at_the_end(array):
    many = np.tile(array, (1, 10, 1, 1))
    many[:, -1] //= 255
    return many


def _truncate(directory, name, keep):
    path = directory / name
    path.write_bytes(path.read_bytes()[:keep])


def _exchange(directory, one, other):
    first, second = (directory / name for name in (one, other))
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


def _append(directory, name, more):
    (directory / name).write_bytes((directory / name).read_bytes() + more)


def _exchange_all(directory):
    for kind in ("images-idx3-ubyte", "labels-idx1-ubyte"):
        _exchange(directory, f"train-{kind}", f"t10k-{kind}")


def _leak(directory, to):
    """Put the first training digit among those for tests, or those for validation (the last tenth)."""
    train, test = directory / "train-images-idx3-ubyte", directory / "t10k-images-idx3-ubyte"
    digit = train.read_bytes()[16 : 16 + 784]
    path = test if to == "test" else train
    path.write_bytes(path.read_bytes()[:-784] + digit)


def _blank(directory):
    """Wipe out the last test image."""
    path = directory / "t10k-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-784] + bytes(784))


def _other_size(directory):
    (directory / "t10k-images-idx3-ubyte").write_bytes(idx(2051, np.zeros((20, 20, 20), np.uint8)))


def _wrong_label(directory):
    (directory / "t10k-labels-idx1-ubyte").write_bytes(idx(2049, np.full(20, 10, np.uint8)))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            lambda d: _truncate(d, NAMES[0], 5000),
            "train-images-idx3-ubyte: is cut short: 4984 bytes of images",
        ),
        (lambda d: _truncate(d, NAMES[0], 10), "train-images-idx3-ubyte: is cut short"),
        (lambda d: _truncate(d, NAMES[3], 0), "t10k-labels-idx1-ubyte: is no file of MNIST"),
        (lambda d: _append(d, NAMES[2], b"more"), "t10k-images-idx3-ubyte: is too long"),
        (lambda d: (d / NAMES[1]).unlink(), "train-labels-idx1-ubyte: does not exist"),
        (
            lambda d: _exchange(d, NAMES[0], NAMES[1]),
            "train-images-idx3-ubyte: holds labels, images are expected",
        ),
        (lambda d: _exchange(d, NAMES[0], NAMES[2]), "train-labels-idx1-ubyte: holds 60 labels"),
        (_exchange_all, "the train files hold 20 digits and the t10k files 60: they are exchanged"),
        (_other_size, "t10k-images-idx3-ubyte: holds images of 20 x 20 pixels"),
        (_blank, "t10k-images-idx3-ubyte: 1 of its images are blank (the first is number 19)"),
        (_wrong_label, "t10k-labels-idx1-ubyte: holds the label 10"),
        (lambda d: _leak(d, "test"), "1 of the digits for tests stand among those for training too"),
        (lambda d: _leak(d, "val"), "1 of the digits for validation stand among those for training too"),
    ],
)
def test_wrong_digits(make, few, mnist, tmp_path, spoil, said):
    directory = few(mnist)
    spoil(directory)
    code, out, err = make("--digits_dir", directory, *SMALL)
    assert code == 2 and err.count("\n") == 1 and said in err and "; " in err, err
    assert not (tmp_path / "PreprocessedData").exists()


def test_damaged_gz(make, few, mnist):
    directory = few(mnist)
    raw = directory / NAMES[0]
    packed = gzip.compress(raw.read_bytes())
    raw.unlink()
    for content in (packed[:-200], packed[:50] + bytes(100) + packed[150:], b"text"):
        (directory / f"{NAMES[0]}.gz").write_bytes(content)
        code, _, err = make("--digits_dir", directory, *SMALL)
        assert code == 2 and "train-images-idx3-ubyte.gz: is cut short or damaged" in err, err
    (directory / f"{NAMES[0]}.gz").write_bytes(packed)
    assert make("--digits_dir", directory, *SMALL)[0] == 0


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "--digits_dir: is missing"),
        (["--glyphs", "--digits_dir", "{digits}"], "--glyphs: is given beside"),
        (["--digits_dir", "/nowhere"], "--digits_dir: /nowhere is no directory"),
        (
            ["--digits_dir", "{digits}", "--n_digits", "11"],
            "--n_digits: 11 is too large",
        ),
        (["--digits_dir", "{digits}", "--n_digits", "0"], "--n_digits: 0 is too few"),
        (["--digits_dir", "{digits}", "--size", "30"], "--size: digits of 28 pixels cannot move in 30"),
        (["--digits_dir", "{digits}", "--sequence_length", "1"], "--sequence_length: 1 is too short"),
        (["--digits_dir", "{digits}", "--n_val", "0"], "--n_val: 0 is not a possible number"),
        (["--digits_dir", "{digits}", "--n_train", "9999999999"], "give 1 to 2500000"),
        (["--digits_dir", "{digits}", "--seed", "-1"], "-1 is not from 0 to"),
        (["--sequences_file", "/nowhere.npy"], "--sequences_file: /nowhere.npy is no file"),
    ],
)
def test_wrong_flags(make, few, mnist, args, said):
    directory = few(mnist)
    code, _, err = make(*(word.format(digits=directory) for word in args))
    assert code == 2 and err.count("\n") == 1 and said in err, err


def _save(path, array):
    np.save(path, array)


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda p, a: _save(p, a / 255), "holds values of the type float64, not bytes"),
        (lambda p, a: _save(p, a // 255), "holds values up to 1, not 0..255"),
        (lambda p, a: _save(p, a.swapaxes(0, 1)), "exchange the first two axes"),
        (lambda p, a: _save(p, a.transpose(1, 0, 2, 3).reshape(a.shape)), "the first is not time"),
        (
            lambda p, a: _save(p, a[:19]),
            "has 19 frames a sequence (its shape is [19, 12, 64, 64]), not 20; give --seq",
        ),
        (
            lambda p, a: _save(p, a[:, :, ::2, ::2]),
            "has frames of 32 x 32 pixels, not 64 x 64; give --size 32",
        ),
        (lambda p, a: _save(p, _dark_at_the_end(a)), "holds values up to 1, not 0..255, in sequence 119"),
        (lambda p, a: _save(p, 255 - a), "is nearly white in sequence"),
        (lambda p, a: _save(p, np.zeros_like(a) + a[:, :1]), "holds the same sequence again and again"),
        (lambda p, a: _save(p, a[..., :32]), "has frames of 64 x 32 pixels, not 64 x 64"),
        (lambda p, a: _save(p, a[..., None]), "has the shape [20, 12, 64, 64, 1], not [T, N, H, W]"),
        (lambda p, a: _save(p, a[:, :0]), "has the shape [20, 0, 64, 64], not [T, N, H, W]"),
        (lambda p, a: _save(p, a[:, :12].astype(object)), "is cut short, or no .npy file"),
        (lambda p, a: p.write_bytes(b"no array"), "is cut short, or no .npy file"),
        (lambda p, a: (_save(p, a), os.truncate(p, 100_000)), "is cut short, or no .npy file"),
        (
            lambda p, a: _save(p, a),
            "holds 12 sequences, 10000 are asked for; lower --n_train, --n_val, --n_test",
        ),
    ],
)
def test_wrong_arrays(make, mnist, tmp_path, write, said):
    path = tmp_path / "sequences.npy"
    write(path, published(mnist))
    code, _, err = make("--sequences_file", path)
    assert code == 2 and err.count("\n") == 1 and said in err, err
    assert not (tmp_path / "PreprocessedData").exists()


def test_other_digits_under_the_same_name_are_refused(make, few, mnist):
    _, out, _ = make("--digits_dir", mnist, *SMALL)
    directory = Path(out.splitlines()[-1])
    before = data.content_of(directory)
    code, out, err = make("--digits_dir", few(mnist), *SMALL)
    assert code == 2 and "made with another content of the digits' files; delete" in err, err
    assert data.content_of(directory) == before


def test_a_directory_in_use_is_left_alone(make, mnist, tmp_path):
    directory = tmp_path / "PreprocessedData" / "moving_mnist-mnist-2digits-64_64-20frames-6_3_4-seed1"
    directory.mkdir(parents=True)
    with open(directory / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, _, err = make("--digits_dir", mnist, *SMALL)
    assert code == 2 and "another run is writing here at this moment" in err, err


def test_a_full_disk_is_said_and_nothing_half_written_stays(
    program_command, run_command, error_line, mnist, tmp_path
):
    command = program_command(
        "preprocess_moving_mnist",
        "--digits_dir",
        mnist,
        "--destination_dir",
        tmp_path,
        "--n_train",
        150,
        *SMALL[2:],
    )
    # files may have 10 MB: the first block has 32
    limited = run_command(["bash", "-c", 'ulimit -f 10000; exec "$@"', "bash", *command])
    assert "000000_to_000101.tfrecord: the file would pass the size limit" in error_line(limited)
    directory = next(tmp_path.iterdir())
    assert not list(directory.rglob(".*.part")) and not list(directory.rglob("*.tfrecord"))
    assert read_record(directory).state == "failed"
    assert run_command(command).returncode == 0
    assert read_record(directory).state == "done"
