"""Scheduled sampling: how often which frames are shown, and on what that depends."""

import numpy as np
import pytest
from small_models import data, make, shake

from video_prediction_tools.models.layers.scheduled_sampling import (
    choose,
    draw_shown,
    forecast_shown,
    reverse_shown,
)

SEEDS = np.arange(20_000)


def shares(shown, context):
    """Return the share of the first frame, of the rest of the context and of the lead."""
    shown = np.asarray(shown)
    assert set(np.unique(shown)) <= {0.0, 1.0}
    return shown[:, 0].mean(), shown[:, 1:context].mean(), shown[:, context:].mean()


@pytest.mark.parametrize(
    ("step", "context", "lead"),
    [
        (0, 0.5, 0.5),
        (99, 0.5, 0.5),
        (150, 1 - 0.5 * np.exp(-1), 0.375),
        (299, 1 - 0.5 * np.exp(-199 / 50), 0.5 / 200),
        (300, 1.0, 0.0),
        (1_000_000_000, 1.0, 0.0),
    ],
)
def test_shares_of_reverse_scheduled_sampling(step, context, lead):
    shown = reverse_shown(4, 6, len(SEEDS), step, SEEDS, 100, 300, 50.0)
    assert shown.shape == (len(SEEDS), 9)
    assert shares(shown, 4) == pytest.approx((1.0, context, lead), abs=0.006)


def test_after_the_last_step_exactly_the_context_is_shown():
    shown = np.asarray(reverse_shown(3, 3, len(SEEDS), 300, SEEDS, 100, 300, 1e6))
    np.testing.assert_array_equal(shown, np.tile([1.0, 1.0, 1.0, 0.0, 0.0], (len(SEEDS), 1)))
    # also where both steps are the same one
    np.testing.assert_array_equal(np.asarray(reverse_shown(3, 3, len(SEEDS), 0, SEEDS, 0, 0, 1.0)), shown)


@pytest.mark.parametrize(("step", "lead"), [(0, 900 / 901), (6122, 0.5), (9000, 0.04)])
def test_shares_of_scheduled_sampling(step, lead):
    """k / (k + exp(step / k)) with k = 900 is 0.999 at the start, 0.50 at step 6122, 0.04 at step 9000."""
    shown = forecast_shown(4, 6, len(SEEDS), step, SEEDS, 900.0)
    assert shares(shown, 4) == pytest.approx((1.0, 1.0, lead), abs=0.006)


def test_without_a_speed_none_of_the_lead_is_shown():
    assert shares(forecast_shown(2, 3, len(SEEDS), 0, SEEDS, 0.0), 2) == (1.0, 1.0, 0.0)


def test_frames_and_sequences_are_drawn_apart():
    shown = np.asarray(draw_shown(4, 5, len(SEEDS), SEEDS, 0.5, 0.5))[:, 1:]
    correlation = np.corrcoef(shown.T)
    assert np.abs(correlation - np.eye(7)).max() < 0.04
    assert abs(np.corrcoef(shown[:-1].ravel(), shown[1:].ravel())[0, 1]) < 0.02


def test_a_sequence_is_shown_what_its_own_seed_says():
    whole = np.asarray(draw_shown(4, 5, 4, SEEDS[:4], 0.5, 0.5))
    np.testing.assert_array_equal(np.asarray(draw_shown(4, 5, 2, SEEDS[[3, 1]], 0.5, 0.5)), whole[[3, 1]])


@pytest.mark.parametrize(("context", "lead"), [(1, 1), (1, 3), (3, 1)])
def test_short_sequences(context, lead):
    assert (
        np.asarray(draw_shown(context, lead, 2, SEEDS[:2], 1.0, 1.0)).tolist()
        == [[1.0] * (context + lead - 1)] * 2
    )


def test_each_sequence_gets_its_own_kind_of_frame(rng):
    true, own = rng.normal(size=(2, 3, 2, 2, 1)).astype(np.float32)
    chosen = np.asarray(choose(np.array([1.0, 0.0, 1.0], np.float32), true, own))
    np.testing.assert_array_equal(chosen, [true[0], own[1], true[2]])


@pytest.mark.parametrize("name", ["convLSTM", "convLSTM_gan"])
def test_convlstm_is_shown_true_frames_of_the_lead(rng, name):
    model = make(name, overrides=["schedule_sampling_k=10"])
    shake(model, rng)
    frames, known = data(model, rng)
    own = np.asarray(model.roll_out(frames[:, :4], known))
    shown = np.array([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 0, 1]], np.float32)
    sampled = np.asarray(model.roll_out(frames, known, shown))
    np.testing.assert_allclose(sampled[0], own[0], atol=1e-6)
    np.testing.assert_allclose(sampled[1, :5], own[1, :5], atol=1e-6)
    assert np.abs(sampled[1, 5] - own[1, 5]).max() > 1e-3
    # its own frame, given to it as true, makes no difference
    again = frames.copy()
    again[:, 5] = own[:, 4]
    np.testing.assert_allclose(np.asarray(model.roll_out(again, known, shown)), own, atol=1e-5)


@pytest.mark.parametrize("name", ["convLSTM", "convLSTM_gan"])
def test_convlstm_samples_in_training_only(rng, name):
    plain, sampling = (make(name, overrides=[f"schedule_sampling_k={k}"]) for k in (0, 10))
    shake(plain, rng)
    for mine, theirs in zip(sampling.variables, plain.variables, strict=True):
        mine.assign(theirs)
    frames, known = data(plain, rng)
    seeds = SEEDS[:2]

    def losses(model, step):
        return [float(phase.loss(frames, known, step, seeds)["loss"]) for phase in model.phases(10)]

    def validation(model):
        return float(model.validation_loss(frames, known, seeds))

    # nearly all frames are shown at the first step, none later
    assert all(
        abs(one - other) > 1e-5 for one, other in zip(losses(sampling, 0), losses(plain, 0), strict=True)
    )
    assert losses(sampling, 10_000) == pytest.approx(losses(plain, 10_000), rel=1e-5)
    assert validation(sampling) == pytest.approx(validation(plain), rel=1e-6)
