"""The program as a user runs it: what it writes, what it refuses, and what it does when started again."""

import base64
import csv
import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from video_prediction_tools.main_scripts import main_visualize_postprocess as program
from video_prediction_tools.main_scripts.program_on_ranks import run_on_ranks
from video_prediction_tools.metadata.files import read_json, write_json
from video_prediction_tools.postprocess import evaluation

from .conftest import CONTEXT, StandIn, draw_quickly, write_model, write_prepared
from .test_climatology import climatology_file

DEFAULT = ("mse", "rmse", "mae", "bias", "acc", "ssim", "gradient_ratio", "spectral_ratio")


@pytest.fixture
def forecaster(monkeypatch):
    """A stand-in takes the place of the trained network, small pictures that of plots; the rest is real."""
    stand_in = StandIn()
    monkeypatch.setattr(evaluation, "_load", lambda plan: stand_in)
    monkeypatch.setattr(evaluation, "_draw", draw_quickly)
    return stand_in


def start(*arguments, capsys):
    """Run the program in this process; returns exit code, lines of stdout and stderr."""
    code = run_on_ranks(program.main, program.build_parser(), [str(one) for one in arguments])
    said = capsys.readouterr()
    return code, said.out.splitlines(), said.err.splitlines()


def refuse(*arguments, capsys):
    """Run the program, demand exit code 2 and one line; returns the line."""
    code, _, errors = start(*arguments, capsys=capsys)
    lines = [line for line in errors if line.startswith("ERROR: ")]
    assert code == 2 and len(lines) == 1 and "; " in lines[0], errors
    return lines[0]


def few(model_dir, tmp_path, *more):
    """The flags of a quick evaluation."""
    return ("--model_dir", model_dir, "--results_dir", tmp_path / "Results", "--bootstrap_draws", 50, *more)


def content(directory: Path) -> dict[str, bytes]:
    """The files of a result directory but for metadata.json (it holds times)."""
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name not in ("metadata.json", ".lock")
    }


@pytest.fixture
def evaluated(model_dir, tmp_path, forecaster, capsys):
    """A finished evaluation: its directory."""
    code, lines, _ = start(*few(model_dir, tmp_path), capsys=capsys)
    assert code == 0
    return Path(lines[-1])


@pytest.fixture(scope="module")
def shown(uk_data, tmp_path_factory):
    """A finished evaluation with its real plots: model directory and result directory."""
    base = tmp_path_factory.mktemp("shown")
    model = write_model(
        base / "Models" / uk_data.name / "convLSTM" / "20190401T120000_anna_first-try", uk_data
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "_load", lambda plan: StandIn())
        assert run_on_ranks(program.main, program.build_parser(), [str(one) for one in few(model, base)]) == 0
    return model, base / "Results" / uk_data.name / "end_to_end" / uk_data.name / "convLSTM" / model.name


def test_what_is_written(shown, uk_data):
    model_dir, evaluated = shown
    record = read_json(evaluated / "metadata.json", "")
    assert record["kind"] == "results" and record["state"] == "done" and record["name"] == model_dir.name
    expected = {"forecasts.nc", "evaluation_metrics.nc", "evaluation_metrics.csv", "report.html"}
    expected |= {"evaluation_breakdown.csv"} | {f"plots/score_2t_{metric}.png" for metric in DEFAULT}
    expected |= {f"plots/map_2t_{case}.png" for case in ("best", "median", "worst")}
    kinds = ("scorecard", "spectrum", "parts", "quantiles", "error_map")
    expected |= {f"plots/{kind}_2t.png" for kind in kinds} | {"plots/animation_2t.gif"}
    assert set(record["outputs"]) == expected == set(content(evaluated))
    assert set(record["inputs"]) == {str(model_dir), str(uk_data), str(uk_data / "tfrecords")}
    with open(evaluated / "evaluation_metrics.csv", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert {row["product"] for row in rows} == {"convLSTM", "persistence", "persistence_24h", "climatology"}
    assert {row["lead_hour"] for row in rows} == {"1", "2", "3"}


def test_a_baseline_that_is_the_model_does_not_stand_twice(uk_data, tmp_path, forecaster, capsys):
    name = "20190401T120000_anna_first-try"
    model = write_model(
        tmp_path / "Models" / uk_data.name / "persistence" / name, uk_data, model="persistence"
    )
    code, lines, _ = start(*few(model, tmp_path), capsys=capsys)
    assert code == 0
    with xr.open_dataset(Path(lines[-1]) / "evaluation_metrics.nc") as scores:
        assert scores["product"].values.tolist() == ["persistence", "persistence_24h", "climatology"]
        assert scores["baseline"].values.tolist() == ["persistence_24h", "climatology"]


def test_report_is_one_file(shown):
    """Nothing is loaded from elsewhere; every image is inside, a PNG or a GIF."""
    html = (shown[1] / "report.html").read_text(encoding="utf-8")
    sources = re.findall(r'(?:src|href)\s*=\s*"([^"]*)"', html)
    assert sources and all(source.startswith(("data:image/", "#")) for source in sources)
    assert not re.search(r"https?://|url\(|@import|<script|<link", html)
    images = [source for source in sources if source.startswith("data:")]
    assert len(images) == len(DEFAULT) + 9
    for image in images:
        assert base64.b64decode(image.split(",", 1)[1]).startswith((b"\x89PNG", b"GIF89a"))
    for words in (
        "convLSTM",
        "persistence_24h",
        "Short test period",
        "Few independent blocks",
        "0.0123",
        "5 min 12 s",
        "--model_dir",
        "prefers-color-scheme: dark",
        "2019-03-01T00",
        "blocks of 24 init times",
    ):
        assert words in html
    assert "SYNTHETIC" not in html


def test_synthetic_data_are_marked(uk_data, tmp_path, forecaster, capsys):
    data = remake(uk_data, tmp_path / "PreprocessedData" / uk_data.name, synthetic=True)
    model = write_model(tmp_path / "Models" / data.name / "convLSTM" / "20190401T120000_anna_synthetic", data)
    code, lines, _ = start(*few(model, tmp_path), capsys=capsys)
    assert code == 0 and any("SYNTHETIC DATA" in line for line in lines)
    html = (Path(lines[-1]) / "report.html").read_text(encoding="utf-8")
    assert '<div class="synthetic">SYNTHETIC DATA' in html and "<title>SYNTHETIC DATA" in html
    with xr.open_dataset(Path(lines[-1]) / "forecasts.nc", decode_timedelta=False) as forecasts:
        assert forecasts.attrs["synthetic"] == 1


def remake(
    source: Path,
    directory: Path,
    *,
    keep=slice(None),
    variables=("2t",),
    step_hours=1,
    synthetic=False,
    splits=None,
    rows=slice(None),
):
    """Make another data set of the pickles of one."""
    from video_prediction_tools.datasets.observations import Observations

    observations = Observations(source)
    times = np.concatenate([observations.hours(split) for split in ("train", "val", "test")])[keep]
    frames = np.repeat(observations.fields(times), len(variables), axis=-1)
    splits = splits or {"train": (0, 528), "val": (528, 576), "test": (576, 648)}
    return write_prepared(
        directory,
        frames[:, rows],
        times,
        variables,
        splits,
        observations.lat[rows],
        observations.lon,
        step_hours=step_hours,
        synthetic=synthetic,
    )


def test_started_again_when_done(evaluated, model_dir, tmp_path, forecaster, capsys):
    before, calls = content(evaluated), forecaster.calls
    code, lines, _ = start(*few(model_dir, tmp_path), capsys=capsys)
    assert code == 0 and lines[-1] == str(evaluated)
    assert "these results are there already, whole; nothing to do" in lines
    assert content(evaluated) == before and forecaster.calls == calls


def test_other_metrics_keep_the_forecasts(evaluated, model_dir, tmp_path, forecaster, capsys):
    before, calls = content(evaluated), forecaster.calls
    code, _, _ = start(*few(model_dir, tmp_path, "--eval_metrics", "mae"), capsys=capsys)
    after = content(evaluated)
    assert code == 0 and forecaster.calls == calls
    assert after["forecasts.nc"] == before["forecasts.nc"]
    # nothing stale is left
    assert "plots/score_2t_mae.png" in after and "plots/score_2t_rmse.png" not in after
    assert set(read_json(evaluated / "metadata.json", "")["outputs"]) == set(after)
    assert after["report.html"] != before["report.html"]


def test_damaged_results_are_made_again(evaluated, model_dir, tmp_path, forecaster, capsys):
    before = content(evaluated)
    (evaluated / "evaluation_metrics.csv").write_text("variable\n")
    (evaluated / "forecasts.nc").write_bytes(before["forecasts.nc"][:5000])
    code, lines, _ = start(*few(model_dir, tmp_path), capsys=capsys)
    assert code == 0 and content(evaluated) == before
    assert any("forecasts.nc is not as it was written" in line for line in lines)  # why it takes so long
    assert not any("the forecasts are there already" in line for line in lines)
    (evaluated / "forecasts.nc").unlink()
    code, lines, _ = start(*few(model_dir, tmp_path), capsys=capsys)
    assert code == 0 and content(evaluated) == before
    assert any("forecasts.nc is gone: the forecasts are made again" in line for line in lines)


def test_a_model_trained_further(evaluated, model_dir, uk_data, tmp_path, monkeypatch, capsys):
    """Its old scores cannot stay: all is made anew, and that is said."""
    before = content(evaluated)
    shutil.rmtree(model_dir)
    write_model(model_dir, uk_data, weights=b"other weights")

    class Better(StandIn):
        def forecast(self, context, times, seeds, region):
            return super().forecast(context, times, seeds, region) + 0.5

    monkeypatch.setattr(evaluation, "_load", lambda plan: Better())
    code, lines, _ = start(*few(model_dir, tmp_path), capsys=capsys)
    assert code == 0 and any("everything is made anew" in line for line in lines)
    after = content(evaluated)
    assert set(after) == set(before)
    for name in ("forecasts.nc", "evaluation_metrics.csv", "evaluation_metrics.nc", "report.html"):
        assert after[name] != before[name]


STAGES = ("_make_forecasts", "reduce_forecasts", "write_scores", "_draw")


@pytest.mark.parametrize("stage", STAGES)
def test_interrupted_and_started_again(
    stage, evaluated, model_dir, tmp_path, forecaster, monkeypatch, capsys
):
    """Interrupted in any stage and started again, the results are the same, byte for byte."""
    before = content(evaluated)
    shutil.rmtree(evaluated)

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(evaluation, stage, interrupt)
        assert start(*few(model_dir, tmp_path), capsys=capsys)[0] == 130
    assert read_json(evaluated / "metadata.json", "")["state"] == "interrupted"
    assert start(*few(model_dir, tmp_path), capsys=capsys)[0] == 0
    assert content(evaluated) == before


KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from postprocess.conftest import StandIn, draw_quickly
from video_prediction_tools.main_scripts import main_visualize_postprocess as program
from video_prediction_tools.main_scripts.program_on_ranks import run_on_ranks
from video_prediction_tools.postprocess import evaluation

class Killed(StandIn):
    def forecast(self, *args):
        if {at!r} == "forecasts" and self.calls >= 32:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forecast(*args)

def draw(*args):
    draw_quickly(*args)
    os.kill(os.getpid(), signal.SIGKILL)

evaluation._load, evaluation._draw = lambda plan: Killed(), draw
sys.exit(run_on_ranks(program.main, program.build_parser(), sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("at", ["forecasts", "plots"])
def test_killed_and_started_again(at, evaluated, model_dir, tmp_path, forecaster, run_command, capsys):
    before = content(evaluated)
    shutil.rmtree(evaluated)
    script = KILLED.format(tests=str(Path(__file__).parents[1]), at=at)
    killed = run_command([sys.executable, "-c", script, *few(model_dir, tmp_path)])
    assert killed.returncode == -9, killed.stderr
    assert not (evaluated / "report.html").exists()
    assert (evaluated / "forecasts.nc").exists() == (at == "plots")
    assert start(*few(model_dir, tmp_path), capsys=capsys)[0] == 0
    assert content(evaluated) == before


LIMITED = """
import sys
sys.path.insert(0, {tests!r})
from postprocess.conftest import StandIn, draw_quickly
from video_prediction_tools.main_scripts import main_visualize_postprocess as program
from video_prediction_tools.main_scripts.program_on_ranks import run_on_ranks
from video_prediction_tools.postprocess import evaluation

evaluation._load, evaluation._draw = lambda plan: StandIn(), draw_quickly
sys.exit(run_on_ranks(program.main, program.build_parser(), sys.argv[1:]))
"""


def test_limit_of_the_size_of_files(model_dir, tmp_path, run_command, error_line):
    """The NetCDF library says no more than 'HDF error'; the program names file, cause and remedy."""
    script = LIMITED.format(tests=str(Path(__file__).parents[1]))
    command = [sys.executable, "-c", script, *few(model_dir, tmp_path)]
    limited = run_command(["bash", "-c", 'ulimit -f 20; exec "$@"', "bash", *command])
    line = error_line(limited)
    assert "forecasts.nc: the file would pass the size limit; raise the limit (ulimit -f)" in line
    left = [path.name for path in (tmp_path / "Results").rglob("*") if path.is_file()]
    assert set(left) <= {"metadata.json", ".lock"}


def test_stochastic_model(model_dir, tmp_path, forecaster, capsys, cf_errors):
    forecaster.stochastic = True
    code, lines, _ = start(
        *few(model_dir, tmp_path, "--num_stochastic_samples", 3, "--stride", 12), capsys=capsys
    )
    assert code == 0
    with xr.open_dataset(Path(lines[-1]) / "forecasts.nc", decode_timedelta=False) as forecasts:
        assert forecasts.sizes["member"] == 3 and forecasts.sizes["init_time"] == 6
    assert cf_errors(Path(lines[-1]) / "forecasts.nc", Path(lines[-1]) / "evaluation_metrics.nc") == []


def test_transfer_learning(model_dir, uk_data, tmp_path, forecaster, capsys):
    """The same variables and step under another data name: the results lie in a folder of their own."""
    other = remake(uk_data, tmp_path / "PreprocessedData" / "Y2019to2019M03to03-7_9-51.00N04.00W-2t")
    code, lines, _ = start(*few(model_dir, tmp_path, "--input_dir", other, "--stride", 12), capsys=capsys)
    assert code == 0
    assert Path(lines[-1]) == (
        tmp_path / "Results" / other.name / "transfer_learning" / uk_data.name / "convLSTM" / model_dir.name
    )
    assert "transfer" in (Path(lines[-1]) / "report.html").read_text(encoding="utf-8")


def test_step_of_three_hours(uk_data, tmp_path, forecaster, capsys):
    """Lead hours are hours: 3, 6, 9."""
    data = remake(
        uk_data,
        tmp_path / "PreprocessedData" / uk_data.name,
        keep=slice(None, None, 3),
        step_hours=3,
        splits={"train": (0, 176), "val": (176, 192), "test": (192, 216)},
    )
    model = write_model(
        tmp_path / "Models" / data.name / "convLSTM" / "20190401T120000_anna_threehourly", data
    )
    code, lines, _ = start(*few(model, tmp_path), capsys=capsys)
    assert code == 0
    with open(Path(lines[-1]) / "evaluation_metrics.csv", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert {row["lead_hour"] for row in rows} == {"3", "6", "9"}
    assert {row["n_init"] for row in rows if row["product"] == "convLSTM"} == {"18"}


@pytest.fixture
def uncovered(uk_data, tmp_path):
    """A data set whose training split lacks some hours, so its climatology does not cover the test."""
    data = remake(
        uk_data,
        tmp_path / "PreprocessedData" / uk_data.name,
        keep=slice(540, None),
        splits={"train": (0, 16), "val": (16, 36), "test": (36, 108)},
    )
    return write_model(tmp_path / "Models" / data.name / "convLSTM" / "20190401T120000_anna_short", data)


def test_without_climatology(uncovered, tmp_path, forecaster, capsys):
    """Baseline and acc are left out, and that is said in the output and in the report."""
    code, lines, _ = start(*few(uncovered, tmp_path), capsys=capsys)
    assert code == 0
    directory = Path(lines[-1])
    table = (directory / "evaluation_metrics.csv").read_text()
    assert ",climatology," not in table and ",acc," not in table and ",persistence_24h," in table
    for said in (
        "The product climatology is missing: the climatology of the training period",
        "The metric acc is missing",
    ):
        assert any(said in line for line in lines)
        assert said in (directory / "report.html").read_text(encoding="utf-8")


def test_acc_without_climatology(uncovered, tmp_path, capsys):
    line = refuse(*few(uncovered, tmp_path, "--eval_metrics", "mse", "acc"), capsys=capsys)
    assert (
        "--eval_metrics acc: there is no climatology to compare with" in line
        and "does not cover month 3" in line
    )
    assert not (tmp_path / "Results").exists()


def test_climatology_from_a_file(uncovered, uk, tmp_path, forecaster, capsys):
    cut = uk[:, ::4, 24::4]
    path = climatology_file(
        tmp_path / "climatology.nc", lat=cut["latitude"].values, lon=cut["longitude"].values
    )
    code, lines, _ = start(
        *few(uncovered, tmp_path, "--climatology_file", path, "--eval_metrics", "acc", "bias"), capsys=capsys
    )
    assert code == 0
    with open(Path(lines[-1]) / "evaluation_metrics.csv", encoding="utf-8") as handle:
        bias = {
            row["lead_hour"]: float(row["value"])
            for row in csv.DictReader(handle)
            if row["product"] == "climatology" and row["metric"] == "bias"
        }
    assert bias["1"] == pytest.approx(311 - 281, abs=8)  # the file's values are 300 + hour


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--eval_metrics", "mse", "rmsd"), "--eval_metrics: unknown metric 'rmsd'; did you mean 'rmse'?"),
        (("--stride", "0"), "--stride: 0 is below 1"),
        (("--block_hours", "-3"), "--block_hours: -3 is below 1"),
        (("--batch_size", "0"), "--batch_size: 0 is below 1"),
        (("--num_stochastic_samples", "0"), "--num_stochastic_samples: 0 is below 1"),
        (("--seed", "-1"), "--seed: -1 is below 0"),
        (("--split", "tests"), "invalid choice: 'tests'"),
        (("--climatology_file", "absent.nc"), "--climatology_file absent.nc: does not exist"),
        (("--input_dir", "absent"), "absent: does not exist; run the step 'preprocess1' first"),
        (("--evalmetrics", "mse"), "unrecognized arguments: --evalmetrics mse"),
    ],
)
def test_wrong_flags(flags, said, model_dir, tmp_path, capsys):
    assert said in refuse(*few(model_dir, tmp_path, *flags), capsys=capsys)
    assert not (tmp_path / "Results").exists()


def test_wrong_use_in_a_process_of_its_own(model_dir, tmp_path, run_program, error_line):
    """As a user sees it; and TensorFlow is not imported to find the fault."""
    result = run_program(
        "visualize_postprocess",
        *few(model_dir, tmp_path, "--eval_metrics", "acv"),
        env={"PYTHONPROFILEIMPORTTIME": "1"},
    )
    assert error_line(result) == "ERROR: --eval_metrics: unknown metric 'acv'; did you mean 'acc'?"
    assert not re.search(r"\| +tensorflow$", result.stderr, re.MULTILINE)
    assert not (tmp_path / "Results").exists()


def test_no_model(tmp_path, capsys):
    line = refuse(*few(tmp_path / "absent", tmp_path), capsys=capsys)
    assert "absent: does not exist; run the step 'train' first" in line


def change_metadata(directory: Path, **entries):
    record = read_json(directory / "metadata.json", "")
    write_json(directory / "metadata.json", {**record, **entries})


def test_unfinished_training(model_dir, tmp_path, capsys):
    change_metadata(model_dir, state="interrupted")
    assert "belongs to an unfinished step (state 'interrupted')" in refuse(
        *few(model_dir, tmp_path), capsys=capsys
    )


def test_damaged_metadata(model_dir, tmp_path, capsys):
    (model_dir / "metadata.json").write_text('{"schema_version": 1, "kind": "mod')
    assert "metadata.json: is not valid JSON" in refuse(*few(model_dir, tmp_path), capsys=capsys)


def test_damaged_data_spec(model_dir, tmp_path, capsys):
    (model_dir / "data_spec.json").write_text(json.dumps({"variables": ["2t"]}))
    assert "data_spec.json: is damaged" in refuse(*few(model_dir, tmp_path), capsys=capsys)


def test_data_spec_without_a_data_name(model_dir, tmp_path, capsys):
    """Found before anything is made."""
    spec = read_json(model_dir / "data_spec.json", "")
    del spec["data_name"]
    write_json(model_dir / "data_spec.json", spec)
    line = refuse(*few(model_dir, tmp_path), capsys=capsys)
    assert "data_spec.json: is damaged: entries are missing (data_name)" in line
    assert not (tmp_path / "Results").exists()


def test_metadata_without_model(model_dir, tmp_path, capsys):
    change_metadata(model_dir, details={})
    assert "does not name the model" in refuse(*few(model_dir, tmp_path), capsys=capsys)


def test_data_set_that_is_gone(uk_data, tmp_path, capsys):
    data = remake(uk_data, tmp_path / "elsewhere" / uk_data.name)
    model = write_model(tmp_path / "Models" / data.name / "convLSTM" / "20190401T120000_anna_lost", data)
    shutil.rmtree(data)
    line = refuse(*few(model, tmp_path), capsys=capsys)
    assert f"--input_dir: the data set {data.name} that the model was trained on is not where it was" in line


def test_other_variables(model_dir, uk_data, tmp_path, capsys):
    other = remake(uk_data, tmp_path / "other", variables=("2t", "2d"))
    line = refuse(*few(model_dir, tmp_path, "--input_dir", other), capsys=capsys)
    assert "other has the variables 2t, 2d, the model was trained on 2t" in line


def test_other_step(model_dir, uk_data, tmp_path, capsys):
    other = remake(
        uk_data,
        tmp_path / "other",
        keep=slice(None, None, 3),
        step_hours=3,
        splits={"train": (0, 176), "val": (176, 192), "test": (192, 216)},
    )
    line = refuse(*few(model_dir, tmp_path, "--input_dir", other), capsys=capsys)
    assert "other has the step 3 h, the model was trained on 1 h" in line


def test_known_channel_that_the_data_lack(model_dir, tmp_path, capsys):
    """Found before anything is written, not when the model is run."""
    spec = read_json(model_dir / "data_spec.json", "")
    write_json(model_dir / "data_spec.json", {**spec, "known": ["lsm", "sin_solar_time"]})
    assert "the data lack the known channel 'lsm'" in refuse(*few(model_dir, tmp_path), capsys=capsys)
    assert not (tmp_path / "Results").exists()


def test_sequences_too_short_for_the_model(uk_data, tmp_path, capsys):
    model = write_model(tmp_path / "m", uk_data, context=10, lead=10)
    assert "preprocess2' with --sequence_length 20" in refuse(*few(model, tmp_path), capsys=capsys)


def test_results_of_another_split(evaluated, model_dir, tmp_path, capsys):
    """They are not overwritten."""
    before = content(evaluated)
    line = refuse(*few(model_dir, tmp_path, "--split", "val"), capsys=capsys)
    assert "holds results of the split 'test'; give another --results_dir for the split 'val'" in line
    assert content(evaluated) == before


def test_data_set_made_anew_after_the_training(model_dir, uk_data, tmp_path, forecaster, capsys):
    """The same name, other splits: the model may have seen the test hours, and that is said."""
    other = remake(
        uk_data,
        tmp_path / "again" / uk_data.name,
        splits={"train": (0, 500), "val": (500, 550), "test": (550, 620)},
    )
    code, lines, _ = start(*few(model_dir, tmp_path, "--input_dir", other, "--stride", 12), capsys=capsys)
    assert code == 0 and any("made anew after the training" in line for line in lines)


def test_damaged_tfrecord(uk_data, tmp_path, forecaster, capsys):
    data = remake(uk_data, tmp_path / "PreprocessedData" / uk_data.name)
    model = write_model(tmp_path / "Models" / data.name / "convLSTM" / "20190401T120000_anna_damage", data)
    block = next((data / "tfrecords" / "test").iterdir())
    damaged = bytearray(block.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    block.write_bytes(damaged)
    assert f"{block}: is damaged" in refuse(*few(model, tmp_path), capsys=capsys)
    results = tmp_path / "Results"
    assert not list(results.rglob("forecasts.nc")) and not list(results.rglob("report.html"))


def test_results_directory_that_is_a_file(model_dir, tmp_path, capsys):
    (tmp_path / "Results").write_text("")
    assert "a part of the path is a file" in refuse(*few(model_dir, tmp_path), capsys=capsys)


def test_few_init_times(model_dir, tmp_path, forecaster, capsys):
    """Fewer than two blocks: no interval is given, and that is said everywhere."""
    code, lines, _ = start(*few(model_dir, tmp_path, "--block_hours", 48), capsys=capsys)
    said = "Intervals are withheld: 66 init times are fewer than two blocks of 48"
    assert code == 0 and any(said in line for line in lines)
    with open(Path(lines[-1]) / "evaluation_metrics.csv", encoding="utf-8") as handle:
        assert all(row["ci_low"] == row["ci_high"] == "" for row in csv.DictReader(handle))
    assert "intervals withheld" in (Path(lines[-1]) / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_end_to_end(uk_data, uk, tmp_path, run_program):
    """A real, tiny convLSTM: trained and judged by the programs; no stand-in."""
    model = tmp_path / "Models" / uk_data.name / "convLSTM" / "20190401T120000_anna_tiny"
    trained = run_program(
        "train_models",
        "--input_dir",
        uk_data,
        "--output_dir",
        model,
        "--model",
        "convLSTM",
        "--set",
        f"context_frames={CONTEXT}",
        "max_epochs=1",
        "filters=4",
        "patch_size=1",
    )
    assert trained.returncode == 0, trained.stderr
    judged = run_program("visualize_postprocess", *few(model, tmp_path, "--stride", 3))
    assert judged.returncode == 0, judged.stderr
    directory = Path(judged.stdout.splitlines()[-1])
    with xr.open_dataset(directory / "forecasts.nc", decode_timedelta=False) as forecasts:
        error = forecasts["2t_forecast"].astype("f8") - forecasts["2t_truth"].astype("f8")
        weights = np.cos(np.deg2rad(forecasts["lat"]))
        mse = (error**2).weighted(weights).mean(("init_time", "lat", "lon")).values
        truth = uk[:, ::4, 24::4].sel(time=forecasts["valid_time"].values.ravel()).values.reshape(error.shape)
        np.testing.assert_array_equal(forecasts["2t_truth"], truth)
    with open(directory / "evaluation_metrics.csv", encoding="utf-8") as handle:
        rows = [
            row for row in csv.DictReader(handle) if row["product"] == "convLSTM" and row["metric"] == "mse"
        ]
    np.testing.assert_allclose([float(row["value"]) for row in rows], mse, rtol=1e-6)
    smaller = remake(
        uk_data, tmp_path / "PreprocessedData" / "Y2019to2019M03to03-7_6-53.00N04.00W-2t", rows=slice(6)
    )
    transferred = run_program(
        "visualize_postprocess", *few(model, tmp_path, "--input_dir", smaller, "--stride", 12)
    )
    assert transferred.returncode == 0, transferred.stderr
    assert "transfer_learning" in transferred.stdout.splitlines()[-1]
    again = run_program("visualize_postprocess", *few(model, tmp_path, "--stride", 3))
    assert again.returncode == 0 and "nothing to do" in again.stdout
