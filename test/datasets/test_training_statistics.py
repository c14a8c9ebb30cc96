"""Statistics: right to the last digits that matter, however the data are cut into parts."""

import numpy as np
import pytest

from video_prediction_tools.datasets.statistics import Moments, join, read_statistics, write_statistics
from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.record import read_record, running


@pytest.fixture
def pressure() -> np.ndarray:
    """Something like msl: a large mean and small deviations, in single precision."""
    return np.random.default_rng(0).normal(101325, 50, (300, 20, 30)).astype(np.float32)


def test_statistics_are_those_of_numpy_in_double_precision(pressure):
    found, exact = Moments.of(pressure).statistics(), pressure.astype(np.float64)
    assert (found.min, found.max, found.n) == (exact.min(), exact.max(), exact.size)
    assert found.mean == pytest.approx(exact.mean(), rel=1e-14)
    assert found.std == pytest.approx(exact.std(), rel=1e-10)
    # what naive sums of squares in single precision make of it: the reason for the way chosen
    naive = np.sqrt(abs(np.mean(pressure**2, dtype=np.float32) - np.mean(pressure, dtype=np.float32) ** 2))
    assert abs(naive / exact.std() - 1) > 0.01


@pytest.mark.parametrize("cuts", [[100, 200], [1, 2, 299], [150]])
def test_parts_add_up(pressure, cuts):
    whole, parts = Moments.of(pressure), [Moments.of(part) for part in np.split(pressure, cuts)]
    joined = join([Moments(), *parts, Moments()])
    assert (joined.n, joined.min, joined.max) == (whole.n, whole.min, whole.max)
    assert joined.mean == pytest.approx(whole.mean, rel=1e-14)
    assert joined.squares == pytest.approx(whole.squares, rel=1e-10)
    assert join(parts) == join(parts)


def test_by_hand():
    found = Moments.of(np.array([[1.0], [2.0], [3.0], [6.0]], np.float32)).statistics()
    assert (found.min, found.max, found.mean, found.n) == (1, 6, 3, 4)
    assert found.std == pytest.approx(np.sqrt((4 + 1 + 0 + 9) / 4))


def test_statistics_of_another_data_set_are_refused(tmp_path):
    for name, mean in (("a", 280.0), ("b", 270.0)):
        with running(tmp_path / name, kind="dataset", name=name, program="test", arguments={}) as opened:
            path = write_statistics(
                tmp_path / name, {"2t": Moments.of(np.full((2, 2), mean)).statistics()}, []
            )
            opened.add_output(path)
    record = read_record(tmp_path / "a")
    assert read_statistics(tmp_path / "a", record)["2t"].mean == 280.0
    (tmp_path / "a" / "statistics.json").write_bytes((tmp_path / "b" / "statistics.json").read_bytes())
    with pytest.raises(
        InputError, match="statistics.json: is not the file that was written here .*another data set"
    ):
        read_statistics(tmp_path / "a", record)
    (tmp_path / "a" / "statistics.json").unlink()
    with pytest.raises(InputError, match="does not exist"):
        read_statistics(tmp_path / "a", record)
