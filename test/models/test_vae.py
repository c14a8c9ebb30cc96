"""What a video VAE must hold beyond what every model must."""

import numpy as np
import pytest
from numpy_layers import convolution, sigmoid
from random_walks import DEVIATION, drawn_from_zero, learn_walks
from small_models import data, make, shake

from video_prediction_tools.models import vae
from video_prediction_tools.models.layers.noise import normal


def codes_replaced(monkeypatch, change):
    """Let `change(lead, code)` replace the codes of the lead frames; lead counts from 0."""
    sample, calls = vae.gaussian.sample, []

    def replaced(*arguments):
        calls.append(None)
        return change(len(calls) - 1, sample(*arguments))

    monkeypatch.setattr(vae.gaussian, "sample", replaced)


def cell_in_numpy(cell, x, state):
    """One step of a ConvLSTM cell: the new (H, C)."""
    kernel, recurrent, bias = (np.asarray(weight, np.float64) for weight in cell.weights)
    if state is None:
        state = (np.zeros((*x.shape[:-1], cell.filters)),) * 2
    gates = convolution(x, kernel, bias) + convolution(state[0], recurrent)
    i, f, g, o = np.split(gates, 4, axis=-1)
    c = sigmoid(f) * state[1] + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def code_in_numpy(layer, x, state):
    """Mean and variance of a code, and the new state."""
    state = cell_in_numpy(layer.cell, x, state)
    kernel, bias = (np.asarray(weight, np.float64) for weight in layer.parameters.weights)
    mean, log_variance = np.split(state[0].mean(axis=(1, 2)) @ kernel + bias, 2, axis=-1)
    return mean, np.exp(log_variance), state


def drawn_in_numpy(model, frames, known, seeds, posterior_for_lead):
    """Lead frames and KL loss as the module's text says, of 4 context and 3 lead frames without patches."""
    noise = np.asarray(normal(seeds, "codes", 2, (3, model.hparams.nz)), np.float64)
    prior_state = posterior_state = None
    states, made, divergences = [None] * len(model.cells), [], []
    for step in range(6):
        x = frames[:, step] if step < 4 else made[-1]
        inputs = np.concatenate([x, known[:, step + 1]], axis=-1)
        p_mean, p_variance, prior_state = code_in_numpy(model.prior, inputs, prior_state)
        pair = np.concatenate([frames[:, step], frames[:, step + 1]], axis=-1)
        q_mean, q_variance, posterior_state = code_in_numpy(model.posterior, pair, posterior_state)
        if step < 3:
            code = q_mean
        elif posterior_for_lead:
            code = q_mean + np.sqrt(q_variance) * noise[:, step - 3]
        else:
            code = p_mean + np.sqrt(p_variance) * noise[:, step - 3]
        h = np.concatenate([inputs, np.tile(code[:, None, None], (1, *x.shape[1:3], 1))], axis=-1)
        for index, cell in enumerate(model.cells):
            states[index] = cell_in_numpy(cell, h, states[index])
            h = states[index][0]
        kernel, bias = (np.asarray(weight, np.float64) for weight in model.output_convolution.weights)
        if step >= 3:
            made.append(x + convolution(h, kernel, bias))
            divergences.append(
                0.5
                * (((q_mean - p_mean) ** 2 + q_variance) / p_variance - np.log(q_variance / p_variance) - 1)
            )
    return np.stack(made, axis=1), np.sum(divergences, axis=-1).mean()


@pytest.mark.parametrize("training", [False, True])
def test_draw_in_numpy(rng, training):
    """Which frames, codes, states and noise each step sees, in a forecast and in a training step."""
    model = make("vae", height=5, width=6, overrides=["patch_size=1"])
    shake(model, rng)
    for layer in (
        model.prior,
        model.posterior,
    ):  # far apart, so that the two directions of the KL loss differ
        layer.parameters.kernel.assign(rng.normal(size=layer.parameters.kernel.shape))
        layer.parameters.bias.assign(rng.normal(size=layer.parameters.bias.shape))
    frames, known = data(model, rng)
    seeds = np.array([1, 2], np.int32)
    forecast, divergence = model._draw(frames[:, :4], frames[:, 4:] if training else None, known, seeds)
    expected, kl = drawn_in_numpy(model, frames.astype(np.float64), known, seeds, training)
    np.testing.assert_allclose(np.asarray(forecast), expected, atol=1e-4)
    if training:
        assert float(divergence) == pytest.approx(kl, rel=1e-4)
        parts = {name: float(one) for name, one in model._bound(frames, known, 0, seeds).items()}
        assert parts["kl"] == pytest.approx(kl, rel=1e-4)
        assert parts["reconstruction"] == pytest.approx(((expected - frames[:, 4:]) ** 2).mean(), rel=1e-4)
    else:
        np.testing.assert_array_equal(np.asarray(model.forecast(frames[:, :4], known, seeds)), forecast)


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


@pytest.mark.parametrize("kl_weight", [0.02, 0.25, 1.0])
def test_spread_is_that_of_the_truth_less_half_the_weight_of_the_kl_loss(rng, kl_weight):
    """x(1) = x(0) + noise of variance 1/4, the same at all points, and one number for a code.

    The loss E |x - f(z)|^2 + w KL belongs to x = f(z) + N(0, w/2), and a linear f(z) then has the variance 1/4 - w/2,
    or none (probabilistic principal components: Tipping & Bishop 1999); KL = log(1/4 / (w/2)) / 2.
    """
    settings = ["filters=8", "latent_filters=8", "kernel_size=1", "lr=0.01", "nz=1", f"kl_weight={kl_weight}"]
    model, parts = learn_walks("vae", rng, settings, grid=(2, 3))
    drawn = drawn_from_zero(model, 2000)
    expected = max(DEVIATION**2 - kl_weight / 2, 0.0)
    assert drawn.std() == pytest.approx(np.sqrt(expected), rel=0.12, abs=0.02)
    assert parts["kl"][-1] == pytest.approx(max(0.5 * np.log(0.5 / kl_weight), 0), rel=0.3, abs=0.02)
    assert abs(drawn.mean()) < 0.05
