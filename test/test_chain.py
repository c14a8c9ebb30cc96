"""The main line of AMBS: real ERA5 (GRIB) through all programs, 10 hours from 10 hours, judged on the last week.

What comes out is compared with the same quantities worked out here from the GRIB file alone.
"""

import csv
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from video_prediction_tools.metadata.names import Layout, result_directory
from video_prediction_tools.metadata.record import read_record

pytestmark = pytest.mark.slow

DATA_NAME = "Y2019to2019M03to03-49_33-50.00N10.00W-2t"
EXP_ID = "20190401T000000_test_chain"
SPLIT = {
    "train": [["2019-03-01", "2019-03-22"]],
    "val": [["2019-03-23", "2019-03-24"]],
    "test": [["2019-03-25", "2019-03-31"]],
}
TRAIN_HOURS, TEST_START, HOURS = 22 * 24, 24 * 24, 31 * 24
SMALL = ["filters=8", "patch_size=2", "max_epochs=2", "known_channels=lsm,sin_solar_time,cos_solar_time"]


@dataclass
class Chain:
    """What the programs made."""

    base: Path
    data: Path
    model: Path
    results: Path


@pytest.fixture(scope="module")
def chain(shared_data, tmp_path_factory, run_program) -> Chain:
    """Run the programs one after another, as a user's scripts do."""
    base = tmp_path_factory.mktemp("ambs with a space")
    layout = Layout(base)
    split = base / "split.json"
    split.write_text(json.dumps(SPLIT))

    def run(name, *arguments, ranks=None) -> str:
        done = run_program(name, *arguments, ranks=ranks, timeout=600)
        assert done.returncode == 0, f"{name}\n{done.stdout}\n{done.stderr}"
        return done.stdout.splitlines()[-1]

    era5 = shared_data / "era5"
    run(
        "data_extraction",
        "--source",
        "archive",
        "--source_dir",
        era5 / "uk_2019-03",
        "--constants",
        "lsm",
        "--constants_source",
        era5 / "static_global" / "lsm_era5.nc",
        "--destination_dir",
        layout.extracted_data,
        "--years",
        2019,
        "--months",
        3,
        "--variables",
        "2t",
    )
    data = Path(
        run(
            "preprocess_data_step1",
            "--source_dir",
            layout.extracted_data,
            "--destination_dir",
            layout.preprocessed_data,
            "--years",
            2019,
            "--months",
            3,
            "--variables",
            "2t",
            "--sw_corner",
            50,
            -10,
            "--nyx",
            33,
            49,
            "--data_split",
            split,
            ranks=2,
        )
    )
    run("preprocess_data_step2", "--source_dir", data, "--sequence_length", 20, ranks=2)
    model = Path(
        run(
            "train_models",
            "--input_dir",
            data,
            "--output_dir",
            layout.model(DATA_NAME, "convLSTM", EXP_ID),
            "--model",
            "convLSTM",
            "--seed",
            1,
            "--set",
            *SMALL,
        )
    )
    results = Path(
        run("visualize_postprocess", "--model_dir", model, "--results_dir", layout.results, ranks=2)
    )
    return Chain(base, data, model, results)


@pytest.fixture(scope="module")
def truth(shared_data) -> np.ndarray:
    """2 m temperature of the month, [744, 33, 49] in K, from north to south."""
    path = shared_data / "era5" / "uk_2019-03" / "era5-2mt-2019-03-uk.grib"
    with xr.open_dataset(path, engine="cfgrib", backend_kwargs={"indexpath": ""}) as data:
        return data["t2m"].values.astype(np.float64)


@pytest.fixture(scope="module")
def scores(chain) -> dict[tuple[str, str, int], dict[str, str]]:
    """Rows of evaluation_metrics.csv by product, metric and lead hour."""
    with open(chain.results / "evaluation_metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == "variable,product,metric,lead_hour,value,ci_low,ci_high,n_init".split(",")
    return {(row["product"], row["metric"], int(row["lead_hour"])): row for row in rows}


def test_names_are_those_of_the_convention(chain):
    assert chain.data.name == DATA_NAME
    assert chain.results == result_directory(chain.base / "Results", DATA_NAME, DATA_NAME, "convLSTM", EXP_ID)
    assert "end_to_end" in chain.results.parts


def test_every_directory_says_what_made_it_and_that_it_is_done(chain):
    for directory, kind in [
        (chain.base / "ExtractedData", "extracted_data"),
        (chain.data, "dataset"),
        (chain.data / "tfrecords", "tfrecords"),
        (chain.model, "model"),
        (chain.results, "results"),
    ]:
        record = read_record(directory)
        assert (record.kind, record.state) == (kind, "done")
        for name, entry in record.outputs.items():
            assert (directory / name).stat().st_size == entry["bytes"], name


def test_the_monthly_file_is_the_grib_file(chain, truth):
    with xr.open_dataset(chain.base / "ExtractedData/2019/03/era5_201903.nc") as month:
        np.testing.assert_array_equal(month["2t"].values, truth.astype(np.float32))
        assert month["2t"].attrs["units"] == "K" and month.attrs["synthetic"] == 0


def test_statistics_are_those_of_the_training_hours(chain, truth):
    statistics = json.loads((chain.data / "statistics.json").read_text())["variables"]["2t"]
    train = truth[:TRAIN_HOURS]
    expected = {"min": train.min(), "max": train.max(), "mean": train.mean(), "std": train.std()}
    for name, value in expected.items():
        assert statistics[name] == pytest.approx(value, rel=1e-6), name
    assert statistics["n"] == train.size


def test_tfrecords_hold_each_hour_about_once(chain, truth):
    size = sum(path.stat().st_size for path in (chain.data / "tfrecords").rglob("*.tfrecord"))
    assert size <= 1.2 * truth.astype(np.float32).nbytes
    sequences = read_record(chain.data / "tfrecords").details["n_sequences"]
    assert sequences == {"train": 22 * 24 - 19, "val": 2 * 24 - 19, "test": 7 * 24 - 19}


def test_scores_of_the_baselines_are_those_worked_out_by_hand(truth, scores):
    latitude = np.arange(58.0, 49.9, -0.25)
    weights = np.cos(np.deg2rad(latitude))
    weights = (weights / weights.mean())[:, None]
    by_hour = np.stack([truth[hour:TRAIN_HOURS:24].mean(axis=0) for hour in range(24)])
    inits = np.arange(TEST_START + 9, HOURS - 10)  # time of the last context frame
    for lead in range(1, 11):
        valid = inits + lead
        guesses = {
            "persistence": truth[inits],
            "persistence_24h": truth[valid - 24],
            "climatology": by_hour[valid % 24],
        }
        for product, guess in guesses.items():
            error = guess - truth[valid]
            expected = {
                "mse": (weights * error**2).mean(),
                "mae": (weights * abs(error)).mean(),
                "bias": (weights * error).mean(),
                "rmse": (weights * error**2).mean() ** 0.5,
            }
            for metric, value in expected.items():
                row = scores[product, metric, lead]
                assert float(row["value"]) == pytest.approx(value, rel=1e-4, abs=1e-5), (
                    product,
                    metric,
                    lead,
                )
                assert int(row["n_init"]) == len(inits)


def test_scores_of_the_model_are_those_of_its_forecasts(chain, truth, scores):
    with xr.open_dataset(chain.results / "forecasts.nc") as file:
        forecasts, observed = file["2t_forecast"].values, file["2t_truth"].values
        assert file.sizes["init_time"] == 7 * 24 - 19 and file.sizes["lead_time"] == 10
        assert file["2t_forecast"].attrs["units"] == "K"
        assert file["init_time"].values[0] == np.datetime64("2019-03-25T09")
    inits = np.arange(TEST_START + 9, HOURS - 10)
    weights = np.cos(np.deg2rad(np.arange(58.0, 49.9, -0.25)))
    weights = (weights / weights.mean())[:, None]
    for lead in range(1, 11):
        np.testing.assert_array_equal(observed[:, lead - 1], truth[inits + lead].astype(np.float32))
        error = forecasts[:, lead - 1] - truth[inits + lead]
        row = scores["convLSTM", "mse", lead]
        assert float(row["value"]) == pytest.approx((weights * error**2).mean(), rel=1e-4)
        assert float(row["ci_low"]) < float(row["value"]) < float(row["ci_high"])


def test_even_the_small_model_beats_persistence_in_the_second_half(scores):
    for lead in range(6, 11):
        assert float(scores["convLSTM", "mse", lead]["value"]) < float(
            scores["persistence", "mse", lead]["value"]
        )


def test_report_and_plots_are_there(chain):
    report = (chain.results / "report.html").read_text(encoding="utf-8")
    assert DATA_NAME in report and "persistence_24h" in report and "data:image/png;base64," in report
    assert len(list((chain.results / "plots").glob("*.png"))) >= 4


def test_files_for_other_programs(chain, cf_errors, run_program, tmp_path):
    """They pass the checker of the CF conventions, and xarray finds times and lead times in them."""
    made = run_program("climatology", "--input_dir", chain.data, "--output_dir", tmp_path / "climatology")
    assert made.returncode == 0, made.stderr
    extracted = Layout(chain.base).extracted_data
    files = (
        chain.results / "forecasts.nc",
        chain.results / "evaluation_metrics.nc",
        extracted / "2019" / "03" / "era5_201903.nc",
        extracted / "constants.nc",
        tmp_path / "climatology" / "climatology.nc",
    )
    assert cf_errors(*files) == []
    with xr.open_dataset(files[0], decode_timedelta=True) as forecasts:
        assert forecasts["init_time"].values[0] == np.datetime64("2019-03-25T09")
        valid = forecasts["init_time"] + forecasts["lead_time"]
        assert (valid.astype("datetime64[s]") == forecasts["valid_time"].astype("datetime64[s]")).all()
    with xr.open_dataset(files[2]) as month:
        assert month["time"].values[-1] == np.datetime64("2019-03-31T23")


def test_every_step_started_again_does_nothing_anew(chain, shared_data, run_program):
    before = {
        path: path.stat().st_mtime_ns
        for path in chain.base.rglob("*")
        if path.is_file() and path.name not in ("metadata.json", ".lock")
    }
    again = run_program("preprocess_data_step2", "--source_dir", chain.data, "--sequence_length", 20, ranks=2)
    assert again.returncode == 0, again.stderr
    again = run_program(
        "train_models",
        "--input_dir",
        chain.data,
        "--output_dir",
        chain.model,
        "--model",
        "convLSTM",
        "--seed",
        1,
        "--set",
        *SMALL,
    )
    assert again.returncode == 0, again.stderr
    again = run_program(
        "visualize_postprocess", "--model_dir", chain.model, "--results_dir", chain.base / "Results"
    )
    assert again.returncode == 0, again.stderr
    after = {path: path.stat().st_mtime_ns for path in before}
    assert after == before


def test_a_model_of_other_data_is_refused_where_it_does_not_fit(chain, run_program, error_line, tmp_path):
    other = tmp_path / DATA_NAME
    shutil.copytree(chain.data, other)
    statistics = json.loads((other / "statistics.json").read_text())
    statistics["variables"]["2t"]["mean"] += 1.0
    (other / "statistics.json").write_text(json.dumps(statistics))
    result = run_program(
        "train_models", "--input_dir", other, "--output_dir", tmp_path / "model", "--model", "convLSTM"
    )
    assert "statistics.json" in error_line(result)
    assert not (tmp_path / "model").exists()


def test_transfer_learning(chain, run_program, tmp_path):
    """The model on a part of the area that it was not trained on by itself, on the same hours."""
    layout, split = Layout(tmp_path), chain.base / "split.json"
    made = run_program(
        *("preprocess_data_step1", "--source_dir", Layout(chain.base).extracted_data),
        *("--destination_dir", layout.preprocessed_data, "--years", 2019, "--months", 3, "--variables", "2t"),
        *("--sw_corner", 52, -6, "--nyx", 14, 18, "--data_split", split),
    )
    assert made.returncode == 0, made.stderr
    other = Path(made.stdout.splitlines()[-1])
    made = run_program("preprocess_data_step2", "--source_dir", other, "--sequence_length", 20)
    assert made.returncode == 0, made.stderr
    flags = (
        "--model_dir",
        chain.model,
        "--input_dir",
        other,
        "--results_dir",
        layout.results,
        "--stride",
        12,
    )
    done = run_program("visualize_postprocess", *flags, "--eval_metrics", "mse", timeout=600)
    assert done.returncode == 0, done.stderr
    results = Path(done.stdout.splitlines()[-1])
    assert (
        results
        == layout.results / other.name / "transfer_learning" / DATA_NAME / "convLSTM" / chain.model.name
    )
    assert "transfer" in (results / "report.html").read_text(encoding="utf-8")
    with (
        xr.open_dataset(results / "forecasts.nc") as part,
        xr.open_dataset(chain.results / "forecasts.nc") as whole,
    ):
        whole = whole.sel(lat=part["lat"], lon=part["lon"], init_time=part["init_time"])
        xr.testing.assert_equal(part["2t_truth"], whole["2t_truth"])
        # the statistics of the training stay with the model: inside, it sees what it saw before
        middle = {"lat": slice(5, 9), "lon": slice(7, 11), "lead_time": 0}
        np.testing.assert_allclose(
            part["2t_forecast"].isel(middle), whole["2t_forecast"].isel(middle), atol=0.3
        )
