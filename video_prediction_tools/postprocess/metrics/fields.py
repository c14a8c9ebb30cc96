"""Forecasts beside the truth, as the statistics see them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xarray as xr

DIMS = ("init_time", "lead_time", "lat", "lon", "variable")
MEMBER_DIMS = ("init_time", "lead_time", "member", "lat", "lon", "variable")
_FREEZING = 273.15  # K


@dataclass(frozen=True)
class Scale:
    """What the numbers of the fields mean, for the statistics that must know.

    Arguments:
        temperature: of each of the C variables, whether it is a temperature in kelvin.
        data_range: of each variable, the range of values that structural similarity and signal-to-noise ratio refer
            to (in its unit): largest less smallest value of the training data.
        lat, lon: degrees north [H] and east [W].
    """

    temperature: Sequence[bool]
    data_range: Sequence[float]
    lat: np.ndarray
    lon: np.ndarray


class Fields:
    """Forecasts of some init_times with what they are compared to, in physical units; a copy in double precision.

    Arguments:
        forecast: [B, Tl, H, W, C], or an ensemble [B, Tl, M, H, W, C]; one that is absent is NaN everywhere.
        truth: [B, Tl, H, W, C]; NaN where it is not known.
        climatology: mean of the month and hour of the *valid* time (init_time + lead time), like `truth`, or None.
        scale: for the statistics that need it.
        labels: what tells the init_times apart, [B]; seed of what is random (ties of ranks).
    """

    def __init__(
        self,
        forecast: np.ndarray,
        truth: np.ndarray,
        climatology: np.ndarray | None = None,
        scale: Scale | None = None,
        labels: Sequence[int] | None = None,
    ):
        # double precision: sums of squares over a large grid lose digits in single precision
        forecast = np.asarray(forecast, np.float64)
        self.members = xr.DataArray(forecast, dims=MEMBER_DIMS) if forecast.ndim == 6 else None
        mean = forecast if self.members is None else forecast.mean(axis=2)
        self.forecast, self.truth = xr.DataArray(mean, dims=DIMS), _labelled(truth)
        self.climatology = None if climatology is None else _labelled(climatology)
        self.scale = scale
        self.labels = range(len(forecast)) if labels is None else labels

    @cached_property
    def error(self) -> xr.DataArray:
        """Forecast (ensemble mean) minus truth."""
        return self.forecast - self.truth

    @cached_property
    def forecast_anomaly(self) -> xr.DataArray:
        """Forecast (ensemble mean) minus climatology."""
        return self.forecast - self.climatology

    @cached_property
    def truth_anomaly(self) -> xr.DataArray:
        """Truth minus climatology."""
        return self.truth - self.climatology

    @property
    def singles(self) -> list[xr.DataArray]:
        """The members one by one (of a deterministic forecast itself): what is judged as a field, not as a mean."""
        return [self.forecast] if self.members is None else list(self.members.transpose("member", ...))

    @cached_property
    def frost(self) -> xr.DataArray:
        """Truth below freezing: 1 or 0, NaN where it is not known or the variable is no temperature."""
        return self.is_frost(self.truth)

    def is_frost(self, values: xr.DataArray) -> xr.DataArray:
        """Say where values are below freezing: 1 or 0, NaN where they are absent or no temperatures in kelvin."""
        known = np.isfinite(values) & xr.DataArray(np.asarray(self.scale.temperature, bool), dims="variable")
        return (values < _FREEZING).astype(np.float64).where(known)


def _labelled(values: np.ndarray) -> xr.DataArray:
    return xr.DataArray(np.asarray(values, np.float64), dims=DIMS)


def area_mean(values: xr.DataArray, weights: xr.DataArray) -> xr.DataArray:
    """Return the weighted mean (or with weights of 1 the sum) over the grid, [init_time, lead_time, variable, ..].

    Where some points are NaN, the others stand for them: their weights are scaled to the sum of all. Where all are,
    it is NaN.
    """
    whole = xr.dot(values, weights, dim=("lat", "lon"))
    if not np.isnan(whole.values).any():
        return whole
    present = values.notnull()
    part = xr.dot(present.astype(np.float64), weights, dim=("lat", "lon"))
    share = part / weights.sum(("lat", "lon"))
    return xr.dot(values.where(present, 0.0), weights, dim=("lat", "lon")) / share.where(part > 0.0)


def frame_mean(values: np.ndarray) -> np.ndarray:
    """Return the mean over the grid, all points alike: [B, Tl, H, W, C] -> [B, Tl, C]; NaN for an empty grid."""
    # a frame's numbers lie together, so that their order of addition does not depend on how many frames there are
    frames = np.ascontiguousarray(np.moveaxis(values, -1, 2))
    rows = frames.reshape(*frames.shape[:3], frames.shape[3] * frames.shape[4])
    return rows.mean(axis=-1) if rows.shape[-1] else np.full(rows.shape[:-1], np.nan)
