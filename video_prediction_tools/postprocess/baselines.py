"""Forecasts that cost nothing, scored as the model is; one that does not beat them has learned nothing.

To add one, write a subclass of `Baseline` and name it in `BASELINES` (weather) or `FRAME_BASELINES` (Moving MNIST).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from video_prediction_tools.datasets.observations import Observations
from video_prediction_tools.postprocess.climatology import Climatology
from video_prediction_tools.postprocess.sequences import Batch

SECONDS_OF_A_DAY = 86400


@dataclass(frozen=True)
class Sources:
    """What baselines are made of.

    Arguments:
        observations: the data set's fields by time; None for data that are no weather.
        climatology: None where there is none that covers the valid times.
        no_climatology: why there is none.
    """

    observations: Observations | None
    climatology: Climatology | None
    no_climatology: str = ""


class NotAvailableError(Exception):
    """A baseline cannot be made from these data; its text says why."""


class Baseline:
    """A forecast made without a trained model.

    Arguments:
        sources: what it may use.

    Raises:
        NotAvailableError: the sources do not hold what it needs.
    """

    name: ClassVar[str]
    long_name: ClassVar[str]

    def __init__(self, sources: Sources):
        self.sources = sources

    def forecast(self, batch: Batch) -> np.ndarray:
        """Return the forecasts [B, Tl, H, W, C], NaN where absent; they use nothing after init_time."""
        raise NotImplementedError


class Persistence(Baseline):
    """The last context frame (the frame of init_time) at every lead hour."""

    name, long_name = "persistence", "persistence of the last frame"

    def forecast(self, batch):
        """Repeat the last frame."""
        number, leads = batch.valid_times.shape
        return np.broadcast_to(batch.last_frame[:, np.newaxis], (number, leads, *batch.last_frame.shape[1:]))


def same_hour_before(init_times: np.ndarray, valid_times: np.ndarray) -> np.ndarray:
    """Return the last times of the same hour of the day that do not lie after init_time.

    Arguments:
        init_times: int64 [B], seconds since 1970.
        valid_times: int64 [B, Tl].

    Returns:
        int64 [B, Tl]: valid time minus whole days.
    """
    lead = valid_times - init_times[:, np.newaxis]
    days = -(-lead // SECONDS_OF_A_DAY)  # rounded up: a later day would lie after init_time
    return valid_times - days * SECONDS_OF_A_DAY


class Persistence24h(Baseline):
    """The same hour of the day before: the truth at valid time - 24 h (from lead hour 25 on - 48 h, ..)."""

    name, long_name = "persistence_24h", "persistence of the same hour of the day before"

    def __init__(self, sources):
        super().__init__(sources)
        if sources.observations is None:
            raise NotAvailableError("the data have no hours of the day")

    def forecast(self, batch):
        """Look up the day before."""
        wanted = same_hour_before(batch.init_times, batch.valid_times)
        times, place = np.unique(wanted, return_inverse=True)
        return self.sources.observations.fields(times)[place.reshape(wanted.shape)]


class ClimatologyForecast(Baseline):
    """The climatology of month and hour of the valid time."""

    name, long_name = "climatology", "climatology of month and hour"

    def __init__(self, sources):
        super().__init__(sources)
        if sources.climatology is None:
            raise NotAvailableError(sources.no_climatology)

    def forecast(self, batch):
        """Look up month and hour."""
        return self.sources.climatology.at(batch.valid_times)


class MeanFrame(Baseline):
    """The mean of the context frames of the sequence itself, at every lead frame."""

    name, long_name = "mean_frame", "mean of the sequence's context frames"

    def forecast(self, batch):
        """Repeat the mean of the context frames."""
        leads = batch.valid_times.shape[1]
        return np.repeat(batch.context.mean(axis=1, keepdims=True), leads, axis=1)


class BlackFrame(Baseline):
    """Nothing at all: most pixels are black, so that errors are small and the similarity is high."""

    name, long_name = "black_frame", "black frames"

    def forecast(self, batch):
        """Return zeros."""
        number, leads = batch.valid_times.shape
        return np.zeros((number, leads, *batch.last_frame.shape[1:]), batch.last_frame.dtype)


BASELINES: dict[str, type[Baseline]] = {
    one.name: one for one in (Persistence, Persistence24h, ClimatologyForecast)
}

FRAME_BASELINES: dict[str, type[Baseline]] = {one.name: one for one in (Persistence, MeanFrame, BlackFrame)}


def make_baselines(
    sources: Sources, kinds: Mapping[str, type[Baseline]] = BASELINES
) -> tuple[list[Baseline], dict[str, str]]:
    """Make all baselines that the sources allow.

    Arguments:
        sources: what they may use.
        kinds: those that the data may have.

    Returns:
        the baselines, and for each that is missing the reason.
    """
    made, missing = [], {}
    for name, kind in kinds.items():
        try:
            made.append(kind(sources))
        except NotAvailableError as reason:
            missing[name] = str(reason)
    return made, missing
