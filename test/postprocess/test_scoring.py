"""From forecasts.nc to scores: against `scores` on whole arrays, for any chunk size, and as tables."""

import csv
import pickle
import sys

import numpy as np
import pytest
import scores.continuous
import xarray as xr

from video_prediction_tools.datasets.observations import Observations
from video_prediction_tools.datasets.tfrecords import read_index
from video_prediction_tools.postprocess.baselines import Sources, make_baselines
from video_prediction_tools.postprocess.bootstrap import MovingBlocks
from video_prediction_tools.postprocess.climatology import Climatology, training_climatology
from video_prediction_tools.postprocess.forecasts import ForecastFile, Grid, by_network, write_forecasts
from video_prediction_tools.postprocess.metrics.fields import Scale
from video_prediction_tools.postprocess.metrics.metric import statistics_of
from video_prediction_tools.postprocess.metrics.profiles import PROFILES
from video_prediction_tools.postprocess.metrics.registry import METRICS
from video_prediction_tools.postprocess.reduction import Reduction, Sum, Sums, reduce_forecasts
from video_prediction_tools.postprocess.scoring import choose_cases, score, write_scores
from video_prediction_tools.postprocess.sequences import Batch, choose_sequences
from video_prediction_tools.postprocess.weights import latitude_weights, uniform_weights

from .conftest import CONTEXT, LEAD, StandIn

ALL = list(METRICS.values())


@pytest.fixture(scope="module")
def world(uk_data, uk, tmp_path_factory):
    """Forecasts of the stand-in on real data, its baselines and climatology."""
    cut = uk[:, ::4, 24::4]
    grid = Grid(("2t",), ("K",), cut["latitude"].values, cut["longitude"].values)
    path = tmp_path_factory.mktemp("scoring") / "forecasts.nc"
    sequences = choose_sequences(read_index(uk_data / "tfrecords"), "test", CONTEXT, LEAD)
    write_forecasts(
        path,
        by_network(StandIn(), None, None, 1),
        sequences,
        grid,
        members=None,
        batch_size=16,
        attributes={},
    )
    observations = Observations(uk_data)
    climatology = training_climatology(observations)
    baselines, _ = make_baselines(Sources(observations, climatology))
    return path, baselines, climatology, latitude_weights(grid.lat, len(grid.lon))


def reduce(world, chunk=32, weights=None, climatology=None, regions=None):
    path, baselines, found, by_latitude = world
    with ForecastFile(path) as file:
        reduction = Reduction(
            statistics_of(ALL),
            by_latitude if weights is None else weights,
            climatology or found,
            scale_of(file),
            [one for one in PROFILES if not one.needs_members],
            regions,
        )
        return reduce_forecasts(file, "convLSTM", baselines, reduction, chunk)


def scale_of(file):
    return Scale([True], [30.0], file.grid.lat, file.grid.lon)


@pytest.fixture(scope="module")
def scored(world):
    return score(reduce(world), ALL, MovingBlocks(66, 24, draws=300), {"2t": "K"})


def test_agrees_with_scores(world, scored, uk):
    """The whole test split at once, with fields taken from the GRIB file itself."""
    field = uk[:, ::4, 24::4].values.astype(np.float64)
    init = 24 * 24 + CONTEXT - 1 + np.arange(66)
    valid = init[:, None] + np.arange(1, LEAD + 1)
    climate = np.stack([field[hour : 22 * 24 : 24].mean(axis=0) for hour in range(24)])[valid % 24]
    dims = ("init_time", "lead_time", "lat", "lon")
    truth = xr.DataArray(field[valid], dims=dims)
    products = {
        "persistence": np.broadcast_to(field[init][:, None], truth.shape),
        "persistence_24h": field[valid - 24],
        "climatology": climate,
    }
    weights = world[3]
    for product, forecast in products.items():
        for name, theirs in (
            ("mse", scores.continuous.mse),
            ("rmse", scores.continuous.rmse),
            ("mae", scores.continuous.mae),
            ("bias", scores.continuous.additive_bias),
        ):
            expected = theirs(
                xr.DataArray(forecast, dims=dims), truth, weights=weights, preserve_dims="lead_time"
            )
            ours = scored["value"].sel(product=product, metric=name, variable="2t")
            np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5, err_msg=f"{product} {name}")
    anomaly, observed = products["persistence"] - climate, truth.values - climate
    w = weights.values
    each = (w * anomaly * observed).sum(axis=(2, 3)) / np.sqrt(
        (w * anomaly**2).sum(axis=(2, 3)) * (w * observed**2).sum(axis=(2, 3))
    )
    ours = scored["value"].sel(product="persistence", metric="acc", variable="2t")
    np.testing.assert_allclose(ours, each.mean(axis=0), rtol=1e-4)


@pytest.mark.parametrize("chunk", [1, 7, 66, 1000])
def test_any_chunk_size(world, chunk):
    xr.testing.assert_identical(reduce(world), reduce(world, chunk))


ON_RANKS = """
import pickle, sys
from pathlib import Path
from video_prediction_tools.datasets.observations import Observations
from video_prediction_tools.postprocess import reduction
from video_prediction_tools.postprocess.baselines import Sources, make_baselines
from video_prediction_tools.postprocess.climatology import training_climatology
from video_prediction_tools.postprocess.forecasts import ForecastFile
from video_prediction_tools.postprocess.metrics.fields import Scale
from video_prediction_tools.postprocess.metrics.metric import statistics_of
from video_prediction_tools.postprocess.metrics.profiles import PROFILES
from video_prediction_tools.postprocess.metrics.registry import METRICS
from video_prediction_tools.postprocess.weights import latitude_weights
from video_prediction_tools.ranks import find_ranks

ranks, (data, forecasts, target) = find_ranks(), map(Path, sys.argv[1:])
reduction.INIT_TIMES_A_PART = 10
observations = Observations(data)
climatology = training_climatology(observations)
baselines, _ = make_baselines(Sources(observations, climatology))
with ForecastFile(forecasts) as file:
    grid = file.grid
    what = reduction.Reduction(
        statistics_of(METRICS.values()), latitude_weights(grid.lat, len(grid.lon)), climatology,
        Scale([True], [30.0], grid.lat, grid.lon), [one for one in PROFILES if not one.needs_members],
    )
    found = reduction.reduce_forecasts(file, "convLSTM", baselines, what, ranks=ranks)
if ranks.is_first:
    target.write_bytes(pickle.dumps((ranks.size, found)))
else:
    assert found is None
"""


def test_any_number_of_ranks(world, uk_data, tmp_path, run_command, program_command):
    found = {}
    for ranks in (1, 2, 3):
        (tmp_path / "reduce.py").write_text(ON_RANKS)
        launcher = program_command("x", ranks=ranks)[:3]
        target = tmp_path / f"{ranks}.pickle"
        done = run_command(
            [*launcher, sys.executable, str(tmp_path / "reduce.py"), str(uk_data), str(world[0]), str(target)]
        )
        assert done.returncode == 0, done.stderr
        size, found[ranks] = pickle.loads(target.read_bytes())
        assert size == ranks
    xr.testing.assert_identical(found[1], found[2])
    xr.testing.assert_identical(found[1], found[3])
    scores_of = reduce(world)["grid_mean"]  # in parts of another size
    xr.testing.assert_identical(found[1]["grid_mean"], scores_of)


@pytest.mark.parametrize("number", [1, 2, 7, 13])
def test_sums_do_not_depend_on_the_order_of_the_parts(number):
    """As they come from any number of ranks; the mean leaves out what is missing."""
    random = np.random.default_rng(number)
    values = random.normal(size=(number, 5, 4)) * 10.0 ** random.integers(-8, 8, size=(number, 1, 1))
    values[random.random(values.shape) < 0.2] = np.nan

    def total(order):
        sums = Sums()
        for part in order:
            one = Sum.nothing((4,))
            one.add(values[part])
            sums.add(int(part), {"map": one})
        return sums.total()["map"].mean()

    expected = total(range(number))
    for _ in range(5):
        np.testing.assert_array_equal(total(random.permutation(number)), expected)
    np.testing.assert_allclose(expected, np.nanmean(values.reshape(-1, 4), axis=0), rtol=1e-9, atol=1e-9)


def test_acc_uses_the_valid_hour(world, tmp_path):
    """Truth climatology + anomaly, forecast climatology - anomaly: acc -1, but with no other hour."""
    path, baselines, climatology, weights = world
    with ForecastFile(path) as file:
        _, _, batch = file.read(slice(0, 66))
        grid = file.grid
    anomaly = np.random.default_rng(0).normal(size=(1, 1, len(grid.lat), len(grid.lon), 1)) * 0.2
    expected = climatology.at(batch.valid_times).astype(np.float64)

    class Made:
        lead_hours, init_times, members = np.arange(1.0, LEAD + 1), batch.init_times, None

        def __init__(self):
            self.grid = grid

        def __len__(self):
            return 66

        def read_members(self, rows):
            part = Batch(batch.init_times[rows], batch.valid_times[rows], batch.last_frame[rows])
            return (expected - anomaly)[rows], (expected + anomaly)[rows], part

    def acc(mean):
        shifted = Climatology(climatology.covered, lambda: mean, "")
        reduction = Reduction(statistics_of([METRICS["acc"]]), weights, shifted)
        reduced = reduce_forecasts(Made(), "convLSTM", [], reduction)
        return defined(score(reduced, [METRICS["acc"]], MovingBlocks(66, 24, draws=10), {"2t": "K"}))

    def defined(scored):
        return scored["value"].sel(metric="acc", variable="2t", product="convLSTM").values

    np.testing.assert_allclose(acc(climatology.mean), -1.0, atol=1e-6)
    for hours in (1, -1):
        assert (acc(np.roll(climatology.mean, hours, axis=1)) > -0.99).all()


def test_absent_day_before_is_counted(world):
    """Without the first test day in the observations, persistence_24h of the next day is not defined."""
    path, baselines, climatology, weights = world

    class Forgetful:
        def __init__(self, observations):
            self.observations = observations

        def fields(self, times):
            fields = self.observations.fields(times).copy()
            fields[(times - times.min()) < 0] = np.nan
            fields[np.isin(times, self.observations.hours("test")[:24])] = np.nan
            return fields

    forgetful, _ = make_baselines(Sources(Forgetful(baselines[1].sources.observations), climatology))
    with ForecastFile(path) as file:
        reduction = Reduction(statistics_of(ALL), weights, climatology, scale_of(file))
        reduced = reduce_forecasts(file, "convLSTM", forgetful, reduction)
    found = score(reduced, ALL, MovingBlocks(66, 12, draws=50), {"2t": "K"})
    # init times from 03 UTC of day 1; at +1 h their valid times less a day lie in day 1 for init 23 UTC of
    # day 1 on: 24
    number = found["n_init"].sel(metric="rmse", variable="2t")
    assert number.sel(product="persistence_24h").values.tolist() == [42, 42, 42]
    assert (number.sel(product="convLSTM") == 66).all()
    full = score(reduce(world), ALL, MovingBlocks(66, 12, draws=50), {"2t": "K"})
    assert not np.isclose(
        found["value"].sel(product="persistence_24h", metric="mse").values,
        full["value"].sel(product="persistence_24h", metric="mse").values,
    ).any()
    absent = np.isnan(
        reduced["grid_mean"].sel(product="persistence_24h", statistic="SquaredError", variable="2t")
    )
    model = reduced["grid_mean"].sel(product="convLSTM", statistic="SquaredError", variable="2t")
    theirs = reduced["grid_mean"].sel(product="persistence_24h", statistic="SquaredError", variable="2t")
    np.testing.assert_allclose(  # the difference is taken on the init times of both
        found["difference"].sel(baseline="persistence_24h", metric="mse", variable="2t"),
        (model.where(~absent) - theirs).mean("init_time"),
    )


def test_latitude_weights_can_be_switched_off(world, scored):
    uniform = score(
        reduce(world, weights=uniform_weights(9, 7)), ALL, MovingBlocks(66, 24, draws=10), {"2t": "K"}
    )
    assert not np.isclose(uniform["value"].sel(metric="mse"), scored["value"].sel(metric="mse")).any()


def test_intervals(scored):
    """They hold the value, and those of differences are paired: narrower than those of the products."""
    inside = (scored["ci_low"] <= scored["value"]) & (scored["value"] <= scored["ci_high"])
    defined = np.isfinite(scored["ci_low"])
    assert defined.any() and inside.values[defined.values].all()
    mse = scored.sel(metric="mse", variable="2t")
    for baseline in scored["baseline"].values:
        np.testing.assert_allclose(
            mse["difference"].sel(baseline=baseline),
            mse["value"].sel(product="convLSTM") - mse["value"].sel(product=baseline),
            rtol=1e-9,
        )
    separate = (mse["ci_high"] - mse["ci_low"]).sel(product="persistence")
    paired = (mse["difference_ci_high"] - mse["difference_ci_low"]).sel(baseline="persistence")
    assert (paired < separate).all()  # stand-in and persistence err together


def test_withheld_with_few_init_times(world):
    found = score(reduce(world), ALL, MovingBlocks(66, 34, draws=20), {"2t": "K"})
    assert np.isnan(found["ci_low"]).all() and np.isnan(found["difference_ci_high"]).all()
    assert np.isfinite(found["value"].sel(metric="mse")).all()


def test_climatology_has_no_acc(scored):
    """Its anomaly is zero everywhere: the value is not defined, and that is not a zero."""
    one = scored.sel(product="climatology", metric="acc", variable="2t")
    assert np.isnan(one["value"]).all() and (one["n_init"] == 0).all()


def test_tables(scored, tmp_path):
    netcdf, table = write_scores(tmp_path, scored, {"title": "a test", "synthetic": 0})
    lines = table.read_text().splitlines()
    assert lines[0] == "variable,product,metric,lead_hour,value,ci_low,ci_high,n_init"
    rows = list(csv.DictReader(lines))
    assert len(rows) == 1 * 4 * len(ALL) * LEAD
    assert {row["product"] for row in rows} == {"convLSTM", "persistence", "persistence_24h", "climatology"}
    first = rows[0]
    assert (first["variable"], first["metric"], first["lead_hour"], first["n_init"]) == (
        "2t",
        "mse",
        "1",
        "66",
    )
    for row in rows:
        cell = scored.sel(
            variable=row["variable"],
            product=row["product"],
            metric=row["metric"],
            lead_time=float(row["lead_hour"]),
        )
        for name in ("value", "ci_low", "ci_high"):
            expected = cell[name].item()
            assert (
                (row[name] == "")
                if np.isnan(expected)
                else float(row[name]) == pytest.approx(expected, rel=1e-8)
            )
    with xr.open_dataset(netcdf, decode_timedelta=False) as data:
        np.testing.assert_allclose(data["value"], scored["value"])
        assert data["grid_mean"].dims == ("product", "statistic", "variable", "init_time", "lead_time")
        assert data["metric_units"].sel(metric="mse", variable="2t") == "K2"
        assert data["value"].attrs["long_name"] and data.attrs["Conventions"] == "CF-1.8"


def test_maps_add_up_to_the_scores(world, scored):
    """The weighted mean of the map of squared errors is the mse of the model."""
    weighted = xr.dot(scored["squared_error_map"].drop_vars(("lat", "lon")), world[3], dim=("lat", "lon"))
    np.testing.assert_allclose(
        weighted.sel(variable="2t"),
        scored["value"].sel(product="convLSTM", metric="mse", variable="2t"),
        rtol=1e-9,
    )


def test_cases(scored):
    cases = choose_cases(scored, "2t")
    squared = (
        scored["grid_mean"].sel(product="convLSTM", statistic="SquaredError", variable="2t").mean("lead_time")
    )
    rmse = np.sqrt(squared.values)
    assert cases["best"] == (int(rmse.argmin()), pytest.approx(rmse.min()))
    assert cases["worst"] == (int(rmse.argmax()), pytest.approx(rmse.max()))
    assert cases["median"][1] == pytest.approx(np.sort(rmse)[32])
