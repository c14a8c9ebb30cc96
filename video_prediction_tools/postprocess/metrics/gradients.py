"""gradient_ratio: are the forecast's fields as sharp as the observed ones?"""

import numpy as np

from video_prediction_tools.postprocess.metrics.fields import Observed, Scale, area_mean
from video_prediction_tools.postprocess.metrics.metric import Metric, Statistic

EARTH_RADIUS = 6371.0  # km


def horizontal_gradient(values: np.ndarray, lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    """Return the amount of the horizontal gradient [unit of the variable / km], central differences.

    sqrt( (1 / (R cos(phi)) df/dlambda)^2 + (1/R df/dphi)^2 ), one-sided at the edges.

    Arguments:
        values: [.., H, W].
        lat, lon: degrees north [H] and east [W].
    """
    phi, lam = np.deg2rad(lat), np.deg2rad(lon)
    north, east = np.gradient(values, _spacing(phi), _spacing(lam), axis=(-2, -1))
    east /= np.cos(phi)[:, np.newaxis]
    return np.sqrt(north * north + east * east) / EARTH_RADIUS


def _spacing(coordinate: np.ndarray) -> np.ndarray | float:
    """Return the spacing of a regular coordinate, of which differences are taken much faster, or the coordinate."""
    steps = np.diff(coordinate)
    return float(steps.mean()) if np.allclose(steps, steps[0], rtol=1e-9) else coordinate


def _sharpness(values: np.ndarray, scale: Scale) -> np.ndarray:
    return horizontal_gradient(values, scale.lat, scale.lon)


def _gradient_of_truth(observed: Observed) -> np.ndarray:
    """Return it [B, Tl, C, H, W]; NaN for frames that are constant, of which rounding leaves some gradient."""
    space = {"axis": (-2, -1), "keepdims": True}
    varies = observed.truth.max(**space) > observed.truth.min(**space)
    return np.where(varies, _sharpness(observed.truth, observed.scale), np.nan)


class SharpnessRatio(Statistic):
    """Mean gradient of the forecast over that of the truth [1]; of an ensemble the mean over its members.

    Not defined (NaN) where the truth is constant, and for fields of one row or column.
    """

    def __call__(self, fields, weights):
        """Return it, [init_time, lead_time, variable, ..]."""
        observed = fields.observed
        if observed.smallest_side < 2:
            return np.full(observed.truth.shape[:3], np.nan)
        each = [area_mean(_sharpness(one, observed.scale), weights) for one in fields.singles]
        return np.mean(each, axis=0) / area_mean(observed.once(_gradient_of_truth), weights)


class GradientRatio(Metric):
    """Mean over init_times of the gradient ratio r_G [1]; below 1 the forecast is too smooth, 1 is perfect.

    r_G(l) = mean_i G(f) / G(o), G the area mean of the amount of the horizontal gradient.
    Source: Gong et al. (2022, doi:10.5194/gmd-15-8931-2022), section 4.2, whose area mean has no weights.
    """

    name, long_name, best = "gradient_ratio", "gradient ratio r_G", 1.0
    statistics = (SharpnessRatio,)
    two_sided = True
