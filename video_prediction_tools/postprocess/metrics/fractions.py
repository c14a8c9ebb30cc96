"""fss: is it warm (or wet, or cloudy) in the right neighbourhood?"""

import numpy as np
import xarray as xr
from scipy.ndimage import uniform_filter

from video_prediction_tools.postprocess.metrics.fields import Fields, frame_mean
from video_prediction_tools.postprocess.metrics.metric import Metric, Statistic, quotient

NEIGHBOURHOOD = 5  # grid points, side of the square
EVENT = 0.9  # the event is a value above this quantile of the truth's own field


def event_fractions(values: np.ndarray, threshold: np.ndarray) -> np.ndarray:
    """Return the share of points above a threshold in each neighbourhood that fits into the field.

    Arguments:
        values: [B, Tl, H, W, C].
        threshold: [B, Tl, 1, 1, C].

    Returns:
        [B, Tl, H - 4, W - 4, C].
    """
    known = np.isfinite(values) & np.isfinite(threshold)
    event = np.where(known, values > threshold, np.nan).astype(np.float64)
    inside = slice(NEIGHBOURHOOD // 2, -(NEIGHBOURHOOD // 2))
    return uniform_filter(event, size=(1, 1, NEIGHBOURHOOD, NEIGHBOURHOOD, 1))[:, :, inside, inside]


def _fractions(fields: Fields) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the fractions of the single forecasts and of the truth."""
    truth = fields.truth.values
    threshold = np.quantile(truth, EVENT, axis=(2, 3), keepdims=True)
    return [event_fractions(one.values, threshold) for one in fields.singles], event_fractions(
        truth, threshold
    )


def _over_grid(values: np.ndarray) -> xr.DataArray:
    return xr.DataArray(frame_mean(values), dims=("init_time", "lead_time", "variable"))


class FractionsError(Statistic):
    """Mean squared difference of forecast and observed fractions [1]; of an ensemble the mean over its members."""

    def __call__(self, fields, weights):
        """Return it, [init_time, lead_time, variable]; the weights are not used."""
        forecasts, truth = _fractions(fields)
        return _over_grid(np.mean([(one - truth) ** 2 for one in forecasts], axis=0))


class FractionsReference(Statistic):
    """The largest that `FractionsError` can be with these fractions: mean of p_f^2 + p_o^2 [1]."""

    def __call__(self, fields, weights):
        """Return it, [init_time, lead_time, variable]; the weights are not used."""
        forecasts, truth = _fractions(fields)
        return _over_grid(np.mean([one**2 + truth**2 for one in forecasts], axis=0))


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
