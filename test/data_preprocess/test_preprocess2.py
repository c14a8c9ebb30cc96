"""Preprocess 2 as a program: every sequence once, none across a gap or a split, each hour about once."""

import json
import shutil

import extracted_files as data
import numpy as np
import pytest

from video_prediction_tools.data_preprocess.blocks import cut_run
from video_prediction_tools.datasets.tfrecords import read_block, read_index
from video_prediction_tools.main_scripts import main_preprocess_data_step1 as step1
from video_prediction_tools.main_scripts import main_preprocess_data_step2 as step2
from video_prediction_tools.metadata.names import month_file
from video_prediction_tools.metadata.record import read_record


@pytest.fixture
def dataset(call, small, tmp_path, write_split):
    """A data set of three months (see `small`), with a gap of two hours in January."""
    hours = np.delete(data.month_hours(2018, 1), [100, 101])
    lat, lon = np.linspace(57, 50, 8), np.linspace(-5, 4, 10)
    data.write_month_file(small, 2018, 1, hours, data.weather(hours, lat, lon, seed=1), lat, lon)
    data.note(small)
    code, out, err = call(
        step1, *data.small_arguments(small, tmp_path / "out", write_split(data.SMALL_SPLIT))
    )
    assert code == 0, err
    return next((tmp_path / "out").iterdir())


def truth(small) -> dict[int, np.ndarray]:
    """The fields [H, W, C] of the region by time, straight from the extracted files."""
    import xarray

    found = {}
    for month in (1, 2, 3):
        with xarray.open_dataset(month_file(small, 2018, month), decode_times=False) as file:
            region = file.isel(latitude=slice(1, 7), longitude=slice(1, 9))
            values = np.stack([region["2t"].values, region["msl"].values], axis=-1)
            found.update(zip(file.time.values.tolist(), values, strict=True))
    return found


@pytest.mark.parametrize("block_length", [None, 60, 10000])
def test_every_sequence_is_there_once_with_the_right_values(call, dataset, small, block_length):
    extra = [] if block_length is None else ["--block_length", block_length]
    code, out, err = call(step2, "--source_dir", dataset, "--sequence_length", 20, *extra)
    assert code == 0, err
    index, fields = read_index(dataset / "tfrecords", read_record(dataset).fingerprint()), truth(small)
    expected = {
        "train": [np.arange(0, 100), np.arange(102, 59 * 24)],
        "val": [np.arange(59 * 24, 69 * 24)],
        "test": [np.arange(69 * 24, 90 * 24)],
    }
    for split, runs in expected.items():
        starts = []
        for block in index.blocks[split]:
            times, frames = read_block(block.path, index.dataset_fingerprint)
            np.testing.assert_array_equal(times, block.start + 3600 * np.arange(block.frames))
            np.testing.assert_array_equal(frames, np.stack([fields[moment] for moment in times.tolist()]))
            assert block_length is None or block.frames <= block_length
            starts += [block.start + 3600 * first for first in range(block.sequences)]
        windows = [start for run in runs for start in (data.seconds(2018, 1) + 3600 * run[:-19]).tolist()]
        assert starts == windows  # each window of 20 hours in a gap-free run, once, in order
    assert read_record(dataset / "tfrecords").details["n_sequences"]["val"] == 240 - 19


def test_tfrecords_are_at_most_a_fifth_larger_than_the_hours(call, dataset):
    code, out, _ = call(step2, "--source_dir", dataset, "--sequence_length", 20)
    assert code == 0
    bytes_written = sum(path.stat().st_size for path in (dataset / "tfrecords").rglob("*.tfrecord"))
    raw = (90 * 24 - 2) * 6 * 8 * 2 * 4
    assert 1 < bytes_written / raw <= 1.2
    assert f"size of the TFRecords over the size of the hours in them: {bytes_written / raw:.3f}" in out


@pytest.mark.parametrize(
    "length, sequence, block",
    [
        (100, 20, 240),
        (744, 20, 240),
        (8760, 20, 240),
        (20, 20, 20),
        (19, 20, 40),
        (41, 20, 40),
        (1000, 24, 25),
    ],
)
def test_runs_are_cut_evenly(length, sequence, block):
    blocks = cut_run(length, sequence, block)
    starts = [first + offset for first, frames in blocks for offset in range(frames - sequence + 1)]
    assert starts == list(range(max(0, length - sequence + 1)))
    sizes = [frames for _, frames in blocks]
    assert not sizes or (max(sizes) <= block and max(sizes) - min(sizes) <= 1)


def test_again_is_verified_and_a_damaged_block_made_anew(call, dataset):
    args = ["--source_dir", dataset, "--sequence_length", 20]
    call(step2, *args)
    content = data.content_of(dataset)
    code, out, _ = call(step2, *args)
    assert (
        code == 0
        and "blocks are there and whole" in out
        and out.splitlines()[-1] == str(dataset / "tfrecords")
    )
    path = next((dataset / "tfrecords" / "test").iterdir())
    path.write_bytes(path.read_bytes()[:-1])
    code, out, _ = call(step2, *args)
    assert code == 0 and "whole" not in out
    assert data.content_of(dataset) == content


def test_another_sequence_length_does_not_overwrite(call, dataset):
    call(step2, "--source_dir", dataset, "--sequence_length", 20)
    content = data.content_of(dataset)
    line = data.refusal(call(step2, "--source_dir", dataset, "--sequence_length", 24))
    assert (
        f"made with another sequence length and another block length; delete {dataset / 'tfrecords'}" in line
    )
    assert data.content_of(dataset) == content


@pytest.mark.parametrize(
    "args, message",
    [
        (
            ["--sequence_length", 241],
            "--sequence_length: 241 is longer than any gap-free stretch of val (the longest has 240 "
            "time steps); give at most 240",
        ),
        (["--sequence_length", 1], "--sequence_length: 1 is too short"),
        (
            ["--sequence_length", 20, "--block_length", 19],
            "--block_length: 19 is less than one sequence (20); give at least 20",
        ),
        (["--source_dir", "/nowhere"], "/nowhere: does not exist; run the step 'preprocess1' first"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_written(call, dataset, args, message):
    assert message in data.refusal(call(step2, "--source_dir", dataset, *args))
    assert not (dataset / "tfrecords").exists()


def foreign_statistics(dataset, tmp_path):
    content = json.loads((dataset / "statistics.json").read_text())
    content["variables"]["2t"]["mean"] += 1
    (dataset / "statistics.json").write_text(json.dumps(content))


def foreign_pickle(dataset, tmp_path):
    """Put another month's pickle of the same size in the place."""
    path = dataset / "pickle/train/2018-02.pkl"
    raw = bytearray(path.read_bytes())
    raw[3000] ^= 1
    path.write_bytes(raw)


def missing_pickle(dataset, tmp_path):
    (dataset / "pickle/val/2018-03.pkl").unlink()


def unfinished(dataset, tmp_path):
    record = json.loads((dataset / "metadata.json").read_text())
    (dataset / "metadata.json").write_text(json.dumps({**record, "state": "interrupted"}))


def other_kind(dataset, tmp_path):
    shutil.copy(tmp_path / "ExtractedData" / "metadata.json", dataset / "metadata.json")


def damaged_details(dataset, tmp_path):
    record = json.loads((dataset / "metadata.json").read_text())
    del record["details"]["splits"]
    (dataset / "metadata.json").write_text(json.dumps(record))


@pytest.mark.parametrize(
    "spoil, message",
    [
        (foreign_statistics, "statistics.json: is not the file that was written here"),
        (foreign_pickle, "pickle/train/2018-02.pkl: is not the file that preprocess 1 wrote here"),
        (missing_pickle, "pickle/val/2018-03.pkl: is missing"),
        (
            unfinished,
            "belongs to an unfinished step (state 'interrupted'); let the step 'preprocess1' finish",
        ),
        (other_kind, "is of the kind 'extracted_data', not 'dataset'"),
        (damaged_details, "metadata.json: is damaged: no usable 'splits'"),
    ],
)
def test_what_does_not_belong_together_is_refused(call, dataset, tmp_path, spoil, message):
    spoil(dataset, tmp_path)
    assert message in data.refusal(call(step2, "--source_dir", dataset, "--sequence_length", 20))
    if (dataset / "tfrecords").exists():
        assert read_record(dataset / "tfrecords").state == "failed"


def test_tfrecords_of_a_data_set_made_anew_are_not_taken_for_its_own(
    call, dataset, small, tmp_path, write_split
):
    call(step2, "--source_dir", dataset, "--sequence_length", 20)
    tfrecords = tmp_path / "kept"
    shutil.move(dataset / "tfrecords", tfrecords)
    shutil.rmtree(dataset)
    split = write_split({**data.SMALL_SPLIT, "train": {"2018": [1]}})
    assert call(step1, *data.small_arguments(small, dataset.parent, split))[0] == 0
    shutil.move(tfrecords, dataset / "tfrecords")
    line = data.refusal(call(step2, "--source_dir", dataset, "--sequence_length", 20))
    assert "made with another content of the data set; delete" in line
