"""Forecasts beside the truth, as the statistics see them.

Inside this package fields are arrays [init_time, lead_time, variable, lat, lon], short [B, Tl, C, H, W], in double
precision (sums of squares over a large grid lose digits in single precision): a frame's numbers lie together in memory.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import xarray as xr

DIMS = ("init_time", "lead_time", "lat", "lon", "variable")  # of what is read from files
MEMBER_DIMS = ("init_time", "lead_time", "member", "lat", "lon", "variable")
_FREEZING = 273.15  # K

Result = TypeVar("Result")


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


class _Worked:
    """Something that results are worked out of, each of them once, however many statistics ask for it."""

    def __init__(self):
        self._results: dict[Callable, Any] = {}

    def once(self, work: Callable[[Any], Result]) -> Result:
        """Return what a function makes of this."""
        if work not in self._results:
            self._results[work] = work(self)
        return self._results[work]


class Observed(_Worked):
    """What forecasts of some init_times are compared to, the same for all products; a copy in double precision.

    Arguments:
        truth: [B, Tl, H, W, C], physical units; NaN where it is not known.
        climatology: mean of the month and hour of the *valid* time (init_time + lead time), like `truth`, or None.
        scale: for the statistics that need it.
        labels: what tells the init_times apart, [B]; seed of what is random (ties of ranks).

    Attributes:
        truth, climatology: [B, Tl, C, H, W].
    """

    def __init__(
        self,
        truth: np.ndarray,
        climatology: np.ndarray | None = None,
        scale: Scale | None = None,
        labels: Sequence[int] | None = None,
    ):
        super().__init__()
        self.truth = _frames(truth)
        self.climatology = None if climatology is None else _frames(climatology)
        self.scale = scale
        self.labels = range(len(self.truth)) if labels is None else labels

    @property
    def smallest_side(self) -> int:
        """Return the number of rows or of columns, whichever is less."""
        return min(self.truth.shape[-2:])


class Fields(_Worked):
    """Forecasts of one product, with what they are compared to; a copy in double precision.

    Arguments:
        forecast: [B, Tl, H, W, C], or an ensemble [B, Tl, M, H, W, C]; one that is absent is NaN everywhere.
        observed: of the same init_times and lead times.

    Attributes:
        forecast: [B, Tl, C, H, W], of an ensemble its mean.
        members: [M, B, Tl, C, H, W], or None.
    """

    def __init__(self, forecast: np.ndarray, observed: Observed):
        super().__init__()
        self.observed = observed
        frames = _frames(forecast)
        is_ensemble = frames.ndim == 6
        self.members = np.ascontiguousarray(np.moveaxis(frames, 2, 0)) if is_ensemble else None
        self.forecast = frames.mean(axis=2) if is_ensemble else frames

    @property
    def error(self) -> np.ndarray:
        """Forecast (ensemble mean) minus truth."""
        return self.once(_error)

    @property
    def squared_error(self) -> np.ndarray:
        """Its square."""
        return self.once(_squared_error)

    @property
    def singles(self) -> Sequence[np.ndarray]:
        """The members one by one (of a deterministic forecast itself): what is judged as a field, not as a mean."""
        return [self.forecast] if self.members is None else self.members


def _frames(values: np.ndarray) -> np.ndarray:
    """Copy [.., H, W, C] to [.., C, H, W] in double precision."""
    return np.array(np.moveaxis(values, -1, -3), np.float64, order="C")


def _error(fields: Fields) -> np.ndarray:
    return fields.forecast - fields.observed.truth


def _squared_error(fields: Fields) -> np.ndarray:
    return fields.error * fields.error


def is_frost(values: np.ndarray, scale: Scale) -> np.ndarray:
    """Say where values [.., C, H, W] are below freezing: 1 or 0, NaN where absent or no temperatures in kelvin."""
    frost = (values < _FREEZING).astype(np.float64)
    frost[np.isnan(values)] = np.nan
    frost[..., ~np.asarray(scale.temperature, bool), :, :] = np.nan
    return frost


def observed_frost(observed: Observed) -> np.ndarray:
    """Return where the truth is below freezing, see `is_frost`."""
    return is_frost(observed.truth, observed.scale)


def area_mean(values: np.ndarray, weights: xr.DataArray | np.ndarray) -> np.ndarray:
    """Return the weighted mean (or with weights of 1 the sum) over the grid, [.., H, W] -> [..] (or [.., region]).

    Where some points are NaN, the others stand for them: their weights are scaled to the sum of all. Where all are,
    it is NaN.

    Arguments:
        values: [.., H, W].
        weights: [H, W] or [region, H, W].
    """
    weights = np.asarray(weights)
    whole = _weighted_sum(values, weights)
    if not np.isnan(whole).any():
        return whole
    present = np.isfinite(values)
    part = _weighted_sum(present.astype(np.float64), weights)
    share = np.where(part > 0.0, part / weights.sum(axis=(-2, -1)), np.nan)
    return _weighted_sum(np.where(present, values, 0.0), weights) / share


def _weighted_sum(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    if weights.ndim > 2:
        return np.stack([_weighted_sum(values, region) for region in weights], axis=-1)
    # not a matrix product: that would be rounded differently for another number of frames
    frames = values.reshape(-1, weights.size)
    return np.einsum("fp,p->f", frames, weights.ravel()).reshape(values.shape[:-2])


def frame_mean(values: np.ndarray) -> np.ndarray:
    """Return the mean over the grid, all points alike: [.., H, W] -> [..]; NaN for an empty grid."""
    rows = values.reshape(*values.shape[:-2], values.shape[-2] * values.shape[-1])
    return rows.mean(axis=-1) if rows.shape[-1] else np.full(rows.shape[:-1], np.nan)
