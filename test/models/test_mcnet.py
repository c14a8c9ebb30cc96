"""mcnet: its parts against numbers worked out by hand, and that motion and content both matter."""

import numpy as np
import pytest
from small_models import data, make, shake

from video_prediction_tools.models.mcnet import gradient_difference_loss, unpool


def test_unpooling_puts_zeros_between_the_values():
    features = np.arange(1.0, 5.0, dtype=np.float32).reshape(1, 2, 2, 1)
    expected = [[1, 0, 2, 0], [0, 0, 0, 0], [3, 0, 4, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(np.asarray(unpool(features))[0, ..., 0], expected)


def test_gradient_difference_loss_by_hand():
    truth = np.array([[0.0, 1.0], [4.0, 4.0]], np.float32).reshape(1, 1, 2, 2, 1)
    forecast = np.array([[0.0, -3.0], [2.0, 2.0]], np.float32).reshape(1, 1, 2, 2, 1)
    # rows: |4| - |2| = 2, |3| - |5| = -2; columns: |1| - |-3| = -2, |0| - |0| = 0
    assert float(gradient_difference_loss(forecast, truth, np.ones(1))) == pytest.approx(2.0 + 1.0)
    assert float(gradient_difference_loss(-truth + 7, truth, np.ones(1))) == 0.0  # signs do not count


def test_gradient_difference_loss_weighs_the_variables(rng):
    truth, forecast = rng.normal(size=(2, 2, 3, 5, 6, 2)).astype(np.float32)
    both = np.asarray([gradient_difference_loss(forecast, truth, np.eye(2)[c] * 2) for c in range(2)])
    alone = [gradient_difference_loss(forecast[..., [c]], truth[..., [c]], np.ones(1)) for c in range(2)]
    np.testing.assert_allclose(both, alone, rtol=1e-5)


def test_the_forecast_depends_on_motion_and_on_content(rng):
    """The same differences over another last frame, and other differences before the same last frame."""
    model = make("mcnet")
    shake(model, rng)
    frames, known = data(model, rng)
    context = frames[:, :4]
    first = np.asarray(model.forecast(context, known))[:, 0] - context[:, -1]
    shifted = context + rng.normal(size=context[:, :1].shape).astype(np.float32)
    assert np.abs(np.asarray(model.forecast(shifted, known))[:, 0] - shifted[:, -1] - first).max() > 1e-3
    stood_still = np.repeat(context[:, -1:], 4, axis=1)
    assert (
        np.abs(np.asarray(model.forecast(stood_still, known))[:, 0] - stood_still[:, -1] - first).max() > 1e-3
    )


def test_the_forecast_goes_on_from_its_own_frames_and_differences(rng):
    """Its first forecast taken into the context gives the same second and third."""
    model, longer = make("mcnet"), make("mcnet", context=5, lead=2)
    shake(model, rng)
    for mine, theirs in zip(longer.variables, model.variables, strict=True):
        mine.assign(theirs)
    frames, known = data(model, rng)
    forecast = np.asarray(model.forecast(frames[:, :4], known))
    context = np.concatenate([frames[:, :4], forecast[:, :1]], axis=1)
    np.testing.assert_allclose(np.asarray(longer.forecast(context, known)), forecast[:, 1:], atol=1e-4)


def test_the_residual_connections_carry_small_scales(rng):
    """Without them a single grid point of the last frame is lost in the pools; each scale changes the forecast."""
    model = make("mcnet")
    shake(model, rng)
    frames, known = data(model, rng)
    before = np.asarray(model.forecast(frames[:, :4], known))
    for scale in range(3):
        bias = model.residuals[scale][1].bias
        kept = bias.numpy().copy()
        bias.assign(kept + 1.0)
        assert np.abs(np.asarray(model.forecast(frames[:, :4], known)) - before).max() > 1e-3, scale
        bias.assign(kept)


def test_losses_are_those_of_the_paper(rng):
    """L = alpha (L_p + L_gdl) + beta L_GAN, and the discriminator's cross entropy, from its logits in numpy."""
    model = make("mcnet", overrides=["alpha=0.5", "beta=0.1"])
    shake(model, rng)
    frames, known = data(model, rng)
    forecast = np.asarray(model.forecast(frames[:, :4], known))
    faked = np.concatenate([frames[:, :4], forecast], axis=1)
    probability = [
        1 / (1 + np.exp(-np.asarray(model.discriminator(one), np.float64))) for one in (frames, faked)
    ]
    judged, made = (phase.loss(frames, known, 0, np.arange(2)) for phase in model.phases(10))
    expected = -np.log(probability[0]).mean() - np.log(1 - probability[1]).mean()
    assert float(judged["loss"]) == pytest.approx(expected, rel=1e-4)
    error = ((forecast - frames[:, 4:]) ** 2).mean()
    gradients = sum(
        np.abs(np.abs(np.diff(forecast, axis=axis)) - np.abs(np.diff(frames[:, 4:], axis=axis))).mean()
        for axis in (2, 3)
    )
    expected = 0.5 * (error + gradients) - 0.1 * np.log(probability[1]).mean()
    assert float(made["loss"]) == pytest.approx(expected, rel=1e-4)


def test_beta_zero_makes_no_discriminator():
    model = make("mcnet", overrides=["beta=0"])
    assert [phase.name for phase in model.phases(10)] == ["generator"]
    assert not any("discriminator" in variable.path for variable in model.variables)
    phases = make("mcnet", overrides=["beta=0.02"]).phases(10)
    assert [phase.name for phase in phases] == ["discriminator", "generator"]
    assert not {v.path for v in phases[0].variables} & {v.path for v in phases[1].variables}
    assert [phase.optimizer.beta_1 for phase in phases] == [0.5, 0.5]  # as in the authors' script


def test_layers_have_the_paper_s_sizes():
    """With gf_dim 64 the weights of the authors' network, worked out from its layers (one channel, no known ones)."""
    model = make("mcnet", height=16, width=16, variables=("x",), known=(), overrides=["gf_dim=64", "beta=0"])

    def weights(size, *channels):
        return sum(size**2 * n * m + m for n, m in zip(channels, channels[1:], strict=False))

    motion = weights(5, 1, 64, 128) + weights(7, 128, 256) + weights(3, 512, 1024)
    content = weights(3, 1, 64, 64, 128, 128, 256, 256, 256)
    combination = weights(3, 512, 256, 128, 256)
    residuals = sum(weights(3, 2 * width, width, width) for width in (64, 128, 256))
    decoder = weights(3, 256, 256, 256, 128) + weights(3, 128, 128, 64) + weights(3, 64, 64, 1)
    assert model.count_params() == motion + content + combination + residuals + decoder
