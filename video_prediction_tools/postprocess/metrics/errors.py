"""mse, rmse, mae, bias: errors of the forecast; of an ensemble those of its mean.

Source: Wilks (2019), Statistical Methods in the Atmospheric Sciences, chapter 9; rmse also WMO-No. 485 (2023), appendix
2.2.34. The sums over a frame are those of the literature on Moving MNIST: OpenSTL (Tan et al. 2023, arXiv:2306.11249),
openstl/core/metrics.py.
"""

import numpy as np

from video_prediction_tools.postprocess.metrics.fields import area_mean
from video_prediction_tools.postprocess.metrics.metric import Metric, Statistic


class Error(Statistic):
    """sum_yx w (f - o) [unit of the variable]."""

    def __call__(self, fields, weights):
        """Return it, [init_time, lead_time, variable, ..]."""
        return area_mean(fields.error, weights)


class AbsoluteError(Statistic):
    """sum_yx w |f - o| [unit of the variable]."""

    def __call__(self, fields, weights):
        """Return it, [init_time, lead_time, variable, ..]."""
        return area_mean(np.abs(fields.error), weights)


class SquaredError(Statistic):
    """sum_yx w (f - o)^2 [unit of the variable, squared]."""

    def __call__(self, fields, weights):
        """Return it, [init_time, lead_time, variable, ..]."""
        return area_mean(fields.squared_error, weights)


def squared(unit: str) -> str:
    """Return the square of a unit."""
    if unit == "1":
        return "1"
    return f"({unit})2" if " " in unit else f"{unit}2"


class MeanSquaredError(Metric):
    """Area-weighted mean squared error [unit of the variable, squared]; 0 is perfect.

    mse(l) = mean_i sum_yx w_y (f_iyx(l) - o_iyx(l))^2,   i over init_time, l lead time.
    """

    name, long_name = "mse", "mean squared error"
    statistics = (SquaredError,)

    def units(self, variable_units):
        """Return the unit, squared."""
        return squared(variable_units)


class RootMeanSquaredError(Metric):
    """Root of the area-weighted mean squared error [unit of the variable]; 0 is perfect.

    rmse(l) = sqrt( mean_i sum_yx w_y (f_iyx(l) - o_iyx(l))^2 ): the root is taken last, after the mean over init_time.
    """

    name, long_name = "rmse", "root mean squared error"
    statistics = (SquaredError,)

    def value(self, mean):
        """Return the root of the mean."""
        return np.sqrt(mean[SquaredError])

    def units(self, variable_units):
        """Return the variable's."""
        return variable_units


class MeanAbsoluteError(Metric):
    """Area-weighted mean absolute error [unit of the variable]; 0 is perfect.

    mae(l) = mean_i sum_yx w_y |f_iyx(l) - o_iyx(l)|.
    """

    name, long_name = "mae", "mean absolute error"
    statistics = (AbsoluteError,)

    def units(self, variable_units):
        """Return the variable's."""
        return variable_units


class Bias(Metric):
    """Area-weighted mean error, forecast minus truth [unit of the variable], of either sign; 0 is perfect.

    bias(l) = mean_i sum_yx w_y (f_iyx(l) - o_iyx(l)).
    """

    name, long_name = "bias", "bias (forecast minus truth)"
    statistics = (Error,)
    two_sided = True

    def units(self, variable_units):
        """Return the variable's."""
        return variable_units


class FrameSquaredError(MeanSquaredError):
    """Squared error summed over a frame [unit of the variable, squared]; 0 is perfect.

    mse(l) = mean_i sum_yx (f_iyx(l) - o_iyx(l))^2,   i over sequences, l lead frame: "mean" is meant over sequences
    alone, as everywhere in the literature on Moving MNIST. The statistic is a sum, as its weights are 1.
    """

    long_name = "squared error, summed over a frame"


class FrameAbsoluteError(MeanAbsoluteError):
    """Absolute error summed over a frame [unit of the variable]; 0 is perfect.

    mae(l) = mean_i sum_yx |f_iyx(l) - o_iyx(l)|.
    """

    long_name = "absolute error, summed over a frame"
