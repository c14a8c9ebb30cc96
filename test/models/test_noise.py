"""Random numbers by seed, stream and place: their distribution, and what they depend on."""

import numpy as np
import pytest
from keras import ops
from scipy import stats

from video_prediction_tools.models.layers import noise
from video_prediction_tools.models.layers.noise import mix, normal, uniform

SEEDS = np.arange(64, dtype=np.int32)


def test_hash_by_hand():
    """PCG in numpy, of one part."""

    def pcg(x):
        state = (x * 747796405 + 2891336453) % 2**32
        word = ((state >> ((state >> 28) + 4)) ^ state) * 277803737 % 2**32
        return (word >> 22) ^ word

    for number in (0, 1, 7, 2**31 - 1, 2**32 - 1):
        assert int(mix(number)) == pcg(pcg(number))
    assert int(mix(3, 5)) == pcg(pcg(pcg(3)) ^ pcg(5))


def test_uniform_and_normal_are_what_they_say():
    numbers = np.asarray(uniform(SEEDS, "x", 64, (1000,)))
    assert numbers.shape == (64, 1000) and numbers.dtype == np.float32
    assert 0 < numbers.min() and numbers.max() < 1
    assert stats.kstest(numbers.ravel(), "uniform").pvalue > 0.01
    numbers = np.asarray(normal(SEEDS, "y", 64, (10, 100)))
    assert numbers.shape == (64, 10, 100)
    assert stats.kstest(numbers.ravel(), "norm").pvalue > 0.01


def test_neighbours_are_independent():
    """Along the places, from seed to seed, from stream to stream, and in each bit."""
    numbers = np.asarray(uniform(SEEDS, "x", 64, (4096,)), float)
    limit = 4 / np.sqrt(numbers.size)
    other = np.asarray(uniform(SEEDS, "y", 64, (4096,)), float)
    for one, two in [(numbers[:, :-1], numbers[:, 1:]), (numbers[:-1], numbers[1:]), (numbers, other)]:
        assert abs(np.corrcoef(one.ravel(), two.ravel())[0, 1]) < limit
    bits = (np.asarray(mix(SEEDS[:, None], np.arange(4096)[None]))[..., None] >> np.arange(32)) & 1
    assert np.abs(bits.mean(axis=(0, 1)) - 0.5).max() < limit


def test_each_sequence_by_its_own_seed():
    whole = np.asarray(normal(SEEDS, "x", 64, (5,)))
    part = np.asarray(normal(SEEDS[7:9], "x", 2, (5,)))
    np.testing.assert_allclose(part, whole[7:9], atol=1e-6)  # erfinv rounds by the place in a vector
    assert len(np.unique(whole)) == whole.size


def test_one_seed_for_a_batch():
    one, same, other = (np.asarray(normal(seed, "x", 3, (5,))) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert len(np.unique(np.stack([one, other]))) == 30


@pytest.mark.parametrize("seed", [-1, 2**31 - 1])
def test_any_integer_is_a_seed(seed):
    assert np.isfinite(np.asarray(normal(np.array([seed]), "x", 1, (3,)))).all()


@pytest.mark.parametrize(("bits", "expected"), [(0, -5.2947), (2**32 - 1, 5.2947)])
def test_the_ends_of_the_distribution(bits, expected, monkeypatch):
    """No hash gives 0 or 1, whose normal number is infinite (one in 16 million was: a training ended by it)."""
    monkeypatch.setattr(noise, "mix", lambda *parts: ops.convert_to_tensor(np.full((1, 3), bits, np.uint32)))
    drawn = np.asarray(uniform([1], "x", 1, (3,)))
    assert (drawn > 0).all() and (drawn < 1).all()
    assert np.asarray(normal([1], "x", 1, (3,))) == pytest.approx(expected, abs=2e-3)
