"""The loss of an ensemble, and an ensemble that is trained on it."""

import numpy as np
import pytest
import xarray as xr
from random_walks import DEVIATION, drawn_from_zero, learn_walks
from scores.probability import crps_for_ensemble
from small_models import data, make, shake

from video_prediction_tools.errors import InputError
from video_prediction_tools.models.base import member_seeds
from video_prediction_tools.models.layers.noise import mix
from video_prediction_tools.models.losses import almost_fair_crps, variable_weights


@pytest.mark.parametrize("members", [2, 3, 7])
@pytest.mark.parametrize(("fairness", "method"), [(1.0, "fair"), (0.0, "ecdf")])
def test_crps_equals_that_of_scores(rng, members, fairness, method):
    ensemble, truth = rng.normal(size=(members, 2, 3, 4, 5, 1)), rng.normal(size=(2, 3, 4, 5, 1))
    found, spread = almost_fair_crps(ensemble, truth, fairness, np.ones(1, np.float32))
    dims = ["b", "t", "y", "x", "c"]
    expected = crps_for_ensemble(
        xr.DataArray(ensemble, dims=["member", *dims]),
        xr.DataArray(truth, dims=dims),
        "member",
        method=method,
    )
    assert float(found) == pytest.approx(float(expected), rel=1e-5)
    pairs = [np.abs(ensemble[i] - ensemble[j]).mean() for i in range(members) for j in range(i)]
    assert float(spread) == pytest.approx(np.mean(pairs), rel=1e-5)


def test_crps_by_hand():
    """Members 0 and 2, truth 1: error 1, distance 2; the second variable does not count."""
    ensemble = np.array([[0.0, 5.0], [2.0, 9.0]], np.float32).reshape(2, 1, 1, 1, 1, 2)
    truth = np.array([1.0, 0.0], np.float32).reshape(1, 1, 1, 1, 2)
    weights = variable_weights(["a"], ["a", "b"])
    for fairness, expected in ((1.0, 0.0), (0.0, 0.5), (0.95, 0.025)):
        # the mean over both variables; the weight of the first is 2, that of the second 0
        assert float(almost_fair_crps(ensemble, truth, fairness, weights)[0]) == pytest.approx(expected)


def test_noise_enters_every_lead_frame_and_no_context(rng):
    model = make("crps_ensemble")
    shake(model, rng)
    frames, known = data(model, rng)
    one, two = (np.asarray(model.forecast(frames[:, :4], known, [seed, seed])) for seed in (1, 2))
    assert (np.abs(one - two).max(axis=(2, 3, 4)) > 1e-4).all()
    noise = np.asarray(model._noise(2, np.array([1, 2])))
    assert noise.shape == (2, 3, 9, 11, 6) and noise.std() > 0.9
    assert (noise[..., 2:] == noise[:, :1, :1, :1, 2:]).all()  # the numbers of a whole forecast


def test_an_ensemble_is_its_members_by_themselves(rng):
    """Though these go through the context together."""
    model = make("crps_ensemble")
    shake(model, rng)
    frames, known = data(model, rng)
    together = np.asarray(model.ensemble(frames[:, :4], known, [5, 6], 3))
    for number, member in enumerate(together):
        seeds = np.asarray(member_seeds(np.array([5, 6]), 2, 3)).reshape(3, 2)[number]
        np.testing.assert_allclose(member, np.asarray(model.forecast(frames[:, :4], known, seeds)), atol=1e-5)
    assert (together.std(axis=0).max(axis=(2, 3, 4)) > 1e-4).all()


def test_no_two_steps_have_the_same_fields_of_noise():
    model = make("crps_ensemble")
    fields = np.asarray(model._noise(2, np.array([1, 2])))[..., :2]
    flat = np.moveaxis(fields, -1, 2).reshape(12, -1)  # of 2 sequences, 3 lead frames, 2 fields
    assert np.abs(np.corrcoef(flat) - np.eye(12)).max() < 0.5


@pytest.mark.parametrize("fairness", [1.0, 0.5])
def test_loss_in_numpy_from_the_members_by_themselves(rng, fairness):
    """Each member is a forecast of one seed, of its own sequence; the weight of a pair is as in the paper."""
    model = make(
        "crps_ensemble", overrides=["members=3", f"fairness={fairness}", "opt_var=msl"], height=5, width=6
    )
    shake(model, rng)
    frames, known = data(model, rng)
    seeds = np.array([7, 8], np.int32)
    members = []
    for member in range(3):
        own = np.asarray(mix(seeds, member)).astype(np.int32)
        members.append(np.asarray(model.forecast(frames[:, :4], known, own), np.float64)[..., 1])
    truth = frames[:, 4:, ..., 1]
    pairs = np.mean([np.abs(members[i] - members[j]).mean() for i in range(3) for j in range(3) if i != j])
    assert pairs > 1e-3
    error = np.mean([np.abs(member - truth).mean() for member in members])
    # 1/(2 M (M - 1)) times the sum over M (M - 1) pairs; e = (1 - fairness) / M
    expected = error - (1 - (1 - fairness) / 3) / 2 * pairs
    (phase,) = model.phases(1)
    parts = {name: float(one) for name, one in phase.loss(frames, known, 0, seeds).items()}
    assert parts["loss"] == pytest.approx(expected, rel=1e-5)
    assert parts["spread"] == pytest.approx(pairs, rel=1e-5)


@pytest.mark.slow
def test_spread_becomes_that_of_the_truth(rng):
    """x(t+1) = x(t) + noise of deviation 0.5, the same at all points: what cannot be known shall be the spread."""
    settings = ["filters=8", "kernel_size=1", "lr=0.01", "lr_schedule=constant", "fairness=1"]
    settings += ["noise_channels=0", "nz=2"]
    model, _ = learn_walks("crps_ensemble", rng, settings, grid=(2, 3), context=2, lead=2)
    drawn = drawn_from_zero(model, 2000)
    np.testing.assert_allclose(drawn.std(axis=0), [DEVIATION, DEVIATION * np.sqrt(2)], rtol=0.2)
    assert np.abs(drawn.mean(axis=0)).max() < 0.1


def test_without_noise_it_is_refused():
    with pytest.raises(InputError, match="all members would be the same"):
        make("crps_ensemble", overrides=["nz=0", "noise_channels=0"])
    with pytest.raises(InputError, match="crps_ensemble with patch_size 19 needs at least"):
        make("crps_ensemble", overrides=["patch_size=19"])
