"""linear_regression against numpy's least squares."""

import numpy as np
import tensorflow as tf
from small_models import data, make


def fit(model, frames, known, rows=2):
    """Take the steps of a training: batches of `rows` sequences, one after the other."""
    (phase,) = model.phases(100)
    phase.optimizer.build(phase.variables)
    for first in range(0, len(frames), rows):
        part = slice(first, first + rows)
        with tf.GradientTape() as tape:
            loss = phase.loss(frames[part], known[part], first // rows, np.arange(rows))["loss"]
        phase.optimizer.apply(tape.gradient(loss, [model.moments.value]), phase.variables)


def weather(rng, model, batch):
    """Return frames that change slowly and go on as they did: those of successive hours are nearly the same."""
    frames, known = data(model, rng, batch)
    slow = rng.normal(size=(batch, 1, *frames.shape[2:])) + 0.03 * np.cumsum(
        np.cumsum(frames, axis=1), axis=1
    )
    return slow.astype(np.float32), known


def test_forecasts_are_those_of_least_squares(rng):
    """The same as numpy's solution from all samples at once, for each lead hour and variable."""
    model = make("linear_regression", overrides=["ridge=1e-7"])
    frames, known = weather(rng, model, 8)
    fit(model, frames, known)
    found = np.asarray(model.forecast(frames[:, :4], known))
    for lead in range(3):
        context = np.moveaxis(frames[:, :4], 1, 3).reshape(8 * 9 * 11, 8)
        ones = np.ones((len(context), 1))
        design = np.hstack([context, known[:, 4 + lead].reshape(len(context), 2), ones]).astype(np.float64)
        truth = frames[:, 4 + lead].reshape(len(context), 2).astype(np.float64)
        expected = design @ np.linalg.lstsq(design, truth, rcond=None)[0]
        np.testing.assert_allclose(found[:, lead].reshape(expected.shape), expected, atol=2e-4)
        assert np.abs(expected - context[:, -2:]).mean() > 0.01  # far from persistence


def test_one_epoch_gives_the_same_for_any_batch_size(rng):
    frames, known = weather(rng, make("linear_regression"), 8)
    forecasts = []
    for rows in (1, 4, 8):
        model = make("linear_regression")
        fit(model, frames, known, rows)
        forecasts.append(np.asarray(model.forecast(frames[:, :4], known)))
    np.testing.assert_allclose(forecasts[0], forecasts[2], atol=1e-4)
    np.testing.assert_allclose(forecasts[1], forecasts[2], atol=1e-4)


def test_untrained_and_with_a_large_ridge_it_is_persistence(rng):
    model = make("linear_regression")
    frames, known = weather(rng, model, 4)
    persistence = np.repeat(frames[:, 3:4], 3, axis=1)
    np.testing.assert_array_equal(np.asarray(model.forecast(frames[:, :4], known)), persistence)
    model = make("linear_regression", overrides=["ridge=1e6"])
    fit(model, frames, known)
    np.testing.assert_allclose(np.asarray(model.forecast(frames[:, :4], known)), persistence, atol=1e-4)


def test_the_ridge_is_a_part_of_each_mean_square(rng):
    model = make("linear_regression", variables=("x",), known=(), context=1, lead=1, overrides=["ridge=0.5"])
    frames, known = data(model, rng, batch=4)
    fit(model, frames, known)
    last, change = frames[:, 0].ravel().astype(float), (frames[:, 1] - frames[:, 0]).ravel().astype(float)
    design = np.stack([last, np.ones_like(last)], axis=1)
    squares = design.T @ design
    expected = np.linalg.solve(squares + 0.5 * np.diag(np.diag(squares)), design.T @ change)
    np.testing.assert_allclose(np.asarray(model.coefficients())[0, :, 0], expected, rtol=1e-4)


def test_a_regressor_that_is_always_zero_does_no_harm(rng):
    """A region without sea has a land-sea mask that says nothing; a clock may stand still."""
    model = make("linear_regression")
    frames, known = weather(rng, model, 8)
    known[..., 0] = 0.0
    known[..., 1] = 1.0  # beside the constant: the equations are singular but for the ridge
    fit(model, frames, known)
    forecast = np.asarray(model.forecast(frames[:, :4], known))
    persistence = np.repeat(frames[:, 3:4], 3, axis=1)
    assert ((forecast - frames[:, 4:]) ** 2).mean() < ((persistence - frames[:, 4:]) ** 2).mean()
