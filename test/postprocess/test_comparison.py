"""main_meta_postprocess.py: numbers against those of each experiment, what it refuses to compare, what it writes."""

import csv
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from video_prediction_tools.main_scripts import main_meta_postprocess, main_visualize_postprocess
from video_prediction_tools.main_scripts.program import run
from video_prediction_tools.main_scripts.program_on_ranks import run_on_ranks
from video_prediction_tools.metadata.files import read_json, write_json
from video_prediction_tools.postprocess import evaluation
from video_prediction_tools.postprocess.bootstrap import MovingBlocks, paired_difference
from video_prediction_tools.postprocess.metrics.registry import METRICS

from .conftest import StandIn, draw_quickly, write_model, write_prepared

DRAWS = 50


def evaluate(
    base: Path, data: Path, model: str, text: str, forecaster: StandIn, *flags, seed: int = 1
) -> Path:
    """Evaluate a stand-in under a model's name; returns the results."""
    directory = write_model(
        base / "Models" / data.name / model / f"20190401T120000_anna_{text}", data, model=model, seed=seed
    )
    words = ["--model_dir", directory, "--results_dir", base / "Results", "--bootstrap_draws", DRAWS, *flags]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "_load", lambda plan: forecaster)
        patch.setattr(evaluation, "_draw", draw_quickly)
        parser = main_visualize_postprocess.build_parser()
        assert run_on_ranks(main_visualize_postprocess.main, parser, [str(word) for word in words]) == 0
    return base / "Results" / data.name / "end_to_end" / data.name / model / directory.name


@pytest.fixture(scope="module")
def results(uk_data, tmp_path_factory) -> dict[str, Path]:
    """Results of a model with two seeds, of a second model, and of an ensemble."""
    base = tmp_path_factory.mktemp("compared")
    return {
        "first": evaluate(base, uk_data, "convLSTM", "one", StandIn(pull=0.02)),
        "second": evaluate(base, uk_data, "convLSTM", "two", StandIn(pull=0.05), seed=2),
        "other": evaluate(base, uk_data, "mcnet", "one", StandIn(pull=-0.1)),
        "ensemble": evaluate(
            base, uk_data, "vae", "one", StandIn(stochastic=True), "--num_stochastic_samples", 3
        ),
    }


@pytest.fixture
def start(capsys):
    """Compare: exit code, lines of stdout, lines of stderr."""

    def in_process(directories, output, *flags):
        words = ["--results_dirs", *directories, "--output_dir", output, "--bootstrap_draws", DRAWS, *flags]
        parser = main_meta_postprocess.build_parser()
        code = run(main_meta_postprocess.main, parser, [str(word) for word in words])
        said = capsys.readouterr()
        return code, said.out.splitlines(), said.err.splitlines()

    return in_process


@pytest.fixture(scope="module")
def compared(results, tmp_path_factory) -> Path:
    """A comparison of all four."""
    output = tmp_path_factory.mktemp("comparison") / "all"
    words = ["--results_dirs", *results.values(), "--output_dir", output, "--bootstrap_draws", DRAWS]
    parser = main_meta_postprocess.build_parser()
    assert run(main_meta_postprocess.main, parser, [str(word) for word in words]) == 0
    return output


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def own_scores(results: Path) -> dict[tuple[str, str, str], dict[str, str]]:
    """The rows that the experiment's own evaluation wrote, by product, metric and lead hour."""
    rows = rows_of(results / "evaluation_metrics.csv")
    return {(row["product"], row["metric"], row["lead_hour"]): row for row in rows}


def grid_mean(results: Path, statistic: str, product: str) -> np.ndarray:
    """Mean of a statistic over the grid [init_time, lead_time]."""
    with xr.open_dataset(results / "evaluation_metrics.nc", decode_timedelta=False) as file:
        return file["grid_mean"].sel(product=product, statistic=statistic).squeeze().values


def test_scores_are_those_of_the_experiments(results, compared):
    """Of a single experiment value and interval are its own; of two seeds the mean over all their forecasts."""
    own = {name: own_scores(path) for name, path in results.items()}
    found = {
        (row["product"], row["metric"], row["lead_hour"]): row for row in rows_of(compared / "comparison.csv")
    }
    products = {"convLSTM", "mcnet", "vae", "persistence", "persistence_24h", "climatology"}
    assert {product for product, _, _ in found} == products
    for lead in ("1", "2", "3"):
        for name, metric in (
            ("mcnet", "mse"),
            ("mcnet", "acc"),
            ("persistence", "rmse"),
            ("climatology", "bias"),
        ):
            of = own["other"][name, metric, lead]
            for column in ("value", "ci_low", "ci_high"):
                assert found[name, metric, lead][column] == of[column], (name, metric, lead, column)
            assert found[name, metric, lead]["seed_sd"] == ""
        # a single forecast's crps is its mae; the ensemble's is its own
        assert found["mcnet", "crps", lead]["value"] == own["other"]["mcnet", "mae", lead]["value"]
        assert found["vae", "crps", lead]["value"] == own["ensemble"]["vae", "crps", lead]["value"]

        both = [float(own[name]["convLSTM", "mse", lead]["value"]) for name in ("first", "second")]
        assert float(found["convLSTM", "mse", lead]["value"]) == pytest.approx(np.mean(both), rel=1e-6)
        assert float(found["convLSTM", "rmse", lead]["value"]) == pytest.approx(
            np.sqrt(np.mean(both)), rel=1e-6
        )
        assert found["convLSTM", "mse", lead]["seeds"] == "2"
        assert float(found["convLSTM", "mse", lead]["seed_sd"]) == pytest.approx(
            np.std(both, ddof=1), rel=1e-5
        )

        reference = float(found["persistence", "mse", lead]["value"])
        skill = float(found["convLSTM", "mse", lead]["skill"])
        assert skill == pytest.approx(1 - np.mean(both) / reference, abs=1e-6)
        # a correlation's distance is that from 1
        acc, of_persistence = (float(found[one, "acc", lead]["value"]) for one in ("mcnet", "persistence"))
        expected = 1 - (1 - acc) / (1 - of_persistence)
        assert float(found["mcnet", "acc", lead]["skill"]) == pytest.approx(expected, abs=1e-6)


def test_what_not_all_have_is_left_out_and_said(results, compared, tmp_path, start):
    said = "Left out, as not all results have it: spread_skill"
    assert said in (compared / "report.html").read_text(encoding="utf-8")
    code, _, errors = start(
        [results["first"], results["ensemble"]], tmp_path / "other", "--metrics", "spread_skill"
    )
    assert code == 2 and f"--metrics spread_skill: {results['first']} does not have it" in errors[-1]


def test_pairs_are_paired_tests_over_all_lead_times(results, compared):
    rows = rows_of(compared / "comparison_pairs.csv")
    products = 6
    assert len({(row["one"], row["other"]) for row in rows}) == products * (products - 1) / 2
    (row,) = (
        row
        for row in rows
        if {row["one"], row["other"]} == {"mcnet", "persistence"} and row["metric"] == "mse"
    )
    one, other = (
        grid_mean(results["other"], "SquaredError", name).mean(axis=1) for name in (row["one"], row["other"])
    )
    assert float(row["difference"]) == pytest.approx((one - other).mean(), rel=1e-6)
    with xr.open_dataset(results["other"] / "evaluation_metrics.nc") as file:
        length = int(file.attrs["bootstrap_block_length"])
    kind = METRICS["mse"].statistics[0]
    expected = paired_difference(
        MovingBlocks(len(one), length, DRAWS),
        *({kind: of[:, np.newaxis]} for of in (one, other)),
        lambda mean: mean[kind],
    )
    assert float(row["p_value"]) == pytest.approx(expected.p_value.item(), abs=1e-9)
    assert float(row["ci_low"]) == pytest.approx(expected.low.item(), rel=1e-6)


def test_tables_for_papers(compared):
    text = (compared / "comparison.md").read_text()
    tables = re.findall(r"\*\*(2t: [^*]+)\*\*\n\n((?:\|.*\n?)+)", text)
    assert "2t: mse [K2]" in dict(tables)
    for _, table in tables:
        lines = table.splitlines()
        assert len(lines) == 2 + 6 and len({line.count("|") for line in lines}) == 1
    assert "(seeds \u00b1 " in text
    latex = (compared / "comparison.tex").read_text()
    assert latex.count(r"\begin{table}") == latex.count(r"\end{table}") == len(tables)
    body = re.search(r"\\midrule\n(.*?)\\bottomrule", latex, re.S)[1].splitlines()
    assert len(body) == 6 and all(line.count(" & ") == 3 and line.endswith(r"\\") for line in body)
    assert r"persistence\_24h" in latex and not re.search(r"(?<!\\)[_%]", latex.split("\n", 1)[1])


def test_report(compared, results):
    html = (compared / "report.html").read_text(encoding="utf-8")
    for words in (
        "Ranking",
        "is ahead of",
        "main_meta_postprocess.py",
        *(str(one) for one in results.values()),
    ):
        assert words in html
    assert set(re.findall(r'src="(data:image/png;base64,|[^"]{0,20})', html)) == {"data:image/png;base64,"}
    plots = {path.name for path in (compared / "plots").iterdir()}
    assert {"score_2t_rmse.png", "skill_2t_rmse.png", "pairs_2t_rmse.png"} <= plots
    assert set(read_json(compared / "metadata.json", "")["outputs"]) == {
        path.relative_to(compared).as_posix()
        for path in compared.rglob("*")
        if path.is_file() and path.name not in ("metadata.json", ".lock")
    }


def test_a_skill_that_is_not_defined_is_no_number(results, tmp_path, start):
    """Against a baseline that is perfect at a lead hour: no skill there, and none of the climatology's acc."""
    copies = [Path(shutil.copytree(results[name], tmp_path / name)) for name in ("first", "other")]
    for copy in copies:
        path = copy / "evaluation_metrics.nc"
        with xr.open_dataset(path, decode_times=False, decode_timedelta=False) as file:
            scores = file.load()
        scores["grid_mean"].loc[{"product": "persistence", "statistic": "SquaredError"}] = 0.0
        scores.to_netcdf(path)
    code, _, errors = start(copies, tmp_path / "new", "--metrics", "mse", "acc")
    assert code == 0, errors
    rows = rows_of(tmp_path / "new" / "comparison.csv")
    assert all(row["skill"] == "" for row in rows if row["metric"] == "mse")
    assert not (tmp_path / "new" / "plots" / "skill_2t_mse.png").exists()
    assert all(
        row["value"] == row["skill"] == ""
        for row in rows
        if row["metric"] == "acc" and row["product"] == "climatology"
    )


@pytest.mark.parametrize(
    ("attribute", "value", "said"),
    [
        (
            "data_name",
            "Y2018",
            "were made on different data sets (Y2019to2019M03to03-7_9-50.00N04.00W-2t and Y2018)",
        ),
        ("data_fingerprint", "f" * 64, "were made on different states of the data set"),
        ("split", "val", "are of different splits (test and val); evaluate all on the same split"),
        ("metrics_version", 1, "were scored by different versions of the metrics"),
        ("latitude_weights", "all grid points the same", "have different weights of the grid points"),
        ("climatology", "the file x.nc", "were scored with different climatologies"),
        ("bootstrap_block_length", 99, "have blocks of different lengths"),
    ],
)
def test_what_cannot_be_compared(attribute, value, said, results, tmp_path, start):
    other = Path(shutil.copytree(results["other"], tmp_path / "other"))
    path = other / "evaluation_metrics.nc"
    with xr.open_dataset(path, decode_times=False, decode_timedelta=False) as file:
        scores = file.load()
    assert attribute in scores.attrs
    scores.attrs[attribute] = value
    scores.to_netcdf(path)
    code, _, errors = start([results["first"], other], tmp_path / "new")
    assert code == 2 and f"--results_dirs: {results['first']} and {other} {said}" in errors[-1]
    assert not (tmp_path / "new").exists()


def test_other_init_times(results, uk_data, tmp_path, start):
    sparse = evaluate(tmp_path, uk_data, "simvp", "sparse", StandIn(), "--stride", 6, "--block_hours", 24)
    dense = evaluate(tmp_path, uk_data, "mcnet", "dense", StandIn(pull=0.1), "--block_hours", 24)
    with (
        xr.open_dataset(sparse / "evaluation_metrics.nc") as one,
        xr.open_dataset(dense / "evaluation_metrics.nc") as two,
    ):
        numbers = one.sizes["init_time"], two.sizes["init_time"]
    code, _, errors = start([sparse, dense], tmp_path / "new")
    assert code == 2 and "have blocks of different lengths (4 and 24)" in errors[-1]
    few = evaluate(tmp_path, uk_data, "simvp", "few", StandIn(), "--stride", 6, "--block_hours", 24 * 6)
    code, _, errors = start([few, dense], tmp_path / "new")
    assert (
        code == 2
        and f"has {numbers[0]} init times, {dense} {numbers[1]}, and {numbers[0]} are the same" in errors[-1]
    )
    assert "give --intersect to compare those" in errors[-1]
    code, lines, errors = start([few, dense], tmp_path / "new", "--intersect", "--metrics", "mse")
    assert code == 0, errors
    rows = rows_of(tmp_path / "new" / "comparison.csv")
    assert {row["n_init"] for row in rows if row["product"] == "mcnet"} == {str(numbers[0])}
    chosen = grid_mean(dense, "SquaredError", "mcnet")[::6][: numbers[0]].mean(axis=0)
    found = [float(row["value"]) for row in rows if row["product"] == "mcnet" and row["metric"] == "mse"]
    assert found == pytest.approx(chosen.tolist(), rel=1e-6)


def test_a_model_that_is_a_baseline(uk_data, results, tmp_path, start):
    """It stands once, whichever comes first; skill can be measured against any product."""
    itself = evaluate(tmp_path, uk_data, "persistence", "itself", StandIn(pull=0.0))
    for number, pair in enumerate(([itself, results["other"]], [results["other"], itself])):
        output = tmp_path / f"new{number}"
        code, _, errors = start(pair, output, "--metrics", "mse", "--baseline", "mcnet")
        assert code == 0, errors
        rows = rows_of(output / "comparison.csv")
        products = list(dict.fromkeys(row["product"] for row in rows))
        assert sorted(products) == ["climatology", "mcnet", "persistence", "persistence_24h"]
        assert {float(row["skill"]) for row in rows if row["product"] == "mcnet"} == {0.0}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda one, two, new: ([one], new), "one directory leaves nothing to compare"),
        (lambda one, two, new: ([one, one], new), "is given twice"),
        (
            lambda one, two, new: ([one, two / "plots"], new),
            "holds no metadata.json; run the step 'postprocess'",
        ),
        (lambda one, two, new: ([one, "absent"], new), "absent: does not exist"),
        (
            lambda one, two, new: ([one, two], new, "--metrics", "rmes"),
            "unknown metric 'rmes'; did you mean 'rmse'?",
        ),
        (lambda one, two, new: ([one, two], new, "--baseline", "persistance"), "did you mean 'persistence'?"),
        (lambda one, two, new: ([one, two], new, "--bootstrap_draws", 0), "--bootstrap_draws: 0 is below 1"),
        (lambda one, two, new: ([one, two], one), "holds data of the kind 'results'"),
    ],
)
def test_wrong_use(change, said, results, tmp_path, start):
    code, _, errors = start(*change(results["first"], results["other"], tmp_path / "new"))
    assert code == 2 and said in errors[-1], errors
    assert not (tmp_path / "new").exists()


def test_results_that_are_not_whole(results, tmp_path, start):
    other = Path(shutil.copytree(results["other"], tmp_path / "other"))
    write_json(other / "metadata.json", read_json(other / "metadata.json", "") | {"state": "failed"})
    code, _, errors = start([results["first"], other], tmp_path / "new")
    assert code == 2 and f"{other}: belongs to an unfinished step" in errors[-1]
    write_json(other / "metadata.json", read_json(other / "metadata.json", "") | {"state": "done"})
    (other / "evaluation_metrics.nc").write_bytes(b"no NetCDF")
    code, _, errors = start([results["first"], other], tmp_path / "new")
    assert code == 2 and "evaluation_metrics.nc: cannot be read" in errors[-1]


def test_started_again(results, tmp_path, start):
    both, output = [results["first"], results["other"]], tmp_path / "new"
    assert start(both, output, "--metrics", "mse")[0] == 0
    before = (output / "report.html").stat().st_mtime_ns
    code, lines, _ = start(both, output, "--metrics", "mse")
    assert code == 0 and "there already" in lines[0] and lines[-1] == str(output)
    assert (output / "report.html").stat().st_mtime_ns == before
    code, _, errors = start(both, output, "--metrics", "mse", "--baseline", "climatology")
    assert code == 2 and f"--output_dir {output}: holds another comparison" in errors[-1]
    (output / "comparison.md").write_text("torn")
    assert start(both, output, "--metrics", "mse")[0] == 0
    assert "torn" not in (output / "comparison.md").read_text()


def test_synthetic_data_are_marked(uk, tmp_path, start):
    cut = uk[: 27 * 24, ::8, 24::8]
    splits = {"train": (0, 22 * 24), "val": (22 * 24, 24 * 24), "test": (24 * 24, 27 * 24)}
    data = write_prepared(
        tmp_path / "PreprocessedData" / "Y2019to2019M03to03-4_5-50.00N04.00W-2t",
        cut.values[..., np.newaxis].astype(np.float32),
        cut["time"].values.astype("datetime64[s]").astype(np.int64),
        ("2t",),
        splits,
        cut["latitude"].values,
        cut["longitude"].values,
        synthetic=True,
    )
    both = [evaluate(tmp_path, data, model, "one", StandIn()) for model in ("convLSTM", "mcnet")]
    code, lines, errors = start(both, tmp_path / "new", "--metrics", "mse")
    assert code == 0, errors
    assert any("SYNTHETIC DATA" in line for line in lines)
    assert "<title>SYNTHETIC DATA" in (tmp_path / "new" / "report.html").read_text(encoding="utf-8")
