"""convLSTM's own loss; its cell is in test_layers.py, what it shares with all models in test_every_model.py."""

import numpy as np
import pytest
from small_models import data, make, shake

from video_prediction_tools.errors import InputError


@pytest.mark.parametrize("name", ["convLSTM", "convLSTM_gan"])
def test_forecasts_within_the_context_count_as_much_as_asked(name, rng):
    model = make(name, overrides=["context_loss_weight=0.5", "loss_fun=mse"])
    shake(model, rng)
    frames, known = data(model, rng)
    errors = np.square(np.asarray(model.roll_out(frames[:, :4], known)) - frames[:, 1:])
    parts = model._loss_of(model.roll_out(frames[:, :4], known), frames)
    assert float(parts["context"]) == pytest.approx(errors[:, :3].mean(), rel=1e-5)
    assert float(parts["forecast"]) == pytest.approx(errors[:, 3:].mean(), rel=1e-5)
    assert float(parts["loss"]) == pytest.approx(errors[:, 3:].mean() + 0.5 * errors[:, :3].mean(), rel=1e-5)


@pytest.mark.parametrize("name", ["convLSTM", "convLSTM_gan"])
def test_one_context_frame_has_none(name):
    with pytest.raises(InputError, match="context_loss_weight: one context frame has no forecasts"):
        make(name, context=1, overrides=["context_loss_weight=0.5"])
    make(name, context=1)
