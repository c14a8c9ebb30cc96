"""ssim and psnr: likeness of fields as pictures; of an ensemble the mean over its members, as its mean is too smooth.

Structural similarity is that of Wang et al. (2004), doi:10.1109/TIP.2003.819861, with the flat window of 7 x 7 pixels
that scikit-image takes (`structural_similarity`) where nothing else is asked for. The weights are not used: every
window and every pixel counts the same. A frame in which a value is missing has none of these scores.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.ndimage import uniform_filter

from video_prediction_tools.postprocess.metrics.fields import Fields, Observed, frame_mean
from video_prediction_tools.postprocess.metrics.metric import Metric, Statistic

WINDOW = 7  # pixels, side of the windows of the structural similarity


@dataclass(frozen=True)
class Windows:
    """What the windows of frames hold, [.., H - 6, W - 6].

    Arguments:
        middle: a number near the values of each frame, [.., 1, 1]: of squares of large numbers (kelvin) little would be
            left of the deviations.
        near: values less that, [.., H, W].
        mean: of the windows.
        variance: of the windows, divided by 49.
    """

    middle: np.ndarray
    near: np.ndarray
    mean: np.ndarray
    variance: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, middle: np.ndarray | None = None) -> "Windows":
        """Look at frames [.., H, W]."""
        if middle is None:
            middle = frame_mean(values)[..., np.newaxis, np.newaxis]
        near = values - middle
        mean = _in_windows(near)
        return cls(middle, near, mean + middle, _in_windows(near * near) - mean * mean)


def structural_similarity(f: Windows, o: Windows, data_range: np.ndarray | float) -> np.ndarray:
    """Return the mean over all windows of a frame, [B, Tl, C].

    s = (2 m_f m_o + c1) (2 s_fo + c2) / ((m_f^2 + m_o^2 + c1) (s_f^2 + s_o^2 + c2)), with means m, sample variances s^2
    and covariance s_fo (divided by 48) in the window, c1 = (0.01 R)^2, c2 = (0.03 R)^2 and R the data range.

    Arguments:
        f, o: forecast and truth [B, Tl, C, H, W], at least 7 x 7 points, about the same middle.
        data_range: R, for all or for each variable [C].
    """
    sample = WINDOW**2 / (WINDOW**2 - 1)
    covariance = sample * (_in_windows(f.near * o.near) - (f.mean - o.middle) * (o.mean - o.middle))
    variances = sample * (f.variance + o.variance)
    data_range = np.asarray(data_range)[..., np.newaxis, np.newaxis]
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    each = (2 * f.mean * o.mean + c1) * (2 * covariance + c2)
    each /= (f.mean * f.mean + o.mean * o.mean + c1) * (variances + c2)
    return frame_mean(each)


def _in_windows(values: np.ndarray) -> np.ndarray:
    """Mean over each window that fits into the frame, [.., H, W] -> [.., H - 6, W - 6]."""
    inside = slice(WINDOW // 2, -(WINDOW // 2))
    return uniform_filter(values, size=WINDOW, axes=(-2, -1))[..., inside, inside]


def _windows_of_truth(observed: Observed) -> Windows:
    return Windows.of(observed.truth)


def _windows_of_singles(fields: Fields) -> list[Windows]:
    middle = fields.observed.once(_windows_of_truth).middle
    return [Windows.of(one, middle) for one in fields.singles]


class Similarity(Statistic):
    """Structural similarity of the fields, with the data range of the training data [1]."""

    def data_range(self, observed: Observed) -> np.ndarray | float:
        """Return R."""
        return np.asarray(observed.scale.data_range)

    def __call__(self, fields, weights):
        """Return it, [init_time, lead_time, variable]; NaN for fields below 7 x 7 points."""
        observed = fields.observed
        if observed.smallest_side < WINDOW:
            return np.full(observed.truth.shape[:3], np.nan)
        truth, data_range = observed.once(_windows_of_truth), self.data_range(observed)
        each = [structural_similarity(one, truth, data_range) for one in fields.once(_windows_of_singles)]
        return np.mean(each, axis=0)


class SimilarityOfKelvins(Similarity):
    """Structural similarity of the fields, with a data range of 2 whatever their unit [1]."""

    def data_range(self, observed):
        """Return the range of scikit-image's floating-point images, -1..1."""
        return 2.0


def _clipped(fields: Fields) -> tuple[np.ndarray, np.ndarray]:
    return np.clip(fields.forecast, 0.0, 1.0), np.clip(fields.observed.truth, 0.0, 1.0)


def _clipped_windows(fields: Fields) -> tuple[Windows, Windows]:
    forecast, truth = fields.once(_clipped)
    of_truth = Windows.of(truth)
    return Windows.of(forecast, of_truth.middle), of_truth


class ClippedSimilarity(Statistic):
    """Structural similarity of forecast (ensemble mean) and truth, clipped to 0..1, with a data range of 1 [1]."""

    data_range: ClassVar[float] = 1.0

    def __call__(self, fields, weights):
        """Return it, [init_time, lead_time, variable]."""
        return structural_similarity(*fields.once(_clipped_windows), self.data_range)


class ClippedSimilarityRange2(ClippedSimilarity):
    """The same with the constants of a data range of 2 [1]."""

    data_range = 2.0


def _decibel(squared_error: np.ndarray, peak: np.ndarray | float) -> np.ndarray:
    mse = frame_mean(squared_error)
    return 10.0 * np.log10(np.asarray(peak) ** 2 / np.where(mse > 0.0, mse, np.nan))


class PeakSignalToNoise(Statistic):
    """10 log10( R^2 / mean_yx (f - o)^2 ) with the data range of the training data R [dB]; NaN without any error."""

    def __call__(self, fields, weights):
        """Return it, [init_time, lead_time, variable]."""
        peak, truth = np.asarray(fields.observed.scale.data_range), fields.observed.truth
        if fields.members is None:
            return _decibel(fields.squared_error, peak)
        return np.mean([_decibel((one - truth) ** 2, peak) for one in fields.singles], axis=0)


class ClippedSignalToNoise(Statistic):
    """-10 log10 of the mean squared error of the clipped fields, for a peak of 1 [dB]; NaN without any error."""

    def __call__(self, fields, weights):
        """Return it, [init_time, lead_time, variable]."""
        forecast, truth = fields.once(_clipped)
        return _decibel((forecast - truth) ** 2, 1.0)


class StructuralSimilarity(Metric):
    """Structural similarity, data range of the training data [1]; from -1 to 1, 1 is perfect.

    ssim(l) = mean_i s_i(l), with s of `structural_similarity` and R the largest less the smallest value in training.
    """

    name, long_name, best = "ssim", "structural similarity", 1.0
    statistics = (Similarity,)


class PublishedSimilarity(Metric):
    """Structural similarity as Gong et al. (2022) have it: fields in kelvin, data range 2 [1]; 1 is perfect.

    Their scikit-image (before 0.20) took the range of floating-point images, -1..1, as none was named. The constants
    are then next to nothing beside kelvins squared. For comparisons with their figures.
    """

    name, long_name, best = "ssim_gmd", "structural similarity as in Gong et al. (2022)", 1.0
    statistics = (SimilarityOfKelvins,)
    by_default = "never"


class FrameSimilarity(StructuralSimilarity):
    """Structural similarity with a data range of 1, after clipping to 0..1 [1]; from -1 to 1, 1 is perfect."""

    statistics = (ClippedSimilarity,)


class FrameSimilarityRange2(FrameSimilarity):
    """Structural similarity as `FrameSimilarity`, with a data range of 2: for comparisons with OpenSTL.

    OpenSTL names no data range to scikit-image (at most 0.19.3 there), which then takes -1..1 for floats. The same
    forecast gets a higher value, the more so the more it is blurred.
    """

    name, long_name = "ssim_range2", "structural similarity with a data range of 2, as in OpenSTL"
    statistics = (ClippedSimilarityRange2,)


class PeakSignalToNoiseRatio(Metric):
    """Peak signal-to-noise ratio, peak the data range of the training data [dB]; the higher the better.

    psnr(l) = mean_i 10 log10( R^2 / mean_yx (f_iyx(l) - o_iyx(l))^2 ): the logarithm is taken frame by frame. A frame
    without any error has none, and is left out of the mean.
    """

    name, long_name, best = "psnr", "peak signal-to-noise ratio", float("inf")
    statistics: ClassVar[tuple[type[Statistic], ...]] = (PeakSignalToNoise,)
    by_default = "never"

    def units(self, variable_units):
        """Return decibels."""
        return "dB"

    def distance(self, value):
        """Return the ratio with its sign turned round: the perfect one has no finite value to measure from."""
        return -np.asarray(value)


class FrameSignalToNoiseRatio(PeakSignalToNoiseRatio):
    """Peak signal-to-noise ratio after clipping to 0..1, for a peak of 1 [dB]; the higher the better.

    Source: OpenSTL (Tan et al. 2023, arXiv:2306.11249), openstl/core/metrics.py.
    """

    statistics = (ClippedSignalToNoise,)
    by_default = "always"
