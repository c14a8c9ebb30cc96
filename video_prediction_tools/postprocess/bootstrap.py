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


def paired_difference(
    blocks: MovingBlocks,
    one: Mapping[object, np.ndarray],
    other: Mapping[object, np.ndarray],
    value: Callable[[Mapping], np.ndarray],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return score of `one` minus score of `other` on the init_times that both have, with its interval.

    Arguments:
        one, other: statistics `[n, ..]` under equal keys, NaN where not defined.
        value: from mean statistics `[..]` to the score.

    Returns:
        difference, low and high end of its interval (NaN with fewer than two blocks), number of init_times;
        all `[..]`.
    """
    common = {key: np.isfinite(one[key]) & np.isfinite(other[key]) for key in one}
    one = {key: np.where(common[key], one[key], np.nan) for key in one}
    other = {key: np.where(common[key], other[key], np.nan) for key in other}
    number = np.min([mask.sum(axis=0) for mask in common.values()], axis=0)
    difference = value(defined_means(one)) - value(defined_means(other))
    low, high = blocks.interval(value(blocks.means(one)) - value(blocks.means(other)))
    enough = blocks.enough(number)
    return difference, np.where(enough, low, np.nan), np.where(enough, high, np.nan), number


def defined_means(values: Mapping[object, np.ndarray]) -> dict[object, np.ndarray]:
    """Return the mean over init_time (the first axis) of each array, without NaN (NaN where none is left)."""
    means = {}
    for key, value in values.items():
        present = np.isfinite(value)
        number = present.sum(axis=0)
        means[key] = np.where(present, value, 0.0).sum(axis=0) / np.where(number > 0, number, np.nan)
    return means
