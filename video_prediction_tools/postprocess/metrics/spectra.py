"""spectral_ratio: how much of the small scales is left? Spectra of regions, by the discrete cosine transform.

A Fourier transform takes a region's opposite edges for neighbours, and their jump for power at all scales; the cosine
transform mirrors the region instead. Source: Denis, Cote & Laprise (2002), Monthly Weather Review 130, 1812-1829.
"""

from functools import cache

import numpy as np
from scipy.fft import dctn

from video_prediction_tools.postprocess.metrics.fields import Fields, Observed
from video_prediction_tools.postprocess.metrics.gradients import EARTH_RADIUS
from video_prediction_tools.postprocess.metrics.metric import Metric, Statistic, quotient

SMALL = 8  # grid intervals: wavelengths below are the small scales


def wavelengths(lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    """Return the wavelengths [km] of the bands of a region's spectrum, falling: 2 L / k, k = 1, 2, ..

    L is the shorter side; the shortest wavelength is twice the wider of the two grid intervals. Empty for fewer than
    four rows or columns.
    """
    side, interval = _sides(lat, lon).min(), _intervals(lat, lon).max()
    number = int(np.floor(side / interval + 1e-9)) if min(len(lat), len(lon)) >= 4 else 0
    return 2.0 * side / np.arange(1, number + 1)


def _intervals(lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    """Return the grid intervals [km] from north to south and, at the middle latitude, from west to east."""
    degree = np.deg2rad(1.0) * EARTH_RADIUS
    return degree * np.array(
        [
            abs(lat[-1] - lat[0]) / (len(lat) - 1),
            abs(lon[-1] - lon[0]) / (len(lon) - 1) * np.cos(np.deg2rad(np.mean(lat))),
        ]
    )


def _sides(lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    return _intervals(lat, lon) * (len(lat), len(lon))


@cache
def _bands(lat: tuple[float, ...], lon: tuple[float, ...]) -> np.ndarray:
    """Return which band each pair of wavenumbers belongs to, 0 for none: int [H, W]."""
    north, east = _sides(np.array(lat), np.array(lon))
    of_rows, of_columns = np.arange(len(lat)) / (2.0 * north), np.arange(len(lon)) / (2.0 * east)
    wavenumber = np.hypot(of_rows[:, np.newaxis], of_columns)  # 1 / km
    band = np.rint(wavenumber * 2.0 * min(north, east)).astype(int)
    return np.where(band <= len(wavelengths(np.array(lat), np.array(lon))), band, 0)


def power_spectrum(values: np.ndarray, lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    """Return the variance in each band of `wavelengths` [unit of the variable, squared]; NaN where a value is missing.

    Arguments:
        values: [.., H, W].

    Returns:
        [.., band]. With the part in no band (the mean, and what is shorter than the shortest wavelength) it is the
        whole: sum over all wavenumbers of the squared coefficients is the sum of squares of the field.
    """
    height, width = values.shape[-2:]
    variance = dctn(values, axes=(-2, -1), norm="ortho") ** 2 / (height * width)
    bands, number = _bands(tuple(lat), tuple(lon)), len(wavelengths(lat, lon))
    flat = variance.reshape(*values.shape[:-2], height * width)
    member_of = (bands.ravel()[:, np.newaxis] == np.arange(1, number + 1)).astype(np.float64)
    return flat @ member_of


def spectrum_of_truth(observed: Observed) -> np.ndarray:
    """Return the spectrum of the truth, [B, Tl, C, band]."""
    return power_spectrum(observed.truth, observed.scale.lat, observed.scale.lon)


def mean_spectrum(fields: Fields) -> np.ndarray:
    """Return the spectrum of each forecast (of an ensemble the mean over its members' spectra), [B, Tl, C, band]."""
    scale = fields.observed.scale
    return np.mean([power_spectrum(one, scale.lat, scale.lon) for one in fields.singles], axis=0)


def _is_whole(fields: Fields) -> np.ndarray:
    """Say of which frames [B, Tl, C] every point has a forecast and a truth."""
    return np.isfinite(fields.error).all(axis=(-2, -1))


def _small_scales(spectrum: np.ndarray, fields: Fields) -> np.ndarray:
    scale = fields.observed.scale
    lengths = wavelengths(scale.lat, scale.lon)
    small = lengths < SMALL * (_intervals(scale.lat, scale.lon).max() if len(lengths) else 1.0)
    total = spectrum[..., small].sum(axis=-1) if small.any() else np.full(spectrum.shape[:-1], np.nan)
    # of forecast and truth on the same init_times: where one is missing, both are left out
    return np.where(fields.once(_is_whole), total, np.nan)


class SmallScalePower(Statistic):
    """Variance of the forecast at wavelengths below 8 grid intervals [unit of the variable, squared]."""

    def __call__(self, fields, weights):
        """Return it, [init_time, lead_time, variable]; the weights are not used."""
        return _small_scales(fields.once(mean_spectrum), fields)


class SmallScalePowerOfTruth(Statistic):
    """Variance of the truth at wavelengths below 8 grid intervals [unit of the variable, squared]."""

    def __call__(self, fields, weights):
        """Return it, [init_time, lead_time, variable]; the weights are not used."""
        return _small_scales(fields.observed.once(spectrum_of_truth), fields)


class SpectralRatio(Metric):
    """Power of the small scales, forecast over truth [1]; below 1 they are smoothed away, 1 is perfect.

    spectral_ratio(l) = sum_i P_f(l) / sum_i P_o(l), P the variance at wavelengths below 8 grid intervals.
    """

    name, long_name, best = "spectral_ratio", "ratio of power at wavelengths below 8 grid intervals", 1.0
    statistics = (SmallScalePower, SmallScalePowerOfTruth)
    two_sided = True

    def value(self, mean):
        """Return the quotient of the means."""
        return quotient(mean[SmallScalePower], mean[SmallScalePowerOfTruth])
