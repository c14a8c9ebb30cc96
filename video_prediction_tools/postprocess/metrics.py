"""The metrics: the last step from mean statistics to a score. docs/metrics.md lists them for users.

To add one, write a subclass of `Metric` and name it in `METRICS` (weather) or `FRAME_METRICS` (Moving MNIST).
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from video_prediction_tools.errors import InputError, did_you_mean
from video_prediction_tools.postprocess.statistics import (
    AbsoluteError,
    AnomalyCorrelation,
    Error,
    PeakSignalToNoise,
    Similarity,
    SimilarityRange2,
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


class FrameSquaredError(Metric):
    """Squared error summed over a frame [unit of the variable, squared]; 0 is perfect.

    mse(l) = mean_i sum_yx (f_iyx(l) - o_iyx(l))^2,   i over sequences, l lead frame: "mean" is meant over
    sequences alone, as everywhere in the literature on Moving MNIST.
    Source: OpenSTL (Tan et al. 2023, arXiv:2306.11249), openstl/core/metrics.py.
    """

    name, long_name = "mse", "squared error, summed over a frame"
    statistics = (SquaredError,)

    def value(self, mean):
        """Return the mean as it is; the statistic is a sum, as its weights are 1."""
        return mean[SquaredError]

    def units(self, variable_units):
        """Return the unit, squared."""
        return MeanSquaredError().units(variable_units)


class FrameAbsoluteError(Metric):
    """Absolute error summed over a frame [unit of the variable]; 0 is perfect.

    mae(l) = mean_i sum_yx |f_iyx(l) - o_iyx(l)|.
    Source: as `FrameSquaredError`.
    """

    name, long_name = "mae", "absolute error, summed over a frame"
    statistics = (AbsoluteError,)

    def value(self, mean):
        """Return the mean as it is; the statistic is a sum, as its weights are 1."""
        return mean[AbsoluteError]


class StructuralSimilarity(Metric):
    """Structural similarity with a data range of 1, after clipping to 0..1 [1]; from -1 to 1, 1 is perfect.

    ssim(l) = mean_i s_i(l), with s of `Similarity`.
    Source: Wang et al. (2004), doi:10.1109/TIP.2003.819861.
    """

    name, long_name, best = "ssim", "structural similarity", 1.0
    statistics = (Similarity,)

    def value(self, mean):
        """Return the mean as it is."""
        return mean[self.statistics[0]]

    def units(self, variable_units):
        """Return that there is none."""
        return "1"


class StructuralSimilarityRange2(StructuralSimilarity):
    """Structural similarity as `StructuralSimilarity`, with a data range of 2: for comparisons with OpenSTL.

    OpenSTL names no data range to scikit-image (at most 0.19.3 there), which then takes -1..1 for floats. The
    same forecast gets a higher value, the more so the more it is blurred.
    """

    name, long_name = "ssim_range2", "structural similarity with a data range of 2, as in OpenSTL"
    statistics = (SimilarityRange2,)


class PeakSignalToNoiseRatio(Metric):
    """Peak signal-to-noise ratio after clipping to 0..1, for a peak of 1 [dB]; the higher the better.

    psnr(l) = mean_i -10 log10( mean_yx (f_iyx(l) - o_iyx(l))^2 ): the logarithm is taken frame by frame. A
    frame without any error has none, and is left out of the mean.
    Source: as `FrameSquaredError`.
    """

    name, long_name, best = "psnr", "peak signal-to-noise ratio", float("inf")
    statistics = (PeakSignalToNoise,)

    def value(self, mean):
        """Return the mean as it is."""
        return mean[PeakSignalToNoise]

    def units(self, variable_units):
        """Return decibels."""
        return "dB"

    def distance(self, value):
        """Return the ratio with its sign turned round: the perfect one has no finite value to measure from."""
        return -np.asarray(value)


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

FRAME_METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        FrameSquaredError(),
        FrameAbsoluteError(),
        StructuralSimilarity(),
        StructuralSimilarityRange2(),
        PeakSignalToNoiseRatio(),
    )
}


def metrics_by_name(
    names: Sequence[str], known: Mapping[str, Metric] = METRICS, flag: str = "--eval_metrics"
) -> list[Metric]:
    """Return the metrics named, each once, in the order of `known`.

    Raises:
        InputError: one is unknown.
    """
    for name in names:
        if name not in known:
            raise InputError(flag, f"unknown metric '{name}'", did_you_mean(name, known))
    return [metric for name, metric in known.items() if name in names]


def statistics_of(metrics: Sequence[Metric]) -> list[type[Statistic]]:
    """Return the statistics that some metrics need, each once."""
    return list(dict.fromkeys(statistic for metric in metrics for statistic in metric.statistics))
