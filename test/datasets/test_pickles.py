"""Monthly pickles: they come back as they were, and nothing else is let in."""

import hashlib
import io
import os
import pickle
import warnings

import numpy as np
import pytest

from video_prediction_tools.datasets import pickles
from video_prediction_tools.datasets.pickles import read_month, write_month
from video_prediction_tools.errors import InputError


@pytest.fixture
def month(tmp_path):
    """A written month: its path and content."""
    rng = np.random.default_rng(0)
    content = {
        "times": 1551398400 + 3600 * np.arange(48, dtype=np.int64),
        "data": rng.normal(280, 5, (48, 5, 6, 2)).astype(np.float32),
        "variables": ["2t", "msl"],
        "lat": np.linspace(58, 50, 5),
        "lon": np.linspace(-10, 2, 6),
    }
    path = tmp_path / "2019-03.pkl"
    noted = write_month(path, **content)
    return path, content, noted


def test_a_month_comes_back_as_it_was_written(month):
    path, content, (size, digest) = month
    found = read_month(path, digest)
    assert list(found) == ["times", "data", "variables", "lat", "lon"]
    assert found["variables"] == content["variables"]
    for name in ("times", "data", "lat", "lon"):
        assert found[name].dtype == content[name].dtype
        np.testing.assert_array_equal(found[name], content[name])
    assert size == path.stat().st_size
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("core", ["core", "_core"])
def test_files_of_numpy_1_and_2_are_read_with_either(core):
    reader = pickles._ArraysOnly(io.BytesIO())
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # numpy 2 warns when it is asked for what numpy 1 has
        found = reader.find_class(f"numpy.{core}.numeric", "_frombuffer")
    assert found.__name__ == "_frombuffer"


def test_any_pickle_reader_sees_plain_arrays(month):
    path, content, _ = month
    with open(path, "rb") as handle:
        found = pickle.load(handle)
    assert {type(value) for value in found.values()} == {np.ndarray, list}
    np.testing.assert_array_equal(found["data"], content["data"])


def test_equal_months_give_equal_bytes(month, tmp_path):
    path, content, noted = month
    # a view with other strides and freshly made strings: what decides is the content, not how it lies in
    # memory
    scattered = np.repeat(content["data"], 2, axis=1)[:, ::2]
    again = {**content, "data": scattered, "variables": ["".join(["2", "t"]), "".join(["ms", "l"])]}
    assert write_month(tmp_path / "again.pkl", **again) == noted
    assert (tmp_path / "again.pkl").read_bytes() == path.read_bytes()


class _Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/ambs_test_pickle_was_run",)


@pytest.mark.parametrize(
    "content",
    [
        _Evil(),
        {"times": _Evil()},
        np.array([os.getcwd], dtype=object),
        np.random.default_rng,
        pickle.Unpickler,
    ],
)
def test_a_pickle_that_wants_to_import_something_is_refused(tmp_path, content):
    path = tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(InputError, match="wants to import .*do not trust this file"):
        read_month(path)
    assert not os.path.exists("/tmp/ambs_test_pickle_was_run")


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw[:200],
        lambda raw: raw[: len(raw) // 2],
        lambda raw: b"",
        lambda raw: b"no pickle at all",
        lambda raw: raw[:50] + b"\xff" * 20 + raw[70:],
    ],
)
def test_a_damaged_pickle_is_refused(month, damage):
    path = month[0]
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match="damaged|not a month"):
        read_month(path)


def test_a_changed_value_is_noticed_by_the_check_sum(month):
    path, _, (_, digest) = month
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    read_month(path)  # it is a valid pickle
    with pytest.raises(InputError, match="is not the file that preprocess 1 wrote"):
        read_month(path, digest)


def test_other_content_is_refused(tmp_path, month):
    _, content, _ = month
    wrong = [
        {"times": content["times"]},
        [1, 2],
        {**content, "data": content["data"].astype(np.float64)},
        {**content, "data": content["data"][:-1]},
        {**content, "variables": ["2t"]},
    ]
    for number, one in enumerate(wrong):
        path = tmp_path / f"{number}.pkl"
        path.write_bytes(pickle.dumps(one, protocol=5))
        with pytest.raises(InputError, match="is not a month of AMBS data|is damaged: data of shape"):
            read_month(path)


def test_a_missing_file_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_month(tmp_path / "none.pkl")
