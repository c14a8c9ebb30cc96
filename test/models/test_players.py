"""What models with judges have in common."""

import numpy as np
import pytest
from small_models import SMALL, data, make, shake

from video_prediction_tools.models import registry
from video_prediction_tools.models.players import AdversarialHparams

ADVERSARIAL = [
    name for name in registry.names() if issubclass(registry.model_class(name).Hparams, AdversarialHparams)
]
SEEDS = np.arange(2)


def settings(name):
    """Return what makes judges, and frames that do not depend on the step."""
    return {
        "mcnet": ["beta=0.1"],
        "savp": ["schedule_sampling_k=0"],
        "savp_gan": ["schedule_sampling_k=0"],
    }.get(name, [])


def test_the_adversarial_models_are_found():
    assert ADVERSARIAL == ["convLSTM_gan", "mcnet", "savp", "savp_gan"]


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_what_the_judges_say_counts_by_the_step(rng, name):
    """Nothing before the first step, half in the middle, all of it from the last on; the judges learn all the time."""
    model = make(name, overrides=[*settings(name), "gan_anneal_steps=10,30"])
    shake(model, rng)
    frames, known = data(model, rng)
    judged, made = (phase.loss for phase in model.phases(100))
    losses = {step: float(made(frames, known, step, SEEDS)["loss"]) for step in (0, 10, 20, 30, 99)}
    assert losses[0] == losses[10] < losses[20] < losses[30] == losses[99]
    assert losses[20] - losses[0] == pytest.approx((losses[30] - losses[0]) / 2, rel=1e-3)
    model.hparams.gan_anneal_steps = []
    assert float(made(frames, known, 0, SEEDS)["loss"]) == losses[30]
    assert (
        float(judged(frames, known, 0, SEEDS)["loss"]) == float(judged(frames, known, 30, SEEDS)["loss"]) > 0
    )


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_the_end_of_the_schedule_is_known(name):
    """There is none where nobody judges."""
    overrides = [*settings(name), "gan_anneal_steps=10,70000000"]
    assert make(name, overrides=overrides).schedules_end() == 70_000_000
    without = make(name, overrides=[*overrides, *SMALL[name].frames_only])
    assert len(without.phases(100)) == 1 and without.schedules_end() == 0
