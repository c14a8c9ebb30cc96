"""gradient_ratio: are the forecast's fields as sharp as the observed ones?"""

import numpy as np
import xarray as xr

from video_prediction_tools.postprocess.metrics.fields import Fields, area_mean
from video_prediction_tools.postprocess.metrics.metric import Metric, Statistic

EARTH_RADIUS = 6371.0  # km


def horizontal_gradient(values: xr.DataArray, lat: np.ndarray, lon: np.ndarray) -> xr.DataArray:
    """Return the amount of the horizontal gradient [unit of the variable / km], central differences.

    sqrt( (1 / (R cos(phi)) df/dlambda)^2 + (1/R df/dphi)^2 ), one-sided at the edges.
    """
    axes = [values.get_axis_num(dim) for dim in ("lat", "lon")]
    north, east = np.gradient(values.values, np.deg2rad(lat), np.deg2rad(lon), axis=axes)
    shrink = xr.DataArray(np.cos(np.deg2rad(lat)), dims="lat")
    north, east = values.copy(data=north), values.copy(data=east) / shrink
    return np.hypot(north, east) / EARTH_RADIUS


def _sharpness(values: xr.DataArray, fields: Fields, weights: xr.DataArray) -> xr.DataArray:
    return area_mean(horizontal_gradient(values, fields.scale.lat, fields.scale.lon), weights)


class SharpnessRatio(Statistic):
    """Mean gradient of the forecast over that of the truth [1]; of an ensemble the mean over its members.

    Not defined (NaN) where the truth is constant, and for fields of one row or column.
    """

    def __call__(self, fields, weights):
        """Return it, [init_time, lead_time, variable, ..]."""
        if min(fields.truth.sizes["lat"], fields.truth.sizes["lon"]) < 2:
            return area_mean(fields.truth, weights) * np.nan
        of_truth = _sharpness(fields.truth, fields, weights)
        space = ("lat", "lon")
        # of a constant field rounding leaves some gradient
        of_truth = of_truth.where(fields.truth.max(space) > fields.truth.min(space))
        return (
            sum(_sharpness(one, fields, weights) for one in fields.singles) / len(fields.singles) / of_truth
        )


class GradientRatio(Metric):
    """Mean over init_times of the gradient ratio r_G [1]; below 1 the forecast is too smooth, 1 is perfect.

    r_G(l) = mean_i G(f) / G(o), G the area mean of the amount of the horizontal gradient.
    Source: Gong et al. (2022, doi:10.5194/gmd-15-8931-2022), section 4.2, whose area mean has no weights.
    """

    name, long_name, best = "gradient_ratio", "gradient ratio r_G", 1.0
    statistics = (SharpnessRatio,)
    two_sided = True
