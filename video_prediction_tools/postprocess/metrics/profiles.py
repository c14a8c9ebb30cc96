"""Profiles: what has a number for each of several scales, ranks or probabilities; for plots, not for tables.

They are means over init_time of arrays [lead_time, variable, <axis>], made of the model's forecasts only. To add one,
write its class and name it in `PROFILES`.
"""

from typing import ClassVar

import numpy as np
import xarray as xr

from video_prediction_tools.postprocess.metrics.fields import (
    Fields,
    Scale,
    area_mean,
    is_frost,
    observed_frost,
)
from video_prediction_tools.postprocess.metrics.spectra import mean_spectrum, spectrum_of_truth, wavelengths


class Profile:
    """A profile.

    Attributes:
        name: of the array in evaluation_metrics.nc.
        long_name, axis, axis_name, axis_units: what it is, and along what.
        needs_members: not defined for a single forecast.
        of_temperature: NaN for what is no temperature.
        units_of_square: it has the unit of the variable, squared (otherwise none).
    """

    name: ClassVar[str]
    long_name: ClassVar[str]
    axis: ClassVar[str]
    axis_name: ClassVar[str]
    axis_units: ClassVar[str] = "1"
    needs_members: ClassVar[bool] = False
    of_temperature: ClassVar[bool] = False
    units_of_square: ClassVar[bool] = False

    def coordinate(self, scale: Scale, members: int) -> np.ndarray:
        """Return the places on the axis."""
        raise NotImplementedError

    def __call__(self, fields: Fields, weights: xr.DataArray) -> np.ndarray:
        """Return it for each forecast, [B, Tl, C, axis], NaN where it is not defined."""
        raise NotImplementedError


class ForecastSpectrum(Profile):
    """Power of the forecast by wavelength [unit of the variable, squared], see `spectra.power_spectrum`."""

    name, long_name = (
        "spectrum",
        "variance of the forecast by wavelength (of an ensemble the mean of its members')",
    )
    axis, axis_name, axis_units = "wavelength", "wavelength", "km"
    units_of_square = True

    def coordinate(self, scale, members):
        """Return the wavelengths."""
        return wavelengths(scale.lat, scale.lon)

    def __call__(self, fields, weights):
        """Return it."""
        return fields.once(mean_spectrum)


class TruthSpectrum(ForecastSpectrum):
    """Power of the truth by wavelength."""

    name, long_name = "spectrum_truth", "variance of the truth by wavelength"

    def __call__(self, fields, weights):
        """Return it."""
        return fields.observed.once(spectrum_of_truth)


class RankHistogram(Profile):
    """Share of the area where the truth has a rank among the members: 0 below all of them, M above.

    Flat for a reliable ensemble; each share is 1 / (M + 1) then. Where members equal the truth its rank is drawn among
    them, by a generator seeded with the init_time. Source: Hamill (2001), Monthly Weather Review 129, 550-560.
    """

    name, long_name = "rank_histogram", "share of cases in which the truth has a rank among the members"
    axis, axis_name = "rank", "number of members below the truth"
    needs_members = True

    def coordinate(self, scale, members):
        """Return the ranks."""
        return np.arange(members + 1)

    def __call__(self, fields, weights):
        """Return it."""
        truth, members = fields.observed.truth, fields.members
        below, equal = (members < truth).sum(axis=0), (members == truth).sum(axis=0)
        for row, label in enumerate(fields.observed.labels):
            if equal[row].any():
                random = np.random.default_rng(abs(int(label)))
                below[row] += random.integers(0, equal[row] + 1)
        return _shares(below, np.isfinite(truth), len(members) + 1, weights)


class FrostProbability(Profile):
    """Share of the area with each probability of frost (share of members below freezing)."""

    name, long_name = "frost_probability", "share of cases with this forecast probability of frost"
    axis, axis_name = "probability", "forecast probability (share of members)"
    needs_members = True
    of_temperature = True

    def coordinate(self, scale, members):
        """Return the probabilities."""
        return np.arange(members + 1) / members

    def known(self, fields: Fields) -> np.ndarray:
        """Return the cases that count."""
        return np.isfinite(fields.observed.once(observed_frost))

    def __call__(self, fields, weights):
        """Return it."""
        scale = fields.observed.scale
        with_frost = np.nansum(is_frost(fields.members, scale), axis=0).astype(int)
        shares = _shares(with_frost, self.known(fields), len(fields.members) + 1, weights)
        return np.where(np.asarray(scale.temperature)[:, np.newaxis], shares, np.nan)


class FrostProbabilityWithFrost(FrostProbability):
    """Share of the area with each probability of frost and with frost observed.

    Over `FrostProbability` it is the observed frequency of a reliability diagram (Wilks 2019, chapter 9).
    """

    name = "frost_probability_with_frost"
    long_name = "share of cases with this forecast probability of frost, and with frost observed"

    def known(self, fields):
        """Return the cases with frost."""
        return fields.observed.once(observed_frost) == 1.0


PROFILES = (
    ForecastSpectrum(),
    TruthSpectrum(),
    RankHistogram(),
    FrostProbability(),
    FrostProbabilityWithFrost(),
)


def _shares(place: np.ndarray, counts: np.ndarray, number: int, weights: xr.DataArray) -> np.ndarray:
    """Return the weighted share of the area with each place, [B, Tl, C, number].

    Arguments:
        place: [B, Tl, C, H, W], 0 .. number - 1.
        counts: which points count.
        number: of places.
        weights: [lat, lon], summing to 1.
    """
    each = (((place == one) & counts).astype(np.float64) for one in range(number))
    return np.stack([area_mean(one, weights) for one in each], axis=-1)
