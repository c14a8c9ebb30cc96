"""Errors by hour, month, land, sea and sub-region, against means that are taken directly."""

import csv

import numpy as np
import pytest
import xarray as xr

from video_prediction_tools.datasets.channels import Region
from video_prediction_tools.errors import InputError
from video_prediction_tools.postprocess.bootstrap import MovingBlocks
from video_prediction_tools.postprocess.breakdown import breakdown
from video_prediction_tools.postprocess.metrics.registry import METRICS
from video_prediction_tools.postprocess.regions import regions
from video_prediction_tools.postprocess.scoring import score, write_scores
from video_prediction_tools.postprocess.weights import latitude_weights

LAT, LON = np.array([60.0, 50.0, 40.0]), np.array([0.0, 1.0, 2.0, 3.0])
WEIGHTS = latitude_weights(LAT, 4)
NUMBER, LEADS = 60, 3


@pytest.fixture(scope="module")
def reduced() -> xr.Dataset:
    """Statistics of hourly forecasts of two products that begin on 30 March, 12 UTC; one is absent at times."""
    random = np.random.default_rng(0)
    error = random.normal(size=(2, 1, NUMBER, LEADS))
    error[1, 0, :7] = np.nan
    names = ("Error", "AbsoluteError", "SquaredError")
    values = np.stack([error, abs(error), error**2], axis=1)
    first = np.datetime64("2019-03-30T12", "s").astype(np.int64)
    parts = np.stack([values, 2.0 * values], axis=-1)
    return xr.Dataset(
        {
            "grid_mean": (("product", "statistic", "variable", "init_time", "lead_time"), values),
            "region_mean": (
                ("product", "region_statistic", "variable", "init_time", "lead_time", "region"),
                parts,
            ),
        },
        {
            "product": ["convLSTM", "persistence"],
            "statistic": list(names),
            "region_statistic": list(names),
            "variable": ["2t"],
            "init_time": first + 3600 * np.arange(NUMBER),
            "lead_time": np.arange(1.0, LEADS + 1),
            "region": ["land", "sea"],
        },
    )


@pytest.fixture(scope="module")
def parts(reduced) -> xr.Dataset:
    return breakdown(reduced, MovingBlocks(NUMBER, 6, draws=200))


@pytest.mark.parametrize("kind", ["hour", "month"])
def test_by_valid_time(reduced, parts, kind):
    """As xarray groups by the valid time, for each lead hour."""
    chosen = parts.isel(group=parts["group_kind"].values == kind)
    for index, lead in enumerate(reduced["lead_time"].values):
        valid = (
            (reduced["init_time"].values + 3600 * int(lead)).astype("datetime64[s]").astype("datetime64[ns]")
        )
        squared = reduced["grid_mean"].sel(statistic="SquaredError", lead_time=lead, variable="2t")
        expected = squared.assign_coords(init_time=valid).groupby(f"init_time.{kind}").mean()
        found = chosen["group_value"].sel(parted_metric="mse", variable="2t").isel(lead_time=index)
        assert [int(one) for one in found["group"].values] == expected[kind].values.tolist()
        np.testing.assert_allclose(found.transpose("product", "group"), expected.transpose("product", kind))
        root = chosen["group_value"].sel(parted_metric="rmse", variable="2t").isel(lead_time=index)
        np.testing.assert_allclose(root, np.sqrt(found))
    total = chosen["group_n_init"].sel(parted_metric="bias", variable="2t").sum("group")
    assert (total.sel(product="convLSTM") == NUMBER).all() and (
        total.sel(product="persistence") == NUMBER - 7
    ).all()


def test_valid_hour_is_that_of_init_time_and_lead_time(parts):
    """The first valid times are 13, 14 and 15 UTC: 12 UTC has its values from the next day on."""
    at_noon = parts["group_n_init"].sel(group="12", product="convLSTM", parted_metric="mse", variable="2t")
    assert at_noon.values.tolist() == [2, 2, 2]
    at_13 = parts["group_n_init"].sel(group="13", product="convLSTM", parted_metric="mse", variable="2t")
    assert at_13.values.tolist() == [3, 2, 2]


def test_regions_and_intervals(reduced, parts):
    by_region = parts["group_value"].sel(parted_metric="mae", variable="2t")
    whole = reduced["grid_mean"].sel(statistic="AbsoluteError", variable="2t").mean("init_time")
    np.testing.assert_allclose(by_region.sel(group="land"), whole)
    np.testing.assert_allclose(by_region.sel(group="sea"), 2.0 * whole)
    # those of the whole area, with the same draws
    blocks = MovingBlocks(NUMBER, 6, draws=200)
    scored = score(reduced, [METRICS["mse"]], blocks, {"2t": "K"})
    for name in ("ci_low", "ci_high"):
        np.testing.assert_allclose(
            parts[f"group_{name}"].sel(group="land", parted_metric="mse"), scored[name].sel(metric="mse")
        )


def test_few_cases_have_no_interval(parts):
    by_hour = parts.isel(group=parts["group_kind"].values == "hour")
    assert (by_hour["group_n_init"] < 12).all() and np.isnan(by_hour["group_ci_low"]).all()
    assert np.isfinite(by_hour["group_value"]).any()


def test_table(reduced, parts, tmp_path):
    """evaluation_breakdown.csv holds every part that has a case."""
    scored = score(reduced, [METRICS["mse"]], MovingBlocks(NUMBER, 6, draws=20), {"2t": "K"}).assign(parts)
    scored = scored.assign(error_map=0.0, squared_error_map=0.0).assign_coords(lat=[50.0], lon=[0.0])
    paths = write_scores(tmp_path, scored, {})
    with open(paths[2], newline="") as file:
        rows = list(csv.DictReader(file))
    assert paths[2].name == "evaluation_breakdown.csv"
    assert {row["group_kind"] for row in rows} == {"hour", "month", "region"}
    assert len(rows) == int((parts["group_n_init"] > 0).sum())
    one = next(row for row in rows if (row["group"], row["metric"], row["lead_hour"]) == ("sea", "bias", "2"))
    expected = (
        parts["group_value"].sel(group="sea", parted_metric="bias", lead_time=2, variable="2t")[0].item()
    )
    assert float(one["value"]) == pytest.approx(expected)


def test_land_and_sea():
    lsm = np.array([[1, 1, 0, 0], [0.5, 0.49, 0, 0], [0, 0, 0, 0]], np.float32)
    found = regions(WEIGHTS, Region(LAT, LON, {"lsm": lsm}), None)
    assert found["region"].values.tolist() == ["land", "sea"]
    np.testing.assert_allclose(found.sum(("lat", "lon")), 1.0)
    np.testing.assert_array_equal(found.sel(region="land").values > 0, lsm >= 0.5)
    np.testing.assert_array_equal(found.sel(region="sea").values > 0, lsm < 0.5)
    # within a part the weights are as those of the whole area
    ratio = found.sel(region="land").values[0, 0] / found.sel(region="land").values[1, 0]
    assert ratio == pytest.approx(np.cos(np.deg2rad(60)) / np.cos(np.deg2rad(50)))
    assert (
        regions(WEIGHTS, Region(LAT, LON, {"lsm": np.ones((3, 4))}), None) is None
    )  # no sea: nothing to tell apart
    assert regions(WEIGHTS, Region(LAT, LON), None) is None


def test_sub_regions():
    found = regions(WEIGHTS, Region(LAT, LON), ["north=65,1,50,2", "west=90,-5,-90,0"])
    assert found["region"].values.tolist() == ["north", "west"]
    expected = np.zeros((3, 4), bool)
    expected[:2, 1:3] = True
    np.testing.assert_array_equal(found.sel(region="north").values > 0, expected)
    np.testing.assert_array_equal(np.unique(np.nonzero(found.sel(region="west").values)[1]), [0])
    over_zero = Region(LAT, np.array([-1.0, 0.0, 1.0, 2.0]))  # counted from -180; asked for from 0 to 360
    found = regions(WEIGHTS, over_zero, ["both=90,359,-90,1"])
    np.testing.assert_array_equal(np.unique(np.nonzero(found.values[0])[1]), [0, 1, 2])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("north", "is not of the form NAME=N,W,S,E"),
        ("north=1,2,3", "is not of the form"),
        ("north=40,0,50,10", "is not of the form"),  # south and north exchanged
        ("=50,0,40,10", "is not of the form"),
        ("north=a,b,c,d", "is not of the form"),
        ("far=10,0,5,10", "has no grid point of the data"),
    ],
)
def test_wrong_sub_regions(text, said):
    with pytest.raises(InputError, match="--subregion") as error:
        regions(WEIGHTS, Region(LAT, LON), [text])
    assert said in str(error.value)


def test_sub_region_named_twice():
    with pytest.raises(InputError, match="there is a part 'a' already"):
        regions(WEIGHTS, Region(LAT, LON), ["a=65,0,40,3", "a=65,0,40,3"])
