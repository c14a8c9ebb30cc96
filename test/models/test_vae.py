"""What a video VAE must hold beyond what every model must."""

import numpy as np
import pytest
from small_models import data, make, shake

from video_prediction_tools.errors import InputError
from video_prediction_tools.models import vae


def codes_replaced(monkeypatch, change):
    """Let `change(lead, code)` replace the codes of the lead frames; lead counts from 0."""
    sample, calls = vae.gaussian.sample, []

    def replaced(*arguments):
        calls.append(None)
        return change(len(calls) - 1, sample(*arguments))

    monkeypatch.setattr(vae.gaussian, "sample", replaced)


@pytest.mark.parametrize("lead", [0, 1, 2])
def test_every_lead_frame_depends_on_its_code_and_on_no_later_one(rng, monkeypatch, lead):
    model = make("vae")
    shake(model, rng)
    frames, known = data(model, rng)
    before = np.asarray(model.forecast(frames[:, :4], known, [1, 2]))
    codes_replaced(monkeypatch, lambda at, code: code + 1.0 if at == lead else code)
    after = np.asarray(model.forecast(frames[:, :4], known, [1, 2]))
    np.testing.assert_array_equal(after[:, :lead], before[:, :lead])
    assert np.abs(after[:, lead] - before[:, lead]).max() > 1e-3


def test_codes_of_a_training_step_know_the_truth_and_those_of_a_forecast_do_not(rng):
    model = make("vae")
    shake(model, rng)
    frames, known = data(model, rng)
    changed = frames.copy()
    changed[:, 4] += 1.0
    drawn = [np.asarray(model._draw(one[:, :4], one[:, 4:], known, [1, 2])[0]) for one in (frames, changed)]
    assert np.abs(drawn[0][:, 0] - drawn[1][:, 0]).max() > 1e-4
    _, none = model._draw(frames[:, :4], None, known, [1, 2])
    assert none is None


def test_the_loss_by_its_parts(rng):
    model = make("vae", overrides=["kl_weight=0.5", "weight_recon=3", "kl_anneal_steps=10,30"])
    shake(model, rng)
    frames, known = data(model, rng)
    (phase,) = model.phases(100)
    for step, share in ((0, 0.0), (10, 0.0), (20, 0.5), (99, 1.0)):
        parts = {name: float(one) for name, one in phase.loss(frames, known, step, [1, 2]).items()}
        expected = 3 * parts["reconstruction"] + 0.5 * share * parts["kl"]
        assert parts["loss"] == pytest.approx(expected, rel=1e-5) and parts["kl"] > 0


def test_where_the_posterior_is_the_prior_the_kl_loss_is_zero(rng, monkeypatch):
    model = make("vae")
    shake(model, rng)
    frames, known = data(model, rng)
    assert float(model._draw(frames[:, :4], frames[:, 4:], known, [1, 2])[1]) > 1e-4
    same = [np.ones((2, 3), np.float32), np.zeros((2, 3), np.float32)]
    monkeypatch.setattr(vae.CodeDistribution, "__call__", lambda self, inputs, state: (same, state))
    assert float(model._draw(frames[:, :4], frames[:, 4:], known, [1, 2])[1]) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("wrong", ["5", "9,3", "1,2,3"])
def test_wrong_anneal_steps(wrong):
    with pytest.raises(InputError, match="kl_anneal_steps"):
        make("vae", overrides=[f"kl_anneal_steps={wrong}"])
