"""Words of the report: spans of lead hours, verdicts, commands (the file itself: test_program.py)."""

import numpy as np
import pytest
import xarray as xr

from video_prediction_tools.postprocess.report import (
    _cell,
    _headline,
    _number,
    _percent,
    _verdict,
    command,
    spans,
)

HOURS = np.arange(1.0, 6.0)


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ([1, 1, 1, 1, 1], "+1 to +5 h"),
        ([1, 0, 0, 0, 0], "+1 h"),
        ([1, 1, 0, 0, 1], "+1 to +2 and +5 h"),
        ([1, 0, 1, 0, 1], "+1, +3 and +5 h"),
        ([0, 0, 0, 0, 0], "none h"),
    ],
)
def test_spans(chosen, expected):
    assert spans(HOURS, np.array(chosen, bool)) == expected


def scores_with(difference, high, low, best=2.0):
    """Scores of one variable against two baselines, in rmse; the second baseline is never better."""
    both = np.stack([difference, np.full(5, -1.0)])[:, None, None]
    ends = {
        name: (
            ("baseline", "metric", "variable", "lead_time"),
            np.stack([end, np.full(5, other)])[:, None, None],
        )
        for name, end, other in (("difference_ci_low", low, -1.5), ("difference_ci_high", high, -0.5))
    }
    value = np.full((3, 1, 1, 5), best)
    return xr.Dataset(
        {
            "difference": (("baseline", "metric", "variable", "lead_time"), both),
            **ends,
            "value": (("product", "metric", "variable", "lead_time"), value),
        },
        {
            "baseline": ["persistence", "climatology"],
            "product": ["convLSTM", "persistence", "climatology"],
            "metric": ["rmse"],
            "variable": ["2t"],
            "lead_time": HOURS,
        },
    )


def test_verdict_all_better():
    scores = scores_with(np.full(5, -0.5), np.full(5, -0.1), np.full(5, -0.9))
    verdict = _verdict(scores, "2t", "persistence")
    assert verdict.better == "all"
    assert verdict.text == "better at every lead hour; the paired interval excludes zero at every lead hour."
    assert [_percent(one) for one in (-24.6, 0.31, -0.049)] == ["25 % lower", "0.3 % higher", "the same"]
    assert verdict.gain == "rmse 25 % lower at +1 h, 25 % lower at +5 h"
    assert (
        _headline("convLSTM", scores, "2t", [verdict]) == "convLSTM beats every baseline at every lead hour."
    )


def test_verdict_some_better():
    scores = scores_with(
        np.array([-0.5, -0.5, -0.1, 0.2, 0.4]),
        np.array([-0.1, -0.2, 0.1, 0.3, 0.8]),
        np.array([-0.9, -0.9, -0.4, -0.1, 0.1]),
    )
    verdict = _verdict(scores, "2t", "persistence")
    assert verdict.better == "some"
    assert verdict.text == (
        "better at +1 to +3 h, not at +4 to +5 h; the paired interval excludes zero at +1 to +2 and +5 h."
    )
    assert _headline("convLSTM", scores, "2t", [verdict]) == (
        "convLSTM beats every baseline at +1 to +3 h, but not at +4 to +5 h."
    )


def test_verdict_with_intervals_withheld():
    nothing = np.full(5, np.nan)
    verdict = _verdict(scores_with(np.full(5, 0.5), nothing, nothing), "2t", "persistence")
    assert verdict.better == "none"
    assert verdict.text == (
        "not better at any lead hour; whether by more than chance cannot be said (intervals withheld)."
    )


def test_headline_when_beaten_everywhere_by_one():
    scores = scores_with(np.full(5, 0.5), np.full(5, 0.9), np.full(5, 0.1))
    verdicts = [_verdict(scores, "2t", name) for name in ("persistence", "climatology")]
    assert _headline("convLSTM", scores, "2t", verdicts) == (
        "convLSTM beats climatology at every lead hour, but is at no lead hour ahead of all baselines."
    )


def test_headline_leaves_out_what_cannot_be_compared():
    """A baseline without a single number hides no victory over the others, and is named."""
    nothing = np.full(5, np.nan)
    scores = scores_with(nothing, nothing, nothing)
    verdicts = [_verdict(scores, "2t", name) for name in ("persistence", "climatology")]
    assert _headline("convLSTM", scores, "2t", verdicts) == (
        "convLSTM beats every baseline at every lead hour. (Left out, as it cannot be compared: persistence.)"
    )
    alone = scores.sel(baseline=["persistence"])
    assert _headline("convLSTM", alone, "2t", verdicts[:1]) == (
        "convLSTM cannot be compared with any baseline."
    )


def test_numbers():
    assert [_number(value) for value in (0.0, 0.58649, 12.345, 123.4, -1.5, 12345.6)] == [
        "0.00",
        "0.586",
        "12.3",
        "123",
        "−1.50",
        "12346",
    ]
    assert _number(1.5e-5) == "1.50e−05" and _number(2.5e7) == "2.50e+07"
    assert _cell(np.nan, np.nan, np.nan, False)["value"] == "–"
    assert _cell(1.0, np.nan, np.nan, True) == {"value": "1.00", "interval": "", "best": True}


def test_command():
    arguments = {
        "model_dir": "/a b/c",
        "eval_metrics": ["mse", "acc"],
        "stride": 6,
        "no_latitude_weights": True,
        "climatology_file": None,
        "debug": False,
    }
    assert command("main_visualize_postprocess.py", arguments) == (
        "python video_prediction_tools/main_scripts/main_visualize_postprocess.py --model_dir '/a b/c' "
        "--eval_metrics mse acc --stride 6 --no_latitude_weights"
    )
