"""The vectorised bootstrap against a plain loop, its pairing, few and absent forecasts."""

import math

import numpy as np
import pytest

from video_prediction_tools.postprocess.bootstrap import MovingBlocks, defined_means, paired_difference


def naive_means(values: np.ndarray, blocks: MovingBlocks) -> np.ndarray:
    """Draw by draw, block by block, by indexing: the definition."""
    random = np.random.default_rng(blocks.seed)
    number = math.ceil(blocks.n / blocks.length)
    means, done = [], 0
    while done < blocks.draws:
        batch = min(100, blocks.draws - done)
        for starts in random.integers(0, blocks.n, size=(batch, number)):
            index = (
                np.concatenate([np.arange(start, start + blocks.length) for start in starts])[: blocks.n]
                % blocks.n
            )
            means.append(np.nanmean(values[index], axis=0))
        done += batch
    return np.array(means)


@pytest.mark.parametrize(("n", "length"), [(60, 24), (48, 24), (149, 24), (30, 1), (7, 7), (5, 9)])
def test_same_as_a_plain_loop(n, length):
    values = np.random.default_rng(0).normal(size=(n, 3, 2))
    values[2, 1, 0] = np.nan
    blocks = MovingBlocks(n, length, draws=230)
    np.testing.assert_allclose(blocks.means({"x": values})["x"], naive_means(values, blocks), rtol=1e-12)


def test_every_draw_has_n_members_and_whole_blocks():
    blocks = MovingBlocks(50, 12, draws=120)
    counts = np.concatenate(list(blocks.counts()))
    assert counts.shape == (120, 50)
    assert (counts.sum(axis=1) == 50).all()
    assert [batch.shape[0] for batch in blocks.counts()] == [100, 20]


def test_all_init_times_are_drawn_equally_often():
    """Those at the ends as well, so an interval lies about its value."""
    counts = np.concatenate(list(MovingBlocks(50, 20, draws=4000).counts()))
    np.testing.assert_allclose(counts.mean(axis=0), 1.0, atol=0.06)


def test_same_draws_for_all():
    """A product that is another plus a constant differs from it by that constant in every draw."""
    values = np.random.default_rng(0).normal(size=(72, 4))
    blocks = MovingBlocks(72, 24)
    draws = blocks.means({"one": values, "other": values + 2.5})
    np.testing.assert_allclose(draws["other"] - draws["one"], 2.5)
    assert (blocks.means({"one": values})["one"] == draws["one"]).all()  # and the same again
    difference, low, high, number = paired_difference(
        blocks, {"s": values + 2.5}, {"s": values}, lambda m: m["s"]
    )
    np.testing.assert_allclose([difference, low, high], 2.5)
    assert (number == 72).all()


def test_difference_on_common_init_times():
    """Where one product is absent, the other is not counted either."""
    one = np.arange(10.0).reshape(10, 1)
    other = one.copy()
    other[:5] = np.nan
    difference, _, _, number = paired_difference(
        MovingBlocks(10, 1), {"s": one}, {"s": other}, lambda m: m["s"]
    )
    assert difference == 0.0 and number == 5


def test_withheld_below_two_blocks():
    values = np.random.default_rng(0).normal(size=(47, 1))
    blocks = MovingBlocks(47, 24)
    assert not blocks.enough(47) and blocks.enough(48)
    _, low, high, _ = paired_difference(blocks, {"s": values}, {"s": values}, lambda m: m["s"])
    assert np.isnan(low) and np.isnan(high)


def test_interval_of_independent_values():
    """With blocks of one, the interval of a mean is that of the textbook: mean +- 1.645 s / sqrt(n)."""
    values = np.random.default_rng(3).normal(10.0, 2.0, size=(400, 1))
    blocks = MovingBlocks(400, 1, draws=4000)
    low, high = blocks.interval(blocks.means({"x": values})["x"])
    half = 1.645 * values.std(ddof=1) / math.sqrt(400)
    assert low[0] == pytest.approx(values.mean() - half, abs=0.02)
    assert high[0] == pytest.approx(values.mean() + half, abs=0.02)


def test_blocks_widen_the_interval_of_dependent_values():
    random = np.random.default_rng(5)
    noise = random.normal(size=600)
    series = np.empty(600)
    series[0] = noise[0]
    for t in range(1, 600):
        series[t] = 0.9 * series[t - 1] + noise[t]
    series = series[:, np.newaxis]
    widths = []
    for length in (1, 24):
        blocks = MovingBlocks(600, length)
        low, high = blocks.interval(blocks.means({"x": series})["x"])
        widths.append(float(high[0] - low[0]))
    assert widths[1] > 2.5 * widths[0]  # theory: sqrt((1 + 0.9) / (1 - 0.9)) = 4.4 for long blocks


def test_defined_means():
    means = defined_means({"x": np.array([[1.0, np.nan], [3.0, np.nan]])})["x"]
    assert means[0] == 2.0 and np.isnan(means[1])
