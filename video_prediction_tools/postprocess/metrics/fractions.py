"""fss: is it warm (or wet, or cloudy) in the right neighbourhood?"""

import numpy as np
from scipy.ndimage import uniform_filter

from video_prediction_tools.postprocess.metrics.fields import Fields, Observed, frame_mean
from video_prediction_tools.postprocess.metrics.metric import Metric, Statistic, quotient

NEIGHBOURHOOD = 5  # grid points, side of the square
EVENT = 0.9  # the event is a value above this quantile of the truth's own field


def event_fractions(values: np.ndarray, threshold: np.ndarray) -> np.ndarray:
    """Return the share of points above a threshold in each neighbourhood that fits into the field.

    Arguments:
        values: [.., H, W].
        threshold: [.., 1, 1].

    Returns:
        [.., H - 4, W - 4]; NaN where a value is missing.
    """
    event = (values > threshold).astype(np.float64)
    event[np.isnan(values) | np.isnan(threshold)] = np.nan
    inside = slice(NEIGHBOURHOOD // 2, -(NEIGHBOURHOOD // 2))
    return uniform_filter(event, size=NEIGHBOURHOOD, axes=(-2, -1))[..., inside, inside]


def _threshold(observed: Observed) -> np.ndarray:
    return np.quantile(observed.truth, EVENT, axis=(-2, -1), keepdims=True)


def _fractions_of_truth(observed: Observed) -> np.ndarray:
    return event_fractions(observed.truth, observed.once(_threshold))


def _fractions_of_singles(fields: Fields) -> list[np.ndarray]:
    threshold = fields.observed.once(_threshold)
    return [event_fractions(one, threshold) for one in fields.singles]


class FractionsError(Statistic):
    """Mean squared difference of forecast and observed fractions [1]; of an ensemble the mean over its members."""

    def __call__(self, fields, weights):
        """Return it, [init_time, lead_time, variable]; the weights are not used."""
        truth = fields.observed.once(_fractions_of_truth)
        each = [frame_mean((one - truth) ** 2) for one in fields.once(_fractions_of_singles)]
        return np.mean(each, axis=0)


class FractionsReference(Statistic):
    """The largest that `FractionsError` can be with these fractions: mean of p_f^2 + p_o^2 [1]."""

    def __call__(self, fields, weights):
        """Return it, [init_time, lead_time, variable]; the weights are not used."""
        truth = fields.observed.once(_fractions_of_truth)
        each = [frame_mean(one**2 + truth**2) for one in fields.once(_fractions_of_singles)]
        return np.mean(each, axis=0)


class FractionsSkillScore(Metric):
    """Fractions skill score of the highest tenth of the values [1]; from 0 to 1, 1 is perfect.

    fss(l) = 1 - sum_iyx (p_f - p_o)^2 / sum_iyx (p_f^2 + p_o^2), p the share of points in a square of 5 x 5 whose
    value is above the 0.9 quantile of the observed field of the same hour. Squares that do not fit into the area are
    left out.
    Source: Roberts & Lean (2008), doi:10.1175/2007MWR2123.1.
    """

    name, long_name, best = "fss", "fractions skill score (highest tenth, 5 x 5 points)", 1.0
    statistics = (FractionsError, FractionsReference)
    by_default = "never"

    def value(self, mean):
        """Return one less the quotient of the sums."""
        return 1.0 - quotient(mean[FractionsError], mean[FractionsReference])
