"""Uncertainty of a score: moving-block bootstrap over init_time (Kuensch 1989, doi:10.1214/aos/1176347265).

Forecasts started an hour apart share most of their weather. Drawing single forecasts would take them for
independent and give intervals that are far too narrow; blocks of consecutive init_times keep their
dependence. One set of draws serves all products, so differences between them are paired.

The blocks are laid on a circle (Politis and Romano 1992): the last init_time is followed by the first.
Otherwise the first and last forecasts would be drawn less often than the others, and with few blocks an
interval may even miss its own value.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

DRAWS_AT_A_TIME = 100  # bounds the memory: the counts of one batch of draws are [100, n]


@dataclass(frozen=True)
class MovingBlocks:
    """The blocks of a bootstrap, stated beside its intervals.

    Arguments:
        n: number of init_times.
        length: init_times in a block. A gap inside a block does no harm: the block then spans more time,
            never less.
        draws: number of resamplings.
        coverage: of the interval, 0.9 for 5 to 95 %.
        seed: of the draws.
    """

    n: int
    length: int
    draws: int = 1000
    coverage: float = 0.9
    seed: int = 42

    def enough(self, n: np.ndarray | int) -> np.ndarray | bool:
        """Say whether `n` init_times are at least two blocks; with fewer, an interval is withheld."""
        return n >= 2 * self.length

    def counts(self) -> Iterator[np.ndarray]:
        """Yield how often each init_time was drawn, `[draws, n]`, in batches of at most `DRAWS_AT_A_TIME`.

        A draw strings together ceil(n / length) blocks, each beginning at any init_time with equal chance,
        and cuts the last one so that n init_times are drawn.
        """
        random = np.random.default_rng(self.seed)
        blocks = math.ceil(self.n / self.length)
        lengths = np.full(blocks, self.length)
        lengths[-1] = self.n - self.length * (blocks - 1)
        done = 0
        while done < self.draws:
            batch = min(DRAWS_AT_A_TIME, self.draws - done)
            first = random.integers(0, self.n, size=(batch, blocks))
            yield _coverage(first, first + lengths, self.n)
            done += batch

    def means(self, values: Mapping[object, np.ndarray]) -> dict[object, np.ndarray]:
        """Return the mean over init_time of each draw, leaving out NaN.

        Arguments:
            values: arrays `[n, ..]`, NaN where not defined.

        Returns:
            arrays `[draws, ..]` under the same keys, NaN where a draw has no defined value.
        """
        flat = {key: value.reshape(self.n, -1) for key, value in values.items()}
        present = {key: np.isfinite(value) for key, value in flat.items()}
        filled = {key: np.where(present[key], value, 0.0) for key, value in flat.items()}
        parts: dict[object, list[np.ndarray]] = {key: [] for key in flat}
        for counts in self.counts():
            for key in flat:
                total = counts @ present[key].astype(np.float64)
                parts[key].append((counts @ filled[key]) / np.where(total > 0, total, np.nan))
        return {key: np.concatenate(parts[key]).reshape(self.draws, *values[key].shape[1:]) for key in values}

    def interval(self, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return both ends of the percentile interval of `[draws, ..]`, NaN where a draw is not defined."""
        tail = (1.0 - self.coverage) / 2.0
        low, high = np.quantile(draws, [tail, 1.0 - tail], axis=0)
        return low, high


def _coverage(first: np.ndarray, end: np.ndarray, n: int) -> np.ndarray:
    """Count the ranges ``first..end-1`` `[batch, blocks]` over each of n places of a circle: `[batch, n]`."""
    row = np.arange(first.shape[0])[:, np.newaxis]
    change = np.zeros((first.shape[0], 2 * n + 1))
    np.add.at(change, (row, first), 1.0)
    np.add.at(change, (row, end), -1.0)
    twice_around = np.cumsum(change, axis=1)
    return twice_around[:, :n] + twice_around[:, n : 2 * n]


@dataclass(frozen=True)
class Difference:
    """Score of one product minus that of another, on the init_times that both have; all arrays `[..]`.

    Arguments:
        value: the difference.
        low, high: its interval, NaN with fewer than two blocks.
        p_value: how likely a difference at least as large is if there is none (two-sided), NaN likewise: the share of
            draws that lie as far from the difference as it lies from zero, (1 + number) / (1 + draws). Source: Davison
            & Hinkley (1997), Bootstrap Methods and their Application, sections 4.2 and 4.4.
        number: of init_times.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p_value: np.ndarray
    number: np.ndarray


def paired_difference(
    blocks: MovingBlocks,
    one: Mapping[object, np.ndarray],
    other: Mapping[object, np.ndarray],
    value: Callable[[Mapping], np.ndarray],
) -> Difference:
    """Return score of `one` minus score of `other`, both from the same draws.

    Arguments:
        one, other: statistics `[n, ..]` under equal keys, NaN where not defined.
        value: from mean statistics `[..]` to the score.
    """
    common = {key: np.isfinite(one[key]) & np.isfinite(other[key]) for key in one}
    one = {key: np.where(common[key], one[key], np.nan) for key in one}
    other = {key: np.where(common[key], other[key], np.nan) for key in other}
    number = np.min([mask.sum(axis=0) for mask in common.values()], axis=0)
    difference = value(defined_means(one)) - value(defined_means(other))
    drawn = value(blocks.means(one)) - value(blocks.means(other))
    low, high = blocks.interval(drawn)
    as_far = (np.abs(drawn - difference) >= np.abs(difference)).sum(axis=0)
    p_value = (1 + as_far) / (1 + blocks.draws)
    known = blocks.enough(number) & np.isfinite(low) & np.isfinite(difference)
    return Difference(difference, *(np.where(known, each, np.nan) for each in (low, high, p_value)), number)


def automatic_block_length(series: np.ndarray) -> float:
    """Return the length of block with the least mean squared error of the variance of a mean, for blocks on a circle.

    ( 2 G^2 / D )^(1/3) n^(1/3), with G = sum_k lambda(k/M) |k| R(k), D = 4/3 ( sum_k lambda(k/M) R(k) )^2, R the
    autocovariance, lambda a flat-topped window, and M twice the first lag of five or more that are not significant.
    At most min(3 sqrt(n), n / 3), at least 1; 1 for a constant series.

    Arguments:
        series: [n], equally spaced; NaN are taken for the mean.

    Source: Politis & White (2004), doi:10.1081/ETC-120028836, with the correction of Patton, Politis & White (2009),
        doi:10.1080/07474930802459016.
    """
    deviation = np.asarray(series, np.float64) - np.nanmean(series)
    deviation = np.where(np.isfinite(deviation), deviation, 0.0)
    n = len(deviation)
    if n < 4 or not deviation.any():
        return 1.0
    run = max(5, int(np.log10(n)))  # so many small autocorrelations one after another are needed
    farthest = min(math.ceil(math.sqrt(n)) + run, n - 2)
    products = np.array([deviation[lag:] @ deviation[: n - lag] for lag in range(farthest + 1)])
    norms = [
        math.sqrt((deviation[lag:] @ deviation[lag:]) * (deviation[: n - lag] @ deviation[: n - lag]))
        for lag in range(farthest + 1)
    ]
    correlation = np.abs(products) / np.maximum(norms, np.finfo(float).tiny)
    small = correlation[1:] < 2.0 * math.sqrt(math.log10(n) / n)
    first = next(
        (lag for lag in range(1, len(small) - run + 2) if small[lag - 1 : lag - 1 + run].all()), None
    )
    window = min(2 * first, farthest) if first is not None else farthest
    lags = np.arange(1, window + 1)
    flat_top = np.minimum(1.0, 2.0 * (1.0 - lags / window))
    covariance = products / n
    g = 2.0 * (flat_top * lags * covariance[1 : window + 1]).sum()
    d = 4.0 / 3.0 * (covariance[0] + 2.0 * (flat_top * covariance[1 : window + 1]).sum()) ** 2
    length = (2.0 * g**2 / d) ** (1 / 3) * n ** (1 / 3) if d > 0.0 else math.inf
    return float(np.clip(length, 1.0, math.ceil(min(3.0 * math.sqrt(n), n / 3.0))))


def defined_means(values: Mapping[object, np.ndarray]) -> dict[object, np.ndarray]:
    """Return the mean over init_time (the first axis) of each array, without NaN (NaN where none is left)."""
    means = {}
    for key, value in values.items():
        present = np.isfinite(value)
        number = present.sum(axis=0)
        means[key] = np.where(present, value, 0.0).sum(axis=0) / np.where(number > 0, number, np.nan)
    return means
