"""The metrics: the last step from mean statistics to a score. docs/metrics.md lists them for users.

To add one, write a subclass of `Metric` and name it in `METRICS`.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from video_prediction_tools.errors import InputError, did_you_mean
from video_prediction_tools.postprocess.statistics import (
    AbsoluteError,
    AnomalyCorrelation,
    Error,
    SquaredError,
    Statistic,
)

# Raised when a metric's numbers change; results of different versions are not to be compared.
METRICS_VERSION = 1

Mean = Mapping[type[Statistic], np.ndarray]


class Metric:
    """A score made of statistics.

    Attributes:
        name: as in ``--eval_metrics`` and the tables.
        long_name: for plots.
        best: the value of a perfect forecast.
        statistics: what it is made of; means over init_times are handed to `value`.
    """

    name: ClassVar[str]
    long_name: ClassVar[str]
    best: ClassVar[float] = 0.0
    statistics: ClassVar[tuple[type[Statistic], ...]]

    def value(self, mean: Mean) -> np.ndarray:
        """Return the score.

        Arguments:
            mean: mean over init_times of each of `statistics`; arrays of any one shape.
        """
        raise NotImplementedError

    def units(self, variable_units: str) -> str:
        """Return the unit of the score of a variable (``"1"`` for none)."""
        return variable_units

    def distance(self, value: np.ndarray) -> np.ndarray:
        """Return how far a score lies from the perfect one: of two forecasts the one with less is better."""
        return np.abs(value - self.best)

    @property
    def needs_climatology(self) -> bool:
        """Say whether one of the statistics compares with a climatology."""
        return any(statistic.needs_climatology for statistic in self.statistics)


class MeanSquaredError(Metric):
    """Area-weighted mean squared error [unit of the variable, squared]; 0 is perfect.

    mse(l) = mean_i sum_yx w_y (f_iyx(l) - o_iyx(l))^2,   i over init_time, l lead time.
    Source: Wilks (2019), Statistical Methods in the Atmospheric Sciences, chapter 9.
    """

    name, long_name = "mse", "mean squared error"
    statistics = (SquaredError,)

    def value(self, mean):
        """Return the mean as it is."""
        return mean[SquaredError]

    def units(self, variable_units):
        """Return the unit, squared."""
        if variable_units == "1":
            return "1"
        return f"({variable_units})2" if " " in variable_units else f"{variable_units}2"


class RootMeanSquaredError(Metric):
    """Root of the area-weighted mean squared error [unit of the variable]; 0 is perfect.

    rmse(l) = sqrt( mean_i sum_yx w_y (f_iyx(l) - o_iyx(l))^2 ): the root is taken last, after the mean over
    init_time.
    Source: Wilks (2019), chapter 9; WMO-No. 485 (2023), appendix 2.2.34.
    """

    name, long_name = "rmse", "root mean squared error"
    statistics = (SquaredError,)

    def value(self, mean):
        """Return the root of the mean."""
        return np.sqrt(mean[SquaredError])


class MeanAbsoluteError(Metric):
    """Area-weighted mean absolute error [unit of the variable]; 0 is perfect.

    mae(l) = mean_i sum_yx w_y |f_iyx(l) - o_iyx(l)|.
    Source: Wilks (2019), chapter 9.
    """

    name, long_name = "mae", "mean absolute error"
    statistics = (AbsoluteError,)

    def value(self, mean):
        """Return the mean as it is."""
        return mean[AbsoluteError]


class Bias(Metric):
    """Area-weighted mean error, forecast minus truth [unit of the variable], of either sign; 0 is perfect.

    bias(l) = mean_i sum_yx w_y (f_iyx(l) - o_iyx(l)).
    Source: Wilks (2019), chapter 9.
    """

    name, long_name = "bias", "bias (forecast minus truth)"
    statistics = (Error,)

    def value(self, mean):
        """Return the mean as it is."""
        return mean[Error]


class AnomalyCorrelationCoefficient(Metric):
    """Mean over init_times of the weighted, uncentred anomaly correlation [1]; from -1 to 1, 1 is perfect.

    acc(l) = mean_i r_i(l), with r of `AnomalyCorrelation` against the climatology of month and hour of the
    valid time.
    Source: WeatherBench 2 (Rasp et al. 2024), equation 7; the mean of correlations as in Gong et al. (2022,
    doi:10.5194/gmd-15-8931-2022).
    """

    name, long_name, best = "acc", "anomaly correlation coefficient", 1.0
    statistics = (AnomalyCorrelation,)

    def value(self, mean):
        """Return the mean as it is."""
        return mean[AnomalyCorrelation]

    def units(self, variable_units):
        """Return that there is none."""
        return "1"


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        MeanSquaredError(),
        RootMeanSquaredError(),
        MeanAbsoluteError(),
        Bias(),
        AnomalyCorrelationCoefficient(),
    )
}


def metrics_by_name(names: Sequence[str], flag: str = "--eval_metrics") -> list[Metric]:
    """Return the metrics named, each once, in the order of `METRICS`.

    Raises:
        InputError: one is unknown.
    """
    for name in names:
        if name not in METRICS:
            raise InputError(flag, f"unknown metric '{name}'", did_you_mean(name, METRICS))
    return [metric for name, metric in METRICS.items() if name in names]


def statistics_of(metrics: Sequence[Metric]) -> list[type[Statistic]]:
    """Return the statistics that some metrics need, each once."""
    return list(dict.fromkeys(statistic for metric in metrics for statistic in metric.statistics))
