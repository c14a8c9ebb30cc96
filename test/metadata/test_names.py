"""Names: what is built can be parsed again, and gives the parts back."""

import itertools
import random
from datetime import datetime
from pathlib import Path

import pytest

from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata import names
from video_prediction_tools.metadata.names import DataName, ExperimentId, Layout, MovingMnistName


def test_a_name_as_the_convention_writes_it():
    name = DataName(2007, 2019, 1, 12, nx=92, ny=56, lat=38.4, lon=0.0, variables=("2t", "msl", "gph500"))
    assert str(name) == "Y2007to2019M01to12-92_56-38.40N00.00E-2t_msl_gph500"


@pytest.mark.parametrize(
    ("lat", "lon", "corner"),
    [
        (50, -10, "50.00N10.00W"),
        (-33.75, 151.2, "33.75S151.20E"),
        (-0.25, -179.75, "00.25S179.75W"),
        (0, 0, "00.00N00.00E"),
        (-0.001, -0.001, "00.00N00.00E"),  # no 00.00S
        (10, 350, "10.00N10.00W"),  # the same corner as 10 W
        (10, 180, "10.00N180.00W"),  # the date line has one name
        (10, -180, "10.00N180.00W"),
        (10, 359.999, "10.00N00.00E"),
    ],
)
def test_corner(lat, lon, corner):
    assert f"-{corner}-" in str(DataName(2019, 2019, 3, 3, 49, 33, lat, lon, ("2t",)))


def test_parsing_gives_the_parts_back():
    draw = random.Random(1)
    short_names = ["2t", "msl", "gph500", "t850", "tcc", "10u", "10v", "2d", "sp", "t1"]
    corners = [
        *itertools.product(
            (-90, -0.01, 0, 0.25, 90), (-180, -179.99, -0.01, 0, 99.99, 100, 179.75, 180, 359.75)
        ),
        *((round(draw.uniform(-90, 90), 2), round(draw.uniform(-360, 720), 2)) for _ in range(500)),
    ]
    for lat, lon in corners:
        years = sorted(draw.choices(range(1940, 2100), k=2))
        months = sorted(draw.choices(range(1, 13), k=2))
        variables = tuple(draw.sample(short_names, draw.randint(1, 5)))
        name = DataName(*years, *months, draw.randint(2, 1440), draw.randint(2, 721), lat, lon, variables)
        parsed = DataName.parse(str(name))
        assert parsed == name
        assert str(parsed) == str(name)
        assert (parsed.first_year, parsed.last_month, parsed.variables) == (years[0], months[1], variables)


def test_different_parts_give_different_names():
    parts = dict(
        first_year=2019,
        last_year=2019,
        first_month=3,
        last_month=3,
        nx=49,
        ny=33,
        lat=50.0,
        lon=-10.0,
        variables=("2t", "msl"),
    )
    others = dict(
        first_year=2018,
        last_year=2020,
        first_month=2,
        last_month=4,
        nx=48,
        ny=32,
        lat=-50.0,
        lon=10.0,
        variables=("msl", "2t"),
    )
    all_names = {
        str(DataName(**parts)),
        *(str(DataName(**parts | {key: value})) for key, value in others.items()),
    }
    assert len(all_names) == 10


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "moving_mnist",
        "Y2019to2019M03to03-49_33-50.00N10.00W",
        "Y19to19M03to03-1_1-5N5E-2t",
        "Y2019to2019M03to03-49_33-50.00N10.00W-2t/..",
        "xY2019to2019M03to03-49_33-50.00N10.00W-2t",
        "Y2019to2019M03to03-49_33-50.00N10.00W-2t_",
        "Y2019to2019M03to03-49_33-50.00N10.00W-2t\n",
    ],
)
def test_other_text_is_no_data_name(wrong):
    with pytest.raises(InputError, match="not a data name"):
        DataName.parse(wrong)


def test_names_of_moving_mnist_give_their_parts_back():
    parts = dict(
        source="mnist",
        n_digits=2,
        size=64,
        sequence_length=20,
        n_train=10000,
        n_val=1000,
        n_test=500,
        seed=1,
        fresh=False,
    )
    name = str(MovingMnistName(**parts))
    assert name == "moving_mnist-mnist-2digits-64_64-20frames-10000_1000_500-seed1"
    others = [parts | {key: value + 1} for key, value in parts.items() if isinstance(value, int)]
    others += [parts | {"source": source} for source in ("published", "sequences", "glyphs")]
    assert str(MovingMnistName(**parts | {"fresh": True})) == name + "-fresh"
    for other in others:
        assert MovingMnistName.parse(str(MovingMnistName(**other))) == MovingMnistName(**other)
    assert len({name, *(str(MovingMnistName(**other)) for other in others)}) == 12
    with pytest.raises(InputError, match="no source of Moving MNIST"):
        MovingMnistName(**parts | {"source": "cifar"})


@pytest.mark.parametrize(
    "wrong",
    [
        "Y2019to2019M03to03-49_33-50.00N10.00W-2t",
        "moving_mnist",
        "moving_mnist-cifar-2digits-64_64-20frames-10_1_1-seed1",
        "moving_mnist-mnist-2digits-64_32-20frames-10_1_1-seed1",
        "moving_mnist-mnist-2digits-64_64-20frames-10_1_1-seed1\n",
    ],
)
def test_other_text_is_no_data_name_of_moving_mnist(wrong):
    with pytest.raises(InputError, match="not a data name of Moving MNIST"):
        MovingMnistName.parse(wrong)


def test_a_data_name_says_which_data_set_it_is():
    assert names.dataset_of("Y2019to2019M03to03-49_33-50.00N10.00W-2t") == "era5"
    assert names.dataset_of(str(MovingMnistName("glyphs", 2, 64, 20, 3, 2, 1, 0))) == "moving_mnist"


@pytest.mark.parametrize("text", ["first", "a.b-c_d", "lr=1".replace("=", "-"), "2t_only", "x" * 60])
def test_experiment_id(text):
    new = ExperimentId(datetime(2019, 3, 1, 12, 0, 5), "anna", text)
    assert str(new) == f"20190301T120005_anna_{text}"
    assert ExperimentId.parse(str(new)) == new


@pytest.mark.parametrize(
    ("user", "written"), [("anna_b", "anna-b"), ("DOM\\bob", "DOM-bob"), ("", "user"), ("x.y-z", "x.y-z")]
)
def test_user_names_cannot_break_an_experiment_id(user, written):
    new = ExperimentId(datetime(2019, 3, 1), user, "a_b")
    assert new.user == written
    assert ExperimentId.parse(str(new)) == new


@pytest.mark.parametrize("text", ["", "a b", "a/b", "a\n", "it's", "$HOME", "ü"])
def test_experiment_text_must_fit_into_a_path(text):
    with pytest.raises(InputError, match="not usable"):
        ExperimentId.new(text)


def test_new_experiment_ids_are_parsed():
    new = ExperimentId.new("try")
    assert ExperimentId.parse(str(new)) == new
    with pytest.raises(InputError, match="not an experiment id"):
        ExperimentId.parse("try")


def test_layout_is_that_of_the_description():
    layout = Layout(Path("/base"))
    assert layout.extracted_data == Path("/base/ExtractedData")
    assert names.month_file(layout.extracted_data, 2019, 3) == Path(
        "/base/ExtractedData/2019/03/era5_201903.nc"
    )
    assert layout.data("D") == Path("/base/PreprocessedData/D")
    assert names.month_pickle(layout.data("D"), "val", 2019, 3) == Path(
        "/base/PreprocessedData/D/pickle/val/2019-03.pkl"
    )
    assert layout.model("D", "convLSTM", "E") == Path("/base/Models/D/convLSTM/E")
    assert names.result_directory(layout.results, "D", "D", "convLSTM", "E") == Path(
        "/base/Results/D/end_to_end/D/convLSTM/E"
    )
    assert names.result_directory(layout.results, "D", "S", "convLSTM", "E") == Path(
        "/base/Results/D/transfer_learning/S/convLSTM/E"
    )
