"""The two players of an adversarial training: what judges, and what makes the forecasts that are judged."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

import keras

from video_prediction_tools.models.base import Phase, VideoPredictionModel
from video_prediction_tools.models.hparams import two_steps


@dataclass
class AdversarialHparams:
    """What the models with judges have, beside what every model has."""

    gan_anneal_steps: list[int] = two_steps(
        [],
        "steps between which the weights of the judges' losses rise from 0, while the judges learn from the start; "
        "empty: they are whole from the start",
    )


def judged_in_full(hparams: AdversarialHparams, judges: Collection[keras.layers.Layer]) -> int:
    """Return the step from which the losses of the judges count in full; 0 where there are no judges."""
    return max(hparams.gan_anneal_steps, default=0) if judges else 0


def players(
    model: VideoPredictionModel,
    judges: Iterable[keras.layers.Layer],
    optimizer: Callable[[], keras.optimizers.Optimizer],
    judges_loss: Callable[..., dict[str, Any]],
    makers_loss: Callable[..., dict[str, Any]],
) -> list[Phase]:
    """Return the update of the judges, where there are any, and that of all other weights of the model.

    Arguments:
        model: whose weights are built.
        judges: its discriminators.
        optimizer: makes an optimizer; each player has its own.
        judges_loss, makers_loss: as `Phase.loss`.
    """
    judging = [variable for judge in judges for variable in judge.trainable_variables]
    paths = {variable.path for variable in judging}
    making = [variable for variable in model.trainable_variables if variable.path not in paths]
    phases = [Phase("discriminator", judging, optimizer(), judges_loss)] if judging else []
    return [*phases, Phase("generator", making, optimizer(), makers_loss)]
