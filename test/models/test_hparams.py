"""Hyper-parameters: what a file and --set may say, and what is refused."""

import dataclasses
import json

import pytest

from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.names import hparams_template
from video_prediction_tools.models import registry
from video_prediction_tools.models.base import DataSpec
from video_prediction_tools.models.hparams import CommonHparams, hparam, resolve


@dataclasses.dataclass
class Example(CommonHparams):
    """A model's hyper-parameters."""

    filters: list[int] = hparam([8, 8], "state channels", low=1, high=64, entries=1)
    residual: bool = hparam(True, "residual output")


def test_defaults_file_and_overrides_in_this_order(tmp_path):
    path = tmp_path / "hp.json"
    path.write_text(json.dumps({"lr": 0.01, "batch_size": 4, "filters": [16]}))
    hparams = resolve(Example, path, ["batch_size=2", "filters=4,5", "known_channels=lsm", "residual=false"])
    assert (hparams.lr, hparams.batch_size, hparams.filters, hparams.max_epochs) == (0.01, 2, [4, 5], 20)
    assert (hparams.known_channels, hparams.residual) == (["lsm"], False)


def test_whole_numbers_are_taken_where_floats_are_wanted():
    assert resolve(Example, None, ["lr=1"]).lr == 1.0


def test_an_empty_list_switches_the_known_channels_off():
    assert resolve(Example, None, ["known_channels="]).known_channels == []


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("learning_rate=1", ["--set", "unknown hyper-parameter 'learning_rate'"]),
        ("batch_sise=1", ["did you mean 'batch_size'?"]),
        ("lr", ["not of the form key=value"]),
        ("lr=fast", ["'lr' is 'fast'", "type float"]),
        ("lr=nan", ["--set", "'lr'"]),
        ("batch_size=2.5", ["2.5", "type int"]),
        ("batch_size=true", ["type int"]),
        ("batch_size=0", ["'batch_size' is 0", "from 1 to"]),
        ("filters=0", ["'filters' is 0"]),
        ("filters=", ["'filters' is empty"]),
        (f"lr=1{'0' * 400}", ["'lr' is inf", "finite"]),
        ("clip_norm=Infinity", ["'clip_norm' is inf", "finite"]),
        ("opt_var=2t,all", ["write all by itself"]),
        ("filters=a,b", ["'filters'", "type int"]),
        ("loss_fun=l5", ["choose among: mse, mae, huber"]),
        ("known_channels=lsm,moon", ["'moon'", "choose among"]),
        ("residual=1", ["type bool"]),
    ],
)
def test_wrong_overrides_are_refused(override, words):
    with pytest.raises(InputError) as caught:
        resolve(Example, None, [override])
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_what_goes_on_between_two_steps_has_two_steps_or_none():
    """Of all models: those hyper-parameters whose names end in `_steps` and that are lists."""
    lists = [
        (name, key)
        for name in registry.names()
        for key, default in dataclasses.asdict(registry.model_class(name).Hparams()).items()
        if key.endswith("_steps") and isinstance(default, list)
    ]
    assert {key for _, key in lists} == {"decay_steps", "gan_anneal_steps", "kl_anneal_steps"}
    for name, key in lists:
        for right in ([], [0, 1], [3, 900]):
            assert getattr(registry.resolve_hparams(name, None, [f"{key}={right}"]), key) == right
        for wrong in ("3", "9,3", "3,3", "1,2,3", "-1,3"):
            with pytest.raises(InputError, match=f"--set: '{key}' is "):
                registry.resolve_hparams(name, None, [f"{key}={wrong}"])


@pytest.mark.parametrize("text", ["[1, 2]", "{lr: 1}", '{"filters": 3}', '{"max_epoch": 3}'])
def test_wrong_files_are_refused_by_name(tmp_path, text):
    path = tmp_path / "hp.json"
    path.write_text(text)
    with pytest.raises(InputError, match=str(path)):
        resolve(Example, path)


@pytest.mark.parametrize("name", registry.names())
@pytest.mark.parametrize("dataset", ["era5", "moving_mnist"])
def test_every_model_has_templates_that_resolve(name, dataset):
    assert hparams_template(name, dataset).is_file()
    assert registry.resolve_hparams(name, None, dataset=dataset).context_frames == 10


def test_values_of_the_original_are_hyper_parameters_of_ours():
    originals = sorted(hparams_template("savp", "era5").parents[2].glob("*/*/original_hparams.json"))
    assert len(originals) == 8
    for path in originals:
        assert registry.resolve_hparams(path.parent.name, path).context_frames in (10, 12)


@pytest.mark.parametrize("name", registry.names())
@pytest.mark.parametrize(("dataset", "sequences"), [("era5", 512), ("moving_mnist", 10_000)])
def test_schedules_of_the_templates_fit_their_trainings(name, dataset, sequences):
    """A month of hours, and the number of digits' sequences that is the default."""
    hparams = registry.resolve_hparams(name, None, dataset=dataset)
    model = registry.create(name, DataSpec(16, 16, ("x",), (), 10, 10), hparams)
    steps = hparams.max_epochs * -(-sequences // hparams.batch_size)
    assert model.schedules_end() == 0 or steps / 4 < model.schedules_end() < steps * 0.9


def test_unknown_model():
    with pytest.raises(InputError, match="did you mean 'convLSTM'"):
        registry.require_known("convlstm")
