"""Frost, a temperature below 273.15 K, as an event that a forecast announces or misses.

Of an ensemble hits, misses and false alarms are means over its members; brier judges the share of members with frost as
a probability. Source of the scores of the contingency table: Wilks (2019), chapter 9.
"""

import numpy as np

from video_prediction_tools.postprocess.metrics.fields import Fields, area_mean, is_frost, observed_frost
from video_prediction_tools.postprocess.metrics.metric import Metric, Statistic, quotient


def _forecast_frost(fields: Fields) -> np.ndarray:
    """Return the share of members with frost [B, Tl, C, H, W]."""
    each = (is_frost(one, fields.observed.scale) for one in fields.singles)
    return sum(each) / len(fields.singles)


def _pair(fields: Fields) -> tuple[np.ndarray, np.ndarray]:
    return fields.once(_forecast_frost), fields.observed.once(observed_frost)


class FrostHits(Statistic):
    """Share of the area with frost both forecast and observed, a [1]."""

    def __call__(self, fields, weights):
        """Return it, [init_time, lead_time, variable]."""
        forecast, truth = _pair(fields)
        return area_mean(forecast * truth, weights)


class FrostFalseAlarms(Statistic):
    """Share of the area with frost forecast and not observed, b [1]."""

    def __call__(self, fields, weights):
        """Return it, [init_time, lead_time, variable]."""
        forecast, truth = _pair(fields)
        return area_mean(forecast * (1.0 - truth), weights)


class FrostMisses(Statistic):
    """Share of the area with frost observed and not forecast, c [1]."""

    def __call__(self, fields, weights):
        """Return it, [init_time, lead_time, variable]."""
        forecast, truth = _pair(fields)
        return area_mean((1.0 - forecast) * truth, weights)


class FrostProbabilityError(Statistic):
    """Squared error of the share of members with frost as its probability: sum_yx w (p - o)^2 [1]."""

    def __call__(self, fields, weights):
        """Return it, [init_time, lead_time, variable]."""
        forecast, truth = _pair(fields)
        return area_mean((forecast - truth) ** 2, weights)


class _FrostMetric(Metric):
    of_temperature = True
    by_default = "never"
    statistics = (FrostHits, FrostFalseAlarms, FrostMisses)

    def value(self, mean):
        """Return the score of the mean hits, false alarms and misses."""
        return self.of_table(*(mean[one] for one in self.statistics))


class FrostCriticalSuccessIndex(_FrostMetric):
    """Critical success index (threat score) of frost, a / (a + b + c) [1]; from 0 to 1, 1 is perfect."""

    name, long_name, best = "frost_csi", "critical success index of frost", 1.0

    def of_table(self, hits, false_alarms, misses):
        """Return it; NaN where frost is neither forecast nor observed."""
        return quotient(hits, hits + false_alarms + misses)


class FrostProbabilityOfDetection(_FrostMetric):
    """Probability of detection (hit rate) of frost, a / (a + c) [1]; from 0 to 1, 1 is perfect."""

    name, long_name, best = "frost_pod", "probability of detection of frost", 1.0

    def of_table(self, hits, false_alarms, misses):
        """Return it; NaN without frost."""
        return quotient(hits, hits + misses)


class FrostFalseAlarmRatio(_FrostMetric):
    """False alarm ratio of frost, b / (a + b) [1]; from 0 to 1, 0 is perfect."""

    name, long_name = "frost_far", "false alarm ratio of frost"

    def of_table(self, hits, false_alarms, misses):
        """Return it; NaN where frost is never forecast."""
        return quotient(false_alarms, hits + false_alarms)


class FrostFrequencyBias(_FrostMetric):
    """Frequency bias of frost, (a + b) / (a + c) [1]; above 1 it is forecast too often, 1 is perfect."""

    name, long_name, best = "frost_frequency_bias", "frequency bias of frost", 1.0
    two_sided = True

    def of_table(self, hits, false_alarms, misses):
        """Return it; NaN without frost."""
        return quotient(hits + false_alarms, hits + misses)


class FrostEquitableThreatScore(_FrostMetric):
    """Equitable threat score (Gilbert skill score) of frost [1]; from -1/3 to 1, 1 is perfect.

    (a - r) / (a + b + c - r), with r = (a + b)(a + c) the hits by chance (all are shares of all cases).
    """

    name, long_name, best = "frost_ets", "equitable threat score of frost", 1.0

    def of_table(self, hits, false_alarms, misses):
        """Return it; NaN where frost is neither forecast nor observed."""
        chance = (hits + false_alarms) * (hits + misses)
        return quotient(hits - chance, hits + false_alarms + misses - chance)


class FrostBrierScore(Metric):
    """Brier score of frost, mean_i sum_yx w (p - o)^2 [1]; from 0 to 1, 0 is perfect.

    p is the share of members with frost (0 or 1 of a single forecast). Source: Brier (1950); Wilks (2019), chapter 9.
    """

    name, long_name = "frost_brier", "Brier score of frost"
    statistics = (FrostProbabilityError,)
    by_default = "never"
    of_temperature = True
