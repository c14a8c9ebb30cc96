"""savp: its layers against other libraries and numpy, its losses, and that the latent code is really used."""

import keras
import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf
from numpy_layers import convolution, sigmoid
from random_walks import DEVIATION, drawn_from_zero, learn_walks
from small_models import data, make, shake

from video_prediction_tools.errors import InputError
from video_prediction_tools.models.layers.cdna import apply_kernels, cdna_kernels, warp
from video_prediction_tools.models.layers.instance_norm import EPSILON, InstanceNormalization
from video_prediction_tools.models.layers.savp_generator import NormalizedConvLSTMCell, field_means
from video_prediction_tools.models.savp import number_of_scales
from video_prediction_tools.training.arithmetic import layer_arithmetic

SEEDS = np.array([3, 4], np.int32)


def test_cdna_kernels_in_numpy(rng):
    raw = rng.normal(scale=0.5, size=(2, 5, 5, 3)).astype(np.float32)
    kernels = np.asarray(cdna_kernels(raw))
    for sequence in range(2):
        for number in range(3):
            kernel = raw[sequence, :, :, number].astype(np.float64)
            kernel[2, 2] += 1.0
            kernel = np.maximum(kernel - 1e-12, 0.0) + 1e-12
            np.testing.assert_allclose(
                kernels[sequence, :, :, number], kernel / kernel.sum(), rtol=1e-5, atol=1e-7
            )


def test_cdna_kernels_of_a_network_that_says_nothing_leave_the_frame(rng):
    frames = rng.normal(size=(2, 6, 7, 2)).astype(np.float32)
    moved = np.asarray(apply_kernels(frames, cdna_kernels(np.zeros((2, 5, 5, 3), np.float32))))
    np.testing.assert_allclose(moved, np.repeat(frames[:, :, :, None], 3, axis=3), atol=1e-6)
    everything_dead = cdna_kernels(np.full((2, 5, 5, 3), -9.0, np.float32))  # the mean of 5 x 5 points
    np.testing.assert_allclose(np.asarray(everything_dead), 1 / 25, rtol=1e-5)


def test_kernels_are_applied_as_scipy_does(rng):
    frames = rng.normal(size=(2, 6, 7, 2)).astype(np.float32)
    kernels = rng.normal(size=(2, 5, 5, 3)).astype(np.float32)
    moved = np.asarray(apply_kernels(frames, kernels))
    assert moved.shape == (2, 6, 7, 3, 2)
    for sequence, number, channel in np.ndindex(2, 3, 2):
        expected = scipy.ndimage.correlate(
            frames[sequence, ..., channel], kernels[sequence, ..., number], mode="reflect"
        )
        np.testing.assert_allclose(moved[sequence, :, :, number, channel], expected, rtol=1e-4, atol=1e-4)


def test_flows_are_applied_as_scipy_does(rng):
    frames = rng.normal(size=(2, 6, 7, 2)).astype(np.float32)
    flows = rng.normal(scale=3.0, size=(2, 6, 7, 3, 2)).astype(np.float32)  # some lead out of the frame
    moved = np.asarray(warp(frames, flows))
    grid = np.stack(np.meshgrid(np.arange(6.0), np.arange(7.0), indexing="ij"))
    for sequence, number, channel in np.ndindex(2, 3, 2):
        places = grid + np.moveaxis(flows[sequence, :, :, number], -1, 0)
        expected = scipy.ndimage.map_coordinates(
            frames[sequence, ..., channel], places, order=1, mode="nearest"
        )
        np.testing.assert_allclose(moved[sequence, :, :, number, channel], expected, rtol=1e-4, atol=1e-4)


def test_instance_normalisation_equals_keras(rng):
    features = (3 + 2 * rng.normal(size=(2, 5, 6, 4))).astype(np.float32)
    layer = InstanceNormalization()
    layer(features)
    theirs = keras.layers.GroupNormalization(groups=-1, epsilon=EPSILON)
    theirs(features)
    scale, shift = rng.normal(size=(2, 4)).astype(np.float32)
    layer.set_weights([scale, shift])
    theirs.set_weights([scale, shift])
    np.testing.assert_allclose(
        np.asarray(layer(features)), np.asarray(theirs(features)), rtol=1e-4, atol=1e-4
    )


def test_normalised_conv_lstm_cell_in_numpy(rng):
    cell = NormalizedConvLSTMCell(3, 5)
    inputs, hidden, state = (
        rng.normal(size=(2, 6, 7, channels)).astype(np.float32) for channels in (4, 3, 3)
    )
    shift = rng.normal(size=(2, 1, 1, 12)).astype(np.float32)
    found = cell(inputs, shift, (hidden, state))
    for weight in cell.trainable_variables:
        weight.assign(weight + rng.normal(scale=0.3, size=weight.shape))
    found = cell(inputs, shift, (hidden, state))

    def normalised(features, layer):
        scale, offset = (np.asarray(weight) for weight in layer.weights)
        mean, variance = features.mean((1, 2), keepdims=True), features.var((1, 2), keepdims=True)
        return (features - mean) / np.sqrt(variance + EPSILON) * scale + offset

    joined = np.concatenate([inputs, hidden], axis=-1)
    gates = convolution(joined, np.asarray(cell.convolution.kernel, np.float64))
    i, f, g, o = np.split(normalised(gates, cell.gate_norm) + shift, 4, axis=-1)
    new = normalised(sigmoid(f + 1) * state + sigmoid(i) * np.tanh(g), cell.state_norm)
    np.testing.assert_allclose(np.asarray(found[1]), new, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(np.asarray(found[0]), sigmoid(o) * np.tanh(new), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("height", "width"), [(8, 12), (9, 11), (2, 3)])
def test_means_over_fields(rng, height, width):
    features = rng.normal(size=(2, height, width, 3)).astype(np.float32)
    means = np.asarray(field_means(features, 4))
    assert means.shape == (2, 4, 4, 3)
    for i, j in np.ndindex(4, 4):
        rows = slice(i * height // 4, -(-(i + 1) * height // 4))
        columns = slice(j * width // 4, -(-(j + 1) * width // 4))
        np.testing.assert_allclose(means[:, i, j], features[:, rows, columns].mean((1, 2)), atol=1e-5)


@pytest.mark.parametrize("name", ["savp", "savp_vae", "savp_gan"])
def test_every_frame_depends_on_its_code_and_on_those_before(rng, name):
    """On the whole grid: a code that is tiled before an instance normalisation changes the edges only."""
    model = make(name, height=32, width=33, context=3, lead=3)
    shake(model, rng)
    frames, known = data(model, rng)
    codes = rng.normal(size=(2, 5, 2)).astype(np.float32)
    before = np.asarray(model.roll_out(frames[:, :3], known, codes))
    for step in range(5):
        changed = codes.copy()
        changed[:, step] += 1.0
        change = np.abs(np.asarray(model.roll_out(frames[:, :3], known, changed)) - before)
        assert change[:, :step].max(initial=0.0) == 0.0
        assert np.abs(change[:, step]).mean(axis=(1, 2)).min() > 1e-4
        assert change[:, step, 14:18, 14:18].max() > 1e-3
        if step < 4:
            assert change[:, step + 1].max() > 1e-4  # the LSTM on the codes hands it on


def test_the_code_enters_each_layer(rng):
    """Layer by layer: the code's way into all other layers is closed."""
    model = make("savp_vae", height=32, width=33, context=1, lead=1)
    shake(model, rng)
    frames, known = data(model, rng)
    codes = rng.normal(size=(2, 1, 2)).astype(np.float32)
    kernel = model.generator.shifts.kernel
    whole, begin = kernel.numpy().copy(), 0
    for width in model.generator.shift_widths:
        open_to_one = np.zeros_like(whole)
        open_to_one[:, begin : begin + width] = whole[:, begin : begin + width]
        kernel.assign(open_to_one)
        one, other = (np.asarray(model.roll_out(frames[:, :1], known, each)) for each in (codes, codes + 1.0))
        assert np.abs(one - other)[:, 0, 14:18, 14:18].max() > 1e-4, f"columns from {begin} on"
        begin += width
    assert begin == whole.shape[1]


def test_the_lstm_on_the_codes_in_numpy(rng):
    model = make("savp_vae", known=())
    shake(model, rng)
    generator = model.generator
    frame = rng.normal(size=(2, 12, 12, 2)).astype(np.float32)
    kernel, bias = (np.asarray(weight) for weight in generator.code_gates.weights)
    state, hidden, cell = generator.initial_state(frame), np.zeros((2, 2)), np.zeros((2, 2))
    for _ in range(3):
        code = rng.normal(size=(2, 2)).astype(np.float32)
        _, state = generator(frame, frame, None, code, state)
        i, f, g, o = np.split(np.concatenate([code, hidden], axis=1) @ kernel + bias, 4, axis=1)
        cell = sigmoid(f + 1) * cell + sigmoid(i) * np.tanh(g)
        hidden = sigmoid(o) * np.tanh(cell)
        np.testing.assert_allclose(np.asarray(state[0][0]), hidden, atol=1e-5)
        np.testing.assert_allclose(np.asarray(state[0][1]), cell, atol=1e-5)


def test_what_is_the_same_on_the_whole_grid_is_not_normalised_away(rng):
    """A clock, for example."""
    model = make("savp", height=32, width=33, context=2, lead=1)
    shake(model, rng)
    frames, known = data(model, rng)
    before = np.asarray(model.forecast(frames[:, :2], known, SEEDS))
    known[:, 2, ..., 1] += 1.0
    change = np.abs(np.asarray(model.forecast(frames[:, :2], known, SEEDS)) - before)
    assert change[:, 0, 14:18, 14:18].max() > 1e-3


def test_members_of_an_ensemble_differ_at_every_lead_hour(rng):
    model = make("savp")
    shake(model, rng)
    frames, known = data(model, rng, batch=1)
    context, known = np.repeat(frames[:, :4], 5, axis=0), np.repeat(known, 5, axis=0)
    members = np.asarray(model.forecast(context, known, np.arange(5)))
    assert members.std(axis=0).mean(axis=(1, 2, 3)).min() > 1e-4


def test_a_posterior_code_sees_two_frames(rng):
    model = make("savp_vae")
    shake(model, rng)
    frames, _ = data(model, rng)
    before = np.asarray(model._posterior(frames)[0])
    frames[:, 3] += rng.normal(size=frames[:, 3].shape)
    changed = np.abs(np.asarray(model._posterior(frames)[0]) - before).max(axis=(0, 2))
    assert changed.shape == (6,) and (changed[[2, 3]] > 1e-4).all() and not changed[[0, 1, 4, 5]].any()


def test_a_posterior_code_sees_a_small_change_of_all_points_in_bfloat16(rng):
    """0.003 at 1.5: in bfloat16 both would be 1.5, so that the means are taken and read in float32."""
    with layer_arithmetic("bfloat16"):
        model = make("savp_vae")
    shake(model, rng)
    frames = np.full((1, 2, *data(model, rng)[0].shape[2:]), 1.5, np.float32)
    before, (weights, _) = np.asarray(model._posterior(frames)[0]), model.posterior.moments.get_weights()
    frames[:, 1] += 0.003
    channels = frames.shape[-1]
    expected = 0.003 * weights[channels : 2 * channels, : model.hparams.nz].sum(0)
    changed = np.asarray(model._posterior(frames)[0]) - before
    np.testing.assert_allclose(changed[0, 0], expected, rtol=1e-3, atol=1e-6)


def test_shown_frames_take_the_place_of_its_own(rng):
    model = make("savp_vae")
    shake(model, rng)
    frames, known = data(model, rng)
    codes = rng.normal(size=(2, 6, 2)).astype(np.float32)
    own = np.asarray(model.roll_out(frames[:, :4], known, codes))
    hidden, shown = np.ones((2, 2, 6), np.float32)
    hidden[:, 4:] = 0.0
    np.testing.assert_allclose(np.asarray(model.roll_out(frames, known, codes, hidden)), own, atol=1e-5)
    # its own frames, shown to it, change nothing; true ones change what follows, in their sequence only
    again = np.concatenate([frames[:, :4], own[:, 3:]], axis=1)
    np.testing.assert_allclose(np.asarray(model.roll_out(again, known, codes, shown)), own, atol=1e-5)
    shown[1, 4:] = 0.0
    forced = np.asarray(model.roll_out(frames, known, codes, shown))
    np.testing.assert_allclose(forced[1], own[1], atol=1e-5)
    np.testing.assert_allclose(forced[0, :4], own[0, :4], atol=1e-5)
    assert np.abs(forced[0, 4:] - own[0, 4:]).max() > 1e-3


def test_true_frames_are_shown_in_training_as_often_as_scheduled(rng):
    """In all sequences at the start, in none when k / (k + exp(step / k)) has fallen to zero."""
    model = make("savp_vae", overrides=["schedule_sampling_k=900"])
    shake(model, rng)
    frames, known = data(model, rng)
    mean, log_variance = model._posterior(frames)
    codes = mean + np.exp(log_variance / 2) * model._drawn("posterior", 2, SEEDS)
    for step, shown in ((0, np.ones((2, 6), np.float32)), (30_000, None)):
        made = np.asarray(model._branches(frames, known, step, SEEDS)[0]["vae"])
        np.testing.assert_allclose(made, np.asarray(model.roll_out(frames, known, codes, shown)), atol=1e-5)


def test_losses_are_the_sums_of_their_parts_with_the_weights_of_the_paper(rng):
    model = make("savp", overrides=["kl_anneal_steps=10,30", "l1_weight=100", "kl_weight=0.5"])
    shake(model, rng)
    frames, known = data(model, rng)
    judged, made = (phase.loss for phase in model.phases(10))
    branches, divergence = model._branches(frames, known, 20, SEEDS)
    posterior, prior = (np.asarray(branches[name]) for name in ("vae", "prior"))
    truth = frames[:, 1:]

    def judgement(name, clips):
        return np.asarray(model.discriminators[name](clips)[0])

    parts = {key: float(value) for key, value in made(frames, known, 20, SEEDS).items()}
    assert parts["l1"] == pytest.approx(np.abs(posterior - truth).mean(), rel=1e-4)
    assert parts["kl"] == pytest.approx(float(divergence), rel=1e-5)
    assert parts["gan_vae"] == pytest.approx(((judgement("vae", posterior) - 1) ** 2).mean(), rel=1e-3)
    assert parts["gan_prior"] == pytest.approx(((judgement("prior", prior) - 1) ** 2).mean(), rel=1e-3)
    expected = 100 * parts["l1"] + 0.5 * 0.5 * parts["kl"]
    expected += 0.1 * parts["gan_vae"] + 0.1 * parts["gan_prior"] + 10 * parts["features_vae"]
    assert parts["loss"] == pytest.approx(expected, rel=1e-5)
    expected = sum(
        ((judgement(name, truth) - 1) ** 2).mean() + (judgement(name, forecast) ** 2).mean()
        for name, forecast in (("vae", posterior), ("prior", prior))
    )
    assert float(judged(frames, known, 20, SEEDS)["loss"]) == pytest.approx(expected, rel=1e-3)


def test_codes_of_the_two_branches(rng):
    """Posterior codes are mu + sigma * noise; the forecast has them within the context, and noise behind it."""
    model = make("savp", overrides=["schedule_sampling_k=0"])
    shake(model, rng)
    frames, known = data(model, rng)
    branches, _ = model._branches(frames, known, 0, SEEDS)
    forecast = np.asarray(model.forecast(frames[:, :4], known, SEEDS))
    np.testing.assert_allclose(np.asarray(branches["prior"])[:, 3:], forecast, atol=1e-5)
    mean, log_variance = (np.asarray(one) for one in model._posterior(frames))
    noise = np.asarray(model._drawn("posterior", 2, SEEDS))
    codes = mean + np.exp(log_variance / 2) * noise
    expected = np.asarray(model.roll_out(frames[:, :4], known, codes))
    np.testing.assert_allclose(np.asarray(branches["vae"]), expected, atol=1e-5)
    codes[:, 3:] = np.asarray(model._drawn("prior", 2, SEEDS))[:, 3:]
    expected = np.asarray(model.roll_out(frames[:, :4], known, codes))
    np.testing.assert_allclose(np.asarray(branches["prior"]), expected, atol=1e-5)


def test_without_a_posterior_all_codes_are_noise(rng):
    model = make("savp_gan")
    shake(model, rng)
    frames, known = data(model, rng)
    expected = model.roll_out(frames[:, :4], known, model._drawn("prior", 2, SEEDS))
    np.testing.assert_allclose(
        np.asarray(model.forecast(frames[:, :4], known, SEEDS)), np.asarray(expected)[:, 3:], atol=1e-5
    )


def test_the_players_have_their_own_weights_and_optimizers(rng):
    model = make("savp", overrides=["beta1=0.3", "beta2=0.8"])
    shake(model, rng)
    frames, known = data(model, rng)
    discriminator, generator = model.phases(10)
    assert discriminator.optimizer is not generator.optimizer
    for optimizer in (discriminator.optimizer, generator.optimizer):
        assert (optimizer.beta_1, optimizer.beta_2) == (0.3, 0.8)
    assert not {v.path for v in discriminator.variables} & {v.path for v in generator.variables}
    with tf.GradientTape() as tape:
        loss = discriminator.loss(frames, known, 0, SEEDS)["loss"]
    assert tape.gradient(loss, [v.value for v in generator.variables]) == [None] * len(generator.variables)


def test_after_step_changes_the_spectral_normalisation_only(rng):
    model = make("savp")
    before = {v.path: v.numpy().copy() for v in model.variables}
    model.after_step()
    changed = {v.path for v in model.variables if not np.array_equal(v.numpy(), before[v.path])}
    # the last layer has one filter, whose direction is 1 from the start or from the first step
    directions = {path for path in before if path.endswith("direction")}
    assert len(directions) == 16 and changed <= directions and len(changed) >= 14


def test_variants_have_no_more_than_they_need():
    parts = {
        name: {v.path.split("/")[0] for v in make(name).variables}
        for name in ("savp", "savp_vae", "savp_gan")
    }
    assert parts["savp"] == {"generator", "posterior", "discriminator_vae", "discriminator_prior"}
    assert parts["savp_vae"] == {"generator", "posterior"}
    assert parts["savp_gan"] == {"generator", "discriminator_prior"}


def test_scales_follow_the_smaller_side():
    sizes = {(9, 300): 2, (32, 48): 2, (64, 64): 3, (127, 200): 3, (128, 128): 4, (256, 500): 5}
    assert {size: number_of_scales(*size) for size in sizes} == sizes


def test_layers_have_the_original_s_sizes():
    """For 56 x 92 points: encoder 32, 64, decoder 32, 32, 4 kernels of 5 x 5, masks over 7 images."""
    model = make(
        "savp_vae",
        height=56,
        width=92,
        variables=("a", "b", "c"),
        known=(),
        overrides=["ngf=32", "rnn_kernel_size=5"],
    )
    shapes = {v.path: tuple(v.shape) for v in model.generator.variables}
    assert shapes["generator/encoder_0/kernel"] == (5, 5, 6, 32)
    assert shapes["generator/encoder_1/kernel"] == (3, 3, 32, 64)
    assert shapes["generator/decoder_0/kernel"] == (3, 3, 64, 32)
    assert shapes["generator/decoder_1/kernel"] == (3, 3, 64, 32)
    assert [shapes[f"generator/cell_{index}/convolution/kernel"] for index in range(3)] == [
        (5, 5, 64, 128),
        (5, 5, 128, 256),
        (5, 5, 64, 128),
    ]
    assert shapes["generator/masks/kernel"][-1] == 7 and shapes["generator/cdna_kernels/kernel"][-1] == 100


def test_wrong_hyper_parameters_are_refused():
    with pytest.raises(InputError, match="kernel_size: 4 is even"):
        make("savp", overrides=["kernel_size=4"])
    with pytest.raises(InputError, match="XLA cannot compile savp_gan"):
        make("savp_gan", overrides=["xla=true"])


@pytest.mark.slow
def test_a_trained_code_says_what_the_context_does_not(rng):
    """x(1) = x(0) + noise of variance 1/4, the same at all points, and one number for a code.

    The loss E |x - f(z)|^2 + w KL belongs to x = f(z) + N(0, w/2), and a linear f(z) then has the variance 1/4 - w/2
    (probabilistic principal components: Tipping & Bishop 1999); KL = log(1/4 / (w/2)) / 2. Normalisation in posterior
    and generator must not take the code away, which is how savp comes to forecast one and the same for all codes.
    """
    settings = ["ngf=4", "nef=4", "nz=1", "lr=0.01", "beta1=0.9", "schedule_sampling_k=0", "loss_fun=mse"]
    settings += ["l1_weight=1", "kl_weight=0.1", "kl_anneal_steps=200,400"]
    model, parts = learn_walks("savp_vae", rng, settings, grid=(8, 8))
    drawn = drawn_from_zero(model, 1000)
    assert drawn.std() == pytest.approx(np.sqrt(DEVIATION**2 - 0.05), rel=0.2)
    assert parts["kl"][-50:].mean() == pytest.approx(0.5 * np.log(DEVIATION**2 / 0.05), rel=0.2)
    assert abs(drawn.mean()) < 0.1
