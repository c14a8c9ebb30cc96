"""Forecasts from elsewhere: judged as a model's are, on our truth; what their file must hold."""

import csv
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from video_prediction_tools.main_scripts import main_import_forecasts, main_visualize_postprocess
from video_prediction_tools.main_scripts.program import run
from video_prediction_tools.main_scripts.program_on_ranks import run_on_ranks
from video_prediction_tools.metadata.files import read_json
from video_prediction_tools.postprocess import evaluation

from .conftest import LEAD, draw_quickly

TEST_START = np.datetime64("2019-03-25T00")


@pytest.fixture(scope="module")
def foreign(uk) -> xr.Dataset:
    """The last frame plus 1 K at every lead hour, from 06 UTC on 25 to 27 March; rows from the south, lon to 360."""
    cut = uk[:, ::4, 24::4]
    init = np.flatnonzero(
        (cut["time"].values >= TEST_START) & (cut["time"].values < np.datetime64("2019-03-27T21"))
    )[6:]
    fields = np.repeat(cut.values[init][:, np.newaxis], LEAD, axis=1).astype(np.float64) + 1.0
    made = xr.Dataset(
        {"2t_forecast": (("init_time", "lead_time", "lat", "lon"), fields, {"units": "K"})},
        {
            "init_time": cut["time"].values[init],
            "lead_time": ("lead_time", np.arange(1, LEAD + 1), {"units": "hours"}),
            "lat": cut["latitude"].values,
            "lon": cut["longitude"].values % 360,
        },
    )
    return made.isel(lat=slice(None, None, -1), init_time=slice(None, None, -1)).transpose("lat", "lon", ...)


@pytest.fixture
def start(uk_data, tmp_path, capsys):
    """Import a file: exit code, lines of stdout, lines of stderr, and where the forecasts are."""

    def import_file(content: xr.Dataset, *flags):
        path = tmp_path / "theirs.nc"
        content.to_netcdf(path)
        target = tmp_path / "Models" / uk_data.name / "IFS" / "20190401T000000_anna_ifs"
        words = ["--forecasts_file", path, "--input_dir", uk_data, "--output_dir", target]
        if "--name" not in flags:
            words += ["--name", "IFS"]
        parser = main_import_forecasts.build_parser()
        code = run(main_import_forecasts.main, parser, [str(word) for word in (*words, *flags)])
        said = capsys.readouterr()
        return code, said.out.splitlines(), said.err.splitlines(), target

    return import_file


def evaluate(model: Path, base: Path, monkeypatch, *flags) -> Path:
    monkeypatch.setattr(evaluation, "_draw", draw_quickly)
    words = ["--model_dir", model, "--results_dir", base / "Results", "--bootstrap_draws", 20, *flags]
    parser = main_visualize_postprocess.build_parser()
    assert run_on_ranks(main_visualize_postprocess.main, parser, [str(word) for word in words]) == 0
    return (
        base / "Results" / model.parents[1].name / "end_to_end" / model.parents[1].name / "IFS" / model.name
    )


def scores(results: Path) -> dict[tuple[str, str, str], dict[str, str]]:
    with open(results / "evaluation_metrics.csv", encoding="utf-8") as handle:
        return {(row["product"], row["metric"], row["lead_hour"]): row for row in csv.DictReader(handle)}


def test_judged_as_a_model(foreign, start, tmp_path, monkeypatch, capsys):
    """The last frame plus 1 K: bias one above that of persistence, whatever the order of the file's rows and times."""
    code, lines, errors, model = start(foreign)
    assert code == 0, errors
    assert lines[-2:] == ["63 init times, 3 lead times of 1 h", str(model)]
    results = evaluate(model, tmp_path, monkeypatch)
    found = scores(results)
    for lead in ("1", "2", "3"):
        ours, theirs = (float(found[one, "bias", lead]["value"]) for one in ("IFS", "persistence"))
        assert ours == pytest.approx(theirs + 1.0, abs=1e-5)
        assert found["IFS", "mse", lead]["n_init"] == found["persistence", "mse", lead]["n_init"] == "63"
    warnings = read_json(results / "metadata.json", "")["details"]["warnings"]
    assert "The imported forecasts have 63 of the 66 init times of the test split." in warnings
    html = (results / "report.html").read_text(encoding="utf-8")
    assert "made elsewhere, imported from" in html and "Training time" not in html
    # a second import does nothing, another file is refused
    capsys.readouterr()
    code, lines, _, _ = start(foreign)
    assert code == 0 and lines[0].startswith("these forecasts are there already")
    with xr.set_options(keep_attrs=True):
        code, _, errors, _ = start(foreign + 1.0)
    assert code == 2 and f"--output_dir {model}: holds another model; give another directory" in errors[-1]


def test_ensemble(foreign, start, tmp_path, monkeypatch):
    """Members 1 K apart: spread and fair crps are those worked out by hand."""
    with xr.set_options(keep_attrs=True):
        members = xr.concat([foreign + step for step in (-1.0, 0.0, 1.0)], "member")
    code, lines, errors, model = start(members)
    assert code == 0 and lines[-2].endswith("3 members"), errors
    found = scores(evaluate(model, tmp_path, monkeypatch, "--eval_metrics", "mse", "spread_skill", "crps"))
    mse = float(found["IFS", "mse", "1"]["value"])
    assert float(found["IFS", "spread_skill", "1"]["value"]) == pytest.approx(
        np.sqrt(4 / 3 * 1.0 / mse), rel=1e-5
    )


def without_lead_hour_2(data):
    return data.isel(lead_time=[0, 2])


def in_celsius(data):
    data = data - 273.15
    data["2t_forecast"].attrs["units"] = "degC"
    return data


def shifted(data):
    return data.assign_coords(lat=data["lat"] + 0.1)


def in_minutes(data):
    return data.assign_coords(lead_time=("lead_time", [60, 120, 180], {"units": "minutes"}))


def twice(data):
    return xr.concat([data, data.isel(init_time=[0])], "init_time")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without_lead_hour_2, "lacks the lead hour 2 (it has 1, 3); it must hold every lead hour from 1 on"),
        (in_celsius, "'2t_forecast' has the unit 'degC', the data set has 'K'; convert it"),
        (shifted, "lies on another grid: its lat does not hold all grid points of the data set"),
        (in_minutes, "its lead_time has the unit 'minutes', not 'hours'"),
        (twice, "holds init_time 2019-03-27T20 twice"),
        (lambda data: data.rename({"2t_forecast": "t2m"}), "holds no variable '2t_forecast'"),
        (lambda data: data.isel(lead_time=0), "'2t_forecast' has the dimensions"),
    ],
)
def test_wrong_files(change, said, foreign, start):
    code, _, errors, model = start(change(foreign.copy(deep=True)))
    assert code == 2 and said in errors[-1], errors
    assert not model.exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--name", "convLSTM"), "--name: 'convLSTM' is no name for forecasts from elsewhere"),
        (("--name", "a/b"), "--name: 'a/b' is no name"),
        (
            ("--context_frames", 5),
            "--context_frames: 5 context and 3 lead frames do not fit the sequences of 7",
        ),
        (("--context_frames", 0), "--context_frames: 0 context"),
        (("--forecasts_file", "absent.nc"), "absent.nc: does not exist"),
        (("--input_dir", "absent"), "absent: does not exist"),
    ],
)
def test_wrong_flags(flags, said, foreign, start):
    code, _, errors, model = start(foreign, *flags)
    assert code == 2 and said in errors[-1], errors
    assert not model.exists()


@pytest.mark.parametrize("place", [{}, {"lead_time": 1, "lat": 2, "lon": 3}])
def test_values_that_are_missing(place, foreign, start):
    """All of a forecast, or one point of it: refused, with the init_time."""
    broken = foreign.copy(deep=True)
    row = int(np.flatnonzero(broken["init_time"].values == np.datetime64("2019-03-26T05"))[0])
    broken["2t_forecast"][{"init_time": row, **place}] = np.nan
    code, _, errors, model = start(broken)
    assert code == 2 and "has missing values in the forecast of init_time 2019-03-26T05" in errors[-1], errors
    assert not model.exists()


def test_no_common_init_time(foreign, start, tmp_path, capsys):
    early = foreign.assign_coords(init_time=foreign["init_time"] - np.timedelta64(10, "D"))
    code, _, errors, model = start(early)
    assert code == 0, errors
    words = ["--model_dir", model, "--results_dir", tmp_path / "Results"]
    parser = main_visualize_postprocess.build_parser()
    assert run_on_ranks(main_visualize_postprocess.main, parser, [str(word) for word in words]) == 2
    assert (
        "the imported forecasts have none of the 66 init times of the test split" in capsys.readouterr().err
    )
