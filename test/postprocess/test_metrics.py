"""Every metric against the `scores` library on random and real fields, and against cases worked by hand."""

import numpy as np
import pytest
import scores.continuous
import xarray as xr

from video_prediction_tools.errors import InputError
from video_prediction_tools.postprocess.bootstrap import defined_means
from video_prediction_tools.postprocess.metrics.fields import DIMS, Fields, Scale
from video_prediction_tools.postprocess.metrics.metric import statistics_of
from video_prediction_tools.postprocess.metrics.registry import METRICS, metrics_by_name
from video_prediction_tools.postprocess.weights import latitude_weights, uniform_weights

from .conftest import as_read, fields_of

LAT = np.linspace(70.0, 40.0, 7)
SCALE = Scale([True, True], [30.0, 20.0], LAT, np.linspace(0.0, 40.0, 9))


def score(name: str, fields: Fields, weights: xr.DataArray) -> np.ndarray:
    """Score [lead_time, variable] by the same two steps as the program."""
    metric = METRICS[name]
    return metric.value(defined_means({one: one()(fields, weights) for one in metric.statistics}))


def labelled(frames: np.ndarray) -> xr.DataArray:
    """Frames [B, Tl, C, H, W] with names of their dimensions."""
    return xr.DataArray(as_read(frames), dims=DIMS)


def random_fields(seed: int = 1) -> Fields:
    random = np.random.default_rng(seed)
    climatology = 280.0 + random.normal(size=(11, 3, 7, 9, 2))
    truth = climatology + 3.0 * random.normal(size=(11, 3, 7, 9, 2))
    return fields_of(truth + random.normal(size=truth.shape) + 0.3, truth, climatology, SCALE)


def real_fields(shared_data) -> tuple[Fields, np.ndarray]:
    """UK 2 m temperature as truth, the hour before as forecast, the mean of the month as climatology."""
    with xr.open_dataset(
        shared_data / "era5/uk_2019-03/era5-2mt-2019-03-uk.grib",
        engine="cfgrib",
        backend_kwargs={"indexpath": ""},
    ) as data:
        field = data["t2m"].isel(time=slice(0, 60)).values[..., np.newaxis]
        lat = data["latitude"].values
    truth, forecast = field[1:].reshape(59, 1, *field.shape[1:]), field[:-1].reshape(59, 1, *field.shape[1:])
    climatology = np.broadcast_to(field.mean(axis=0), truth.shape)
    return fields_of(forecast, truth, climatology), lat


@pytest.fixture(params=["random, by latitude", "random, uniform", "real"])
def case(request):
    """Fields [init_time, lead_time, lat, lon, variable] and weights [lat, lon]."""
    if request.param == "real":
        fields, lat = real_fields(request.getfixturevalue("shared_data"))
        return fields, latitude_weights(lat, fields.observed.truth.shape[-1])
    weights = uniform_weights(7, 9) if "uniform" in request.param else latitude_weights(LAT, 9)
    return random_fields(), weights


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("mse", scores.continuous.mse),
        ("rmse", scores.continuous.rmse),
        ("mae", scores.continuous.mae),
        ("bias", scores.continuous.additive_bias),
    ],
)
def test_agrees_with_scores(case, name, theirs):
    fields, weights = case
    forecast, truth = labelled(fields.forecast), labelled(fields.observed.truth)
    expected = theirs(forecast, truth, weights=weights, preserve_dims=["lead_time", "variable"])
    np.testing.assert_allclose(
        score(name, fields, weights), expected.transpose("lead_time", "variable"), rtol=1e-9, atol=1e-12
    )


def test_acc_agrees_with_scores(case):
    """`scores` knows the centred one only: of each anomaly and its negative together the mean is zero."""
    fields, weights = case
    observed = fields.observed
    anomalies = (labelled(one - observed.climatology) for one in (fields.forecast, observed.truth))
    forecast, truth = (xr.concat([one, -one], "sign") for one in anomalies)
    root = np.sqrt(weights)  # sum w f o = sum (sqrt(w) f) (sqrt(w) o)
    each = scores.continuous.correlation.pearsonr(
        forecast * root, truth * root, preserve_dims=["init_time", "lead_time", "variable"]
    )
    np.testing.assert_allclose(score("acc", fields, weights), each.mean("init_time"), rtol=1e-9)


def hand_made() -> tuple[Fields, xr.DataArray]:
    """Two init_times, one lead hour, two rows at 0 and 60 degrees north (weights 2/3 and 1/3)."""
    truth = np.array([[10.0, 20.0], [12.0, 24.0]]).reshape(2, 1, 2, 1, 1)
    forecast = np.array([[11.0, 17.0], [12.0, 30.0]]).reshape(2, 1, 2, 1, 1)  # errors 1, -3 and 0, 6
    climatology = np.full_like(truth, 16.0)  # anomalies: -6, 4 and -4, 8; of the forecast: -5, 1 and -4, 14
    return fields_of(forecast, truth, climatology), latitude_weights(np.array([0.0, 60.0]), 1)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mse", (2 / 3 * 1 + 1 / 3 * 9 + 1 / 3 * 36) / 2),
        ("rmse", np.sqrt((2 / 3 * 1 + 1 / 3 * 9 + 1 / 3 * 36) / 2)),
        ("mae", (2 / 3 * 1 + 1 / 3 * 3 + 1 / 3 * 6) / 2),
        ("bias", (2 / 3 * 1 - 1 / 3 * 3 + 1 / 3 * 6) / 2),
        (
            "acc",
            (
                (2 * 30 + 4) / np.sqrt((2 * 25 + 1) * (2 * 36 + 16))
                + (2 * 16 + 112) / np.sqrt((2 * 16 + 196) * (2 * 16 + 64))
            )
            / 2,
        ),
    ],
)
def test_by_hand(name, expected):
    assert score(name, *hand_made()) == pytest.approx(expected, rel=1e-12)


def test_latitude_weights():
    weights = latitude_weights(np.array([90.0, 60.0, 0.0, -60.0]), 5)
    assert float(weights.sum()) == pytest.approx(1.0)
    assert weights.min() >= 0
    np.testing.assert_allclose(weights[:, 0] / weights[2, 0], [0.0, 0.5, 1.0, 0.5], atol=1e-12)
    np.testing.assert_allclose(uniform_weights(4, 5), np.full((4, 5), 1 / 20))


def test_weights_matter():
    fields, weights = hand_made()
    assert score("mse", fields, uniform_weights(2, 1)) == pytest.approx((1 + 9 + 0 + 36) / 4)
    assert score("mse", fields, weights) != pytest.approx((1 + 9 + 0 + 36) / 4)


def test_perfect_forecast():
    fields = random_fields()
    perfect = fields_of(
        as_read(fields.observed.truth),
        as_read(fields.observed.truth),
        as_read(fields.observed.climatology),
        SCALE,
    )
    for name, metric in METRICS.items():
        if name in ("psnr", "spread_skill"):  # without an error, without members: not defined
            assert np.isnan(score(name, perfect, latitude_weights(LAT, 9))).all()
            continue
        np.testing.assert_allclose(score(name, perfect, latitude_weights(LAT, 9)), metric.best, atol=1e-12)


def test_acc_of_constant_fields():
    """Uncentred: 1 on the same side of the climatology, -1 on the other."""
    shape, weights = (1, 1, 4, 5, 1), uniform_weights(4, 5)
    climatology = np.full(shape, 280.0)
    assert score("acc", fields_of(climatology + 2, climatology + 1, climatology), weights) == pytest.approx(
        1.0
    )
    assert score("acc", fields_of(climatology - 2, climatology + 1, climatology), weights) == pytest.approx(
        -1.0
    )
    # no anomaly at all: not defined, and no warning, no infinity
    assert np.isnan(score("acc", fields_of(climatology, climatology + 1, climatology), weights))
    assert np.isnan(score("acc", fields_of(climatology + 1, climatology, climatology), weights))


def test_absent_forecast_is_left_out():
    """A product that has no forecast for an init_time is averaged over the others."""
    fields = random_fields()
    forecast = as_read(fields.forecast).copy()
    forecast[3] = np.nan
    rest = [i for i in range(11) if i != 3]
    weights = latitude_weights(LAT, 9)
    with_gap = fields_of(
        forecast, as_read(fields.observed.truth), as_read(fields.observed.climatology), SCALE
    )
    without = fields_of(
        forecast[rest],
        as_read(fields.observed.truth)[rest],
        as_read(fields.observed.climatology)[rest],
        SCALE,
    )
    for name in METRICS:
        np.testing.assert_allclose(score(name, with_gap, weights), score(name, without, weights), rtol=1e-12)


def test_weights_with_regions():
    """Weights may have a further dimension; every region is scored in the same pass."""
    fields, whole = random_fields(), latitude_weights(LAT, 9)
    north = whole.where(xr.DataArray(np.arange(7) < 3, dims="lat"), 0.0)
    regions = xr.concat([whole, north / north.sum()], "region")
    statistic = METRICS["mse"].statistics[0]()
    both = statistic(fields, regions)
    np.testing.assert_allclose(both[..., 0], statistic(fields, whole))
    np.testing.assert_allclose(both[..., 1], statistic(fields, regions.isel(region=1)))
    assert both.shape == (11, 3, 2, 2)


def test_metrics_by_name():
    assert [metric.name for metric in metrics_by_name(["acc", "mse", "mse"])] == ["mse", "acc"]
    assert len(statistics_of(metrics_by_name(["mse", "rmse"]))) == 1  # shared, computed once
    with pytest.raises(InputError, match="--eval_metrics: unknown metric 'rsme'; did you mean 'rmse'?"):
        metrics_by_name(["mse", "rsme"])


def test_units():
    assert METRICS["mse"].units("K") == "K2"
    assert METRICS["mse"].units("m s-1") == "(m s-1)2"
    assert METRICS["rmse"].units("Pa") == "Pa"
    assert METRICS["mse"].units("1") == METRICS["acc"].units("K") == "1"
