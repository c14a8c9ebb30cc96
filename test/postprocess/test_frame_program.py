"""The program on Moving MNIST, as a user runs it: tables, files, plots, report, and what it refuses."""

import base64
import csv
import io
import re
from pathlib import Path

import matplotlib.image
import netCDF4
import numpy as np
import pytest
import xarray as xr
from PIL import Image, ImageSequence
from skimage.metrics import structural_similarity

from video_prediction_tools.datasets.tfrecords import read_index
from video_prediction_tools.metadata.files import read_json
from video_prediction_tools.postprocess import evaluation
from video_prediction_tools.postprocess.baselines import FRAME_BASELINES, Sources, make_baselines
from video_prediction_tools.postprocess.bootstrap import MovingBlocks
from video_prediction_tools.postprocess.figures import draw_figures
from video_prediction_tools.postprocess.forecasts import ForecastFile, Grid
from video_prediction_tools.postprocess.layout import FRAMES
from video_prediction_tools.postprocess.metrics.metric import statistics_of
from video_prediction_tools.postprocess.metrics.registry import FRAME_METRICS
from video_prediction_tools.postprocess.plots import animation, strips, style
from video_prediction_tools.postprocess.protocol import MOVING_MNIST
from video_prediction_tools.postprocess.reduction import Reduction, reduce_forecasts
from video_prediction_tools.postprocess.report import spans
from video_prediction_tools.postprocess.scoring import choose_cases, score
from video_prediction_tools.postprocess.sequences import Batch
from video_prediction_tools.postprocess.weights import sum_weights

from .conftest import CONTEXT, LEAD, StandIn, draw_quickly, write_digits, write_model
from .test_program import content, few, refuse, start

EXPERIMENT = "20260301T120000_anna_first-try"
LEADS = [str(lead) for lead in range(1, LEAD + 1)]


def model_of(base: Path, data: Path, **how) -> Path:
    return write_model(base / "Models" / data.name / "convLSTM" / EXPERIMENT, data, **how)


@pytest.fixture(autouse=True)
def forecaster(monkeypatch):
    """A stand-in takes the place of the trained network, small pictures that of plots; the rest is real."""
    stand_in = StandIn()
    monkeypatch.setattr(evaluation, "_load", lambda plan: stand_in)
    monkeypatch.setattr(evaluation, "_draw", draw_quickly)
    return stand_in


@pytest.fixture
def model(digits_data, tmp_path) -> Path:
    return model_of(tmp_path, digits_data)


@pytest.fixture(scope="module")
def shown(digits_data, tmp_path_factory):
    """A finished evaluation with its real plots: its directory."""
    from video_prediction_tools.main_scripts import main_visualize_postprocess as program
    from video_prediction_tools.main_scripts.program_on_ranks import run_on_ranks

    base = tmp_path_factory.mktemp("shown")
    words = [str(one) for one in few(model_of(base, digits_data), base)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "_load", lambda plan: StandIn())
        assert run_on_ranks(program.main, program.build_parser(), words) == 0
    return base / "Results" / digits_data.name / "end_to_end" / digits_data.name / "convLSTM" / EXPERIMENT


@pytest.fixture(scope="module")
def frames(digits_data) -> np.ndarray:
    """The test sequences [n, T, H, W, 1], read from the TFRecords."""
    import tensorflow as tf

    parts = []
    for block in read_index(digits_data / "tfrecords").blocks["test"]:
        example = tf.train.Example.FromString(next(iter(tf.data.TFRecordDataset(str(block.path)))).numpy())
        raw = np.frombuffer(example.features.feature["frames"].bytes_list.value[0], "<f4")
        parts.append(raw.reshape(-1, CONTEXT + LEAD, 64, 64, 1))
    return np.concatenate(parts)


def table_of(directory: Path) -> dict[tuple[str, str, str], dict[str, str]]:
    with open(directory / "evaluation_metrics.csv", encoding="utf-8") as handle:
        return {(row["product"], row["metric"], row["lead_frame"]): row for row in csv.DictReader(handle)}


def test_files_for_other_programs(shown, cf_errors):
    assert cf_errors(shown / "forecasts.nc", shown / "evaluation_metrics.nc") == []


def test_what_is_written(shown):
    record = read_json(shown / "metadata.json", "")
    expected = {"forecasts.nc", "evaluation_metrics.nc", "evaluation_metrics.csv", "report.html"}
    expected |= {f"plots/score_digits_{metric}.png" for metric in FRAME_METRICS}
    expected |= {f"plots/strip_digits_{case}.png" for case in ("best", "median", "worst")}
    expected |= {"plots/animation_digits.gif", "plots/scorecard_digits.png"}
    assert record["state"] == "done" and set(record["outputs"]) == expected == set(content(shown))


def test_table(shown, frames):
    """Every score against numpy and scikit-image on the whole arrays."""
    header = (shown / "evaluation_metrics.csv").read_text().splitlines()[0]
    assert header == "variable,product,metric,lead_frame,value,ci_low,ci_high,n_init"
    table = table_of(shown)
    assert len(table) == 4 * 5 * (LEAD + 1)
    context, truth = frames[:, :CONTEXT], frames[:, CONTEXT:].astype(np.float64)
    products = {
        "convLSTM": StandIn().forecast(context, None, 1, None),
        "persistence": np.repeat(context[:, -1:], LEAD, axis=1),
        "mean_frame": np.repeat(context.mean(axis=1, keepdims=True), LEAD, axis=1),
        "black_frame": np.zeros_like(truth),
    }
    for product, forecast in products.items():
        error = forecast.astype(np.float64) - truth
        each = {
            "mse": (error**2).sum(axis=(2, 3, 4)),
            "mae": np.abs(error).sum(axis=(2, 3, 4)),
            "psnr": -10 * np.log10((error**2).mean(axis=(2, 3, 4))),
        }
        for name, data_range in (("ssim", 1.0), ("ssim_range2", 2.0)):
            each[name] = np.array(
                [
                    [
                        structural_similarity(o, f.astype(np.float64), data_range=data_range)
                        for f, o in zip(*pair, strict=True)
                    ]
                    for pair in zip(forecast[..., 0], truth[..., 0], strict=True)
                ]
            )
        for name, values in each.items():  # [sequence, lead frame]
            for lead, expected in zip(LEADS, values.mean(axis=0), strict=True):
                assert float(table[product, name, lead]["value"]) == pytest.approx(expected, rel=1e-6)
            mean = table[product, name, "mean"]
            assert float(mean["value"]) == pytest.approx(values.mean(), rel=1e-6)
            assert float(mean["ci_low"]) < values.mean() < float(mean["ci_high"]) and mean["n_init"] == "12"


def test_intervals_are_those_of_independent_sequences(shown):
    """Blocks of one sequence: as wide as the spread of the sequences says."""
    with xr.open_dataset(shown / "evaluation_metrics.nc") as data:
        errors = data["grid_mean"].sel(product="persistence", statistic="SquaredError", variable="digits")
        width = (data["ci_high"] - data["ci_low"]).sel(product="persistence", metric="mse", variable="digits")
        expected = 2 * 1.645 * errors.std("sequence") / np.sqrt(errors.sizes["sequence"])
        assert "single sequences" in data.attrs["bootstrap"] and "block_hours" not in data.attrs
        ratio = (width / expected).values
    assert (ratio > 0.6).all() and (ratio < 1.4).all()


def test_forecasts(shown, frames):
    with netCDF4.Dataset(shown / "forecasts.nc") as file:
        assert file["digits_forecast"].dimensions == ("sequence", "lead_frame", "y", "x")
        assert file["digits_context"].dimensions == ("sequence", "context_frame", "y", "x")
        assert not {"init_time", "lead_time", "valid_time", "lat", "lon"} & set(file.variables)
        assert file["sequence"][:].tolist() == list(range(12))
        assert file["lead_frame"][:].tolist() == [1, 2, 3]
        assert file["context_frame"][:].tolist() == [-3, -2, -1, 0]
        assert file["y"][:].tolist() == file["x"][:].tolist() == list(range(64))
        np.testing.assert_array_equal(file["digits_truth"][:], frames[:, CONTEXT:, ..., 0])
        np.testing.assert_array_equal(file["digits_context"][:], frames[:, :CONTEXT, ..., 0])


def test_scores_as_arrays(shown):
    table = table_of(shown)
    with xr.open_dataset(shown / "evaluation_metrics.nc") as data:
        assert data["grid_mean"].dims == ("product", "statistic", "variable", "sequence", "lead_frame")
        assert data["error_map"].dims == ("variable", "lead_frame", "y", "x")
        one = data.sel(product="convLSTM", metric="ssim", variable="digits")
        assert one["mean_value"].item() == pytest.approx(float(table["convLSTM", "ssim", "mean"]["value"]))
        # the stand-in lies between both baselines: of psnr the higher is better
        psnr = data.sel(metric="psnr", variable="digits")
        sign = psnr["value"].sel(product="persistence") - psnr["value"].sel(product="convLSTM")
        np.testing.assert_allclose(psnr["difference"].sel(baseline="persistence"), sign)
        assert psnr["metric_units"] == "dB"


def test_report(shown):
    """One file with all plots and the animation; it speaks of frames and sequences, not of weather."""
    html = (shown / "report.html").read_text(encoding="utf-8")
    sources = re.findall(r'(?:src|href)\s*=\s*"([^"]*)"', html)
    images = [source for source in sources if source.startswith("data:")]
    assert all(source.startswith(("data:image/", "#")) for source in sources) and len(images) == 10
    assert not re.search(r"https?://|url\(|@import|<script|<link", html)
    kinds = {"data:image/png;base64": b"\x89PNG", "data:image/gif;base64": b"GIF8"}
    for kind, data in (image.split(",", 1) for image in images):
        assert base64.b64decode(data).startswith(kinds[kind])
    assert sum(image.startswith("data:image/gif") for image in images) == 1
    text = re.sub(r"data:[^\"]*", "", html)
    for words in (
        "12 forecasts, one for each sequence",
        "lead frames 1 to 3",
        "in the mean over lead frames",
        "<th>mean</th>",
        "Errors are summed over the pixels of a frame",
        "There is no persistence_24h and no climatology",
        "Not the setting of published scores: 4 context frames (published: 10), 3 lead frames",
        "against mean_frame",
        "against black_frame",
        "different digits to draw from",
    ):
        assert words in text, words
    for words in ("lead hour", "init time", "init_time", "weather", "hour (UTC)", "°N", "SYNTHETIC"):
        assert words not in text, words


def test_best_product_is_marked(shown):
    """The least error, the highest similarity and ratio: in each column of each table of the report."""
    html, table = (shown / "report.html").read_text(encoding="utf-8"), table_of(shown)
    products = ("convLSTM", "persistence", "mean_frame", "black_frame")
    for metric in FRAME_METRICS:
        head = rf"<thead><tr><th>{metric}(?: \[dB\])?</th>"
        body = re.search(head + r".*?<tbody>(.*?)</tbody>", html, re.DOTALL)[1]
        rows = {
            name: re.findall(r"<td( class=\"best\")?><?", row)
            for name, row in re.findall(r"<th>(\w+)</th>(.*?)</tr>", body, re.DOTALL)
        }
        choose = min if metric in ("mse", "mae") else max
        for column, lead in enumerate((*LEADS, "mean")):
            best = choose(products, key=lambda name, of=(metric, lead): float(table[name, *of]["value"]))
            assert [name for name in products if rows[name][column]] == [best], (metric, lead)


def test_lead_frames_in_sentences():
    words, leads = MOVING_MNIST.words, np.arange(1.0, 6.0)
    assert spans(leads, [1, 1, 1, 0, 1], words) == "lead frames 1 to 3 and 5"
    assert spans(leads, [0, 0, 1, 0, 0], words) == "lead frame 3"
    assert words.label(3.0) == "3" and words.column == "lead_frame"


def test_started_again_when_done(digits_data, model, tmp_path, forecaster, capsys):
    code, lines, _ = start(*few(model, tmp_path), capsys=capsys)
    directory, calls = Path(lines[-1]), forecaster.calls
    before = content(directory)
    code, lines, _ = start(*few(model, tmp_path), capsys=capsys)
    assert code == 0 and "these results are there already, whole; nothing to do" in lines
    assert content(directory) == before and forecaster.calls == calls
    code, lines, _ = start(*few(model, tmp_path, "--eval_metrics", "psnr", "ssim"), capsys=capsys)
    assert code == 0 and forecaster.calls == calls
    assert {metric for _, metric, _ in table_of(directory)} == {"ssim", "psnr"}
    code, _, _ = start(*few(model, tmp_path), capsys=capsys)
    assert content(directory) == before


def test_stride_takes_every_nth_sequence(model, tmp_path, capsys):
    every = CONTEXT + LEAD  # a number that tells sequences from frames
    code, lines, _ = start(*few(model, tmp_path, "--stride", every), capsys=capsys)
    assert code == 0 and any("Few sequences (2)" in line for line in lines)
    with netCDF4.Dataset(Path(lines[-1]) / "forecasts.nc") as file:
        assert file["sequence"][:].tolist() == [0, every]


def test_one_sequence_has_no_interval(model, tmp_path, capsys):
    code, lines, _ = start(*few(model, tmp_path, "--stride", 12), capsys=capsys)
    assert code == 0 and any("Intervals are withheld: 1 sequence is too few" in line for line in lines)
    assert all(row["ci_low"] == row["ci_high"] == "" for row in table_of(Path(lines[-1])).values())


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--block_hours", "24"), "--block_hours: has no meaning for Moving MNIST"),
        (("--climatology_file", "c.nc"), "--climatology_file: has no meaning for Moving MNIST"),
        (("--no_latitude_weights",), "--no_latitude_weights: has no meaning for Moving MNIST"),
        (("--eval_metrics", "rmse"), "--eval_metrics: unknown metric 'rmse'; did you mean 'mse'?"),
        (("--eval_metrics", "acc"), "--eval_metrics: unknown metric 'acc'; known are: mae, mse, psnr"),
        (("--stride", "0"), "--stride: 0 is below 1"),
    ],
)
def test_wrong_flags(flags, said, model, tmp_path, capsys):
    assert said in refuse(*few(model, tmp_path, *flags), capsys=capsys)
    assert not (tmp_path / "Results").exists()


def test_metrics_of_frames_are_refused_for_weather(model_dir, tmp_path, capsys):
    line = refuse(*few(model_dir, tmp_path, "--eval_metrics", "ssim_range2"), capsys=capsys)
    assert "--eval_metrics: unknown metric 'ssim_range2'" in line


def test_model_of_weather_on_digits(model_dir, digits_data, tmp_path, capsys):
    line = refuse(*few(model_dir, tmp_path, "--input_dir", digits_data), capsys=capsys)
    assert "has the variables digits, the model was trained on 2t" in line


def test_sequences_too_short_for_the_model(digits_data, tmp_path, capsys):
    model = model_of(tmp_path, digits_data, context=10, lead=10)
    line = refuse(*few(model, tmp_path), capsys=capsys)
    assert "'preprocess_moving_mnist' with --sequence_length 20" in line


def test_diverged_model_names_the_sequence(model, tmp_path, monkeypatch, capsys):
    class Diverged(StandIn):
        def forecast(self, context, times, seeds, region):
            forecast = super().forecast(context, times, seeds, region)
            forecast[7:] = np.nan
            return forecast

    monkeypatch.setattr(evaluation, "_load", lambda plan: Diverged())
    assert "not finite (first at sequence 7)" in refuse(*few(model, tmp_path), capsys=capsys)


def test_glyphs_are_marked(tmp_path, capsys):
    """Made-up digits and a model trained on them: marked everywhere, as synthetic weather is."""
    data = write_digits(tmp_path / "PreprocessedData", "--glyphs")
    code, lines, _ = start(*few(model_of(tmp_path, data), tmp_path, "--stride", 4), capsys=capsys)
    said = "SYNTHETIC DATA: the digits are made up, not observed; the scores say nothing about MNIST."
    assert code == 0 and any(said in line for line in lines)
    directory = Path(lines[-1])
    html = (directory / "report.html").read_text(encoding="utf-8")
    assert '<div class="synthetic">SYNTHETIC DATA &mdash; these scores say nothing about MNIST' in html
    with xr.open_dataset(directory / "forecasts.nc") as forecasts:
        assert forecasts.attrs["synthetic"] == 1


def test_digits_of_the_tests_seen_in_training_are_said(tmp_path, capsys):
    """A data set cut from one array (whose sequences stand still here)."""
    array = np.random.default_rng(0).integers(0, 256, (30, 64, 64)).astype(np.uint8)
    np.save(tmp_path / "mnist_test_seq.npy", np.repeat(array[np.newaxis], CONTEXT + LEAD, axis=0))
    data = write_digits(tmp_path / "PreprocessedData", "--sequences_file", tmp_path / "mnist_test_seq.npy")
    code, lines, _ = start(*few(model_of(tmp_path, data), tmp_path, "--stride", 6), capsys=capsys)
    assert code == 0 and any("Digits of the tests were seen in training" in line for line in lines)


def test_ensemble(model, tmp_path, forecaster, capsys, monkeypatch):
    titles, head = [], style.head
    monkeypatch.setattr(
        style, "head", lambda figure, title, *rest: (titles.append(title), head(figure, title, *rest))
    )
    monkeypatch.setattr(evaluation, "_draw", draw_figures)
    forecaster.stochastic = True
    code, lines, _ = start(*few(model, tmp_path, "--num_stochastic_samples", 3, "--stride", 3), capsys=capsys)
    assert code == 0
    with netCDF4.Dataset(Path(lines[-1]) / "forecasts.nc") as file:
        assert file["digits_forecast"].dimensions == ("sequence", "lead_frame", "member", "y", "x")
        mean = file["digits_forecast"][:].mean(axis=2).astype(np.float64)
        expected = ((mean - file["digits_truth"][:]) ** 2).sum(axis=(2, 3)).mean()
    found = float(table_of(Path(lines[-1]))["convLSTM", "mse", "mean"]["value"])
    assert found == pytest.approx(expected, rel=1e-5)
    html = (Path(lines[-1]) / "report.html").read_text(encoding="utf-8")
    assert "Each forecast is an ensemble of 3 members: errors are those of the members&rsquo; mean" in html
    assert any(title.startswith("Best forecast of convLSTM, mean of 3 members (mse ") for title in titles), (
        titles
    )


def test_any_chunk_size(shown):
    """Sums that add up: the scores do not depend on how many sequences are read at a time."""
    baselines, _ = make_baselines(Sources(None, None), FRAME_BASELINES)
    metrics = list(FRAME_METRICS.values())
    found = []
    for chunk in (1, 5, 100):
        with ForecastFile(shown / "forecasts.nc") as file:
            statistics = statistics_of(metrics)
            reduction = Reduction(statistics, sum_weights(64, 64))
            reduced = reduce_forecasts(file, "m", baselines, reduction, chunk)
        found.append(score(reduced, metrics, MovingBlocks(12, 1, draws=20), {"digits": "1"}, True))
    xr.testing.assert_identical(found[0], found[1])
    xr.testing.assert_identical(found[0], found[2])
    cases = choose_cases(found[0], "digits", FRAME_METRICS["mse"])
    each = found[0]["grid_mean"].sel(product="m", statistic="SquaredError", variable="digits")
    each = each.mean("lead_time").values
    assert cases["best"] == (int(each.argmin()), pytest.approx(each.min()))
    assert cases["worst"] == (int(each.argmax()), pytest.approx(each.max()))
    assert cases["median"][1] == pytest.approx(np.sort(each)[5])


class OneSequence:
    """A stand-in for an open forecasts.nc with one sequence."""

    def __init__(self, context: int, lead: int, side: int = 64, members_clause: str = ""):
        self.members_clause = members_clause
        random = np.random.default_rng(1)
        self.grid = Grid(("digits",), ("1",), np.arange(side), np.arange(side), FRAMES)
        self.truth = random.random((1, lead, side, side, 1))
        self.forecast = random.random((1, lead, side, side, 1))
        before = random.random((1, context, side, side, 1))
        self.batch = Batch(np.array([4]), np.arange(1, lead + 1)[None], before[:, -1], before)

    def read(self, rows):
        return self.forecast, self.truth, self.batch


def test_animation_shows_context_truth_and_forecast(tmp_path):
    file = OneSequence(3, 2)
    for name in ("one.gif", "other.gif"):
        animation.write_animation(file, {"best": 0}, "digits", "convLSTM", tmp_path / name, False)
    data = (tmp_path / "one.gif").read_bytes()
    assert data == (tmp_path / "other.gif").read_bytes()
    pictures = Image.open(io.BytesIO(data))
    assert pictures.n_frames == 5 and pictures.info["loop"] == 0
    shown = [(file.batch.context[0, n], file.batch.context[0, n]) for n in range(3)]
    shown += [(file.truth[0, n], file.forecast[0, n]) for n in range(2)]
    side, width, height = 192, *pictures.size
    top = height - animation._GAP - side  # the only row of panels ends at the bottom
    for number, panels in enumerate(shown):
        pictures.seek(number)
        picture = np.asarray(pictures.convert("L"), float)
        for left, expected in zip((animation._GAP, width - animation._GAP - side), panels, strict=True):
            panel = picture[:, left + 1 : left + side : 3]
            rows = [panel[top + offset : top + offset + side : 3] for offset in range(-30, 12)]
            nearest = min(
                np.abs(one[:60] / 255 - expected[:60, :, 0]).max() for one in rows if len(one) >= 60
            )
            assert nearest < 0.01


def test_animation_of_an_ensemble_says_what_it_shows(tmp_path):
    pictures = []
    for name, what in (("one.gif", ""), ("mean.gif", ", mean of 3 members")):
        file = OneSequence(2, 2, members_clause=what)
        animation.write_animation(file, {"best": 0}, "digits", "vae", tmp_path / name, False)
        with Image.open(tmp_path / name) as gif:
            pictures.append([np.asarray(one.convert("L")) for one in ImageSequence.Iterator(gif)])
    assert [bool(np.any(one != other)) for one, other in zip(*pictures, strict=True)] == [
        False,
        False,
        True,
        True,
    ]


def test_strip_is_drawn_alike_and_marked_when_synthetic(tmp_path):
    def red(name, synthetic):
        strips.draw_strip(OneSequence(2, 3), 0, "digits", "a case", tmp_path / name, synthetic)
        picture = matplotlib.image.imread(tmp_path / name)[..., :3]
        return (np.abs(picture - np.array([0xB0, 0x00, 0x20]) / 255).max(axis=-1) < 0.01).sum()

    plain = red("one.png", False)
    red("other.png", False)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "other.png").read_bytes()
    assert red("synthetic.png", True) > plain + 1000


def test_strip_of_long_sequences_leaves_frames_out(tmp_path):
    strips.draw_strip(OneSequence(40, 1, side=28), 0, "digits", "a case", tmp_path / "a.png", False)
    assert matplotlib.image.imread(tmp_path / "a.png").shape[1] < 1500
    assert strips._chosen(40)[[0, -1]].tolist() == [0, 39] and len(strips._chosen(40)) == 12
    assert strips._chosen(10).tolist() == list(range(10))


def test_tiles_of_a_strip():
    """Each frame lies in its place with its own grey, within a border; a difference of zero is near white."""
    frames = np.random.default_rng(0).random((3, 8, 10))
    tiles, centres = strips._tiles(frames, 5, difference=False)
    for frame, centre in zip(frames, centres, strict=True):
        left = round(centre - 4.5)
        np.testing.assert_allclose(tiles[1:-1, left : left + 10, 0], frame, atol=1 / 255)
    assert (tiles[:, round(centres[-1]) + 8 :] == 1.0).all()  # nothing where there is no frame
    red, _ = strips._tiles(np.array([[[1.0, 0.0, -1.0]]]), 1, difference=True)
    assert red[1, 1, 0] > red[1, 1, 2] and red[1, 2].min() > 0.95 and red[1, 3, 0] < red[1, 3, 2]


@pytest.mark.slow
def test_end_to_end(digits_data, tmp_path, run_program):
    """A real, tiny convLSTM on the real digits: trained and judged by the programs; no stand-in."""
    model = tmp_path / "Models" / digits_data.name / "convLSTM" / EXPERIMENT
    settings = [f"context_frames={CONTEXT}", "max_epochs=1", "filters=4", "batch_size=2"]
    trained = run_program(
        "train_models",
        *("--input_dir", digits_data, "--output_dir", model, "--model", "convLSTM", "--set", *settings),
    )
    assert trained.returncode == 0, trained.stderr
    judged = run_program("visualize_postprocess", *few(model, tmp_path))
    assert judged.returncode == 0, judged.stderr
    directory = Path(judged.stdout.splitlines()[-1])
    with xr.open_dataset(directory / "forecasts.nc") as forecasts:
        error = forecasts["digits_forecast"].astype("f8") - forecasts["digits_truth"].astype("f8")
        expected = (error**2).mean(("sequence", "lead_frame")).sum().item()
    assert float(table_of(directory)["convLSTM", "mse", "mean"]["value"]) == pytest.approx(expected, rel=1e-6)
    assert (directory / "report.html").exists()


def test_compared_with_another(shown, digits_data, tmp_path, forecaster, monkeypatch, capsys):
    """The mean over all lead frames, the number that papers print, stands in the tables of a comparison."""
    from video_prediction_tools.main_scripts import main_meta_postprocess as program
    from video_prediction_tools.main_scripts.program import run

    of_one = forecaster.forecast
    monkeypatch.setattr(forecaster, "forecast", lambda *given: of_one(*given) + np.float32(0.05))
    other = tmp_path / "Models" / digits_data.name / "convLSTM" / EXPERIMENT.replace("first", "second")
    code, lines, _ = start(*few(write_model(other, digits_data), tmp_path), capsys=capsys)
    assert code == 0
    words = ["--results_dirs", shown, lines[-1], "--output_dir", tmp_path / "c", "--metrics", "mse", "ssim"]
    assert run(program.main, program.build_parser(), [str(word) for word in words]) == 0
    with open(tmp_path / "c" / "comparison.csv", encoding="utf-8") as handle:
        rows = {(row["product"], row["metric"], row["lead_frame"]): row for row in csv.DictReader(handle)}
    assert len(rows) == 5 * 2 * (LEAD + 1)
    own, name = table_of(shown), "convLSTM, first-try"
    for metric in ("mse", "ssim"):
        row = rows[name, metric, "mean"]
        for column in ("value", "n_init"):
            expected = float(own["convLSTM", metric, "mean"][column])
            assert float(row[column]) == pytest.approx(expected, rel=1e-6), column
        assert float(row["ci_low"]) < float(row["value"]) < float(row["ci_high"])
        values = [float(own[product, metric, "mean"]["value"]) for product in ("convLSTM", "persistence")]
        distances = [abs(value - FRAME_METRICS[metric].best) for value in values]
        assert float(row["skill"]) == pytest.approx(1 - distances[0] / distances[1], rel=1e-6)
    head = (tmp_path / "c" / "comparison.md").read_text().split("\n\n")[2].splitlines()[0]
    assert head.split("|")[-2].strip() == "mean"
    assert "draws of single sequences" in (tmp_path / "c" / "report.html").read_text(encoding="utf-8")
