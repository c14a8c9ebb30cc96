"""crps and spread_skill: an ensemble as a probability forecast."""

import numpy as np

from video_prediction_tools.postprocess.metrics.errors import SquaredError
from video_prediction_tools.postprocess.metrics.fields import area_mean
from video_prediction_tools.postprocess.metrics.metric import Metric, Statistic, quotient


class FairCRPS(Statistic):
    """Fair continuous ranked probability score of the members [unit of the variable].

    sum_yx w [ 1/M sum_m |x_m - o| - 1/(2 M (M-1)) sum_mk |x_m - x_k| ]; of a single forecast its absolute error.
    """

    def __call__(self, fields, weights):
        """Return it, [init_time, lead_time, variable, ..]."""
        if fields.members is None or len(fields.members) < 2:
            return area_mean(np.abs(fields.error), weights)
        ordered, number = np.sort(fields.members, axis=0), len(fields.members)
        # of ordered members, half the sum of all differences is sum_k (2k - M - 1) x_(k), k from 1
        factors = (2.0 * np.arange(1, number + 1) - number - 1) / (number * (number - 1))
        between = sum(factor * one for factor, one in zip(factors, ordered, strict=True))
        skill = np.abs(ordered - fields.observed.truth).mean(axis=0)
        return area_mean(skill - between, weights)


class EnsembleVariance(Statistic):
    """Variance of the members times (M + 1) / M: what the squared error of their mean is, if they are true.

    sum_yx w (M+1)/M 1/(M-1) sum_m (x_m - mean)^2 [unit of the variable, squared]; NaN for fewer than two members.
    """

    def __call__(self, fields, weights):
        """Return it, [init_time, lead_time, variable, ..]."""
        if fields.members is None or len(fields.members) < 2:
            return np.full(fields.observed.truth.shape[:3], np.nan)
        number = len(fields.members)
        variance = fields.members.var(axis=0, ddof=1)
        variance[np.isnan(fields.observed.truth)] = np.nan
        return area_mean((number + 1) / number * variance, weights)


class ContinuousRankedProbabilityScore(Metric):
    """Fair continuous ranked probability score [unit of the variable]; 0 is perfect.

    crps(l) = mean_i of `FairCRPS`: expected over ensembles of any size it is that of infinitely many members. That of a
    single forecast is its mae, so that deterministic forecasts and baselines stand in the same table.
    Source: Ferro (2014), doi:10.1002/qj.2270; Gneiting & Raftery (2007), doi:10.1198/016214506000001437.
    """

    name, long_name = "crps", "fair continuous ranked probability score"
    statistics = (FairCRPS,)
    by_default = "ensemble"

    def units(self, variable_units):
        """Return the variable's."""
        return variable_units


class SpreadSkillRatio(Metric):
    """Spread of the members over the error of their mean [1]; below 1 the ensemble is too narrow, 1 is reliable.

    spread_skill(l) = sqrt( mean_i (M+1)/M s^2 / mean_i (mean_m x_m - o)^2 ), s^2 the variance of the members.
    Source: Fortin et al. (2014), doi:10.1175/JHM-D-14-0008.1.
    """

    name, long_name, best = "spread_skill", "spread-skill ratio", 1.0
    statistics = (EnsembleVariance, SquaredError)
    by_default = "ensemble"
    needs_members = True
    two_sided = True

    def value(self, mean):
        """Return the root of the quotient of the means."""
        return np.sqrt(quotient(mean[EnsembleVariance], mean[SquaredError]))
