"""Statistics: one number for each forecast, variable and lead hour, from which the metrics are made.

A metric is split in two (as in WeatherBench-X): its statistics are means over the grid that may then be
averaged over init_times in any order and in any chunks; its last step turns mean statistics into the value.
Statistics that several metrics share are computed once.

To add one, write a subclass of `Statistic`; metrics name it, nothing else has to know.
"""

from functools import cached_property

import numpy as np
import xarray as xr

DIMS = ("init_time", "lead_time", "lat", "lon", "variable")


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


def _labelled(values: np.ndarray) -> xr.DataArray:
    # double precision: sums of squares over a large grid lose digits in single precision
    return xr.DataArray(np.asarray(values, dtype=np.float64), dims=DIMS)


class Statistic:
    """A mean over the grid of some function of forecast and truth."""

    needs_climatology = False

    def __call__(self, fields: Fields, weights: xr.DataArray) -> xr.DataArray:
        """Return the statistic of each forecast.

        Arguments:
            fields: forecasts and truth.
            weights: [lat, lon] (or with further dimensions, such as a region), summing to 1 over lat and lon.

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


def _mean(values: xr.DataArray, weights: xr.DataArray) -> xr.DataArray:
    return xr.dot(values, weights, dim=("lat", "lon"))
