"""The one registry of metrics. To add a metric: write its class, and name it here."""

from collections.abc import Mapping, Sequence

from video_prediction_tools.errors import InputError, did_you_mean
from video_prediction_tools.postprocess.metrics.anomalies import AnomalyCorrelationCoefficient
from video_prediction_tools.postprocess.metrics.ensembles import (
    ContinuousRankedProbabilityScore,
    SpreadSkillRatio,
)
from video_prediction_tools.postprocess.metrics.errors import (
    Bias,
    FrameAbsoluteError,
    FrameSquaredError,
    MeanAbsoluteError,
    MeanSquaredError,
    RootMeanSquaredError,
)
from video_prediction_tools.postprocess.metrics.fractions import FractionsSkillScore
from video_prediction_tools.postprocess.metrics.frost import (
    FrostBrierScore,
    FrostCriticalSuccessIndex,
    FrostEquitableThreatScore,
    FrostFalseAlarmRatio,
    FrostFrequencyBias,
    FrostProbabilityOfDetection,
)
from video_prediction_tools.postprocess.metrics.gradients import GradientRatio
from video_prediction_tools.postprocess.metrics.metric import Metric
from video_prediction_tools.postprocess.metrics.similarity import (
    FrameSignalToNoiseRatio,
    FrameSimilarity,
    FrameSimilarityRange2,
    PeakSignalToNoiseRatio,
    PublishedSimilarity,
    StructuralSimilarity,
)
from video_prediction_tools.postprocess.metrics.spectra import SpectralRatio

# Raised when a metric's numbers change; results of different versions are not to be compared.
METRICS_VERSION = 2


def _by_name(*metrics: Metric) -> dict[str, Metric]:
    return {metric.name: metric for metric in metrics}


METRICS = _by_name(
    MeanSquaredError(),
    RootMeanSquaredError(),
    MeanAbsoluteError(),
    Bias(),
    AnomalyCorrelationCoefficient(),
    ContinuousRankedProbabilityScore(),
    SpreadSkillRatio(),
    StructuralSimilarity(),
    PublishedSimilarity(),
    PeakSignalToNoiseRatio(),
    GradientRatio(),
    SpectralRatio(),
    FractionsSkillScore(),
    FrostCriticalSuccessIndex(),
    FrostProbabilityOfDetection(),
    FrostFalseAlarmRatio(),
    FrostFrequencyBias(),
    FrostEquitableThreatScore(),
    FrostBrierScore(),
)

FRAME_METRICS = _by_name(
    FrameSquaredError(),
    FrameAbsoluteError(),
    FrameSimilarity(),
    FrameSimilarityRange2(),
    FrameSignalToNoiseRatio(),
)


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
