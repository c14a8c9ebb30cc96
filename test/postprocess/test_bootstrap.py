"""The vectorised bootstrap against a plain loop, its pairing, few and absent forecasts."""

import math

import numpy as np
import pytest
from arch.bootstrap import optimal_block_length
from scipy import stats

from video_prediction_tools.postprocess.bootstrap import (
    MovingBlocks,
    automatic_block_length,
    defined_means,
    paired_difference,
)


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
    found = paired_difference(blocks, {"s": values + 2.5}, {"s": values}, lambda m: m["s"])
    np.testing.assert_allclose([found.value, found.low, found.high], 2.5)
    assert (found.number == 72).all()
    np.testing.assert_allclose(found.p_value, 1 / 1001)  # no draw says anything else


def test_difference_on_common_init_times():
    """Where one product is absent, the other is not counted either."""
    one = np.arange(10.0).reshape(10, 1)
    other = one.copy()
    other[:5] = np.nan
    found = paired_difference(MovingBlocks(10, 1), {"s": one}, {"s": other}, lambda m: m["s"])
    assert found.value == 0.0 and found.number == 5


def test_withheld_below_two_blocks():
    values = np.random.default_rng(0).normal(size=(47, 1))
    blocks = MovingBlocks(47, 24)
    assert not blocks.enough(47) and blocks.enough(48)
    found = paired_difference(blocks, {"s": values}, {"s": values}, lambda m: m["s"])
    assert np.isnan(found.low) and np.isnan(found.high) and np.isnan(found.p_value)


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


def autoregressive(n: int, factor: float, seed: int) -> np.ndarray:
    """x_t = factor x_{t-1} + noise, stationary, mean 0."""
    noise = np.random.default_rng(seed).normal(size=n)
    series = np.empty(n)
    series[0] = noise[0] / math.sqrt(1 - factor**2)
    for t in range(1, n):
        series[t] = factor * series[t - 1] + noise[t]
    return series


@pytest.mark.parametrize("factor", [-0.5, 0.0, 0.3, 0.7, 0.95])
@pytest.mark.parametrize("n", [60, 149, 720, 8760])
def test_automatic_block_length_agrees_with_arch(n, factor):
    series = autoregressive(n, factor, seed=n)
    expected = max(1.0, optimal_block_length(series)["circular"].item())
    assert automatic_block_length(series) == pytest.approx(expected, rel=1e-6)


def test_automatic_block_length_of_the_unusual():
    assert automatic_block_length(np.ones(50)) == automatic_block_length(np.array([1.0, 2.0])) == 1.0
    series = autoregressive(500, 0.7, seed=1)
    holes = series.copy()
    holes[100:110] = np.nan
    assert automatic_block_length(holes) == pytest.approx(automatic_block_length(series), rel=0.3)


def test_coverage_of_dependent_values():
    """Of 300 series with a memory of some steps, the 90 % interval of the mean holds the true mean in about 90 %."""
    held = 0
    for seed in range(300):
        series = autoregressive(600, 0.7, seed)
        blocks = MovingBlocks(600, math.ceil(automatic_block_length(series)), draws=300, seed=seed)
        low, high = blocks.interval(blocks.means({"x": series[:, np.newaxis]})["x"])
        held += bool(low[0] <= 0.0 <= high[0])
    # theory for a right interval: 270 +- 5; block bootstraps of so few values are known to be a little narrow
    assert 250 <= held <= 285


def test_p_values_where_there_is_no_difference():
    """Below any level as often as it says, as p-values are; those of a true difference are small."""
    random = np.random.default_rng(0)
    blocks = MovingBlocks(120, 1, draws=400)
    both = random.normal(size=(120, 400, 1)) + random.normal(size=(120, 400, 2))
    equal = paired_difference(blocks, {"s": both[..., 0]}, {"s": both[..., 1]}, lambda m: m["s"])
    assert stats.kstest(equal.p_value, "uniform").statistic < 0.08
    t_test = stats.ttest_rel(both[..., 0], both[..., 1])
    np.testing.assert_allclose(equal.p_value, t_test.pvalue, atol=0.1)
    other = paired_difference(blocks, {"s": both[..., 0] + 1.0}, {"s": both[..., 1]}, lambda m: m["s"])
    assert (other.p_value < 0.01).all()


def test_defined_means():
    means = defined_means({"x": np.array([[1.0, np.nan], [3.0, np.nan]])})["x"]
    assert means[0] == 2.0 and np.isnan(means[1])
