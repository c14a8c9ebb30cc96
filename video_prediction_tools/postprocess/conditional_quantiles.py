"""Joint histogram of forecast and truth, and from it the quantiles of one given the other.

Both factorisations of Murphy, Brown & Chen (1989), Weather and Forecasting 4, 485-501: of the truth given
the forecast (calibration-refinement), and of the forecast given the truth (likelihood-base rate). The histogram is
streamed from forecasts.nc; memory does not grow with the number of forecasts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from video_prediction_tools.postprocess.forecasts import ForecastFile

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
FINE = 10  # bins of the quantiles for each bin of the condition
FEWEST = 50  # cases in a bin, below which it has no quantiles
_BINS = 40  # about so many for the whole range
_AT_A_TIME = 64


@dataclass(frozen=True)
class JointHistogram:
    """Numbers of cases by forecast and truth.

    Arguments:
        edges: of the bins of both, in the unit of the variable; FINE times as fine as those of a condition.
        counts: [lead, bin of the forecast, bin of the truth].
    """

    edges: np.ndarray
    counts: np.ndarray


def joint_histogram(
    forecasts: ForecastFile, variable: str, leads: Sequence[int], low: float, high: float
) -> JointHistogram:
    """Count all grid points and forecasts, members one by one; what is outside of the range goes into its end bins.

    Arguments:
        forecasts: the file.
        variable: short name.
        leads: numbers of the lead times.
        low, high: the range that the bins have to hold.
    """
    width = nice_width((high - low) / _BINS)
    first, last = np.floor(low / width), np.ceil(high / width)
    edges = width / FINE * np.arange(first * FINE, last * FINE + 1)
    number = len(edges) - 1
    counts = np.zeros((len(leads), number, number), np.int64)
    channel, members = forecasts.grid.variables.index(variable), forecasts.members
    for _, forecast, truth, _ in forecasts.chunks(max(1, _AT_A_TIME // (members or 1))):
        for place, lead in enumerate(leads):
            of_truth = truth[:, lead, ..., channel]
            of_forecast = forecast[:, lead, ..., channel]  # [B, (M,) H, W]
            if members is not None:
                of_truth = np.broadcast_to(of_truth[:, np.newaxis], of_forecast.shape)
            present = np.isfinite(of_truth)
            bins = [
                np.clip(np.searchsorted(edges, one[present], side="right") - 1, 0, number - 1)
                for one in (of_forecast, of_truth)
            ]
            counts[place] += np.bincount(bins[0] * number + bins[1], minlength=number**2).reshape(
                number, number
            )
    return JointHistogram(edges, counts)


def nice_width(width: float) -> float:
    """Return the next larger of 1, 2 and 5 times a power of ten."""
    power = 10.0 ** np.floor(np.log10(width)) if width > 0.0 else 1.0
    return next(power * step for step in (1.0, 2.0, 5.0, 10.0) if power * step >= width * (1.0 - 1e-9))


def conditional_quantiles(counts: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the quantiles of the second variable in bins of the first.

    Arguments:
        counts: [fine bin of the condition, fine bin of the target].
        edges: of the fine bins.

    Returns:
        middles of the bins of the condition [n], `QUANTILES` of the target in each [n, 5] (NaN for fewer than `FEWEST`
        cases; interpolated within a fine bin), and the number of cases in each [n].
    """
    condition = counts.reshape(-1, FINE, counts.shape[1]).sum(axis=1)
    number = condition.sum(axis=1)
    quantiles = np.full((len(condition), len(QUANTILES)), np.nan)
    for row, of_bin in enumerate(condition):
        if number[row] >= FEWEST:
            share = np.concatenate([[0.0], np.cumsum(of_bin) / number[row]])
            # where no case lies the share does not rise; the quantile is taken where it does
            rises = np.concatenate([[True], np.diff(share) > 0.0])
            lower = np.maximum(np.searchsorted(share[rises], QUANTILES) - 1, 0)
            at, start = np.flatnonzero(rises)[1:], share[rises]
            inside = (np.asarray(QUANTILES) - start[lower]) / (start[lower + 1] - start[lower])
            left = edges[at[lower] - 1]
            quantiles[row] = left + inside * (edges[at[lower]] - left)
    return (edges[:-1:FINE] + edges[FINE::FINE]) / 2.0, quantiles, number
