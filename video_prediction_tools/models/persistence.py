"""persistence: the last context frame at every lead hour; a model without weights.

It is beside the trained models so that whatever works with a model can be tried with the simplest one: its forecasts
are those of the baseline `persistence` of the postprocessing, made by the path that a trained model takes.
"""

from typing import Any

from keras import ops

from video_prediction_tools.models.base import DataSpec, Phase, VideoPredictionModel
from video_prediction_tools.models.hparams import CommonHparams


class Persistence(VideoPredictionModel):
    """The last context frame, repeated. There is nothing to train: a training validates it and ends."""

    def __init__(self, spec: DataSpec, hparams: CommonHparams):
        super().__init__(spec, hparams, name="persistence")

    def forecast(self, context: Any, known: Any, seed: Any = 0) -> Any:
        """Repeat the last frame; known channels and `seed` are not used."""
        return ops.repeat(context[:, -1:], self.spec.lead_frames, axis=1)

    def phases(self, total_steps: int) -> list[Phase]:
        """Return no updates."""
        return []
