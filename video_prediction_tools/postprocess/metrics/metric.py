"""What a metric and a statistic are."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import xarray as xr

from video_prediction_tools.metadata.variables import is_temperature
from video_prediction_tools.postprocess.metrics.fields import Fields


class Statistic:
    """A mean (or, with weights of 1, a sum) over the grid of some function of forecast and truth."""

    needs_climatology = False

    def __call__(self, fields: Fields, weights: xr.DataArray) -> np.ndarray:
        """Return the statistic of each forecast.

        Arguments:
            fields: forecasts and truth.
            weights: [lat, lon] (errors: or [region, lat, lon]), summing to 1 over lat and lon; all of them 1 for sums
                over a frame.

        Returns:
            [init_time, lead_time, variable] (or with a region as well), NaN where it is not defined.
        """
        raise NotImplementedError


Mean = Mapping[type[Statistic], np.ndarray]


class Metric:
    """A score made of statistics.

    Attributes:
        name: as in ``--eval_metrics`` and the tables.
        long_name: for plots.
        best: the value of a perfect forecast.
        statistics: what it is made of; means over init_times are handed to `value`.
        by_default: made where no metrics are named: "always", of an "ensemble" only, or "never".
        needs_members: not defined for a single forecast.
        of_temperature: defined for temperatures only.
        two_sided: a forecast can lie on either side of the best value.
    """

    name: ClassVar[str]
    long_name: ClassVar[str]
    best: ClassVar[float] = 0.0
    statistics: ClassVar[tuple[type[Statistic], ...]]
    by_default: ClassVar[str] = "always"
    needs_members: ClassVar[bool] = False
    of_temperature: ClassVar[bool] = False
    two_sided: ClassVar[bool] = False

    def value(self, mean: Mean) -> np.ndarray:
        """Return the score: the mean of the only statistic, where nothing else is said.

        Arguments:
            mean: mean over init_times of each of `statistics`; arrays of any one shape.
        """
        return mean[self.statistics[0]]

    def applies_to(self, variable: str) -> bool:
        """Say whether it is defined for a variable (short name)."""
        return not self.of_temperature or is_temperature(variable)

    def units(self, variable_units: str) -> str:
        """Return the unit of the score of a variable (``"1"`` for none)."""
        return "1"

    def distance(self, value: np.ndarray) -> np.ndarray:
        """Return how far a score lies from the perfect one: of two forecasts the one with less is better."""
        return np.abs(value - self.best)

    @property
    def needs_climatology(self) -> bool:
        """Say whether one of the statistics compares with a climatology."""
        return any(statistic.needs_climatology for statistic in self.statistics)


def statistics_of(metrics: Sequence[Metric]) -> list[type[Statistic]]:
    """Return the statistics that some metrics need, each once."""
    return list(dict.fromkeys(statistic for metric in metrics for statistic in metric.statistics))


def quotient(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Return a quotient, NaN where the denominator is 0."""
    return np.asarray(numerator) / np.where(np.asarray(denominator) != 0.0, denominator, np.nan)
