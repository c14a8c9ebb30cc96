"""The table of variables, and how wrong names are answered."""

import pytest

from video_prediction_tools.errors import InputError, did_you_mean
from video_prediction_tools.metadata.variables import table, variable, variables


def test_every_entry_is_complete():
    units = {"K", "Pa", "m", "1", "m s-1"}
    datasets = {"reanalysis-era5-single-levels", "reanalysis-era5-pressure-levels"}
    for name, entry in table().items():
        assert entry.short_name == name
        assert entry.units in units and entry.dataset in datasets, name
        assert entry.level in ("surface", "constant", "pressure"), name
        assert (entry.level == "pressure") == (entry.dataset == "reanalysis-era5-pressure-levels"), name
        assert entry.valid_range[0] < entry.valid_range[1], name
        assert entry.copernicus and entry.names, name


def test_no_name_stands_for_two_variables():
    """Within one kind of level, a name in a file says which variable it is."""
    for level in ("surface", "constant", "pressure"):
        names = [name for entry in table().values() if entry.level == level for name in entry.names]
        ids = [number for entry in table().values() if entry.level == level for number in entry.grib_ids]
        assert len(set(names)) == len(names) and len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    ("short_name", "pressure", "base"),
    [("t850", 850, "t"), ("gph500", 500, "gph"), ("t1", 1, "t"), ("gph1000", 1000, "gph")],
)
def test_any_level_may_follow(short_name, pressure, base):
    found = variable(short_name)
    assert (found.short_name, found.pressure) == (short_name, pressure)
    assert found.units == table()[base].units and found.copernicus == table()[base].copernicus


def test_geopotential_is_not_geopotential_height():
    height = variable("gph500")
    assert height.units == "m" and height.grib_ids == (156,)
    assert height.convert.units == "m2 s-2" and height.convert.grib_ids == (129,)
    assert height.convert.factor == pytest.approx(1 / 9.80665, rel=1e-15)


@pytest.mark.parametrize(
    ("short_name", "said"),
    [
        ("mls", "unknown variable 'mls'; did you mean 'msl'?"),
        ("T850", "did you mean 't850'?"),
        ("2T", "did you mean '2t'?"),
        ("t2m", "unknown variable 't2m'"),
        ("t", "needs a pressure level in hPa; write for example t500"),
        ("gph", "write for example gph500"),
        ("t1001", "asks for 1001 hPa"),
        ("t0", "asks for 0 hPa"),
        ("msl500", "unknown"),
        ("", "unknown variable"),
        ("qqq", "known are: "),
    ],
)
def test_wrong_names(short_name, said):
    with pytest.raises(InputError) as caught:
        variable(short_name)
    assert said in str(caught.value)
    assert caught.value.where == "--variables"


def test_several():
    assert [one.short_name for one in variables(["2t", "msl", "gph500"])] == ["2t", "msl", "gph500"]
    with pytest.raises(InputError, match="'2t' is named twice"):
        variables(["2t", "msl", "2t"])


def test_did_you_mean():
    assert did_you_mean("batchsize", ["batch_size", "lr"]) == "did you mean 'batch_size'?"
    assert did_you_mean("LR", ["batch_size", "lr"]) == "did you mean 'lr'?"
    assert did_you_mean("xyz", ["b", "a"]) == "known are: a, b"
