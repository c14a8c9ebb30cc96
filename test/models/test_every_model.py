"""What every registered model must hold."""

import keras
import numpy as np
import pytest

from video_prediction_tools.errors import InputError
from video_prediction_tools.models import registry
from video_prediction_tools.models.base import DataSpec

SMALL = {"convLSTM": ["filters=6,6"]}


def make(
    name,
    *,
    height=9,
    width=11,
    variables=("2t", "msl"),
    known=("lsm", "sin_solar_time"),
    context=4,
    lead=3,
    overrides=(),
):
    """Return a small model of a name."""
    hparams = registry.resolve_hparams(name, None, [*SMALL[name], f"context_frames={context}", *overrides])
    keras.utils.set_random_seed(3)
    return registry.create(name, DataSpec(height, width, variables, known, context, lead), hparams)


def shake(model, rng):
    """Move all weights away from where they start (an untrained residual model is persistence)."""
    for weight in model.trainable_variables:
        weight.assign(weight + rng.normal(scale=0.1, size=weight.shape).astype(np.float32))


def data(model, rng, batch=2):
    """Return random frames and known channels."""
    spec = model.spec
    shape = (batch, spec.context_frames + spec.lead_frames, spec.height, spec.width)
    return (
        rng.normal(size=(*shape, spec.channels)).astype(np.float32),
        rng.normal(size=(*shape, len(spec.known))).astype(np.float32),
    )


@pytest.fixture(params=registry.names())
def name(request):
    """Each model in turn."""
    return request.param


@pytest.mark.parametrize(
    "overrides", [[], ["patch_size=2"], ["residual=false"], ["mixed_precision=float32", "loss_fun=mae"]]
)
def test_shapes_and_gradients(name, rng, overrides):
    import tensorflow as tf

    model = make(name, overrides=overrides)
    shake(model, rng)
    frames, known = data(model, rng)
    forecast = model.forecast(frames[:, :4], known, seed=1)
    assert forecast.shape == (2, 3, 9, 11, 2) and np.isfinite(forecast).all()
    for phase in model.phases(total_steps=10):
        with tf.GradientTape() as tape:
            loss = phase.loss(frames, known, 0, 0)["loss"]
        gradients = tape.gradient(loss, [variable.value for variable in phase.variables])
        for variable, gradient in zip(phase.variables, gradients, strict=True):
            assert gradient is not None, f"{variable.path}: no gradient"
            assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0, f"{variable.path}: no gradient"


@pytest.mark.parametrize(
    ("height", "width", "variables", "known", "context", "lead", "overrides"),
    [
        (2, 3, ("2t",), (), 1, 1, []),
        (33, 49, ("2t",), ("lsm",), 2, 5, ["patch_size=4"]),
        (5, 8, ("a", "b", "c", "d"), (), 3, 1, ["patch_size=2"]),
    ],
)
def test_any_grid_channels_and_lengths(name, rng, height, width, variables, known, context, lead, overrides):
    model = make(
        name,
        height=height,
        width=width,
        variables=variables,
        known=known,
        context=context,
        lead=lead,
        overrides=overrides,
    )
    frames, extra = data(model, rng)
    assert model.forecast(frames[:, :context], extra).shape == (2, lead, height, width, len(variables))


def test_no_frame_after_init_time_is_seen(name, rng):
    model = make(name)
    shake(model, rng)
    frames, known = data(model, rng)
    before = np.asarray(model.forecast(frames[:, :4], known, seed=1))
    parts = {phase.name: float(phase.loss(frames, known, 0, 0)["loss"]) for phase in model.phases(10)}
    frames[:, 4:] += 100.0
    np.testing.assert_array_equal(np.asarray(model.forecast(frames[:, :4], known, seed=1)), before)
    for phase in model.phases(10):  # the loss does see them, or the test would show nothing
        assert float(phase.loss(frames, known, 0, 0)["loss"]) > parts[phase.name] + 100


def test_forecasts_use_the_whole_context_and_the_known_channels_of_the_lead(name, rng):
    model = make(name)
    shake(model, rng)
    frames, known = data(model, rng)
    before = np.asarray(model.forecast(frames[:, :4], known))
    for index in range(4):
        changed = frames.copy()
        changed[:, index] += 1.0
        assert np.abs(np.asarray(model.forecast(changed[:, :4], known)) - before).max() > 1e-4
    changed = known.copy()
    changed[:, -1] += 1.0  # known at the last lead frame: changes that frame's forecast and no earlier one
    after = np.asarray(model.forecast(frames[:, :4], changed))
    assert np.abs(after[:, -1] - before[:, -1]).max() > 1e-4
    np.testing.assert_array_equal(after[:, :-1], before[:, :-1])


def test_same_seed_same_forecast_and_other_seed_other_forecast_if_stochastic(name, rng):
    model = make(name)
    shake(model, rng)
    frames, known = data(model, rng)
    first, again, other = (np.asarray(model.forecast(frames[:, :4], known, seed=seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.array_equal(first, other) != model.stochastic


def test_sequences_of_a_batch_do_not_mix(name, rng):
    model = make(name)
    shake(model, rng)
    frames, known = data(model, rng, batch=3)
    together = np.asarray(model.forecast(frames[:, :4], known))
    alone = np.asarray(model.forecast(frames[1:2, :4], known[1:2]))
    np.testing.assert_allclose(together[1:2], alone, atol=1e-5)


@pytest.mark.slow
def test_four_sequences_can_be_learnt_by_heart(name, rng):
    import tensorflow as tf

    model = make(name, variables=("2t",), overrides=["lr=0.01", "filters=24,24", "lr_schedule=constant"])
    frames, known = data(model, rng, batch=4)
    frames = np.cumsum(frames, axis=1).astype(np.float32) * 0.3
    phase = model.phases(500)[0]
    phase.optimizer.build(phase.variables)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = phase.loss(frames, known, 0, 0)["loss"]
        phase.optimizer.apply(tape.gradient(loss, [v.value for v in phase.variables]), phase.variables)
        return loss

    losses = [float(step()) for _ in range(500)]
    assert losses[-1] < 0.1 * losses[0]


def test_an_untrained_residual_model_is_persistence(rng):
    model = make("convLSTM")
    frames, known = data(model, rng)
    forecast = np.asarray(model.forecast(frames[:, :4], known))
    np.testing.assert_array_equal(forecast, np.repeat(frames[:, 3:4], 3, axis=1))


def test_opt_var_must_be_a_variable_of_the_data():
    with pytest.raises(InputError, match="did you mean '2t'"):
        make("convLSTM", overrides=["opt_var=2tt"])


def test_patches_must_not_be_larger_than_the_grid_allows(rng):
    model = make("convLSTM", overrides=["patch_size=18"])  # 9 x 11 points: padded by 9 and 7
    frames, known = data(model, rng)
    assert model.forecast(frames[:, :4], known).shape == (2, 3, 9, 11, 2)
    with pytest.raises(InputError, match="patch_size 19 needs at least 10 x 10 grid points"):
        make("convLSTM", overrides=["patch_size=19"])
