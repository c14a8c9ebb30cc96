"""Statistics: one number for each forecast, variable and lead hour, from which the metrics are made.

A metric is split in two (as in WeatherBench-X): its statistics are means over the grid that may then be
averaged over init_times in any order and in any chunks; its last step turns mean statistics into the value.
Statistics that several metrics share are computed once.

To add one, write a subclass of `Statistic`; metrics name it, nothing else has to know.
"""

from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np
import xarray as xr
from scipy.ndimage import uniform_filter

DIMS = ("init_time", "lead_time", "lat", "lon", "variable")
WINDOW = 7  # pixels, side of the windows of the structural similarity


class Windows(NamedTuple):
    """Moments of forecast f and truth o in every window of `WINDOW` x `WINDOW` pixels that fits into the frame.

    All are [B, Tl, H - 6, W - 6, C]; variances and covariance are those of a sample (divided by 48, not 49).
    """

    mean_f: np.ndarray
    mean_o: np.ndarray
    variance_f: np.ndarray
    variance_o: np.ndarray
    covariance: np.ndarray


class Fields:
    """Forecasts of some init_times with what they are compared to; dimensions `DIMS`, `[B, Tl, H, W, C]`.

    Arguments:
        forecast, truth: physical units; a forecast that is absent is NaN everywhere.
        climatology: mean of the month and hour of the *valid* time (init_time + lead time), or None.
    """

    def __init__(self, forecast: np.ndarray, truth: np.ndarray, climatology: np.ndarray | None = None):
        self.forecast, self.truth = _labelled(forecast), _labelled(truth)
        self.climatology = None if climatology is None else _labelled(climatology)

    @cached_property
    def error(self) -> xr.DataArray:
        """Forecast minus truth."""
        return self.forecast - self.truth

    @cached_property
    def forecast_anomaly(self) -> xr.DataArray:
        """Forecast minus climatology."""
        return self.forecast - self.climatology

    @cached_property
    def truth_anomaly(self) -> xr.DataArray:
        """Truth minus climatology."""
        return self.truth - self.climatology

    @cached_property
    def clipped(self) -> tuple[np.ndarray, np.ndarray]:
        """Forecast and truth with all values below 0 set to 0 and all above 1 to 1."""
        return np.clip(self.forecast.values, 0.0, 1.0), np.clip(self.truth.values, 0.0, 1.0)

    @cached_property
    def windows(self) -> Windows:
        """Moments of the clipped fields in windows."""
        f, o = self.clipped
        mean_f, mean_o = _in_windows(f), _in_windows(o)
        sample = WINDOW**2 / (WINDOW**2 - 1)
        return Windows(
            mean_f,
            mean_o,
            sample * (_in_windows(f * f) - mean_f**2),
            sample * (_in_windows(o * o) - mean_o**2),
            sample * (_in_windows(f * o) - mean_f * mean_o),
        )


def _in_windows(values: np.ndarray) -> np.ndarray:
    """Mean over each window, [B, Tl, H - 6, W - 6, C]."""
    inside = slice(WINDOW // 2, -(WINDOW // 2))
    return uniform_filter(values, size=(1, 1, WINDOW, WINDOW, 1))[:, :, inside, inside]


def _labelled(values: np.ndarray) -> xr.DataArray:
    # double precision: sums of squares over a large grid lose digits in single precision
    return xr.DataArray(np.asarray(values, dtype=np.float64), dims=DIMS)


class Statistic:
    """A mean (or, with weights of 1, a sum) over the grid of some function of forecast and truth."""

    needs_climatology = False

    def __call__(self, fields: Fields, weights: xr.DataArray) -> xr.DataArray:
        """Return the statistic of each forecast.

        Arguments:
            fields: forecasts and truth.
            weights: [lat, lon] (or with further dimensions, such as a region), summing to 1 over lat and lon;
                all of them 1 for sums over a frame.

        Returns:
            [init_time, lead_time, variable, ..], NaN where it is not defined.
        """
        raise NotImplementedError


class Error(Statistic):
    """sum_yx w (f - o) [unit of the variable]."""

    def __call__(self, fields, weights):
        """Return it, [init_time, lead_time, variable, ..]."""
        return _mean(fields.error, weights)


class AbsoluteError(Statistic):
    """sum_yx w |f - o| [unit of the variable]."""

    def __call__(self, fields, weights):
        """Return it, [init_time, lead_time, variable, ..]."""
        return _mean(abs(fields.error), weights)


class SquaredError(Statistic):
    """sum_yx w (f - o)^2 [unit of the variable, squared]."""

    def __call__(self, fields, weights):
        """Return it, [init_time, lead_time, variable, ..]."""
        return _mean(fields.error**2, weights)


class AnomalyCorrelation(Statistic):
    """Uncentred correlation of forecast and observed anomalies over the grid [1].

    sum_yx w f' o' / sqrt( sum_yx w f'^2  sum_yx w o'^2 ),   f' = f - c, o' = o - c, c climatology at the
    valid time. Not defined (NaN) where either anomaly is zero everywhere, as for the climatology itself or a
    constant field that equals it.
    """

    needs_climatology = True

    def __call__(self, fields, weights):
        """Return it, [init_time, lead_time, variable, ..]."""
        covariance = _mean(fields.forecast_anomaly * fields.truth_anomaly, weights)
        square = _mean(fields.forecast_anomaly**2, weights) * _mean(fields.truth_anomaly**2, weights)
        return covariance / np.sqrt(square.where(square > 0.0))


class Similarity(Statistic):
    """Structural similarity of the clipped fields: mean over all windows of a frame [1].

    s = (2 m_f m_o + c1) (2 s_fo + c2) / ((m_f^2 + m_o^2 + c1) (s_f^2 + s_o^2 + c2)), with means m, sample
    variances s^2 and covariance s_fo in the window, c1 = (0.01 R)^2, c2 = (0.03 R)^2 and R the data range.
    The weights are not used: every window counts the same.

    Source: Wang et al. (2004), doi:10.1109/TIP.2003.819861, with the flat window of 7 x 7 pixels that
        scikit-image takes (`structural_similarity`) where nothing else is asked for.
    """

    data_range: ClassVar[float] = 1.0

    def __call__(self, fields, weights):
        """Return it, [init_time, lead_time, variable]."""
        f, o, var_f, var_o, covariance = fields.windows
        c1, c2 = (0.01 * self.data_range) ** 2, (0.03 * self.data_range) ** 2
        each = (2 * f * o + c1) * (2 * covariance + c2) / ((f**2 + o**2 + c1) * (var_f + var_o + c2))
        return xr.DataArray(each.mean(axis=(2, 3)), dims=("init_time", "lead_time", "variable"))


class SimilarityRange2(Similarity):
    """Structural similarity as `Similarity`, with the constants of a data range of 2 [1]."""

    data_range = 2.0


class PeakSignalToNoise(Statistic):
    """-10 log10 of the mean squared error of the clipped fields, for a peak of 1 [dB].

    Not defined (NaN) for a frame without any error. The weights are not used: every pixel counts the same.
    """

    def __call__(self, fields, weights):
        """Return it, [init_time, lead_time, variable]."""
        f, o = fields.clipped
        mse = ((f - o) ** 2).mean(axis=(2, 3))
        decibel = -10.0 * np.log10(np.where(mse > 0.0, mse, np.nan))
        return xr.DataArray(decibel, dims=("init_time", "lead_time", "variable"))


def _mean(values: xr.DataArray, weights: xr.DataArray) -> xr.DataArray:
    return xr.dot(values, weights, dim=("lat", "lon"))
