"""The metrics of fields, events and ensembles: against `scores`, scikit-image and scipy, and by hand."""

import numpy as np
import pytest
import scores.categorical
import scores.probability
import scores.spatial
import xarray as xr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from video_prediction_tools.postprocess.bootstrap import defined_means
from video_prediction_tools.postprocess.metrics.fields import DIMS, MEMBER_DIMS, Fields, Scale
from video_prediction_tools.postprocess.metrics.profiles import PROFILES
from video_prediction_tools.postprocess.metrics.registry import METRICS
from video_prediction_tools.postprocess.metrics.spectra import power_spectrum, wavelengths
from video_prediction_tools.postprocess.weights import latitude_weights, uniform_weights

from .conftest import fields_of

LAT, LON = np.linspace(56.0, 50.0, 13), np.linspace(-8.0, 2.0, 21)
SCALE = Scale([True], [25.0], LAT, LON)
SHAPE = (4, 2, 13, 21, 1)  # init_time, lead_time, lat, lon, variable
KEPT = ["init_time", "lead_time", "variable"]


def score(name: str, fields: Fields, weights=None) -> np.ndarray:
    """Score [lead_time, variable] by the same two steps as the program."""
    weights = latitude_weights(LAT, len(LON)) if weights is None else weights
    metric = METRICS[name]
    return metric.value(defined_means({one: one()(fields, weights) for one in metric.statistics}))


@pytest.fixture(scope="module")
def real(shared_data):
    """UK 2 m temperature in frosty nights of March: truth; forecasts: the hour before, and 5 members about it."""
    with xr.open_dataset(
        shared_data / "era5/uk_2019-03/era5-2mt-2019-03-uk.grib",
        engine="cfgrib",
        backend_kwargs={"indexpath": ""},
    ) as data:
        field = data["t2m"].values[150:159, 8:21, 10:31, np.newaxis].astype(np.float64) - 7.0
    truth, before = field[1:].reshape(SHAPE), field[:-1].reshape(SHAPE)
    assert 0.05 < (truth < 273.15).mean() < 0.95
    random = np.random.default_rng(3)
    members = before[:, :, np.newaxis] + random.normal(0.2, 0.8, (4, 2, 5, 13, 21, 1))
    return truth, before, members


@pytest.fixture(scope="module")
def made():
    """The same of random numbers."""
    random = np.random.default_rng(1)
    truth = 273.0 + 4.0 * random.normal(size=SHAPE)
    return (
        truth,
        truth + random.normal(size=SHAPE),
        truth[:, :, None] + random.normal(size=(4, 2, 5, 13, 21, 1)),
    )


@pytest.fixture(params=["real", "made"])
def case(request):
    return request.getfixturevalue(request.param)


def by_frame(values: np.ndarray):
    """All single fields [H, W], in the order of init_time and lead_time."""
    return values[..., 0].reshape(-1, *values.shape[2:4])


def test_crps_agrees_with_scores(case):
    truth, _, members = case
    expected = scores.probability.crps_for_ensemble(
        xr.DataArray(members, dims=MEMBER_DIMS),
        xr.DataArray(truth, dims=DIMS),
        "member",
        method="fair",
        weights=latitude_weights(LAT, len(LON)),
        preserve_dims=["lead_time", "variable"],
    )
    found = score("crps", fields_of(members, truth, scale=SCALE))
    np.testing.assert_allclose(found, expected.transpose("lead_time", "variable"), rtol=1e-9)


def test_crps_by_hand():
    """Members 1 and 5, truth 2: mean distance (1 + 3) / 2, less half the distance of two members, 4 / 2."""
    members = np.array([1.0, 5.0]).reshape(1, 1, 2, 1, 1, 1)
    truth = np.full((1, 1, 1, 1, 1), 2.0)
    assert score("crps", fields_of(members, truth), uniform_weights(1, 1)) == pytest.approx(2.0 - 4.0 / 2)
    one = fields_of(members[:, :, 1:], truth)
    assert score("crps", one, uniform_weights(1, 1)) == pytest.approx(3.0)  # its absolute error
    assert np.isnan(score("spread_skill", one, uniform_weights(1, 1))).all()


def test_spread_skill(case):
    truth, _, members = case
    weights = latitude_weights(LAT, len(LON)).values[:, :, np.newaxis]
    spread = (weights * members.var(axis=2, ddof=1)).sum(axis=(2, 3)).mean(axis=0)
    error = (weights * (members.mean(axis=2) - truth) ** 2).sum(axis=(2, 3)).mean(axis=0)
    found = score("spread_skill", fields_of(members, truth, scale=SCALE))
    np.testing.assert_allclose(found, np.sqrt(6 / 5 * spread / error), rtol=1e-9)


def test_spread_skill_of_a_reliable_ensemble():
    """Truth and members drawn alike: 1, with few members as well."""
    random = np.random.default_rng(0)
    drawn = random.normal(size=(4, 2, 4, 130, 210, 1))
    found = score("spread_skill", fields_of(drawn[:, :, 1:], drawn[:, :, 0]), uniform_weights(130, 210))
    np.testing.assert_allclose(found, 1.0, atol=0.01)


def test_ensemble_mean_and_members(case):
    """mse judges the mean of the members; ssim, gradients, spectra, fss and frost are means over the members."""
    truth, _, members = case
    whole = fields_of(members, truth, scale=SCALE)
    np.testing.assert_allclose(
        score("mse", whole), score("mse", fields_of(members.mean(axis=2), truth, scale=SCALE))
    )
    singles = [fields_of(members[:, :, one], truth, scale=SCALE) for one in range(5)]
    for name in ("ssim", "ssim_gmd", "psnr", "gradient_ratio", "spectral_ratio"):
        np.testing.assert_allclose(score(name, whole), np.mean([score(name, one) for one in singles], axis=0))
    assert (
        score("gradient_ratio", whole)
        > score("gradient_ratio", fields_of(members.mean(axis=2), truth, scale=SCALE))
    ).all()


@pytest.mark.parametrize(("name", "data_range"), [("ssim", 25.0), ("ssim_gmd", 2.0)])
def test_ssim_agrees_with_skimage(case, name, data_range):
    truth, forecast, _ = case
    each = [
        structural_similarity(o, f, data_range=data_range)
        for f, o in zip(by_frame(forecast), by_frame(truth), strict=True)
    ]
    found = score(name, fields_of(forecast, truth, scale=SCALE))
    np.testing.assert_allclose(found[:, 0], np.reshape(each, (4, 2)).mean(axis=0), rtol=1e-6)


def test_psnr_agrees_with_skimage(case):
    truth, forecast, _ = case
    each = [
        peak_signal_noise_ratio(o, f, data_range=25.0)
        for f, o in zip(by_frame(forecast), by_frame(truth), strict=True)
    ]
    found = score("psnr", fields_of(forecast, truth, scale=SCALE))
    np.testing.assert_allclose(found[:, 0], np.reshape(each, (4, 2)).mean(axis=0), rtol=1e-9)


def test_fss_agrees_with_scores(case):
    """From the sums over all fields, as `scores` takes them: here of fields one by one."""
    truth, forecast, _ = case
    for f, o in zip(by_frame(forecast), by_frame(truth), strict=True):
        expected = scores.spatial.fss_2d_single_field(
            f, o, event_threshold=np.quantile(o, 0.9), window_size=(5, 5), threshold_operator=np.greater
        )
        one = fields_of(
            f[np.newaxis, np.newaxis, ..., np.newaxis],
            o[np.newaxis, np.newaxis, ..., np.newaxis],
            scale=SCALE,
        )
        assert score("fss", one)[0, 0] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("frost_csi", "critical_success_index"),
        ("frost_pod", "probability_of_detection"),
        ("frost_far", "false_alarm_ratio"),
        ("frost_frequency_bias", "frequency_bias"),
        ("frost_ets", "equitable_threat_score"),
    ],
)
def test_frost_agrees_with_scores(case, name, theirs):
    truth, forecast, _ = case
    table = scores.categorical.BinaryContingencyManager(
        xr.DataArray(forecast < 273.15, dims=DIMS).astype(float),
        xr.DataArray(truth < 273.15, dims=DIMS).astype(float),
    ).transform(preserve_dims="lead_time")
    found = score(name, fields_of(forecast, truth, scale=SCALE), uniform_weights(13, 21))
    np.testing.assert_allclose(found[:, 0], getattr(table, theirs)(), rtol=1e-9)


def test_brier_agrees_with_scores(case):
    truth, _, members = case
    expected = scores.probability.brier_score(
        xr.DataArray((members < 273.15).mean(axis=2), dims=DIMS),
        xr.DataArray((truth < 273.15).astype(float), dims=DIMS),
        weights=latitude_weights(LAT, len(LON)),
        preserve_dims=["lead_time", "variable"],
    )
    found = score("frost_brier", fields_of(members, truth, scale=SCALE))
    np.testing.assert_allclose(found, expected.transpose("lead_time", "variable"), rtol=1e-9)


def test_frost_of_no_temperature(case):
    truth, forecast, _ = case
    fields = fields_of(forecast, truth, scale=Scale([False], [25.0], LAT, LON))
    for name in METRICS:
        if name.startswith("frost"):
            assert np.isnan(score(name, fields)).all()
            assert not METRICS[name].applies_to("msl") and METRICS[name].applies_to("2t")


def test_gradient_ratio_by_hand():
    """A field that rises by 2 K a degree to the north against one that rises by 1: twice the gradient everywhere."""
    north = np.broadcast_to(LAT[:, np.newaxis, np.newaxis], SHAPE)
    assert score("gradient_ratio", fields_of(2.0 * north, north, scale=SCALE)) == pytest.approx(2.0)
    # one that rises to the east: 1 / cos(lat) steeper, as the degrees are shorter there
    east = np.broadcast_to(LON[:, np.newaxis], SHAPE)
    weights = latitude_weights(LAT, len(LON))
    expected = float((weights.values / np.cos(np.deg2rad(LAT))[:, np.newaxis]).sum())
    assert score("gradient_ratio", fields_of(east, north, scale=SCALE), weights) == pytest.approx(expected)
    assert np.isnan(score("gradient_ratio", fields_of(north, np.full(SHAPE, 1.0), scale=SCALE))).all()


def test_spectrum_of_one_wave():
    """A wave of 4 half-waves from west to east has its variance, half its squared amplitude, in one band."""
    rows, columns = np.arange(13), np.arange(21)
    wave = 3.0 * np.cos(np.pi * (columns + 0.5) * 4 / 21) + 0.0 * rows[:, np.newaxis]
    spectrum = power_spectrum(wave, LAT, LON)
    band = int(spectrum.argmax())
    assert spectrum[band] == pytest.approx(3.0**2 / 2)
    assert spectrum.sum() == pytest.approx(3.0**2 / 2)
    lengths = wavelengths(LAT, LON)
    true = 2 * 21 * 0.5 * 111.19 * np.cos(np.deg2rad(53.0)) / 4  # km
    assert abs(lengths[band] - true) < 0.5 * (lengths[band - 1] - lengths[band + 1])
    assert (np.diff(lengths) < 0).all()


def test_spectrum_keeps_the_variance(case):
    """All bands and what is in none of them together are the mean square (Parseval)."""
    truth = case[0][..., 0]
    spectrum = power_spectrum(truth - truth.mean(axis=(2, 3), keepdims=True), LAT, LON)
    assert (spectrum.sum(axis=-1) <= truth.var(axis=(2, 3)) * (1 + 1e-12)).all()
    assert (spectrum.sum(axis=-1) > 0.2 * truth.var(axis=(2, 3))).all()


def test_spectral_ratio(case):
    truth, forecast, _ = case
    mean = truth.mean(axis=(2, 3), keepdims=True)
    half = mean + 0.5 * (truth - mean)
    np.testing.assert_allclose(score("spectral_ratio", fields_of(half, truth, scale=SCALE)), 0.25)
    smooth = np.broadcast_to(mean, SHAPE)
    np.testing.assert_allclose(
        score("spectral_ratio", fields_of(smooth, truth, scale=SCALE)), 0.0, atol=1e-12
    )
    lengths, small = wavelengths(LAT, LON), None
    interval = max(0.5 * 111.1949, 0.5 * 111.1949 * np.cos(np.deg2rad(53.0)))
    small = lengths < 8 * interval
    each = (power_spectrum(one[..., 0], LAT, LON)[..., small].sum(axis=-1) for one in (forecast, truth))
    power = [one.mean(axis=0)[:, np.newaxis] for one in each]
    np.testing.assert_allclose(
        score("spectral_ratio", fields_of(forecast, truth, scale=SCALE)), power[0] / power[1]
    )


def profiles(fields: Fields) -> dict[str, np.ndarray]:
    weights = latitude_weights(LAT, len(LON))
    return {one.name: one(fields, weights) for one in PROFILES}


def test_rank_histogram(case):
    truth, _, members = case
    found = profiles(fields_of(members, truth, scale=SCALE))["rank_histogram"]
    weights = latitude_weights(LAT, len(LON)).values
    expected = np.zeros(6)
    for y in range(13):
        for x in range(21):
            expected[(members[1, 0, :, y, x, 0] < truth[1, 0, y, x, 0]).sum()] += weights[y, x]
    np.testing.assert_allclose(found[1, 0, 0], expected)
    np.testing.assert_allclose(found.sum(axis=-1), 1.0)


def test_rank_histogram_of_ties():
    """All equal: every rank as often, by a draw that is always the same."""
    alike = np.full((1, 1, 4, 100, 100, 1), 280.0)
    fields = fields_of(alike, alike[:, :, 0], labels=[1_553_000_000])
    histogram = next(one for one in PROFILES if one.name == "rank_histogram")
    once, again = (histogram(fields, uniform_weights(100, 100))[0, 0, 0] for _ in range(2))
    np.testing.assert_array_equal(once, again)
    np.testing.assert_allclose(once, 0.2, atol=0.02)


def test_reliability(case):
    truth, _, members = case
    found = profiles(fields_of(members, truth, scale=SCALE))
    weights = latitude_weights(LAT, len(LON)).values[:, :, np.newaxis]
    probability = (members < 273.15).mean(axis=2)
    for place, level in enumerate(np.arange(6) / 5):
        here = np.isclose(probability, level)
        both = here & (truth < 273.15)
        np.testing.assert_allclose(found["frost_probability"][..., place], (weights * here).sum(axis=(2, 3)))
        np.testing.assert_allclose(
            found["frost_probability_with_frost"][..., place], (weights * both).sum(axis=(2, 3))
        )


def test_missing_truth(case):
    """The other points stand for those without a value; fields without any are left out."""
    truth, forecast, members = (one.copy() for one in case)
    truth[0, 0, :3, :5] = np.nan
    truth[2] = np.nan
    weights = latitude_weights(LAT, len(LON))
    present = np.isfinite(truth[0, 0, ..., 0])
    part = np.where(present, weights.values, 0.0) / weights.values[present].sum()

    def mean(values):
        return (part * np.where(present, values, 0.0)).sum()

    fields = fields_of(forecast, truth, scale=SCALE)
    error = (forecast - truth)[0, 0, ..., 0]
    for name, expected in (("mse", mean(error**2)), ("mae", mean(abs(error))), ("bias", mean(error))):
        statistic = METRICS[name].statistics[0]()(fields, weights)
        assert statistic[0, 0, 0].item() == pytest.approx(expected)
        assert np.isnan(statistic[2]).all() and np.isfinite(statistic[[1, 3]]).all()
    ensemble = fields_of(members, truth, scale=SCALE)
    each = [mean(abs(members[0, 0, one, ..., 0] - truth[0, 0, ..., 0])) for one in range(5)]
    between = [
        mean(abs(members[0, 0, a, ..., 0] - members[0, 0, b, ..., 0])) for a in range(5) for b in range(5)
    ]
    crps = METRICS["crps"].statistics[0]()(ensemble, weights)
    assert crps[0, 0, 0].item() == pytest.approx(np.mean(each) - sum(between) / (2 * 5 * 4))
    for name in ("ssim", "psnr", "fss", "spectral_ratio"):
        statistic = METRICS[name].statistics[0]()(fields, weights)
        assert np.isnan(statistic[0, 0]).all() and np.isfinite(statistic[1]).all()


def test_small_areas_have_no_windows():
    fields = fields_of(
        np.ones((1, 1, 3, 3, 1)), np.ones((1, 1, 3, 3, 1)), scale=Scale([True], [1.0], LAT[:3], LON[:3])
    )
    for name in ("ssim", "fss", "spectral_ratio"):
        assert np.isnan(score(name, fields, uniform_weights(3, 3))).all()
