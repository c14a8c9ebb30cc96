"""The kinds of answers: the same value, whichever way it came in."""

import pytest

from video_prediction_tools.config_runscripts import kinds
from video_prediction_tools.config_runscripts.questions import QUESTIONS

YEARS = kinds.integers(1940, 2100, "2019")
CORNER = kinds.numbers(2, "lat lon", [(-90, 90), (-180, 360)])


@pytest.mark.parametrize(
    ("kind", "ways", "value"),
    [
        (
            YEARS,
            [
                "2017-2019",
                "2017 2018 2019",
                "2019, 2017,2018",
                [2017, 2018, 2019],
                ["2017", "2018-2019"],
                "2017-2018 2018-2019",
            ],
            [2017, 2018, 2019],
        ),
        (YEARS, [2019, "2019", [2019]], [2019]),
        (CORNER, ["50 -10", "50,-10", [50, -10], ["50.0", "-10"], [50.0, -10.0]], [50, -10]),
        (CORNER, ["38.4 0", [38.4, 0]], [38.4, 0]),
        (kinds.WORDS, ["2t msl", "2t,msl", ["2t", "msl"], ["2t msl"]], ["2t", "msl"]),
        (
            kinds.PERIODS,
            ["2019-03-01..2019-03-22", [["2019-03-01", "2019-03-22"]], ["2019-03-01..2019-03-22"]],
            [["2019-03-01", "2019-03-22"]],
        ),
        (
            kinds.PERIODS,
            ["2019-03-01T00..2019-03-01T12 2019-05-01", ["2019-03-01T00..2019-03-01T12", "2019-05-01"]],
            [["2019-03-01T00", "2019-03-01T12"], ["2019-05-01", "2019-05-01"]],
        ),
        (
            kinds.PAIRS,
            ["lr=0.001 max_epochs=5", ["lr=0.001", "max_epochs=5"], {"lr": 0.001, "max_epochs": 5}],
            ["lr=0.001", "max_epochs=5"],
        ),
        (kinds.integer(1), [5, "5", "+5"], 5),
        (kinds.number(0), [0.25, "0.25", ".25"], 0.25),
        (kinds.choice("1", "3"), [3, "3"], "3"),
        (kinds.PATH, ["/a/b/../c", "/a/c/", "/a/./c"], "/a/c"),
        (kinds.WALLTIME, ["02:00:00"], "02:00:00"),
        (kinds.WALLTIME, ["1-00:00:00"], "1-00:00:00"),
    ],
)
def test_ways(kind, ways, value):
    for way in ways:
        assert kind.parse(way) == value, way
    if kind is not kinds.PATH_OR_TABLE:
        assert kind.parse(kind.show(value)) == value


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (YEARS, ["", [], "abc", "1939", "2019-2017", "20 19", True, {"a": 1}, "2019.5", None, "2019-"]),
        (CORNER, ["50", "50 10 10", "91 0", "0 361", "nan 0", "inf 0", "a b"]),
        (
            kinds.PERIODS,
            [
                "",
                "2019",
                "2019-02-30..2019-03-01",
                "2019-03-02..2019-03-01",
                "2019-03-01T12..2019-03-01T11",
                [["2019-03-01"]],
                "2019-03-01..",
                "2019-03-01T25..2019-03-02",
            ],
        ),
        (kinds.PAIRS, ["", "lr", "=1", "lr=", {}]),
        (kinds.integer(2, 10), ["1", "11", "x", 2.5, None, True]),
        (kinds.number(0.01, 10), ["0", "11", "nan", ""]),
        (kinds.NAME, ["", "  ", 5, "a\nb", "a\x00b", "\x7f", "a/b", "..", "ü" * 128]),
        (kinds.PATH, ["", "/a\n/b", 5, None]),
        (kinds.choice("cds", "archive"), ["CDS", "", None, "cd"]),
        (kinds.SBATCH, ["a b", "a'b", "$x", "a;b", "ü", "a\n#SBATCH"]),
        (kinds.WALLTIME, ["1:2", "2h", "25", "00:61:00", "$(x)"]),
        (kinds.EXPERIMENT, ["a b", "a/b", "", "it's"]),
        (kinds.PATH_OR_TABLE, [{}, "", 3]),
    ],
)
def test_wrong(kind, wrong):
    for value in wrong:
        with pytest.raises(ValueError):
            kind.parse(value)
            pytest.fail(f"{value!r} was taken")


def test_experiments():
    assert kinds.EXPERIMENT.parse("20190401T000000_anna_try") == "20190401T000000_anna_try"
    made = kinds.EXPERIMENT.parse("try")
    assert made.endswith("_try") and kinds.EXPERIMENT.parse(made) == made


def test_a_path_is_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/anna")
    assert kinds.PATH.parse("data") == str(tmp_path / "data")
    assert kinds.PATH.parse("~/data") == "/home/anna/data"


def test_a_step_asks_each_name_once():
    pairs = [(question.name, step) for question in QUESTIONS for step in question.steps]
    assert len(set(pairs)) == len(pairs)
    for name in {name for name, _ in pairs}:  # one flag serves all steps
        assert len({question.kind.several for question in QUESTIONS if question.name == name}) == 1
