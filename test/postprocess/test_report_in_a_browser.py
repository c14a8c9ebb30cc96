"""report.html in a real browser (headless Chromium): light and dark, narrow and wide."""

import html
import json
import os
import re
import shutil
import subprocess

import pytest

from video_prediction_tools.main_scripts import main_visualize_postprocess as program
from video_prediction_tools.main_scripts.program_on_ranks import run_on_ranks
from video_prediction_tools.postprocess import evaluation

from .conftest import StandIn, write_model

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None and not os.environ.get("CI"), reason="no Chromium (package chromium) is installed"
    ),
]
# the report tells the page around it what it looks like; that page is as wide as a test wants
MEASURE = """<script>addEventListener("load", () => { const root = document.documentElement;
for (const one of document.querySelectorAll("details")) one.open = true;
parent.postMessage(JSON.stringify({overflow: root.scrollWidth - root.clientWidth, width: innerWidth,
missing: [...document.images].filter(one => !one.naturalWidth).map(one => one.alt),
images: document.images.length, external: performance.getEntriesByType("resource").map(one => one.name)
.filter(one => !one.startsWith("data:")),
ink: getComputedStyle(document.body).color, paper: getComputedStyle(document.body).backgroundColor}), "*") })
</script>"""
AROUND = """<!doctype html><body><iframe src="report.html" width="{width}" height="900"></iframe><script>
addEventListener("message", event => document.body.dataset.measured = event.data)</script></body>"""


@pytest.fixture(scope="module")
def report(uk_data, tmp_path_factory):
    """A whole report with all its plots, of an ensemble."""
    base = tmp_path_factory.mktemp("browser")
    model = write_model(base / "Models" / uk_data.name / "convLSTM" / "20190401T120000_anna_browser", uk_data)
    words = ["--model_dir", model, "--results_dir", base / "Results", "--bootstrap_draws", 20]
    words += ["--num_stochastic_samples", 4, "--stride", 6]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "_load", lambda plan: StandIn(stochastic=True))
        assert run_on_ranks(program.main, program.build_parser(), [str(one) for one in words]) == 0
    (path,) = (base / "Results").rglob("report.html")
    return path


def look(report, directory, width: int, dark: bool) -> dict:
    """Open the report in a page of some width; returns what it says of itself, and the messages of the console."""
    (directory / "report.html").write_text(report.read_text(encoding="utf-8") + MEASURE, encoding="utf-8")
    (directory / "around.html").write_text(AROUND.format(width=width))
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1600,1000"]
    command += [
        "--virtual-time-budget=20000",
        "--enable-logging=stderr",
        f"--user-data-dir={directory / 'profile'}",
    ]
    command += ["--force-dark-mode"] * dark + ["--dump-dom", (directory / "around.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    found = re.search(r'data-measured="([^"]*)"', done.stdout)
    assert found, f"{done.stdout[-500:]}\n{done.stderr[-2000:]}"
    return {**json.loads(html.unescape(found[1])), "console": re.findall(r".*CONSOLE.*", done.stderr)}


def brightness(colour: str) -> float:
    return sum(float(one) for one in re.findall(r"[\d.]+", colour)[:3]) / 3


@pytest.mark.parametrize("width", [360, 1400])
@pytest.mark.parametrize("dark", [False, True])
def test_looks_right(report, tmp_path, width, dark):
    """Nothing sticks out, nothing is missing or loaded from elsewhere, no complaints; ink stands out from paper."""
    seen = look(report, tmp_path, width, dark)
    assert seen["width"] == width and seen["overflow"] <= 0
    assert seen["images"] >= 18 and seen["missing"] == [] and seen["external"] == [] and seen["console"] == []
    contrast = brightness(seen["ink"]) - brightness(seen["paper"])
    assert contrast > 150 if dark else contrast < -150


def test_can_be_mailed(report):
    """One file of a few megabytes, with nothing outside of it."""
    text = report.read_text(encoding="utf-8")
    assert len(text) < 12e6
    assert not re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', text)
    assert "Rank histogram" in text and "Reliability" in text and "crps" in text
