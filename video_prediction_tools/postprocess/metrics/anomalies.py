"""acc: correlation of the anomalies; of an ensemble those of its mean."""

import numpy as np

from video_prediction_tools.postprocess.metrics.fields import Observed, area_mean
from video_prediction_tools.postprocess.metrics.metric import Metric, Statistic


def _anomaly_of_truth(observed: Observed) -> np.ndarray:
    return observed.truth - observed.climatology


def _squared_anomaly_of_truth(observed: Observed) -> np.ndarray:
    return observed.once(_anomaly_of_truth) ** 2


class AnomalyCorrelation(Statistic):
    """Uncentred correlation of forecast and observed anomalies over the grid [1].

    sum_yx w f' o' / sqrt( sum_yx w f'^2  sum_yx w o'^2 ),   f' = f - c, o' = o - c, c climatology at the valid time.
    Not defined (NaN) where either anomaly is zero everywhere, as for the climatology itself or a constant field that
    equals it.
    """

    needs_climatology = True

    def __call__(self, fields, weights):
        """Return it, [init_time, lead_time, variable, ..]."""
        observed = fields.observed
        truth, of_truth = observed.once(_anomaly_of_truth), observed.once(_squared_anomaly_of_truth)
        forecast = fields.forecast - observed.climatology
        absent = np.isnan(fields.error)
        if absent.any():  # the same points in all three sums
            forecast = np.where(absent, np.nan, forecast)
            truth, of_truth = np.where(absent, np.nan, truth), np.where(absent, np.nan, of_truth)
        square = area_mean(forecast * forecast, weights) * area_mean(of_truth, weights)
        return area_mean(forecast * truth, weights) / np.sqrt(np.where(square > 0.0, square, np.nan))


class AnomalyCorrelationCoefficient(Metric):
    """Mean over init_times of the weighted, uncentred anomaly correlation [1]; from -1 to 1, 1 is perfect.

    acc(l) = mean_i r_i(l), with r of `AnomalyCorrelation` against the climatology of month and hour of the valid time.
    Source: WeatherBench 2 (Rasp et al. 2024), equation 7; the mean of correlations as in Gong et al. (2022,
    doi:10.5194/gmd-15-8931-2022).
    """

    name, long_name, best = "acc", "anomaly correlation coefficient", 1.0
    statistics = (AnomalyCorrelation,)
