"""convLSTM's own loss, patches and first forecast; its cell is in test_layers.py, the rest in test_every_model.py."""

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


def test_opt_var_must_be_a_variable_of_the_data():
    with pytest.raises(InputError, match="did you mean '2t'"):
        make("convLSTM", overrides=["opt_var=2tt"])


def test_patches_must_not_be_larger_than_the_grid_allows(rng):
    model = make("convLSTM", overrides=["patch_size=18"])  # 9 x 11 points: padded by 9 and 7
    frames, known = data(model, rng)
    assert model.forecast(frames[:, :4], known).shape == (2, 3, 9, 11, 2)
    with pytest.raises(InputError, match="patch_size 19 needs at least 10 x 10 grid points"):
        make("convLSTM", overrides=["patch_size=19"])
