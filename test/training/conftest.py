"""A small prepared data set, made with the writers of the real steps."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from video_prediction_tools.datasets.statistics import Moments, write_statistics
from video_prediction_tools.datasets.tfrecords import Block, block_entries, count_sequences, write_block
from video_prediction_tools.metadata.record import read_record, running

START = 1_551_398_400  # 2019-03-01T00:00Z
HOUR = 3600
SEQUENCE_LENGTH = 4


def make_prepared(
    directory: Path,
    *,
    height: int = 6,
    width: int = 8,
    hours: dict[str, int] | None = None,
    block_frames: int = 15,
    variables: tuple[str, ...] = ("2t",),
    seed: int = 0,
    spoil: Callable[[np.ndarray], None] | None = None,
) -> Path:
    """Write a prepared data set with a diurnal cycle, a wave and noise; return its directory.

    Arguments:
        spoil: changes the training frames [T, H, W, C] after their statistics have been taken.
    """
    hours = hours or {"train": 38, "val": 10, "test": 12}
    generator = np.random.default_rng(seed)
    lat, lon = np.linspace(52, 50, height), np.linspace(-3, 3, width)
    fields, start = {}, START
    for split, count in hours.items():
        times = start + HOUR * np.arange(count, dtype=np.int64)
        phase = 2 * np.pi * ((times[:, None, None] / HOUR + lon / 15) / 24 + np.zeros((height, 1)))
        waves = (
            np.sin(phase)
            + 0.3 * np.cos(phase / 3 + lat[:, None])
            + 0.05 * generator.standard_normal(phase.shape)
        )
        fields[split] = (
            times,
            np.stack([280 + 5 * waves * (index + 1) for index in range(len(variables))], -1).astype(
                np.float32
            ),
        )
        start = int(times[-1]) + HOUR

    train = fields["train"][1]
    with running(directory, kind="dataset", name=directory.name, program="test", arguments={}) as opened:
        statistics = {
            name: Moments.of(train[..., index]).statistics() for index, name in enumerate(variables)
        }
        opened.add_output(write_statistics(directory, statistics, [["2019-03-01T00", "2019-03-02T15"]]))
        opened.record.details.update(
            variables=list(variables),
            units={name: "K" for name in variables},
            step_hours=1,
            synthetic=True,
            lat=lat.tolist(),
            lon=lon.tolist(),
        )
    if spoil:
        spoil(train)
    fingerprint = read_record(directory).fingerprint()
    records = directory / "tfrecords"
    with running(
        records,
        kind="tfrecords",
        name=directory.name,
        program="test",
        arguments={},
        inputs={str(directory): fingerprint},
    ) as opened:
        blocks = {}
        for split, (times, frames) in fields.items():
            blocks[split] = []
            for first in range(0, len(times) - SEQUENCE_LENGTH + 1, block_frames - SEQUENCE_LENGTH + 1):
                part = slice(first, first + block_frames)
                path = records / split / f"{first:04d}.tfrecord"
                write_block(path, frames[part], times[part], fingerprint)
                opened.add_output(path)
                n = count_sequences(len(times[part]), SEQUENCE_LENGTH, 1)
                blocks[split].append(Block(path, int(times[first]), len(times[part]), n))
        opened.record.details.update(
            sequence_length=SEQUENCE_LENGTH,
            window_stride=1,
            step_hours=1,
            variables=list(variables),
            height=height,
            width=width,
            dataset_fingerprint=fingerprint,
            n_sequences={split: sum(one.sequences for one in each) for split, each in blocks.items()},
            blocks={split: block_entries(records, each) for split, each in blocks.items()},
        )
    return directory


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared data set of 6 x 8 points; do not change it."""
    return make_prepared(tmp_path_factory.mktemp("prepared") / "Y2019to2019M03to03-8_6-50.00N03.00W-2t")


@pytest.fixture(name="make_prepared", scope="session")
def _make_prepared() -> Callable[..., Path]:
    """Give tests the function `make_prepared`."""
    return make_prepared
